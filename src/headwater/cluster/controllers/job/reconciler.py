"""Carries out the Job controller's plan.

The job is read from the API on every call, and so is a pod whose end is about to be written down: what the
informers hold may be a moment old, and a count that is based on the past would be wrong. Pods are created under
names that derive from the job, so a creation that is repeated after a crash finds the pod there.
"""

import asyncio

from headwater.cluster.controllers.calls import each, get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.job.expectations import Expectations
from headwater.cluster.controllers.job.indexes import annotations_for
from headwater.cluster.controllers.job.names import pod_name
from headwater.cluster.controllers.job.plan import Plan, newly_ended, plan, vanished
from headwater.cluster.controllers.job.pods import TRACKING_FINALIZER, is_tracked, pod_of
from headwater.kube.client import Client, PatchType, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.resources import JOBS, PODS
from headwater.kube.meta.time import Clock

OUR_NAME = "kubernetes.io/job-controller"
"""A job whose ``spec.managedBy`` names another controller is not ours."""

_AT_ONCE = 16


class JobReconciler:
    """Reconciles ``batch/v1`` Jobs."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._pods = informers.informer(PODS)
        self._expectations = Expectations(clock)
        self._pods.add_handler(self._expectations.pod_changed)

    async def reconcile(self, request: Request) -> Result | None:
        """Bring a job forward by what can be done now."""
        job = await get_or_none(self._client, JOBS, request.name, request.namespace)
        uid = uid_of(job) if job is not None else ""
        for stray in self._expectations.owners_called(request) - {uid}:
            await each([pod for pod in self._pods.by_owner(stray) if is_tracked(pod)], self._release)
            self._expectations.forget(stray)
        if job is None or (job["spec"].get("managedBy") or OUR_NAME) != OUR_NAME:
            return None
        pods = await self._pods_of(job)
        expected = self._expectations.unseen(uid)
        blocked = self._expectations.blocked(uid)
        current = job
        todo = plan(
            job,
            pods,
            self._clock.now(),
            expected=expected,
            blocked=blocked,
            starting_indexes=self._expectations.starting_indexes(uid),
        )
        problem = await self._create(job, todo) if todo.create else None
        await each(todo.remove, lambda pod: self._remove(current, pod))
        await each(todo.stop, lambda pod: self._delete(current, pod))
        if todo.status != (job.get("status") or {}):
            job = await self._client.update(JOBS, {**job, "status": todo.status}, subresource="status")
        for said in todo.events:
            self._recorder.event(job, said.type, said.reason, said.message)
        await each(todo.release, self._release)
        if todo.expire:
            await unless_gone(
                self._client.delete(JOBS, request.name, request.namespace, propagation=Propagation.FOREGROUND, uid=uid)
            )
        if problem is not None:
            raise problem
        unseen = self._expectations.unseen_for(uid)
        if unseen is not None:
            todo.wake_after(unseen)
        return Result(todo.requeue_after)

    async def _pods_of(self, job: Object) -> list[Object]:
        """Return the job's pods as last seen, and those whose end is news as they are now."""
        uid = uid_of(job)
        fresh: dict[str, Object | None] = {}
        while True:
            seen = [pod for pod in self._pods.by_owner(uid) if (controller_of(pod) or {}).get("uid") == uid]
            pods = [now for pod in seen if (now := fresh.get(uid_of(pod), pod)) is not None]
            news = [pod for pod in newly_ended(job, pods) if uid_of(pod) not in fresh]
            if not news:
                break
            reads = [get_or_none(self._client, PODS, name_of(pod), namespace_of(pod)) for pod in news]
            for pod, now in zip(news, await asyncio.gather(*reads), strict=True):
                fresh[uid_of(pod)] = now if now is not None and uid_of(now) == uid_of(pod) else None
        gone = vanished(job, pods)
        if gone:
            # Rare: written down, not counted, and not in sight. Make sure that it is gone before it is counted.
            selector = f"batch.kubernetes.io/controller-uid={uid}"
            answer = await self._client.list(PODS, namespace_of(job), label_selector=selector)
            pods += [pod for pod in answer.items if uid_of(pod) in gone]
        return pods

    async def _create(self, job: Object, todo: Plan) -> StatusError | None:
        """Create the planned pods, few at first; return the first problem, if there is one."""
        uid = uid_of(job)
        self._expectations.expect(uid, todo.create, todo.indexes)
        left, batch = todo.create, 1
        problem: StatusError | None = None
        while left and problem is None:
            now, left = left[:batch], left[batch:]
            problems = await asyncio.gather(*(self._create_one(job, ordinal, todo) for ordinal in now))
            problem = next((found for found in problems if found is not None), None)
            left = [ordinal for ordinal, found in zip(now, problems, strict=True) if found is not None] + left
            batch = min(batch * 2, _AT_ONCE)
        if left:
            self._expectations.failed(uid, left)
            active = int(todo.status.get("active") or 0) - len(left)
            todo.status["active"] = active
            if not active:
                del todo.status["active"]
        return None if problem is not None and is_terminating_namespace(problem) else problem

    async def _create_one(self, job: Object, ordinal: int, todo: Plan) -> StatusError | None:
        uid, namespace = uid_of(job), namespace_of(job)
        index = todo.indexes.get(ordinal)
        name = pod_name(name_of(job), uid, ordinal, index)
        annotations = annotations_for(job, index, todo.failures) if index is not None else None
        try:
            try:
                await self._client.create(PODS, pod_of(job, name, annotations), namespace)
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
                existing = await get_or_none(self._client, PODS, name, namespace)
                if existing is None or (controller_of(existing) or {}).get("uid") != uid:
                    self._expectations.block(uid, ordinal)
                    raise
                if self._pods.get(namespace, name) is not None:
                    self._expectations.failed(uid, [ordinal])  # seen meanwhile: nothing to wait for
                return None
        except StatusError as error:
            if not is_terminating_namespace(error):
                self._recorder.event(job, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        self._recorder.event(job, "Normal", "SuccessfulCreate", f"Created pod: {name}")
        return None

    async def _remove(self, job: Object, pod: Object) -> None:
        """Delete a pod that is not to be counted."""
        if is_tracked(pod):
            await self._release(pod)
        await self._delete(job, pod)

    async def _delete(self, job: Object, pod: Object) -> None:
        await unless_gone(
            self._client.delete(
                PODS, name_of(pod), namespace_of(pod), propagation=Propagation.BACKGROUND, uid=uid_of(pod)
            )
        )
        self._recorder.event(job, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    async def _release(self, pod: Object) -> None:
        metadata = {"uid": uid_of(pod), "$deleteFromPrimitiveList/finalizers": [TRACKING_FINALIZER]}
        await unless_gone(
            self._client.patch(
                PODS, name_of(pod), {"metadata": metadata}, namespace_of(pod), patch_type=PatchType.STRATEGIC
            )
        )


def job_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of Jobs."""
    reconciler = JobReconciler(client, informers, recorder, clock)
    return Controller("job", reconciler, JOBS, owns=(PODS,), workers=8)
