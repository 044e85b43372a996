"""Owner references: which object another belongs to, and goes with."""

from typing import Any

from headwater.kube.meta.objects import Object, name_of, uid_of


def owner_reference(owner: Object, controller: bool = True, block: bool = True) -> dict[str, Any]:
    """Return the reference that a dependent of ``owner`` carries in ``metadata.ownerReferences``.

    ``controller`` marks the one owner that manages the dependent; ``block`` makes the owner's foreground deletion
    wait for the dependent. Raises ``ValueError`` when the owner was never stored, and so has no uid.
    """
    uid = uid_of(owner)
    if not uid:
        raise ValueError(f"{owner.get('kind')} {name_of(owner)!r} has no uid, so nothing can refer to it as its owner")
    reference: dict[str, Any] = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid,
    }
    if controller:
        reference["controller"] = True
    if block:
        reference["blockOwnerDeletion"] = True
    return reference


def owner_references(obj: Object) -> list[dict[str, Any]]:
    """Return ``metadata.ownerReferences``, or an empty list that is not part of the object."""
    references: list[dict[str, Any]] = obj.get("metadata", {}).get("ownerReferences") or []
    return references


def controller_of(obj: Object) -> dict[str, Any] | None:
    """Return the reference to the owner that manages the object, or ``None``."""
    for reference in owner_references(obj):
        if reference.get("controller"):
            return reference
    return None


def is_owned_by(obj: Object, uid: str) -> bool:
    """Tell whether the object refers to this uid as an owner, managing or not."""
    return any(reference.get("uid") == uid for reference in owner_references(obj))
