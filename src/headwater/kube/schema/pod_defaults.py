"""The defaults of pods and pod templates, and what a pod's status says before anything happened to it.

Follows ``SetDefaults_PodSpec`` and its kin in Kubernetes' ``pkg/apis/core/v1``, and ``PodStrategy`` for the status.
"""

from typing import Any

from headwater.kube.meta.quantities import parse_quantity

_MODE = 0o644


def default_pod_spec(spec: dict[str, Any]) -> None:
    """Fill in a pod spec, in place."""
    for key, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("enableServiceLinks", True),
    ):
        spec.setdefault(key, value)
    if not isinstance(spec.get("securityContext"), dict):
        spec["securityContext"] = {}
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            _container(container, ports_on_host=bool(spec.get("hostNetwork")))


def _container(container: dict[str, Any], *, ports_on_host: bool) -> None:
    image = container.get("image") or ""
    for key, value in (
        ("terminationMessagePath", "/dev/termination-log"),
        ("terminationMessagePolicy", "File"),
        ("imagePullPolicy", "Always" if image_tag(image) == "latest" else "IfNotPresent"),
    ):
        if not container.get(key):
            container[key] = value
    resources = container.get("resources")
    if not isinstance(resources, dict):
        resources = {}
        container["resources"] = resources
    limits = resources.get("limits")
    if limits:
        requests = resources.get("requests") or {}
        resources["requests"] = {**limits, **requests}
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if ports_on_host and "containerPort" in port:
            port.setdefault("hostPort", port["containerPort"])
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            reference.setdefault("apiVersion", "v1")
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(key):
            _probe(container[key])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and hook.get("httpGet"):
            _http_get(hook["httpGet"])


def _probe(probe: dict[str, Any]) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(key):
            probe[key] = value
    if probe.get("httpGet"):
        _http_get(probe["httpGet"])
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")


def _http_get(action: dict[str, Any]) -> None:
    action.setdefault("path", "/")
    action.setdefault("scheme", "HTTP")


def _volume(volume: dict[str, Any]) -> None:
    if not any(key != "name" and value is not None for key, value in volume.items()):
        volume["emptyDir"] = {}
    for key in ("secret", "configMap", "downwardAPI", "projected"):
        source = volume.get(key)
        if isinstance(source, dict):
            source.setdefault("defaultMode", _MODE)
    _references(volume.get("downwardAPI"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        if isinstance(source.get("serviceAccountToken"), dict):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        _references(source.get("downwardAPI"))
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if isinstance(claim, dict) and isinstance(claim.get("spec"), dict):
        claim["spec"].setdefault("volumeMode", "Filesystem")


def _references(source: dict[str, Any] | None) -> None:
    for item in (source or {}).get("items") or ():
        if item.get("fieldRef"):
            item["fieldRef"].setdefault("apiVersion", "v1")


def image_tag(image: str) -> str:
    """Return the tag of an image reference: ``latest`` when it names neither a tag nor a digest."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    if colon:
        return tag
    return "" if digest else "latest"


def default_pod_status(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a pod that was just created."""
    return {"phase": "Pending", "qosClass": quality_of_service(spec)}


def quality_of_service(spec: dict[str, Any]) -> str:
    """Return ``Guaranteed``, ``Burstable`` or ``BestEffort`` by the requests and limits of cpu and memory."""
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    some = False
    guaranteed = True
    for container in containers:
        resources = container.get("resources") or {}
        requests, limits = (_amounts(resources.get(key)) for key in ("requests", "limits"))
        some = some or bool(requests or limits)
        # A missing request counts as the limit: the defaults have filled it in, or do so on creation.
        guaranteed = guaranteed and limits.keys() == {"cpu", "memory"} and {**limits, **requests} == limits
    if not some:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _amounts(resources: dict[str, Any] | None) -> dict[str, Any]:
    amounts: dict[str, Any] = {}
    for name in ("cpu", "memory"):
        if name in (resources or {}):
            amount = parse_quantity((resources or {})[name])
            if amount:
                amounts[name] = amount
    return amounts
