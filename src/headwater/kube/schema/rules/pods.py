"""The rules for pods, and for the pod templates of workloads."""

from collections.abc import Iterable
from typing import Any

from headwater.kube.meta.errors import Cause
from headwater.kube.meta.names import is_config_key, is_dns_label, is_environment_name
from headwater.kube.meta.objects import Object
from headwater.kube.meta.quantities import parse_quantity
from headwater.kube.schema.rules.causes import (
    at_least,
    duplicate,
    forbidden,
    invalid,
    not_found,
    one_of,
    port,
    required,
)

_KINDS_OF_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def check_pod_spec(spec: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with a pod spec that stands at this path."""
    causes: list[Cause] = []
    volumes = spec.get("volumes") or []
    causes += _volumes(volumes, f"{path}.volumes")
    names = {volume.get("name") for volume in volumes}
    if not spec.get("containers"):
        causes.append(required(f"{path}.containers"))
    seen: set[str] = set()
    for kind in _KINDS_OF_CONTAINERS:
        for index, container in enumerate(spec.get(kind) or ()):
            at = f"{path}.{kind}[{index}]"
            name = container.get("name")
            if not name:
                causes.append(required(f"{at}.name"))
            elif wrong := is_dns_label(name):
                causes.append(invalid(f"{at}.name", name, wrong))
            elif name in seen:
                causes.append(duplicate(f"{at}.name", name))
            seen.add(name or "")
            causes += _container(container, names, at, init=kind == "initContainers")
    causes += one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    causes += one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    causes += at_least(f"{path}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1)
    causes += at_least(f"{path}.terminationGracePeriodSeconds", spec.get("terminationGracePeriodSeconds"), 0)
    hostname = spec.get("hostname")
    if hostname and (wrong := is_dns_label(hostname)):
        causes.append(invalid(f"{path}.hostname", hostname, wrong))
    return causes


_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def _container(container: dict[str, Any], volumes: set[Any], path: str, *, init: bool) -> list[Cause]:
    causes: list[Cause] = []
    image = container.get("image")
    if not image:
        causes.append(required(f"{path}.image"))
    elif image.strip() != image:
        causes.append(invalid(f"{path}.image", image, "must not have leading or trailing whitespace"))
    causes += one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never"))
    causes += one_of(
        f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), ("FallbackToLogsOnError", "File")
    )
    restarts = container.get("restartPolicy")
    if restarts is not None and not init:
        causes.append(forbidden(f"{path}.restartPolicy", "may not be set for non-init containers"))
    elif restarts is not None:
        causes += one_of(f"{path}.restartPolicy", restarts, ("Always",))
    causes += _ports(container.get("ports") or [], f"{path}.ports")
    causes += _environment(container, path)
    causes += _mounts(container.get("volumeMounts") or [], volumes, f"{path}.volumeMounts")
    causes += check_resources(container.get("resources") or {}, f"{path}.resources")
    for kind in _PROBES:
        probe = container.get(kind)
        if probe is None:
            continue
        if init and restarts != "Always":
            causes.append(
                forbidden(f"{path}.{kind}", "may not be set for init containers without restartPolicy=Always")
            )
        causes += _handler(probe, f"{path}.{kind}")
        for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
            causes += at_least(f"{path}.{kind}.{key}", probe.get(key), 0)
        if kind != "readinessProbe" and probe.get("successThreshold") not in (None, 0, 1):
            causes.append(invalid(f"{path}.{kind}.successThreshold", probe["successThreshold"], "must be 1"))
    for hook, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            causes += _handler(handler, f"{path}.lifecycle.{hook}")
    return causes


def _handler(handler: dict[str, Any], path: str) -> list[Cause]:
    kinds = [kind for kind in _HANDLERS if handler.get(kind) is not None]
    if not kinds:
        return [required(path, "must specify a handler type")]
    if len(kinds) > 1:
        return [forbidden(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in kinds[1:]]
    target = (handler[kinds[0]] or {}).get("port")
    return port(f"{path}.{kinds[0]}.port", target) if isinstance(target, int) else []


def _ports(ports: list[dict[str, Any]], path: str) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, entry in enumerate(ports):
        at = f"{path}[{index}]"
        name = entry.get("name")
        if name and name in names:
            causes.append(duplicate(f"{at}.name", name))
        elif name and (len(name) > 15 or is_dns_label(name) or name.isdigit()):
            causes.append(invalid(f"{at}.name", name, "must be a lowercase service name of at most 15 characters"))
        names.add(name or "")
        if not entry.get("containerPort"):
            causes.append(required(f"{at}.containerPort"))
        else:
            causes += port(f"{at}.containerPort", entry["containerPort"])
        if entry.get("hostPort"):
            causes += port(f"{at}.hostPort", entry["hostPort"])
        causes += one_of(f"{at}.protocol", entry.get("protocol"), ("SCTP", "TCP", "UDP"))
    return causes


def _environment(container: dict[str, Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{path}.env[{index}]"
        name = variable.get("name")
        if not name:
            causes.append(required(f"{at}.name"))
        elif wrong := is_environment_name(name):
            causes.append(invalid(f"{at}.name", name, wrong))
        source = variable.get("valueFrom")
        if source is None:
            continue
        kinds = [kind for kind in _SOURCES if source.get(kind) is not None]
        if variable.get("value"):
            causes.append(invalid(f"{at}.valueFrom", "", "may not be specified when `value` is not empty"))
        elif not kinds:
            message = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            causes.append(invalid(f"{at}.valueFrom", "", message))
        elif len(kinds) > 1:
            causes.append(invalid(f"{at}.valueFrom", "", "may not have more than one field specified at a time"))
        elif kinds[0] in ("configMapKeyRef", "secretKeyRef"):
            reference = source[kinds[0]]
            missing = [key for key in ("name", "key") if not reference.get(key)]
            causes += [required(f"{at}.valueFrom.{kinds[0]}.{key}") for key in missing]
            if reference.get("key") and (wrong := is_config_key(reference["key"])):
                causes.append(invalid(f"{at}.valueFrom.{kinds[0]}.key", reference["key"], wrong))
    for index, source in enumerate(container.get("envFrom") or ()):
        at = f"{path}.envFrom[{index}]"
        kinds = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        if not kinds:
            causes.append(invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            causes.append(invalid(at, "", "may not have more than one field specified at a time"))
        elif not source[kinds[0]].get("name"):
            causes.append(required(f"{at}.{kinds[0]}.name"))
    return causes


def _mounts(mounts: list[dict[str, Any]], volumes: set[Any], path: str) -> list[Cause]:
    causes: list[Cause] = []
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        at = f"{path}[{index}]"
        name, place = mount.get("name"), mount.get("mountPath")
        if not name:
            causes.append(required(f"{at}.name"))
        elif name not in volumes:
            causes.append(not_found(f"{at}.name", name))
        if not place:
            causes.append(required(f"{at}.mountPath"))
        elif place in places:
            causes.append(invalid(f"{at}.mountPath", place, "must be unique"))
        places.add(place or "")
        inner = mount.get("subPath")
        if inner and mount.get("subPathExpr"):
            causes.append(
                invalid(f"{at}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
            )
        for key in ("subPath", "subPathExpr"):
            causes += _inside(mount.get(key), f"{at}.{key}")
    return causes


def _inside(place: Any, path: str) -> list[Cause]:
    if not place:
        return []
    if place.startswith("/"):
        return [invalid(path, place, "must be a relative path")]
    if ".." in place.split("/"):
        return [invalid(path, place, "must not contain '..'")]
    return []


def _volumes(volumes: list[dict[str, Any]], path: str) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        at = f"{path}[{index}]"
        name = volume.get("name")
        if not name:
            causes.append(required(f"{at}.name"))
        elif wrong := is_dns_label(name):
            causes.append(invalid(f"{at}.name", name, wrong))
        elif name in names:
            causes.append(duplicate(f"{at}.name", name))
        names.add(name or "")
        sources = [key for key, value in volume.items() if key != "name" and value is not None]
        causes += [forbidden(f"{at}.{key}", "may not specify more than 1 volume type") for key in sources[1:]]
        for kind, key in (("secret", "secretName"), ("configMap", "name"), ("persistentVolumeClaim", "claimName")):
            if isinstance(volume.get(kind), dict) and not volume[kind].get(key):
                causes.append(required(f"{at}.{kind}.{key}"))
        for kind in ("secret", "configMap", "downwardAPI"):
            for number, item in enumerate((volume.get(kind) or {}).get("items") or ()):
                where = f"{at}.{kind}.items[{number}]"
                if not item.get("path"):
                    causes.append(required(f"{where}.path"))
                causes += _inside(item.get("path"), f"{where}.path")
        causes += _projections((volume.get("projected") or {}).get("sources") or (), f"{at}.projected.sources")
    return causes


def _projections(sources: Iterable[dict[str, Any]], path: str) -> list[Cause]:
    causes: list[Cause] = []
    for index, source in enumerate(sources):
        for kind in ("secret", "configMap", "downwardAPI"):
            for number, item in enumerate((source.get(kind) or {}).get("items") or ()):
                causes += _inside(item.get("path"), f"{path}[{index}].{kind}.items[{number}].path")
        for kind in ("serviceAccountToken", "clusterTrustBundle"):
            causes += _inside((source.get(kind) or {}).get("path"), f"{path}[{index}].{kind}.path")
    return causes


def check_resources(resources: dict[str, Any], path: str) -> list[Cause]:
    """Return what is wrong with requests and limits: negative amounts, requests above limits."""
    causes: list[Cause] = []
    amounts: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for kind, parsed in amounts.items():
        for name, text in (resources.get(kind) or {}).items():
            parsed[name] = parse_quantity(text)
            if parsed[name] < 0:
                causes.append(invalid(f"{path}.{kind}[{name}]", text, "must be greater than or equal to 0"))
    for name, amount in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and amount > limit:
            text = resources["requests"][name]
            message = f"must be less than or equal to {name} limit of {resources['limits'][name]}"
            causes.append(invalid(f"{path}.requests", text, message))
    return causes


def _pod(obj: Object) -> list[Cause]:
    return check_pod_spec(obj.get("spec") or {}, "spec")


_POD_UPDATE_MESSAGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _pod_update(old: Object, new: Object) -> list[Cause]:
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before == after:
        return []
    causes = [
        forbidden(f"spec.{kind}", "pod updates may not add or remove containers")
        for kind in ("containers", "initContainers")
        if len(before.get(kind) or ()) != len(after.get(kind) or ())
    ]
    if causes:
        return causes
    was, now = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if was is not None and now is None:
        causes.append(
            invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
        )
    elif was is not None and now is not None and now > was:
        causes.append(invalid("spec.activeDeadlineSeconds", now, f"must be less than or equal to previous value {was}"))
    if any(item not in (after.get("tolerations") or ()) for item in before.get("tolerations") or ()):
        causes.append(
            forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
        )
    if _fixed(before) != _fixed(after):
        causes.append(forbidden("spec", _POD_UPDATE_MESSAGE))
    return causes


def _fixed(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what of a pod's spec no update may change. A gate may go, a name of a node may not come this way."""
    changing = ("activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers")
    fixed = {key: value for key, value in spec.items() if key not in changing}
    for kind in ("containers", "initContainers"):
        if kind in spec:
            fixed[kind] = [{key: value for key, value in item.items() if key != "image"} for item in spec[kind]]
    return fixed


CREATE = {("", "Pod"): _pod}
UPDATE = {("", "Pod"): _pod_update}
