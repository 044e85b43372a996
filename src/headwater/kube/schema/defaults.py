"""The defaults of built-in kinds, which their schemas do not carry.

Follows the ``SetDefaults_*`` functions of Kubernetes' ``pkg/apis``. ``default_object`` may run on every write of an
object: what is set stays. ``prepare_create`` does what only a creation does, once the object has its uid.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import orjson

from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.schema.pod_defaults import default_pod_spec, default_pod_status

Defaulter: TypeAlias = Callable[[Object], None]


def default_object(group: str, kind: str, obj: Object) -> Object:
    """Return a copy of the object with the kind's defaults filled in; the object itself when it has none."""
    defaulter = _DEFAULTERS.get((group, kind))
    if defaulter is None:
        return obj
    copy: Object = orjson.loads(orjson.dumps(obj))
    defaulter(copy)
    return copy


def prepare_create(group: str, kind: str, obj: Object) -> None:
    """Complete a new object in place: what depends on its uid, and the status that it starts with.

    Call after ``metadata.uid`` and the name are set. The status that a client sent must be gone by then.
    """
    first = _FIRST_STATUS.get((group, kind))
    if first is not None:
        obj["status"] = orjson.loads(first)
    preparer = _PREPARERS.get((group, kind))
    if preparer is not None:
        preparer(obj)


def _field(obj: Object, name: str) -> dict[str, Any]:
    """Return an object's field that is itself an object, putting an empty one there when it is missing."""
    value = obj.get(name)
    if not isinstance(value, dict):
        value = {}
        obj[name] = value
    return value


def _items(obj: Object, name: str) -> Iterable[dict[str, Any]]:
    return [item for item in obj.get(name) or () if isinstance(item, dict)]


def _defaults(target: dict[str, Any], **values: Any) -> None:
    for key, value in values.items():
        target.setdefault(key, value)


def _pod(obj: Object) -> None:
    default_pod_spec(_field(obj, "spec"))


def _template(spec: dict[str, Any]) -> dict[str, Any]:
    template = _field(spec, "template")
    default_pod_spec(_field(template, "spec"))
    return template


def _pod_template(obj: Object) -> None:
    _template(obj)


def _replication_controller(obj: Object) -> None:
    spec = _field(obj, "spec")
    spec.setdefault("replicas", 1)
    if "template" in spec:
        labels = _field(_template(spec), "metadata").get("labels") or {}
        if labels:
            _defaults(spec, selector=dict(labels))
            _field(obj, "metadata").setdefault("labels", dict(labels))


def _replica_set(obj: Object) -> None:
    spec = _field(obj, "spec")
    spec.setdefault("replicas", 1)
    _template(spec)


def _deployment(obj: Object) -> None:
    spec = _field(obj, "spec")
    _defaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _field(spec, "strategy")
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _defaults(_field(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _stateful_set(obj: Object) -> None:
    spec = _field(obj, "spec")
    _defaults(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    strategy = _field(spec, "updateStrategy")
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _field(strategy, "rollingUpdate").setdefault("partition", 0)
    _defaults(_field(spec, "persistentVolumeClaimRetentionPolicy"), whenDeleted="Retain", whenScaled="Retain")
    for claim in _items(spec, "volumeClaimTemplates"):
        _defaults(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _claim(claim)
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = _field(obj, "spec")
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = _field(spec, "updateStrategy")
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _defaults(_field(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    _template(spec)


def _job(obj: Object) -> None:
    spec = _field(obj, "spec")
    _job_spec(spec)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not _field(obj, "metadata").get("labels"):
        obj["metadata"]["labels"] = dict(labels)


def _job_spec(spec: dict[str, Any]) -> None:
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    _defaults(
        spec,
        parallelism=1,
        backoffLimit=2**31 - 1 if "backoffLimitPerIndex" in spec else 6,
        completionMode="NonIndexed",
        suspend=False,
        manualSelector=False,
        podReplacementPolicy="Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
    )
    for rule in _items(spec.get("podFailurePolicy") or {}, "rules"):
        for pattern in _items(rule, "onPodConditions"):
            pattern.setdefault("status", "True")
    _template(spec)


def _cron_job(obj: Object) -> None:
    spec = _field(obj, "spec")
    _defaults(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    # A job template's job fields get their defaults when the job is created; its pod template gets them here.
    _template(_field(_field(spec, "jobTemplate"), "spec"))


def _service(obj: Object) -> None:
    spec = _field(obj, "spec")
    _defaults(spec, type="ClusterIP", sessionAffinity="None")
    if spec["sessionAffinity"] == "ClientIP":
        _field(_field(spec, "sessionAffinityConfig"), "clientIP").setdefault("timeoutSeconds", 10800)
    for port in _items(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        _defaults(spec, ipFamilyPolicy="SingleStack", ipFamilies=["IPv4"])
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _namespace(obj: Object) -> None:
    metadata = _field(obj, "metadata")
    if metadata.get("name"):
        _field(metadata, "labels")["kubernetes.io/metadata.name"] = metadata["name"]


def _secret(obj: Object) -> None:
    if not obj.get("type"):
        obj["type"] = "Opaque"
    text = obj.pop("stringData", None)
    if isinstance(text, dict) and text:
        data = _field(obj, "data")
        for key, value in text.items():
            data[key] = _base64(value)


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode()).decode()


def _claim(obj: Object) -> None:
    _field(obj, "spec").setdefault("volumeMode", "Filesystem")


def _volume(obj: Object) -> None:
    _defaults(_field(obj, "spec"), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")


def _subjects(obj: Object) -> None:
    _field(obj, "roleRef").setdefault("apiGroup", _RBAC)
    for subject in _items(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _storage_class(obj: Object) -> None:
    _defaults(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def _endpoint_slice(obj: Object) -> None:
    for port in _items(obj, "ports"):
        _defaults(port, name="", protocol="TCP")


def _network_policy(obj: Object) -> None:
    spec = _field(obj, "spec")
    for rule in (*_items(spec, "ingress"), *_items(spec, "egress")):
        for port in _items(rule, "ports"):
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _crd(obj: Object) -> None:
    spec = _field(obj, "spec")
    names = _field(spec, "names")
    kind = names.get("kind")
    if isinstance(kind, str) and kind:
        _defaults(names, singular=kind.lower(), listKind=f"{kind}List")
    _field(spec, "conversion").setdefault("strategy", "None")


def _autoscaler(obj: Object) -> None:
    if isinstance(obj.get("spec"), dict):
        obj["spec"].setdefault("minReplicas", 1)


def _prepare_namespace(obj: Object) -> None:
    finalizers = _field(obj, "spec").setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    obj["status"] = {"phase": "Active"}


def _prepare_pod(obj: Object) -> None:
    obj["status"] = default_pod_status(obj["spec"])


def _prepare_job(obj: Object) -> None:
    """Give a Job the selector and the labels that make its pods its own."""
    spec = obj["spec"]
    if spec.get("manualSelector"):
        return
    own = {
        "batch.kubernetes.io/controller-uid": uid_of(obj),
        "batch.kubernetes.io/job-name": name_of(obj),
        "controller-uid": uid_of(obj),
        "job-name": name_of(obj),
    }
    labels = _field(_field(_field(spec, "template"), "metadata"), "labels")
    labels.update({key: value for key, value in own.items() if key not in labels})
    selector = _field(_field(spec, "selector"), "matchLabels")
    selector.setdefault("batch.kubernetes.io/controller-uid", uid_of(obj))


_RBAC = "rbac.authorization.k8s.io"

_DEFAULTERS: dict[tuple[str, str], Defaulter] = {
    ("", "Namespace"): _namespace,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "PodTemplate"): _pod_template,
    ("", "ReplicationController"): _replication_controller,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("batch", "CronJob"): _cron_job,
    ("batch", "Job"): _job,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    (_RBAC, "ClusterRoleBinding"): _subjects,
    (_RBAC, "RoleBinding"): _subjects,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    ("storage.k8s.io", "StorageClass"): _storage_class,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _crd,
}

_PREPARERS: dict[tuple[str, str], Callable[[Object], None]] = {
    ("", "Namespace"): _prepare_namespace,
    ("", "Pod"): _prepare_pod,
    ("batch", "Job"): _prepare_job,
}

_FIRST_STATUS: dict[tuple[str, str], bytes] = {
    ("", "PersistentVolume"): b'{"phase":"Pending"}',
    ("", "PersistentVolumeClaim"): b'{"phase":"Pending"}',
    ("", "ResourceQuota"): b"{}",
    ("", "Service"): b'{"loadBalancer":{}}',
    ("apps", "DaemonSet"): (
        b'{"currentNumberScheduled":0,"desiredNumberScheduled":0,"numberMisscheduled":0,"numberReady":0}'
    ),
    ("apps", "Deployment"): b"{}",
    ("", "ReplicationController"): b'{"replicas":0}',
    ("apps", "ReplicaSet"): b'{"replicas":0}',
    ("apps", "StatefulSet"): b'{"availableReplicas":0,"replicas":0}',
    ("autoscaling", "HorizontalPodAutoscaler"): b'{"currentMetrics":null,"desiredReplicas":0}',
    ("batch", "CronJob"): b"{}",
    ("batch", "Job"): b"{}",
    ("networking.k8s.io", "Ingress"): b'{"loadBalancer":{}}',
    ("policy", "PodDisruptionBudget"): (
        b'{"currentHealthy":0,"desiredHealthy":0,"disruptionsAllowed":0,"expectedPods":0}'
    ),
}
"""The status that each kind begins with. Go's types write it even when empty, and typed clients rely on it."""
