"""The subresources of built-in behaviour: ``scale``, ``binding``, ``eviction``, ``finalize``.

Each is a small view on an object with rules of its own, as in ``pkg/registry`` of Kubernetes. ``status`` is part of
every update; ``token``, ``log`` and ``exec`` are registered by those who serve them.
"""

from datetime import datetime
from typing import Any

from headwater.cluster.apiserver.answers import DeleteOptions
from headwater.cluster.apiserver.registry import ScalePaths, Served
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.errors import Cause, bad_request, conflict, invalid
from headwater.kube.meta.objects import Object, is_deleting, name_of
from headwater.kube.meta.resources import PODS, Resource

SCALE = Resource("autoscaling", "v1", "Scale", "scales")


def scale_of(served: Served, obj: Object) -> Object:
    """Return an object's ``autoscaling/v1`` Scale."""
    paths = _scale_paths(served)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}
    status: Object = {"replicas": _read(obj, paths.status_replicas) or 0}
    selector = _read(obj, paths.label_selector) if paths.label_selector else None
    if selector:
        status["selector"] = selector if isinstance(selector, str) else _selector_text(selector)
    spec: Object = {"replicas": _read(obj, paths.spec_replicas) or 0}
    return {"apiVersion": SCALE.api_version, "kind": SCALE.kind, "metadata": metadata, "spec": spec, "status": status}


def apply_scale(served: Served, obj: Object, scale: Any) -> Object:
    """Return the object with the replicas of a Scale; ``obj`` is given up. Raises ``StatusError`` 400 or 422."""
    if not isinstance(scale, dict) or scale.get("kind", SCALE.kind) != SCALE.kind:
        raise bad_request("the body must be a Scale of autoscaling/v1")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        cause = Cause("spec.replicas", f"Invalid value: {replicas!r}: must be greater than or equal to 0")
        raise invalid(SCALE.group, SCALE.kind, name_of(obj), [cause])
    *parents, last = _parts(_scale_paths(served).spec_replicas)
    target = obj
    for part in parents:
        target = target.setdefault(part, {})
    target[last] = replicas
    sent = scale.get("metadata") or {}
    for key in ("resourceVersion", "uid"):
        if sent.get(key):
            obj["metadata"][key] = sent[key]
    return obj


def _scale_paths(served: Served) -> ScalePaths:
    assert served.scale is not None, "asked only of kinds that have the subresource"
    return served.scale


def _parts(path: str) -> list[str]:
    return [part for part in path.split(".") if part]


def _read(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in _parts(path):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _selector_text(selector: Object) -> str:
    from headwater.kube.meta.selectors import LabelSelector

    if not set(selector) <= {"matchLabels", "matchExpressions"}:
        selector = {"matchLabels": selector}  # a replication controller's is a plain map
    return str(LabelSelector.from_object(selector))


def bind(pod: Object, binding: Any, now: datetime) -> Object:
    """Return the pod as bound to the node that a Binding names; ``pod`` is given up. Raises ``StatusError``."""
    target = (binding.get("target") or {}) if isinstance(binding, dict) else {}
    node = target.get("name") if isinstance(target, dict) else None
    if not node or not isinstance(node, str):
        raise invalid("", "Binding", name_of(pod), [Cause("target.name", "Required value", "FieldValueRequired")])
    if target.get("kind") not in (None, "", "Node"):
        cause = Cause("target.kind", f'Unsupported value: "{target["kind"]}": supported values: "Node"')
        raise invalid("", "Binding", name_of(pod), [cause])
    sent = binding.get("metadata") or {}
    if sent.get("uid") and sent["uid"] != pod["metadata"]["uid"]:
        raise conflict(
            "", PODS.plural, name_of(pod), "Precondition failed: the binding is for another pod of this name"
        )
    name = name_of(pod)
    if is_deleting(pod):
        raise conflict("", "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
    assigned = pod["spec"].get("nodeName")
    if assigned:
        raise conflict("", "pods/binding", name, f'pod {name} is already assigned to node "{assigned}"')
    pod["spec"]["nodeName"] = node
    if sent.get("annotations"):
        pod["metadata"]["annotations"] = {**(pod["metadata"].get("annotations") or {}), **sent["annotations"]}
    status = pod.setdefault("status", {})
    set_condition(status.setdefault("conditions", []), "PodScheduled", "True", "", "", now)
    for condition in status["conditions"]:
        for key in ("reason", "message"):
            if not condition.get(key):
                condition.pop(key, None)
    return pod


def eviction_options(eviction: Any, dry_run: bool) -> DeleteOptions:
    """Return the deletion that an Eviction asks for. Disruption budgets are not enforced yet."""
    sent = (eviction.get("deleteOptions") or {}) if isinstance(eviction, dict) else {}
    preconditions = sent.get("preconditions") or {}
    return DeleteOptions(
        propagation=sent.get("propagationPolicy") or "",
        grace_period_seconds=sent.get("gracePeriodSeconds"),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=dry_run,
    )


def add_ephemeral(pod: Object, sent: Any) -> tuple[Object, list[str]]:
    """Return the pod with the ephemeral containers of the one that was sent, and the names of the new ones.

    They can be added, never changed or taken away. ``pod`` is given up. Raises ``StatusError`` 400 or 422.
    """
    if not isinstance(sent, dict) or not isinstance(sent.get("spec"), dict):
        raise bad_request("the body must be a Pod")
    spec = pod["spec"]
    before, wanted = spec.get("ephemeralContainers") or [], sent["spec"].get("ephemeralContainers") or []
    causes = []
    for index, container in enumerate(wanted):
        path = f"spec.ephemeralContainers[{index}]"
        if not isinstance(container, dict) or not container.get("name"):
            causes.append(Cause(f"{path}.name", "Required value", "FieldValueRequired"))
        elif not container.get("image"):
            causes.append(Cause(f"{path}.image", "Required value", "FieldValueRequired"))
    known = {one["name"]: one for one in before}
    if not causes:
        names = [container["name"] for container in wanted]
        taken = [one["name"] for field in ("containers", "initContainers") for one in spec.get(field) or ()]
        for index, name in enumerate(names):
            if name in taken or name in names[:index]:
                said = f'Duplicate value: "{name}"'
                causes.append(Cause(f"spec.ephemeralContainers[{index}].name", said, "FieldValueDuplicate"))
        for name, one in known.items():
            found = next((each for each in wanted if each["name"] == name), None)
            if found is None or {**one, **found} != one:
                said = f'Forbidden: existing ephemeral containers "{name}" may not be changed'
                causes.append(Cause("spec.ephemeralContainers", said, "FieldValueForbidden"))
    if causes:
        raise invalid("", "Pod", name_of(pod), causes)
    added = [container for container in wanted if container["name"] not in known]
    for container in added:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("resources", {})
    if wanted:
        spec["ephemeralContainers"] = wanted
    revision = (sent.get("metadata") or {}).get("resourceVersion")
    if revision:
        pod["metadata"]["resourceVersion"] = revision
    return pod, [container["name"] for container in added]


def finalize(namespace: Object, sent: Object) -> Object:
    """Return the namespace with the finalizers of the one that was sent; ``namespace`` is given up."""
    spec = namespace.setdefault("spec", {})
    finalizers = (sent.get("spec") or {}).get("finalizers")
    if finalizers:
        spec["finalizers"] = finalizers
    else:
        spec.pop("finalizers", None)
    revision = (sent.get("metadata") or {}).get("resourceVersion")
    if revision:
        namespace["metadata"]["resourceVersion"] = revision
    return namespace


def created(resource: Resource, name: str) -> Object:
    """Return the ``Status`` that answers a binding or an eviction."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": name, "kind": resource.plural},
        "code": 201,
    }
