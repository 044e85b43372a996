"""Revisions of a workload's template, kept as ``apps/v1`` ControllerRevisions for ``kubectl rollout``.

A revision's name derives from the template, so that making it twice is making it once. A template that comes back
takes its old revision, with a new number.
"""

import copy
from collections.abc import Collection

from headwater.cluster.controllers.calls import get_or_none, unless_gone
from headwater.cluster.controllers.deployment.revisions import template_hash
from headwater.cluster.controllers.workloads.claims import selector_of
from headwater.cluster.controllers.workloads.kinds import CONTROLLER_REVISIONS
from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of, owner_reference

HASH_LABEL = "controller-revision-hash"


async def revisions_of(client: Client, owner: Object) -> list[Object]:
    """Return the owner's revisions, the oldest first. Raises ``StatusError``."""
    answer = await client.list(CONTROLLER_REVISIONS, namespace_of(owner), label_selector=str(selector_of(owner)))
    mine = [one for one in answer.items if (controller_of(one) or {}).get("uid") == uid_of(owner)]
    return sorted(mine, key=lambda one: (int(one.get("revision") or 0), name_of(one)))


async def record(client: Client, owner: Object, known: list[Object]) -> Object:
    """Return the revision of the owner's present template, making or renumbering it. Raises ``StatusError``."""
    wanted = _revision(owner, max((int(one.get("revision") or 0) for one in known), default=0) + 1)
    same = next((one for one in known if name_of(one) == name_of(wanted)), None)
    if same is None:
        try:
            return await client.create(CONTROLLER_REVISIONS, wanted)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            existing = await get_or_none(client, CONTROLLER_REVISIONS, name_of(wanted), namespace_of(owner))
            if existing is None or (controller_of(existing) or {}).get("uid") != uid_of(owner):
                raise
            return existing
    if same is known[-1]:
        return same
    patch = {"metadata": {"uid": uid_of(same)}, "revision": wanted["revision"]}
    return await client.patch(CONTROLLER_REVISIONS, name_of(same), patch, namespace_of(owner))


async def forget(client: Client, owner: Object, known: list[Object], live: Collection[str]) -> None:
    """Delete the oldest revisions beyond the history that is kept; ``live`` names those that are in use."""
    limit = owner["spec"].get("revisionHistoryLimit", 10)
    dead = [one for one in known if name_of(one) not in live]
    for one in dead[: max(0, len(dead) - int(10 if limit is None else limit))]:
        deletion = client.delete(CONTROLLER_REVISIONS, name_of(one), namespace_of(owner), uid=uid_of(one))
        await unless_gone(deletion)


def template_of(revision: Object) -> Object:
    """Return the pod template that a revision keeps."""
    template: Object = copy.deepcopy(revision["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def _revision(owner: Object, number: int) -> Object:
    template = owner["spec"]["template"]
    digest = template_hash(template)
    labels = (template.get("metadata") or {}).get("labels") or {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(owner)[:242]}-{digest}",
            "namespace": namespace_of(owner),
            "labels": {**labels, HASH_LABEL: digest},
            "ownerReferences": [owner_reference(owner)],
        },
        "data": {"spec": {"template": {**copy.deepcopy(template), "$patch": "replace"}}},
        "revision": number,
    }
