"""Which objects belong to a controller: adopt what its selector matches and nobody owns, release what it no longer
matches. Follows Kubernetes' ``ControllerRefManager``.
"""

from collections.abc import Callable, Iterable

from headwater.cluster.controllers.calls import unless_gone
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.kube.client import Client, PatchType
from headwater.kube.controller import Informer, Request
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of, owner_reference
from headwater.kube.meta.resources import Resource
from headwater.kube.meta.selectors import LabelSelector


def selector_of(owner: Object) -> LabelSelector:
    """Return the owner's ``spec.selector``; one that selects nothing if it is wrong or empty."""
    try:
        selector = LabelSelector.from_object((owner.get("spec") or {}).get("selector"))
    except ValueError:
        return LabelSelector(nothing=True)
    return LabelSelector(nothing=True) if selector.empty else selector


async def claim(
    client: Client, resource: Resource, recent: Recent, owner: Object, *, adopts: bool = True
) -> list[Object]:
    """Return the objects of a kind that ``owner`` controls, after adopting and releasing. Raises ``StatusError``.

    ``owner`` must have just been read, so that nothing is adopted for an owner that is gone.
    """
    selector, uid, namespace = selector_of(owner), uid_of(owner), namespace_of(owner)
    mine = []
    for obj in recent.owned(namespace, uid):
        if (controller_of(obj) or {}).get("uid") != uid:
            continue
        if selector.matches(labels_of(obj)):
            mine.append(obj)
        elif not is_deleting(owner):
            patch = {"uid": uid_of(obj), "ownerReferences": [{"$patch": "delete", "uid": uid}]}
            await _patch(client, resource, recent, obj, patch)
    if is_deleting(owner) or not adopts:
        return mine
    for obj in recent.orphans(namespace):
        if not is_deleting(obj) and selector.matches(labels_of(obj)):
            patch = {"uid": uid_of(obj), "ownerReferences": [owner_reference(owner)]}
            adopted = await _patch(client, resource, recent, obj, patch)
            if adopted is not None:
                mine.append(adopted)
    return mine


async def _patch(client: Client, resource: Resource, recent: Recent, obj: Object, metadata: Object) -> Object | None:
    patched = await unless_gone(
        client.patch(resource, name_of(obj), {"metadata": metadata}, namespace_of(obj), patch_type=PatchType.STRATEGIC)
    )
    return None if patched is None else recent.wrote(patched)


def adopters(informer: Informer) -> Callable[[Object], Iterable[Request]]:
    """Return a map from an object without a controller to the owners of a kind whose selectors match it."""

    def owners(obj: Object) -> Iterable[Request]:
        if controller_of(obj) is not None:
            return
        labels = labels_of(obj)
        for owner in informer.list(namespace_of(obj)):
            if selector_of(owner).matches(labels):
                yield Request(namespace_of(owner), name_of(owner))

    return owners
