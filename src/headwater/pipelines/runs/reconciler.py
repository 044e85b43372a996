"""The reconciler of runs: looks at a run's pods, asks the planner what is next, records it, and creates pods.

Thin on purpose: ``steps`` reads a pod, ``plan`` decides, ``ledger`` records, ``execute`` builds pods. A kill
at any moment is harmless: the same records and pods lead to the same decisions; a pod's name derives from its task and
attempt, so that creating it twice is creating it once; a result is taken over in one transaction that fails when it
was taken before. What is remembered between two calls is only a copy of the records.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from headwater.capability import Context
from headwater.kube.client import Propagation
from headwater.kube.controller import Controller, EventRecorder, Request, Result, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of, version_of
from headwater.kube.meta.resources import PODS
from headwater.pipelines.records.catalog import Catalog
from headwater.pipelines.records.models import ACTIVE_RUN, CacheEntry, RunChange, RunRow, RunState, TaskRow, TaskState
from headwater.pipelines.records.records import Records
from headwater.pipelines.runs.adoption import adopt, is_record_of
from headwater.pipelines.runs.execute import RunContext, Step
from headwater.pipelines.runs.ledger import Ledger, count_tasks
from headwater.pipelines.runs.locations import Locations
from headwater.pipelines.runs.logs import LogArchive, is_ended_step, tail
from headwater.pipelines.runs.outputs import OutputError, collect
from headwater.pipelines.runs.plan import Outcome, plan
from headwater.pipelines.runs.pods import RunPods
from headwater.pipelines.runs.recovery import Recovery, wake
from headwater.pipelines.runs.starting import begin_steps
from headwater.pipelines.runs.status import changed, say_end, status_of, stranger_status, ttl_of, write_status
from headwater.pipelines.runs.steps import Decision, Move, Phase, decide, failed, last_line, observe
from headwater.pipelines.spec.loading import check_run_parameters, load
from headwater.pipelines.spec.tree import ROOT, SpecError
from headwater.pipelines.types import FINALIZER, RUNS

A = TypeVar("A")
B = TypeVar("B")

TERMINATED = "The run was terminated by a user."
DELETED = "The run was stopped, because its Run object was deleted."
_STATUS_INTERVAL = 1.0
"""Seconds between two writes of a running run's numbers to its status."""
_NEWS_PATIENCE = 5.0
"""Seconds after which a pod that was created and never seen is created again."""


@dataclass(slots=True)
class _Work:
    """A run that is being worked on. Everything in it can be read again from the records and the cluster."""

    uid: str
    ledger: Ledger
    created: dict[str, float] = field(default_factory=dict)
    """Pods that were created and not seen yet, and when."""
    reported: float = float("-inf")
    status: Object = field(default_factory=dict)
    dirty: bool = True
    """Whether the status may be out of date."""


class RunReconciler:
    """Brings each run nearer to its end."""

    def __init__(self, context: Context, records: Records, events: EventRecorder) -> None:
        self._client = context.client
        self._clock = context.clock
        self._store = context.artifacts
        self._locations = Locations(context.artifacts, context.mounts_volumes)
        self._runs = context.informers.informer(RUNS)
        self._pods = RunPods(context.client, context.informers, context.artifacts)
        self._records = records
        self._catalog = Catalog(context.database, context.clock)
        self._events = events
        self._work: dict[Request, _Work] = {}

    async def reconcile(self, request: Request) -> Result | None:
        """Look at one run."""
        run = self._runs.get(request.namespace, request.name)
        if run is None:
            self._work.pop(request, None)
            return None
        try:
            return await self._reconcile(request, run)
        except BaseException:
            # What was noted may be half recorded: read everything again.
            self._work.pop(request, None)
            raise

    async def _reconcile(self, request: Request, run: Object) -> Result | None:
        work = self._work.get(request)
        if work is None or work.uid != uid_of(run):
            row = await self._row(run)
            if is_deleting(run):
                return await self._release(request, run, row)
            if row is None:
                return None
            if row.state.finished:
                return await self._finished(request, run, row)
            loaded = await self._load(row)
            if loaded is None:
                return Result(0)
            work = self._work[request] = _Work(uid_of(run), loaded)
        if is_deleting(run):
            return await self._stop(request, run, work, DELETED)
        if run["spec"].get("terminate") or work.ledger.run.terminate:
            return await self._stop(request, run, work, TERMINATED)
        return await self._advance(request, run, work)

    # What is known of the run

    async def _row(self, run: Object) -> RunRow | None:
        """Return the run's record, or None for an object that has none and gets none."""
        given = run["spec"].get("runId")
        row = await self._records.get_run(given or uid_of(run))
        # An id that is given must be recorded: whoever could choose one would own the folder of a run that had it.
        stranger = bool(given) if row is None else not is_record_of(run, row)
        if stranger:
            if not is_deleting(run):
                await write_status(self._client, run, stranger_status(run, self._clock.now()))
            return None
        if row is None and not is_deleting(run):
            row = await adopt(self._client, self._records, self._catalog, run, self._clock.now())
        return row

    async def _load(self, row: RunRow) -> Ledger | None:
        """Read a run; one whose pipeline or parameters are no good fails here."""
        try:
            pipeline = load(row.pipeline_spec or {}, row.platform_spec)
            parameters = check_run_parameters(pipeline, row.parameters)
        except SpecError as error:
            await self._records.set_run_state(row.run_id, ACTIVE_RUN, RunState.FAILED, f"The run cannot start: {error}")
            return None
        return await Ledger.load(self._records, row, pipeline, parameters)

    # Going on

    async def _advance(self, request: Request, run: Object, work: _Work) -> Result | None:
        ledger, now = work.ledger, self._clock.now()
        context = RunContext(ledger.run, ledger.pipeline, run, self._locations)
        limit = ledger.pipeline.active_deadline_seconds
        began = ledger.run.started_at
        if limit and began and now >= began + timedelta(seconds=limit):
            return await self._stop(request, run, work, f"The run took longer than its limit of {limit} seconds.")
        pods = self._pods.of(run)
        due: list[TaskRow] = []
        waits: list[float] = [(began + timedelta(seconds=limit) - now).total_seconds()] if limit and began else []
        for row in list(ledger.active.values()):
            pod = pods.get((row.task_id, row.attempt))
            if pod is not None:
                work.created.pop(name_of(pod), None)
            decision = decide(row, observe(pod), ledger.task(row.path).retry, now)
            if decision.move is Move.TAKE:
                decision = await self._take(ledger, context, row, now)
            elif decision.move is Move.FAIL and pod is not None and not observe(pod).detailed:
                decision = await self._explained(pod, decision)
            ledger.note(row, decision, now)
            self._say(run, row, decision)
            row = ledger.rows[row.path]
            if decision.move in (Move.LATER, Move.AGAIN) and decision.at is not None:
                waits.append((decision.at - now).total_seconds())
            if decision.move is Move.CREATE or (decision.move is Move.AGAIN and decision.at and decision.at <= now):
                due.append(row)
        there = frozenset(task_id for task_id, _ in pods)
        outcome, beginning = await self._plan(ledger, context, run, there, now)
        change = self._run_change(ledger, outcome, now)
        # Side by side, since each waits for the disk: a kill that leaves the pod without its record does no harm, for
        # the same decision is taken again, and leads to a pod that is there already.
        recorded, refused = await _both(
            ledger.write(self._records, change),
            self._pods.create(context, self._uncreated(context, work, [*due, *beginning])),
        )
        if not recorded:
            self._work.pop(request, None)
            return Result(0)
        if change is not None:
            ledger.run = changed(ledger.run, change, now)
        work.dirty = work.dirty or ledger.written
        if refused:
            return await self._refuse(request, work, refused, now)
        if outcome is not None:
            self._work.pop(request, None)
            await self._report(run, work, force=True)
            say_end(self._events, run, ledger.run)
            return Result(0)
        if work.created:
            waits.append(_NEWS_PATIENCE)
        wait = await self._report(run, work)
        if wait is not None:
            waits.append(wait)
        return Result(max(min(waits), 0.0)) if waits else None

    async def _take(self, ledger: Ledger, context: RunContext, row: TaskRow, now: datetime) -> Decision:
        """Read a step's result and note it; what cannot be used is a failed attempt."""
        step = ledger.step(row)
        try:
            made = await collect(step, context, self._store, now)
        except OutputError as error:
            return failed(row, f"the step ended well, but {error}", step.task.retry, now)
        entry = None
        if row.fingerprint:
            entry = CacheEntry(
                namespace=ledger.run.namespace,
                pipeline_name=ledger.pipeline.name,
                fingerprint=row.fingerprint,
                task_id=row.task_id,
                run_id=row.run_id,
                task_name=step.task.name,
                parts=row.data.get("parts") or {},
                created_at=now,
            )
        ledger.succeeded(row.path, made, now, entry)
        return Decision(Move.TAKE)

    async def _explained(self, pod: Object, decision: Decision) -> Decision:
        line = last_line(await tail(self._client, pod))
        return Decision(decision.move, f"{decision.message}: {line}" if line else decision.message)

    def _say(self, run: Object, row: TaskRow, decision: Decision) -> None:
        """Tell ``kubectl describe`` what holds a run up."""
        task = row.path.removeprefix(f"{ROOT}/")
        if decision.move is Move.NOTE and decision.message:
            self._events.event(run, "Warning", "StepWaiting", f"task {task!r} waits: {decision.message}")
        elif decision.move is Move.AGAIN:
            self._events.event(run, "Warning", "StepRetried", f"task {task!r} is run again: {decision.message}")

    async def _plan(
        self, ledger: Ledger, context: RunContext, run: Object, there: frozenset[str], now: datetime
    ) -> tuple[Outcome | None, list[TaskRow]]:
        """Plan until nothing more can be decided: a cached or imported step lets others begin at once."""
        names = context.names
        off = bool(run["spec"].get("cachingDisabled"))
        beginning: list[TaskRow] = []
        outcome = None
        while (ledger.touched is None or ledger.touched) and outcome is None:
            decided = plan(ledger.pipeline, ledger.parameters, ledger.statuses, names, ledger.touched)
            begun = ledger.apply(decided, now)
            outcome = decided.outcome
            beginning += await begin_steps(ledger, self._records, begun, names, there, now, caching_disabled=off)
        return outcome, [ledger.rows[row.path] for row in beginning]

    def _run_change(self, ledger: Ledger, outcome: Outcome | None, now: datetime) -> RunChange | None:
        if outcome is not None:
            return RunChange(state=outcome.state, error=outcome.error, started_at=ledger.run.started_at or now)
        if ledger.run.state is RunState.PENDING:
            return RunChange(from_states=frozenset({RunState.PENDING}), state=RunState.RUNNING, started_at=now)
        return None

    def _uncreated(self, context: RunContext, work: _Work, rows: Sequence[TaskRow]) -> list[Step]:
        """Leave out the attempts whose pod was created a moment ago and is not seen yet."""
        now = self._clock.monotonic()
        steps = []
        for row in rows:
            step = work.ledger.step(row)
            name = step.pod_name(context)
            if now - work.created.get(name, float("-inf")) >= _NEWS_PATIENCE:
                work.created[name] = now
                steps.append(step)
        return steps

    async def _refuse(
        self, request: Request, work: _Work, refused: list[tuple[Step, StatusError]], now: datetime
    ) -> Result:
        """Fail the tasks whose pods the API does not accept; the next call goes on from there."""
        for step, error in refused:
            message = f"its pod was refused: {error.message}"
            work.ledger.change(step.path, state=TaskState.FAILED, error=message, finished_at=now)
        if not await work.ledger.write(self._records):
            self._work.pop(request, None)
        return Result(0)

    # Ending

    async def _stop(self, request: Request, run: Object, work: _Work, why: str) -> Result | None:
        """End a run before its time: stop its pods, keep their logs, then record how it ended."""
        ledger, now = work.ledger, self._clock.now()
        if ledger.run.state is not RunState.CANCELING:
            if await self._records.set_run_state(ledger.run.run_id, ACTIVE_RUN, RunState.CANCELING):
                ledger.run = replace(ledger.run, state=RunState.CANCELING)
            await self._report(run, work, force=True)
        context = RunContext(ledger.run, ledger.pipeline, run, self._locations)
        pods = self._pods.of(run)
        for row in list(ledger.active.values()):
            pod = pods.get((row.task_id, row.attempt))
            if pod is not None and observe(pod).phase is Phase.SUCCEEDED:
                ledger.note(row, await self._take(ledger, context, row, now), now)
        if not await self._pods.stop(list(pods.values())):
            return Result(_NEWS_PATIENCE)
        for row in ledger.unfinished():
            ledger.change(row.path, state=TaskState.CANCELED, error=why, finished_at=now)
        change = RunChange(state=RunState.FAILED, error=why, started_at=ledger.run.started_at or now, finished_at=now)
        await ledger.write(self._records, change)
        self._work.pop(request, None)
        self._events.event(run, "Warning", "Terminated", why)
        return Result(0)

    async def _finished(self, request: Request, run: Object, row: RunRow) -> Result | None:
        """Keep the object in line with the record, and remove it when its time has come."""
        self._work.pop(request, None)
        counts = None
        if (run.get("status") or {}).get("state") != row.state:
            counts = count_tasks(await self._records.load_tasks(row.run_id))
        await write_status(self._client, run, status_of(row, counts, run.get("status") or {}, self._clock.now()))
        left = ((row.finished_at or row.created_at) - self._clock.now()).total_seconds() + ttl_of(run, row)
        if left > 0:
            return Result(left)
        await self._pods.keep_logs(run)
        await self._client.delete(
            RUNS, name_of(run), namespace_of(run), uid=uid_of(run), propagation=Propagation.BACKGROUND
        )
        return None

    async def _release(self, request: Request, run: Object, row: RunRow | None) -> Result | None:
        """Let a deleted object go once its run is over."""
        if row is not None and not row.state.finished:
            ledger = await self._load(row)
            if ledger is None:
                return Result(0)
            work = self._work[request] = _Work(uid_of(run), ledger)
            return await self._stop(request, run, work, DELETED)
        await self._pods.keep_logs(run)
        finalizers = [one for one in run["metadata"].get("finalizers") or [] if one != FINALIZER]
        metadata = {"finalizers": finalizers, "resourceVersion": version_of(run)}
        if FINALIZER in (run["metadata"].get("finalizers") or []):
            try:
                await self._client.patch(RUNS, name_of(run), {"metadata": metadata}, namespace_of(run))
            except StatusError as error:
                if error.code != 404:
                    raise
        return None

    # Status

    async def _report(self, run: Object, work: _Work, *, force: bool = False) -> float | None:
        """Write the run's status to its object, at most once a second; return the seconds to wait if it is too soon."""
        ledger = work.ledger
        now = self._clock.monotonic()
        before = work.status or run.get("status") or {}
        wait = work.reported + _STATUS_INTERVAL - now
        if wait > 0 and not force and before.get("state") == ledger.run.state:
            return wait if work.dirty else None
        work.dirty = False
        work.status = status_of(ledger.run, ledger.counts(), before, self._clock.now())
        if work.status != (run.get("status") or {}):
            work.reported = now
            await write_status(self._client, run, work.status)
        return None


async def _both(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Wait for both, also when one of them fails."""
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(other, BaseException):
        raise other
    return one, other


def controllers(context: Context) -> Sequence[Controller]:
    """Return the room's controllers: of runs, of their logs, and of runs that lost their object."""
    records = Records(context.database, context.clock)
    archive = LogArchive(context.client, context.informers, context.artifacts)
    events = EventRecorder(context.client, "pipelines", clock=context.clock)
    recovery = Recovery(context.client, context.informers, records, context.clock)
    ended = Watch(PODS, _of_pod, predicate=is_ended_step)
    return (
        Controller("run", RunReconciler(context, records, events), RUNS, owns=(PODS,), workers=8),
        Controller("run-logs", archive, None, watches=(ended,), workers=2),
        Controller("run-recovery", recovery, None, workers=1, sources=(wake,)),
    )


def _of_pod(pod: Object) -> tuple[Request, ...]:
    return (Request(namespace_of(pod), name_of(pod)),)
