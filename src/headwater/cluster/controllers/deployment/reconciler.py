"""Carries out the Deployment controller's plan: writes replica sets, and the deployment's status."""

from headwater.cluster.controllers.calls import get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.deployment.plan import Change, Plan, plan, size_of
from headwater.cluster.controllers.deployment.revisions import REVISION, newest, same_template
from headwater.cluster.controllers.workloads.claims import adopters, claim
from headwater.cluster.controllers.workloads.kinds import DEPLOYMENTS, REPLICA_SETS
from headwater.cluster.controllers.workloads.pods import is_ended
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.resources import PODS
from headwater.kube.meta.time import Clock


class DeploymentReconciler:
    """Reconciles ``apps/v1`` Deployments."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._informer = informers.informer(REPLICA_SETS)
        self._sets = Recent(self._informer, clock)
        self._pods = informers.informer(PODS)

    async def reconcile(self, request: Request) -> Result | None:
        """Take a deployment's next step."""
        deployment = await get_or_none(self._client, DEPLOYMENTS, request.name, request.namespace)
        if deployment is None:
            return None
        sets = await claim(self._client, REPLICA_SETS, self._sets, deployment)
        todo = plan(deployment, sets, self._clock.now(), old_pods=self._has_old_pods(deployment, sets))
        if todo.revision:
            annotations = {"metadata": {"uid": uid_of(deployment), "annotations": {REVISION: todo.revision}}}
            deployment = await self._client.patch(DEPLOYMENTS, request.name, annotations, request.namespace)
        try:
            if todo.create is not None:
                await self._create(deployment, todo)
            for change in todo.changes:
                await self._change(deployment, change)
        finally:
            await self._write_status(deployment, todo)
        for one in todo.remove:
            deletion = self._client.delete(
                REPLICA_SETS, name_of(one), namespace_of(one), propagation=Propagation.BACKGROUND, uid=uid_of(one)
            )
            await unless_gone(deletion)
            self._sets.removed(one)
        return Result(todo.requeue_after)

    def _has_old_pods(self, deployment: Object, sets: list[Object]) -> bool:
        if (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
            return False
        new = newest(deployment, sets)
        return any(not is_ended(pod) for one in sets if one is not new for pod in self._pods.by_owner(uid_of(one)))

    async def _write_status(self, deployment: Object, todo: Plan) -> None:
        if todo.status != deployment.get("status"):
            await unless_gone(
                self._client.update(DEPLOYMENTS, {**deployment, "status": todo.status}, subresource="status")
            )

    async def _create(self, deployment: Object, todo: Plan) -> None:
        """Create the new set; one of its name with another template is a collision, and the next call renames."""
        assert todo.create is not None, "called only to create"
        wanted = todo.create
        try:
            created = await self._client.create(REPLICA_SETS, wanted, namespace_of(deployment))
        except StatusError as error:
            if error.reason == "AlreadyExists":
                existing = await get_or_none(self._client, REPLICA_SETS, name_of(wanted), namespace_of(deployment))
                mine = existing is not None and (controller_of(existing) or {}).get("uid") == uid_of(deployment)
                if (
                    existing is not None
                    and mine
                    and same_template(existing["spec"]["template"], wanted["spec"]["template"])
                ):
                    self._sets.wrote(existing)
                elif existing is not None:
                    todo.status["collisionCount"] = int(todo.status.get("collisionCount") or 0) + 1
                raise
            if not is_terminating_namespace(error):
                message = f'Failed to create new replica set "{name_of(wanted)}": {error.message}'
                _set_failure(todo.status, message)
                self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
            raise
        self._sets.wrote(created)
        if size_of(created):
            self._say(deployment, "up", created, 0, size_of(created))

    async def _change(self, deployment: Object, change: Change) -> None:
        one = change.replica_set
        spec = {**one["spec"], "replicas": change.replicas}
        spec.pop("minReadySeconds", None)
        if change.min_ready_seconds:
            spec["minReadySeconds"] = change.min_ready_seconds
        metadata = {**one["metadata"], "annotations": change.annotations}
        updated = await unless_gone(self._client.update(REPLICA_SETS, {**one, "metadata": metadata, "spec": spec}))
        if updated is None:
            return
        self._sets.wrote(updated)
        before = size_of(one)
        if change.replicas != before:
            self._say(deployment, "up" if change.replicas > before else "down", one, before, change.replicas)

    def _say(self, deployment: Object, direction: str, one: Object, before: int, after: int) -> None:
        message = f"Scaled {direction} replica set {name_of(one)} from {before} to {after}"
        self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)


def _set_failure(status: Object, message: str) -> None:
    for condition in status.get("conditions") or ():
        if condition["type"] == "Progressing":
            condition.update(status="False", reason="ReplicaSetCreateError", message=message)


def deployment_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of Deployments."""
    reconciler = DeploymentReconciler(client, informers, recorder, clock)
    sets = informers.informer(REPLICA_SETS)

    def of_pod(pod: Object) -> list[Request]:
        """A pod's end concerns a deployment that waits for it to recreate."""
        owner = controller_of(pod) or {}
        one = sets.get(namespace_of(pod), owner.get("name", "")) if owner.get("kind") == "ReplicaSet" else None
        reference = controller_of(one) if one is not None else None
        return [Request(namespace_of(pod), reference["name"])] if reference else []

    def ends(old: Object | None, new: Object | None) -> bool:
        return ((new is None or is_ended(new)) and old is not None and not is_ended(old)) or new is None

    watches = (
        Watch(REPLICA_SETS, adopters(informers.informer(DEPLOYMENTS))),
        Watch(PODS, of_pod, ends),
    )
    return Controller("deployment", reconciler, DEPLOYMENTS, owns=(REPLICA_SETS,), watches=watches, workers=4)
