"""What tables say of the built-in kinds besides pods: the columns that ``kubectl get`` shows upstream."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from headwater.cluster.apiserver.http.columns import (
    AGE,
    CREATED_AT,
    NAME,
    NONE,
    UNKNOWN,
    Cell,
    Column,
    age,
    human_duration,
    plain,
)
from headwater.cluster.apiserver.http.pod_columns import POD_COLUMNS
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of
from headwater.kube.meta.time import parse_time

_UNSET = "<unset>"


def _at(obj: Object, path: str, default: Any = None) -> Any:
    """Read a dotted path; what is absent, null or empty is the default."""
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return default if value in (None, "", [], {}) else value


def _field(name: str, path: str, default: Any = NONE, *, wide: bool = False, kind: str = "string") -> Column:
    return Column(name, plain(lambda obj: _at(obj, path, default)), type=kind, priority=int(wide))


def _count(name: str, path: str) -> Column:
    return Column(name, plain(lambda obj: len(_at(obj, path, ()))), type="string")


def _number(name: str, path: str) -> Column:
    return _field(name, path, 0, kind="integer")


def _text(name: str, path: str, default: str = NONE) -> Column:
    """A value whose type varies, as text: ``True``, ``30``."""
    return Column(name, plain(lambda obj: _shown(_at(obj, path, default))))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(items: Iterable[Any], default: str = NONE) -> str:
    return ",".join(str(item) for item in items) or default


def _selector(selector: Any) -> str:
    """Write a label selector (or a plain map of labels) as text."""
    if not isinstance(selector, dict):
        return NONE
    labels = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    parts = [f"{key}={value}" for key, value in sorted((labels or {}).items())]
    for one in selector.get("matchExpressions") or ():
        key, values = one.get("key"), ",".join(one.get("values") or ())
        shapes = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": f"{key}"}
        parts.append(shapes.get(one.get("operator"), f"!{key}"))
    return _listed(parts)


def _template(path: str) -> tuple[Column, ...]:
    """The names and images of a pod template's containers."""

    def containers(field: str) -> Column:
        def cell(obj: Object) -> Cell:
            return _listed(one.get(field, "") for one in _at(obj, f"{path}.spec.containers", ()))

        return Column("Containers" if field == "name" else "Images", plain(cell), priority=1)

    return containers("name"), containers("image")


def _selector_column(path: str, name: str = "Selector", *, wide: bool = True) -> Column:
    return Column(name, plain(lambda obj: _selector(_at(obj, path))), priority=int(wide))


# --- Node ---------------------------------------------------------------------------------------------------------


def _node_status(node: Object) -> str:
    ready = [one for one in _at(node, "status.conditions", ()) if one.get("type") == "Ready"]
    words = ["Ready" if ready[0].get("status") == "True" else "NotReady"] if ready else ["Unknown"]
    if _at(node, "spec.unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in labels_of(node) if key.startswith(prefix)]
    legacy = labels_of(node).get("kubernetes.io/role")
    return _listed(sorted({*roles, legacy} if legacy else set(roles)))


def _node_address(kind: str) -> Column:
    def cell(node: Object) -> Cell:
        return next((one["address"] for one in _at(node, "status.addresses", ()) if one.get("type") == kind), NONE)

    return Column("Internal-IP" if kind == "InternalIP" else "External-IP", plain(cell), priority=1)


# --- Job and CronJob ----------------------------------------------------------------------------------------------


def _job_status(job: Object) -> str:
    held = {one.get("type") for one in _at(job, "status.conditions", ()) if one.get("status") == "True"}
    for kind in ("Complete", "Failed"):
        if kind in held:
            return kind
    if is_deleting(job):
        return "Terminating"
    for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if kind in held:
            return kind
    return "Running"


def _job_completions(job: Object) -> str:
    succeeded, completions = _at(job, "status.succeeded", 0), _at(job, "spec.completions")
    if completions is not None:
        return f"{succeeded}/{completions}"
    parallelism = _at(job, "spec.parallelism", 1)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(job: Object, now: datetime) -> str:
    start, end = _at(job, "status.startTime"), _at(job, "status.completionTime")
    if not start:
        return ""
    for one in _at(job, "status.conditions", ()):
        if not end and one.get("type") == "Failed" and one.get("status") == "True":
            end = one.get("lastTransitionTime")
    return human_duration(((parse_time(end) if end else now) - parse_time(start)).total_seconds())


# --- Service, Ingress, EndpointSlice ------------------------------------------------------------------------------


def _service_external(service: Object) -> str:
    addresses = list(_at(service, "spec.externalIPs", ()))
    if _at(service, "spec.type") == "ExternalName":
        return str(_at(service, "spec.externalName", NONE))
    if _at(service, "spec.type") == "LoadBalancer":
        ingress = _at(service, "status.loadBalancer.ingress", ())
        addresses = [one.get("ip") or one.get("hostname") or "" for one in ingress] + addresses
        return _listed(addresses, "<pending>")
    return _listed(addresses)


def _service_ports(service: Object) -> str:
    ports = []
    for one in _at(service, "spec.ports", ()):
        node = f":{one['nodePort']}" if one.get("nodePort") else ""
        ports.append(f"{one.get('port')}{node}/{one.get('protocol', 'TCP')}")
    return _listed(ports)


def _ingress_hosts(ingress: Object) -> str:
    return _listed((rule["host"] for rule in _at(ingress, "spec.rules", ()) if rule.get("host")), "*")


def _ingress_address(ingress: Object) -> str:
    found = _at(ingress, "status.loadBalancer.ingress", ())
    return ",".join(one.get("ip") or one.get("hostname") or "" for one in found)


def _slice_ports(slice_: Object) -> str:
    return _listed((one.get("port", "*") for one in slice_.get("ports") or ()), _UNSET)


def _slice_endpoints(slice_: Object) -> str:
    return _listed((address for one in slice_.get("endpoints") or () for address in one.get("addresses") or ()), _UNSET)


# --- Event --------------------------------------------------------------------------------------------------------


def _event_time(event: Object, now: datetime, *, first: bool) -> str:
    first_seen = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    if first:
        return age(first_seen, now)
    series = event.get("series") or {}
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    count = series.get("count") or event.get("count") or event.get("deprecatedCount") or 1
    seen = age(last or first_seen, now)
    return f"{seen} (x{count} over {age(first_seen, now)})" if count > 1 else seen


def _event_object(event: Object) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_part(event: Object) -> str:
    return str(_at(event, "involvedObject.fieldPath") or _at(event, "regarding.fieldPath", ""))


def _event_source(event: Object) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    return ", ".join(part for part in (component, source.get("host")) if part)


_EVENT = (
    Column("Last Seen", lambda event, now: _event_time(event, now, first=False)),
    _field("Type", "type", ""),
    _field("Reason", "reason", ""),
    Column("Object", plain(_event_object)),
    Column("Subobject", plain(_event_part), priority=1),
    Column("Source", plain(_event_source), priority=1),
    Column("Message", plain(lambda event: str(event.get("message") or event.get("note") or "").strip())),
    Column("First Seen", lambda event, now: _event_time(event, now, first=True), priority=1),
    Column("Count", plain(lambda e: _at(e, "series.count") or e.get("count") or e.get("deprecatedCount") or 1),
           type="integer", priority=1),
    Column("Name", plain(name_of), format="name", priority=1),
)  # fmt: skip


# --- the rest -----------------------------------------------------------------------------------------------------


def _modes(path: str) -> Column:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return Column("Access Modes", plain(lambda obj: ",".join(short.get(mode, mode) for mode in _at(obj, path, ()))))


def _claim(volume: Object) -> str:
    reference = _at(volume, "spec.claimRef")
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def _class_name(obj: Object) -> str:
    default = "storageclass.kubernetes.io/is-default-class"
    marked = (obj.get("metadata", {}).get("annotations") or {}).get(default) == "true"
    return f"{name_of(obj)} (default)" if marked else name_of(obj)


def _quota(kind: str) -> Column:
    def cell(quota: Object) -> Cell:
        used, hard = _at(quota, "status.used", {}), _at(quota, "status.hard") or _at(quota, "spec.hard", {})
        names = sorted(name for name in hard if name.startswith("limits.") == (kind == "Limit"))
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return Column(kind, plain(cell))


def _subjects(kind: str) -> Column:
    def cell(binding: Object) -> Cell:
        found = [one for one in binding.get("subjects") or () if one.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{one.get('namespace')}/{one.get('name')}" for one in found)
        return ", ".join(str(one.get("name")) for one in found)

    return Column({"User": "Users", "Group": "Groups"}.get(kind, "ServiceAccounts"), plain(cell), priority=1)


def _data(config: Object) -> int:
    return len(config.get("data") or ()) + len(config.get("binaryData") or ())


def _ratio(name: str, have: str, want: str, default: int = 1) -> Column:
    return Column(name, plain(lambda obj: f"{_at(obj, have, 0)}/{_at(obj, want, default)}"))


_BINDING = (
    NAME,
    Column("Role", plain(lambda b: f"{_at(b, 'roleRef.kind', '')}/{_at(b, 'roleRef.name', '')}")),
    AGE,
    _subjects("User"),
    _subjects("Group"),
    _subjects("ServiceAccount"),
)
_POD_TEMPLATE = _template("spec.template")


def _scaled_object(obj: Object) -> Cell:
    target = (obj.get("spec") or {}).get("scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _targets(obj: Object) -> Cell:
    """Write what an autoscaler aims at; what it sees stays unknown until something measures pods."""
    spec, said = obj.get("spec") or {}, []
    if "targetCPUUtilizationPercentage" in spec:
        said.append(f"cpu: {UNKNOWN}/{spec['targetCPUUtilizationPercentage']}%")
    for metric in spec.get("metrics") or ():
        source: Object = next((metric[key] for key in ("resource", "containerResource") if key in metric), {})
        target = source.get("target") or {}
        if "averageUtilization" in target:
            said.append(f"{source.get('name')}: {UNKNOWN}/{target['averageUtilization']}%")
        else:
            wanted = target.get("averageValue") or target.get("value") or UNKNOWN
            said.append(f"{source.get('name') or metric.get('type')}: {UNKNOWN}/{wanted}")
    return ", ".join(said) or NONE


BUILTIN_COLUMNS: dict[tuple[str, str], tuple[Column, ...]] = {
    ("", "pods"): POD_COLUMNS,
    ("", "nodes"): (
        NAME,
        Column("Status", plain(_node_status)),
        Column("Roles", plain(_node_roles)),
        AGE,
        _field("Version", "status.nodeInfo.kubeletVersion", UNKNOWN),
        _node_address("InternalIP"),
        _node_address("ExternalIP"),
        _field("OS-Image", "status.nodeInfo.osImage", UNKNOWN, wide=True),
        _field("Kernel-Version", "status.nodeInfo.kernelVersion", UNKNOWN, wide=True),
        _field("Container-Runtime", "status.nodeInfo.containerRuntimeVersion", UNKNOWN, wide=True),
    ),
    ("", "namespaces"): (NAME, _field("Status", "status.phase", ""), AGE),
    ("", "configmaps"): (NAME, Column("Data", plain(_data), type="string"), AGE),
    ("", "secrets"): (NAME, _field("Type", "type", "Opaque"), _count("Data", "data"), AGE),
    ("", "serviceaccounts"): (NAME, _count("Secrets", "secrets"), AGE),
    ("", "services"): (
        NAME,
        _field("Type", "spec.type", "ClusterIP"),
        _field("Cluster-IP", "spec.clusterIP"),
        Column("External-IP", plain(_service_external)),
        Column("Port(s)", plain(_service_ports)),
        AGE,
        _selector_column("spec.selector"),
    ),
    ("", "endpoints"): (NAME, AGE),
    ("", "events"): _EVENT,
    ("events.k8s.io", "events"): _EVENT,
    ("", "persistentvolumeclaims"): (
        NAME,
        Column("Status", plain(lambda pvc: "Terminating" if is_deleting(pvc) else _at(pvc, "status.phase", ""))),
        _field("Volume", "spec.volumeName", ""),
        _field("Capacity", "status.capacity.storage", ""),
        _modes("status.accessModes"),
        _field("StorageClass", "spec.storageClassName", ""),
        _field("VolumeAttributesClass", "spec.volumeAttributesClassName", _UNSET),
        AGE,
        _field("VolumeMode", "spec.volumeMode", _UNSET, wide=True),
    ),
    ("", "persistentvolumes"): (
        NAME,
        _field("Capacity", "spec.capacity.storage", ""),
        _modes("spec.accessModes"),
        _field("Reclaim Policy", "spec.persistentVolumeReclaimPolicy", ""),
        Column("Status", plain(lambda pv: "Terminating" if is_deleting(pv) else _at(pv, "status.phase", ""))),
        Column("Claim", plain(_claim)),
        _field("StorageClass", "spec.storageClassName", ""),
        _field("VolumeAttributesClass", "spec.volumeAttributesClassName", _UNSET),
        _field("Reason", "status.reason", ""),
        AGE,
        _field("VolumeMode", "spec.volumeMode", _UNSET, wide=True),
    ),
    ("", "resourcequotas"): (NAME, _quota("Request"), _quota("Limit"), AGE),
    ("", "limitranges"): (NAME, CREATED_AT),
    ("batch", "jobs"): (
        NAME,
        Column("Status", plain(_job_status)),
        Column("Completions", plain(_job_completions)),
        Column("Duration", _job_duration),
        AGE,
        *_POD_TEMPLATE,
        _selector_column("spec.selector"),
    ),
    ("batch", "cronjobs"): (
        NAME,
        _field("Schedule", "spec.schedule", ""),
        _field("Timezone", "spec.timeZone"),
        _text("Suspend", "spec.suspend", "False"),
        Column("Active", plain(lambda cron: len(_at(cron, "status.active", ()))), type="integer"),
        Column(
            "Last Schedule", lambda cron, now: age(_at(cron, "status.lastScheduleTime"), now).replace(UNKNOWN, NONE)
        ),
        AGE,
        *_template("spec.jobTemplate.spec.template"),
    ),
    ("apps", "deployments"): (
        NAME,
        _ratio("Ready", "status.readyReplicas", "spec.replicas"),
        _number("Up-to-date", "status.updatedReplicas"),
        _number("Available", "status.availableReplicas"),
        AGE,
        *_POD_TEMPLATE,
        _selector_column("spec.selector"),
    ),
    ("", "replicationcontrollers"): (
        NAME,
        _number("Desired", "spec.replicas"),
        _number("Current", "status.replicas"),
        _number("Ready", "status.readyReplicas"),
        AGE,
        *_POD_TEMPLATE,
    ),
    ("apps", "replicasets"): (
        NAME,
        _number("Desired", "spec.replicas"),
        _number("Current", "status.replicas"),
        _number("Ready", "status.readyReplicas"),
        AGE,
        *_POD_TEMPLATE,
        _selector_column("spec.selector"),
    ),
    ("autoscaling", "horizontalpodautoscalers"): (
        NAME,
        Column("Reference", plain(_scaled_object)),
        Column("Targets", plain(_targets)),
        _number("MinPods", "spec.minReplicas"),
        _number("MaxPods", "spec.maxReplicas"),
        _number("Replicas", "status.currentReplicas"),
        AGE,
    ),
    ("apps", "statefulsets"): (NAME, _ratio("Ready", "status.readyReplicas", "spec.replicas"), AGE, *_POD_TEMPLATE),
    ("apps", "daemonsets"): (
        NAME,
        _number("Desired", "status.desiredNumberScheduled"),
        _number("Current", "status.currentNumberScheduled"),
        _number("Ready", "status.numberReady"),
        _number("Up-to-date", "status.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable"),
        _selector_column("spec.template.spec.nodeSelector", "Node Selector", wide=False),
        AGE,
        *_POD_TEMPLATE,
        _selector_column("spec.selector"),
    ),
    ("apps", "controllerrevisions"): (NAME, _number("Revision", "revision"), AGE),
    ("coordination.k8s.io", "leases"): (NAME, _field("Holder", "spec.holderIdentity", ""), AGE),
    ("rbac.authorization.k8s.io", "roles"): (NAME, CREATED_AT),
    ("rbac.authorization.k8s.io", "clusterroles"): (NAME, CREATED_AT),
    ("rbac.authorization.k8s.io", "rolebindings"): _BINDING,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _BINDING,
    ("scheduling.k8s.io", "priorityclasses"): (
        NAME,
        _number("Value", "value"),
        _text("Global-Default", "globalDefault", "false"),
        AGE,
        _field("PreemptionPolicy", "preemptionPolicy", "PreemptLowerPriority"),
    ),
    ("storage.k8s.io", "storageclasses"): (
        Column("Name", plain(_class_name), format="name"),
        _field("Provisioner", "provisioner", ""),
        _field("ReclaimPolicy", "reclaimPolicy", "Delete"),
        _field("VolumeBindingMode", "volumeBindingMode", _UNSET),
        _text("AllowVolumeExpansion", "allowVolumeExpansion", "false"),
        AGE,
    ),
    ("networking.k8s.io", "ingresses"): (
        NAME,
        _field("Class", "spec.ingressClassName"),
        Column("Hosts", plain(_ingress_hosts)),
        Column("Address", plain(_ingress_address)),
        Column("Ports", plain(lambda ingress: "80, 443" if _at(ingress, "spec.tls") else "80")),
        AGE,
    ),
    ("networking.k8s.io", "networkpolicies"): (
        NAME,
        _selector_column("spec.podSelector", "Pod-Selector", wide=False),
        AGE,
    ),
    ("discovery.k8s.io", "endpointslices"): (
        NAME,
        _field("AddressType", "addressType", ""),
        Column("Ports", plain(_slice_ports)),
        Column("Endpoints", plain(_slice_endpoints)),
        AGE,
    ),
    ("node.k8s.io", "runtimeclasses"): (NAME, _field("Handler", "handler", ""), AGE),
    ("policy", "poddisruptionbudgets"): (
        NAME,
        _text("Min Available", "spec.minAvailable", "N/A"),
        _text("Max Unavailable", "spec.maxUnavailable", "N/A"),
        _number("Allowed Disruptions", "status.disruptionsAllowed"),
        AGE,
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (NAME, CREATED_AT),
}
"""By group and plural. A kind that is not here shows its name and its age."""
