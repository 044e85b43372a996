"""Carries out the CronJob controller's plan: starts and removes jobs, and writes the status."""

from headwater.cluster.controllers.calls import each, get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.cronjob.plan import Plan, plan, reference
from headwater.cluster.controllers.workloads.kinds import CRON_JOBS
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.resources import JOBS
from headwater.kube.meta.time import Clock, format_time


class CronJobReconciler:
    """Reconciles ``batch/v1`` CronJobs."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._jobs = Recent(informers.informer(JOBS), clock)

    async def reconcile(self, request: Request) -> Result | None:
        """Start what is due."""
        cron_job = await get_or_none(self._client, CRON_JOBS, request.name, request.namespace)
        if cron_job is None:
            return None
        uid = uid_of(cron_job)
        owned = self._jobs.owned(request.namespace, uid)
        jobs = [job for job in owned if (controller_of(job) or {}).get("uid") == uid]
        todo = plan(cron_job, jobs, self._clock.now())
        await each(todo.remove, lambda job: self._remove(cron_job, job))
        if todo.start is not None and not await self._start(cron_job, todo):
            return Result(todo.requeue_after)
        if todo.status != (cron_job.get("status") or {}):
            await unless_gone(self._client.update(CRON_JOBS, {**cron_job, "status": todo.status}, subresource="status"))
        for said in todo.events:
            self._recorder.event(cron_job, said.type, said.reason, said.message)
        return Result(todo.requeue_after)

    async def _start(self, cron_job: Object, todo: Plan) -> bool:
        """Create the job, unless an earlier life has; note it in the status. Tell whether there is one."""
        assert todo.start is not None, "called only to start"
        assert todo.scheduled is not None, "a job is started for a time"
        try:
            try:
                job = await self._client.create(JOBS, todo.start)
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise
                existing = await get_or_none(self._client, JOBS, name_of(todo.start), namespace_of(cron_job))
                if existing is None or (controller_of(existing) or {}).get("uid") != uid_of(cron_job):
                    raise
                job = existing
            else:
                self._recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {name_of(job)}")
        except StatusError as error:
            if is_terminating_namespace(error):
                return False
            self._recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
            raise
        self._jobs.wrote(job)
        active = todo.status.setdefault("active", [])
        if all(entry.get("uid") != uid_of(job) for entry in active):
            active.append(reference(job))
        todo.status["lastScheduleTime"] = format_time(todo.scheduled)
        return True

    async def _remove(self, cron_job: Object, job: Object) -> None:
        await unless_gone(
            self._client.delete(
                JOBS, name_of(job), namespace_of(job), propagation=Propagation.BACKGROUND, uid=uid_of(job)
            )
        )
        self._jobs.removed(job)
        self._recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")


def cron_job_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of CronJobs."""
    reconciler = CronJobReconciler(client, informers, recorder, clock)
    return Controller("cronjob", reconciler, CRON_JOBS, owns=(JOBS,), workers=2)
