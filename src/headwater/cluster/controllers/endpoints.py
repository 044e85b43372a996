"""Endpoints and EndpointSlices: which pods stand behind a Service, as Kubernetes' two controllers write it down.

``addresses`` decides from the service and its pods. Slices have names that derive from the service and their place,
so that creating one twice is creating it once. A service without a selector is left to whoever made it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from headwater.cluster.controllers.calls import get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.workloads.kinds import ENDPOINT_SLICES, ENDPOINTS
from headwater.cluster.controllers.workloads.pods import is_ended, is_ready
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.names import child_name
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of, owner_reference
from headwater.kube.meta.resources import PODS, SERVICES, Resource
from headwater.kube.meta.selectors import LabelSelector

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
OUR_NAME = "endpointslice-controller.k8s.io"
MOST_IN_A_SLICE = 100
_HEADLESS = "service.kubernetes.io/headless"

Port = tuple[str, str, int, str]
"""Name, protocol, number on the pod, application protocol."""


def ports_of(service: Object, pod: Object) -> tuple[Port, ...]:
    """Return the service's ports on this pod; a named target that the pod does not have is left out."""
    found: list[Port] = []
    for port in service["spec"].get("ports") or ():
        target, protocol = port.get("targetPort") or port.get("port"), port.get("protocol", "TCP")
        if isinstance(target, str):
            target = _named(pod, target, protocol)
        if target:
            found.append((port.get("name") or "", protocol, int(target), port.get("appProtocol") or ""))
    return tuple(found)


def _named(pod: Object, name: str, protocol: str) -> int:
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for port in container.get("ports") or ():
            if port.get("name") == name and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return 0


def behind(service: Object, pods: Iterable[Object]) -> dict[tuple[Port, ...], list[Object]]:
    """Return the pods that have an address and have not ended, by the ports they serve, in order of their names."""
    groups: dict[tuple[Port, ...], list[Object]] = {}
    for pod in sorted(pods, key=name_of):
        if (pod.get("status") or {}).get("podIP") and not is_ended(pod):
            groups.setdefault(ports_of(service, pod), []).append(pod)
    return groups


def endpoints_of(service: Object, pods: Iterable[Object]) -> Object:
    """Return the service's ``v1`` Endpoints. Pods that are being deleted are not among them."""
    subsets = []
    early = bool(service["spec"].get("publishNotReadyAddresses"))
    for ports, members in behind(service, pods).items():
        if not ports and service["spec"].get("ports"):
            continue
        subset: Object = {}
        for pod in members:
            if not is_deleting(pod):
                kind = "addresses" if early or is_ready(pod) else "notReadyAddresses"
                subset.setdefault(kind, []).append(
                    {"ip": pod["status"]["podIP"], **_place(service, pod), "targetRef": _target(pod)}
                )
        if subset:
            subsets.append({**subset, "ports": [_port(port) for port in ports]})
    labels = {**labels_of(service), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    metadata = {"name": name_of(service), "namespace": namespace_of(service), "labels": labels}
    wanted: Object = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    if subsets:
        wanted["subsets"] = subsets
    return wanted


def slices_of(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Return the service's EndpointSlices: at least one, each of pods that serve the same ports."""
    early = bool(service["spec"].get("publishNotReadyAddresses"))
    wanted: list[tuple[tuple[Port, ...], list[Object]]] = []
    for ports, members in behind(service, pods).items():
        starts = range(0, len(members), MOST_IN_A_SLICE)
        wanted += [(ports, members[start : start + MOST_IN_A_SLICE]) for start in starts]
    labels = {**labels_of(service), SERVICE_NAME: name_of(service), MANAGED_BY: OUR_NAME}
    if service["spec"].get("clusterIP") == "None":
        labels[_HEADLESS] = ""
    slices: list[Object] = []
    for number, (ports, members) in enumerate(wanted or [((), [])]):
        metadata = {
            "name": child_name(name_of(service), "slice", number, uid_of(service)[:5], max_length=253),
            "namespace": namespace_of(service),
            "labels": dict(labels),
            "ownerReferences": [owner_reference(service)],
        }
        slices.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": metadata,
                "addressType": "IPv4",
                "endpoints": [_endpoint(service, pod, early) for pod in members],
                "ports": [_port(port, named=True) for port in ports],
            }
        )
    return slices


def _endpoint(service: Object, pod: Object, early: bool) -> Object:
    ready, going = is_ready(pod), is_deleting(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": early or (ready and not going), "serving": early or ready, "terminating": going},
        "targetRef": _target(pod),
        **_place(service, pod),
    }


def _place(service: Object, pod: Object) -> Object:
    spec = pod["spec"]
    place = {"nodeName": spec["nodeName"]} if spec.get("nodeName") else {}
    if spec.get("hostname") and spec.get("subdomain") == name_of(service):
        place["hostname"] = spec["hostname"]
    return place


def _target(pod: Object) -> Object:
    return {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}


def _port(port: Port, *, named: bool = False) -> Object:
    name, protocol, number, application = port
    wanted: Object = {"port": number, "protocol": protocol}
    if name or named:
        wanted["name"] = name
    if application:
        wanted["appProtocol"] = application
    return wanted


class EndpointsReconciler:
    """Keeps the Endpoints and the EndpointSlices of Services."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._pods = informers.informer(PODS)
        self._services = informers.informer(SERVICES)
        self._slices = informers.informer(ENDPOINT_SLICES)

    async def reconcile(self, request: Request) -> None:
        """Write down which pods stand behind a service."""
        service = await get_or_none(self._client, SERVICES, request.name, request.namespace)
        if service is None:
            existing = await get_or_none(self._client, ENDPOINTS, request.name, request.namespace)
            if existing is not None and "endpoints.kubernetes.io/managed-by" in labels_of(existing):
                await unless_gone(self._client.delete(ENDPOINTS, request.name, request.namespace))
            return
        selector = LabelSelector.from_labels(service["spec"].get("selector"))
        if selector.nothing or is_deleting(service) or service["spec"].get("type") == "ExternalName":
            return
        pods = self._pods.list(request.namespace, selector)
        await self._write(ENDPOINTS, endpoints_of(service, pods), ("subsets",))
        wanted = slices_of(service, pods)
        for one in wanted:
            await self._write(ENDPOINT_SLICES, one, ("endpoints", "ports"))
        keep = {name_of(one) for one in wanted}
        for one in self._slices.by_owner(uid_of(service)):
            if labels_of(one).get(MANAGED_BY) == OUR_NAME and name_of(one) not in keep:
                deletion = self._client.delete(ENDPOINT_SLICES, name_of(one), namespace_of(one), uid=uid_of(one))
                await unless_gone(deletion)

    async def _write(self, resource: Resource, wanted: Object, fields: Sequence[str]) -> None:
        existing = await get_or_none(self._client, resource, name_of(wanted), namespace_of(wanted))
        if existing is None:
            try:
                await self._client.create(resource, wanted)
            except StatusError as error:
                if not is_terminating_namespace(error):
                    raise
            return
        same = all((existing.get(key) or []) == (wanted.get(key) or []) for key in fields)
        if same and labels_of(existing) == labels_of(wanted):
            return
        kept: dict[str, Any] = {key: value for key, value in existing.items() if key not in fields}
        changed = {key: wanted[key] for key in fields if key in wanted}
        metadata = {**existing["metadata"], "labels": wanted["metadata"]["labels"]}
        await self._client.update(resource, {**kept, **changed, "metadata": metadata})

    def services_of(self, pod: Object) -> Iterable[Request]:
        """Map a pod to the services that select it."""
        labels = labels_of(pod)
        for service in self._services.list(namespace_of(pod)):
            if LabelSelector.from_labels(service["spec"].get("selector")).matches(labels):
                yield Request(namespace_of(service), name_of(service))


def of_service(one: Object) -> Iterable[Request]:
    """Map an EndpointSlice to its service."""
    owner = controller_of(one) or {}
    return (Request(namespace_of(one), owner["name"]),) if owner.get("kind") == "Service" else ()


def endpoints_controller(client: Client, informers: Informers) -> Controller:
    """Return the controller of Endpoints and EndpointSlices."""
    reconciler = EndpointsReconciler(client, informers)
    watches = (Watch(PODS, reconciler.services_of), Watch(ENDPOINT_SLICES, of_service))
    return Controller("endpoints", reconciler, SERVICES, watches=watches, workers=2)
