"""The built-in kinds that this server serves, and what generic code must know of each.

A kind stands here as soon as its objects can be stored; whether something acts on them is said in
``docs/status.md``. Short names, categories and selectable fields are those of Kubernetes.
"""

from headwater.cluster.apiserver.registry import ScalePaths, Served
from headwater.kube.client import Propagation
from headwater.kube.meta.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)

_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})
_SCALE = ScalePaths(".spec.replicas", ".status.replicas", ".spec.selector")
_ALL = ("all",)

_EVENT_FIELDS = frozenset(
    {
        *(f"involvedObject.{part}" for part in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")),
        *("involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"),
    }
)
_POD_FIELDS = frozenset(
    {
        *("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork"),
        *("status.phase", "status.podIP", "status.nominatedNodeName"),
    }
)

EVENTS_V1 = Resource("events.k8s.io", "v1", "Event", "events", True, ("ev",))
"""The same objects as the core group's events, in another shape."""


def _autoscaler(version: str) -> Resource:
    plural = "horizontalpodautoscalers"
    return Resource("autoscaling", version, "HorizontalPodAutoscaler", plural, True, ("hpa",), _ALL, _STATUS)


AUTOSCALERS_V1 = _autoscaler("v1")
"""The same objects as those of version 2, which says more."""


def _serve(
    resource: Resource,
    *,
    counts: bool = False,
    selectable: frozenset[str] = frozenset(),
    propagation: Propagation = Propagation.BACKGROUND,
    bucket: str = "",
    storage_version: str = "",
) -> Served:
    return Served(
        resource,
        bucket or resource.group_resource,
        singular=resource.kind.lower(),
        scale=_SCALE if "scale" in resource.subresources else None,
        has_generation=counts,
        selectable=selectable,
        default_propagation=propagation,
        storage_version=storage_version,
    )


def _core(kind: str, plural: str, *short: str, namespaced: bool = True, status: bool = False) -> Resource:
    return Resource("", "v1", kind, plural, namespaced, short, (), _STATUS if status else frozenset())


def _apps(kind: str, plural: str, short: str, subresources: frozenset[str]) -> Resource:
    return Resource("apps", "v1", kind, plural, True, (short,), _ALL, subresources)


def _storage(kind: str, plural: str, *short: str, namespaced: bool = False, status: bool = False) -> Resource:
    return Resource("storage.k8s.io", "v1", kind, plural, namespaced, short, (), _STATUS if status else frozenset())


def _networking(kind: str, plural: str, *short: str, namespaced: bool = True, status: bool = False) -> Resource:
    return Resource("networking.k8s.io", "v1", kind, plural, namespaced, short, (), _STATUS if status else frozenset())


def _admission(kind: str, plural: str, *, status: bool = False) -> Served:
    subresources = _STATUS if status else frozenset[str]()
    categories = ("api-extensions",)
    resource = Resource("admissionregistration.k8s.io", "v1", kind, plural, False, (), categories, subresources)
    return _serve(resource, counts=True)


def builtin_kinds() -> list[Served]:
    """Return the built-in kinds in the order in which discovery lists them."""
    phase = frozenset({"status.phase"})
    return [
        _serve(CONFIG_MAPS),
        _serve(_core("Endpoints", "endpoints", "ep")),
        _serve(EVENTS, selectable=_EVENT_FIELDS),
        _serve(_core("LimitRange", "limitranges", "limits")),
        _serve(NAMESPACES, selectable=phase),
        _serve(NODES, selectable=frozenset({"spec.unschedulable"})),
        _serve(_core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", status=True)),
        _serve(_core("PersistentVolume", "persistentvolumes", "pv", namespaced=False, status=True)),
        _serve(PODS, counts=True, selectable=_POD_FIELDS),
        _serve(_core("PodTemplate", "podtemplates"), counts=True),
        _serve(
            Resource("", "v1", "ReplicationController", "replicationcontrollers", True, ("rc",), _ALL, _SCALED),
            counts=True,
            selectable=frozenset({"status.replicas"}),
        ),
        _serve(_core("ResourceQuota", "resourcequotas", "quota", status=True)),
        _serve(SECRETS, selectable=frozenset({"type"})),
        _serve(SERVICE_ACCOUNTS),
        _serve(SERVICES, selectable=frozenset({"spec.clusterIP", "spec.type"})),
        _admission("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
        _admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies", status=True),
        _admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        _admission("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
        _serve(CUSTOM_RESOURCE_DEFINITIONS, counts=True),
        _serve(_apps("DaemonSet", "daemonsets", "ds", _STATUS), counts=True),
        _serve(_apps("Deployment", "deployments", "deploy", _SCALED), counts=True),
        _serve(_apps("ReplicaSet", "replicasets", "rs", _SCALED), counts=True),
        _serve(_apps("StatefulSet", "statefulsets", "sts", _SCALED), counts=True),
        _serve(Resource("apps", "v1", "ControllerRevision", "controllerrevisions")),
        _serve(_autoscaler("v2")),
        _serve(AUTOSCALERS_V1, storage_version="autoscaling/v2"),
        _serve(Resource("batch", "v1", "CronJob", "cronjobs", True, ("cj",), _ALL, _STATUS), counts=True),
        # Kubernetes keeps a job's pods unless told otherwise, for the sake of clients from before garbage collection.
        _serve(JOBS, counts=True, selectable=frozenset({"status.successful"}), propagation=Propagation.ORPHAN),
        _serve(LEASES),
        _serve(Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"), counts=True),
        _serve(EVENTS_V1, selectable=_EVENT_FIELDS, bucket="events", storage_version="v1"),
        _serve(_networking("IngressClass", "ingressclasses", namespaced=False), counts=True),
        _serve(_networking("Ingress", "ingresses", "ing", status=True), counts=True),
        _serve(_networking("NetworkPolicy", "networkpolicies", "netpol"), counts=True),
        _serve(Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", False)),
        _serve(
            Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, ("pdb",), (), _STATUS),
            counts=True,
        ),
        _serve(CLUSTER_ROLE_BINDINGS),
        _serve(CLUSTER_ROLES),
        _serve(ROLE_BINDINGS),
        _serve(ROLES),
        _serve(Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, ("pc",)), counts=True),
        _serve(_storage("CSIDriver", "csidrivers")),
        _serve(_storage("CSINode", "csinodes")),
        _serve(_storage("StorageClass", "storageclasses", "sc")),
        _serve(_storage("VolumeAttachment", "volumeattachments", status=True)),
    ]
