"""Carries out the StatefulSet controller's plan: revisions, claims, pods, and the status."""

from headwater.cluster.controllers.calls import each, get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.statefulset.identity import (
    claim_name,
    claim_of,
    claim_owners,
    numbered_pod,
    pod_name,
)
from headwater.cluster.controllers.statefulset.plan import ordinal_of, ordinals, plan
from headwater.cluster.controllers.workloads import history
from headwater.cluster.controllers.workloads.claims import adopters, claim
from headwater.cluster.controllers.workloads.kinds import CLAIMS, STATEFUL_SETS
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of, owner_references
from headwater.kube.meta.resources import PODS
from headwater.kube.meta.time import Clock


class StatefulSetReconciler:
    """Reconciles ``apps/v1`` StatefulSets."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._pods = Recent(informers.informer(PODS), clock)

    async def reconcile(self, request: Request) -> Result | None:
        """Take a stateful set's next step."""
        stateful_set = await get_or_none(self._client, STATEFUL_SETS, request.name, request.namespace)
        if stateful_set is None or is_deleting(stateful_set):
            return None
        pods = await claim(self._client, PODS, self._pods, stateful_set)
        known = await history.revisions_of(self._client, stateful_set)
        revision = await history.record(self._client, stateful_set, known)
        update = name_of(revision)
        by_name = {name_of(one): one for one in [*known, revision]}
        current = (stateful_set.get("status") or {}).get("currentRevision") or update
        if current not in by_name:
            current = update
        todo = plan(stateful_set, pods, current, update, self._clock.now())
        await self._keep_claims(stateful_set, pods)
        try:
            for number, name in todo.create:
                await self._create(stateful_set, history.template_of(by_name[name]), name, number)
            await each(todo.remove, lambda pod: self._remove(stateful_set, pod))
        finally:
            if todo.status != stateful_set.get("status"):
                await unless_gone(
                    self._client.update(STATEFUL_SETS, {**stateful_set, "status": todo.status}, subresource="status")
                )
        used = {labels_of(pod).get(history.HASH_LABEL, "") for pod in pods}
        live = {current, update, *used}
        await history.forget(self._client, stateful_set, known, live)
        return Result(todo.requeue_after)

    async def _create(self, stateful_set: Object, template: Object, revision: str, number: int) -> None:
        pod = numbered_pod(stateful_set, template, revision, number)
        try:
            for wanted in stateful_set["spec"].get("volumeClaimTemplates") or ():
                await self._make_claim(stateful_set, wanted, number)
            created = await self._client.create(PODS, pod)
        except StatusError as error:
            if is_terminating_namespace(error):
                return
            if error.reason == "AlreadyExists":
                existing = await get_or_none(self._client, PODS, name_of(pod), namespace_of(pod))
                if existing is None or (controller_of(existing) or {}).get("uid") == uid_of(stateful_set):
                    return  # of an earlier call, or just going: the informer will say
            message = f"create Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} failed error: {error.message}"
            self._recorder.event(stateful_set, "Warning", "FailedCreate", message)
            raise
        self._pods.wrote(created)
        message = f"create Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} successful"
        self._recorder.event(stateful_set, "Normal", "SuccessfulCreate", message)

    async def _make_claim(self, stateful_set: Object, template: Object, number: int) -> None:
        wanted = claim_of(stateful_set, template, number)
        owners = claim_owners(stateful_set, None, condemned=False)
        if owners:
            wanted["metadata"]["ownerReferences"] = owners
        try:
            await self._client.create(CLAIMS, wanted)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            return
        message = (
            f"create Claim {name_of(wanted)} Pod {pod_name(stateful_set, number)} in StatefulSet "
            f"{name_of(stateful_set)} success"
        )
        self._recorder.event(stateful_set, "Normal", "SuccessfulCreate", message)

    async def _keep_claims(self, stateful_set: Object, pods: list[Object]) -> None:
        """See to it that claims go, or stay, with what the retention policy says."""
        templates = stateful_set["spec"].get("volumeClaimTemplates") or ()
        wanted = ordinals(stateful_set)
        for pod in pods if templates else ():
            number = ordinal_of(stateful_set, pod)
            if number is None:
                continue
            owners = claim_owners(stateful_set, pod, condemned=number not in wanted)
            ours = {uid_of(stateful_set), uid_of(pod)}
            for template in templates:
                name = claim_name(stateful_set, template, number)
                existing = await get_or_none(self._client, CLAIMS, name, namespace_of(stateful_set))
                if existing is None:
                    continue
                before = owner_references(existing)
                after = [owner for owner in before if owner.get("uid") not in ours] + owners
                if {owner["uid"] for owner in before} != {owner["uid"] for owner in after}:
                    patch = {"metadata": {"uid": uid_of(existing), "ownerReferences": after}}
                    await unless_gone(self._client.patch(CLAIMS, name, patch, namespace_of(stateful_set)))

    async def _remove(self, stateful_set: Object, pod: Object) -> None:
        await unless_gone(
            self._client.delete(
                PODS, name_of(pod), namespace_of(pod), propagation=Propagation.BACKGROUND, uid=uid_of(pod)
            )
        )
        self._pods.removed(pod)
        message = f"delete Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)} successful"
        self._recorder.event(stateful_set, "Normal", "SuccessfulDelete", message)


def stateful_set_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of StatefulSets."""
    reconciler = StatefulSetReconciler(client, informers, recorder, clock)
    orphans = Watch(PODS, adopters(informers.informer(STATEFUL_SETS)))
    return Controller("statefulset", reconciler, STATEFUL_SETS, owns=(PODS,), watches=(orphans,), workers=4)
