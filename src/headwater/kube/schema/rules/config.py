"""The rules for configuration, access and network objects: ConfigMap, Secret, Service, roles, claims, classes."""

import base64
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.names import is_config_key, is_dns_label
from headwater.kube.meta.objects import Object
from headwater.kube.schema.rules.causes import (
    duplicate,
    forbidden,
    invalid,
    one_of,
    port,
    required,
    unchanged,
    unsupported,
)

_MAX_BYTES = 1024 * 1024
_RBAC = "rbac.authorization.k8s.io"
_FROZEN = "field is immutable when `immutable` is set"
_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _keys(data: dict[str, Any], field: str) -> list[Cause]:
    return [invalid(f"{field}[{key}]", key, wrong) for key in data if (wrong := is_config_key(key))]


def _config_map(obj: Object) -> list[Cause]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    causes = _keys(data, "data") + _keys(binary, "binaryData")
    for key in data.keys() & binary.keys():
        causes.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    size = sum(len(value.encode()) for value in data.values())
    size += sum(len(base64.b64decode(value)) for value in binary.values())
    return causes + _size(size)


def _secret(obj: Object) -> list[Cause]:
    data = obj.get("data") or {}
    causes = _keys(data, "data")
    causes += [required(f"data[{key}]") for key in _SECRET_KEYS.get(obj.get("type", ""), ()) if key not in data]
    return causes + _size(sum(len(base64.b64decode(value)) for value in data.values()))


def _size(size: int) -> list[Cause]:
    if size <= _MAX_BYTES:
        return []
    return [Cause("", f"Too long: may not be more than {_MAX_BYTES} bytes", "FieldValueTooLong")]


def _frozen(old: Object, new: Object) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes = [] if new.get("immutable") else [forbidden("immutable", _FROZEN)]
    return causes + [
        forbidden(key, _FROZEN) for key in ("data", "binaryData") if (old.get(key) or {}) != (new.get(key) or {})
    ]


def _secret_update(old: Object, new: Object) -> list[Cause]:
    return unchanged("type", old.get("type"), new.get("type")) + _frozen(old, new)


def _service(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    causes = one_of("spec.type", kind, ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))
    causes += one_of("spec.sessionAffinity", spec.get("sessionAffinity"), ("ClientIP", "None"))
    ports = spec.get("ports") or []
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    if kind == "ExternalName" and not spec.get("externalName"):
        causes.append(required("spec.externalName"))
    names: set[str] = set()
    served: set[tuple[Any, Any]] = set()
    for index, entry in enumerate(ports):
        at = f"spec.ports[{index}]"
        name = entry.get("name")
        if not name and len(ports) > 1:
            causes.append(required(f"{at}.name"))
        elif name and (wrong := is_dns_label(name)):
            causes.append(invalid(f"{at}.name", name, wrong))
        elif name and name in names:
            causes.append(duplicate(f"{at}.name", name))
        names.add(name or "")
        causes += port(f"{at}.port", entry.get("port"))
        causes += one_of(f"{at}.protocol", entry.get("protocol"), ("SCTP", "TCP", "UDP"))
        if isinstance(entry.get("targetPort"), int):
            causes += port(f"{at}.targetPort", entry["targetPort"])
        key = (entry.get("protocol"), entry.get("port"))
        if key in served:
            causes.append(duplicate(at, {"protocol": key[0], "port": key[1]}))
        served.add(key)
    return causes


def _service_update(old: Object, new: Object) -> list[Cause]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before.get("clusterIP") and before.get("type") != "ExternalName" and after.get("type") != "ExternalName":
        return unchanged("spec.clusterIP", before["clusterIP"], after.get("clusterIP"))
    return []


def _role(obj: Object) -> list[Cause]:
    return _rules(obj, namespaced=True)


def _cluster_role(obj: Object) -> list[Cause]:
    return _rules(obj, namespaced=False)


def _rules(obj: Object, *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    for index, rule in enumerate(obj.get("rules") or ()):
        at = f"rules[{index}]"
        if not rule.get("verbs"):
            causes.append(required(f"{at}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            if namespaced:
                message = "namespaced rules cannot apply to non-resource URLs"
                causes.append(invalid(f"{at}.nonResourceURLs", rule["nonResourceURLs"], message))
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                message = "rules cannot apply to both regular resources and non-resource URLs"
                causes.append(invalid(f"{at}.nonResourceURLs", rule["nonResourceURLs"], message))
            continue
        if not rule.get("apiGroups"):
            causes.append(required(f"{at}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            causes.append(required(f"{at}.resources", "resource rules must supply at least one resource"))
    return causes


def _role_binding(obj: Object) -> list[Cause]:
    return _binding(obj, ("Role", "ClusterRole"), namespaced=True)


def _cluster_role_binding(obj: Object) -> list[Cause]:
    return _binding(obj, ("ClusterRole",), namespaced=False)


def _binding(obj: Object, kinds: tuple[str, ...], *, namespaced: bool) -> list[Cause]:
    reference = obj.get("roleRef") or {}
    causes: list[Cause] = []
    if reference.get("apiGroup") != _RBAC:
        causes.append(unsupported("roleRef.apiGroup", reference.get("apiGroup"), [_RBAC]))
    if reference.get("kind") not in kinds:
        causes.append(unsupported("roleRef.kind", reference.get("kind"), kinds))
    if not reference.get("name"):
        causes.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        at = f"subjects[{index}]"
        if not subject.get("name"):
            causes.append(required(f"{at}.name"))
        if subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            causes.append(unsupported(f"{at}.kind", subject.get("kind"), ["ServiceAccount", "User", "Group"]))
        elif subject["kind"] == "ServiceAccount":
            if subject.get("apiGroup"):
                causes.append(unsupported(f"{at}.apiGroup", subject["apiGroup"], [""]))
            if not subject.get("namespace") and not namespaced:
                causes.append(required(f"{at}.namespace"))
        elif subject.get("apiGroup") != _RBAC:
            causes.append(unsupported(f"{at}.apiGroup", subject.get("apiGroup"), [_RBAC]))
    return causes


def _binding_update(old: Object, new: Object) -> list[Cause]:
    if old.get("roleRef") == new.get("roleRef"):
        return []
    return [invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]


_ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")


def _claim(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("accessModes"):
        causes.append(required("spec.accessModes", "at least 1 access mode is required"))
    for mode in spec.get("accessModes") or ():
        causes += one_of("spec.accessModes", mode, _ACCESS_MODES)
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        causes.append(required("spec.resources[storage]"))
    return causes


def _claim_update(old: Object, new: Object) -> list[Cause]:
    changing = {"resources", "volumeAttributesClassName"}
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if not before.get("volumeName"):
        changing |= {"volumeName", "storageClassName"}
    if all(before.get(key) == after.get(key) for key in (before.keys() | after.keys()) - changing):
        return []
    message = (
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
    )
    return [forbidden("spec", message)]


def _priority_class_update(old: Object, new: Object) -> list[Cause]:
    causes = [] if old.get("value") == new.get("value") else [forbidden("value", "may not be changed in an update.")]
    if old.get("preemptionPolicy") != new.get("preemptionPolicy"):
        causes.append(forbidden("preemptionPolicy", "may not be changed in an update."))
    return causes


def _storage_class(obj: Object) -> list[Cause]:
    causes = [] if obj.get("provisioner") else [required("provisioner")]
    causes += one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    return causes + one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))


def _storage_class_update(old: Object, new: Object) -> list[Cause]:
    fixed = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
    return [forbidden(key, f"updates to {key} are forbidden.") for key in fixed if old.get(key) != new.get(key)]


CREATE = {
    ("", "ConfigMap"): _config_map,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    (_RBAC, "Role"): _role,
    (_RBAC, "ClusterRole"): _cluster_role,
    (_RBAC, "RoleBinding"): _role_binding,
    (_RBAC, "ClusterRoleBinding"): _cluster_role_binding,
    ("storage.k8s.io", "StorageClass"): _storage_class,
}
UPDATE = {
    ("", "ConfigMap"): _frozen,
    ("", "Secret"): _secret_update,
    ("", "Service"): _service_update,
    ("", "PersistentVolumeClaim"): _claim_update,
    (_RBAC, "RoleBinding"): _binding_update,
    (_RBAC, "ClusterRoleBinding"): _binding_update,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class_update,
    ("storage.k8s.io", "StorageClass"): _storage_class_update,
}
