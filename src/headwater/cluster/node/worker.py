"""One pod's life on this node, from the binding to the last trace: a task that is woken by every change.

It is level-based: each turn looks at the pod as it is wanted and at the containers as they are, asks ``lifecycle``
what to do, does it, and writes the status if that has changed. Nothing it needs to go on is in memory only: a new
agent finds the shim, its records and the pod's object, and continues.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from headwater.cluster.node.containers import pod_spec
from headwater.cluster.node.lifecycle import Decision, Start, decide, start_time
from headwater.cluster.node.preparation import BlockedError, Preparation, blocked_by_disk
from headwater.cluster.node.reporting import Reporter
from headwater.cluster.node.runtime import PodProcess, Records, ShimError, load_records
from headwater.cluster.node.services import Services
from headwater.cluster.node.status import DEADLINE, NODE_SHUTDOWN, SHIM_LOST, Problem
from headwater.cluster.node.volumes import FILES, MountError, remove_tree
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import PODS

log = logging.getLogger(__name__)

_GRACE = 30.0
_SHIM_ENDS_WITHIN = 10.0
_TURN_ENDS_WITHIN = 5.0
_REFRESH = timedelta(seconds=60)


class PodWorker:
    """Drives one pod."""

    def __init__(self, services: Services, pod: Object) -> None:
        self.services = services
        self.pod = pod
        self.directory = services.layout.pod(uid_of(pod))
        self.process: PodProcess | None = None
        self.last_records: Records = {}
        self.over = False
        """The pod has reached its last phase; what remains is its deletion."""
        self.finished = asyncio.Event()
        """Nothing of the pod is left here."""
        self._preparation = Preparation(services, pod, self.directory)
        self._prepared = False
        self._preparing: asyncio.Task[None] | None = None
        self._reporter = Reporter(services, pod)
        self._failures = 0
        self._retry_at: datetime | None = None
        self._started = start_time(pod)
        self._sent: dict[str, int] = {}
        self._stopping: float | None = None
        self._forgotten = False
        self._closing = False
        self._refresh_at: datetime | None = None
        self.cleaning: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"pod {namespace_of(pod)}/{name_of(pod)}")

    @property
    def records(self) -> Records:
        """What the pod's containers do, as far as is known."""
        return self.process.records if self.process is not None else self.last_records

    def update(self, pod: Object) -> None:
        """Take over a newer state of the pod's object."""
        self.pod = pod
        self._preparation.pod = pod
        self._reporter.pod = pod
        if is_deleting(pod) and self._preparing is not None:
            self._preparing.cancel()
        self._wake.set()

    def forget(self) -> None:
        """The object is gone: end what runs, without grace, and leave nothing."""
        self._forgotten = True
        if self._preparing is not None:
            self._preparing.cancel()
        self._wake.set()

    async def leave(self) -> None:
        """Stop working on the pod and let it run."""
        await self._end_loop()
        if self.process is not None:
            self.process.close()

    async def shut_down(self, grace: float) -> None:
        """End the pod because its node stops: gracefully, within ``grace`` seconds and a little more."""
        await self._end_loop()
        process = self.process
        if process is None:
            return
        before = decide(self.pod, self.records, self.services.clock.now(), self._started)
        by_itself = before.phase in ("Succeeded", "Failed")
        process.stop(grace)
        waited = 0.0
        while not process.gone and any(r.phase != "exited" for r in process.records.values()) and waited < grace + 5:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 0.25)
            waited += 0.25
        if not self.over:
            self._reporter.verdict = None if by_itself else NODE_SHUTDOWN
            decision = decide(self.pod, self.records, self.services.clock.now(), self._started)
            with contextlib.suppress(StatusError):
                await self._reporter.report(decision, self.records)
        await self._end_shim()

    async def _end_loop(self) -> None:
        """Let the present turn end: a shim that is just being started must not be lost sight of."""
        self._closing = True
        if self._preparing is not None:
            self._preparing.cancel()
        self._wake.set()
        await asyncio.wait((self._task,), timeout=_TURN_ENDS_WITHIN)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    # --- the loop ---

    async def _run(self) -> None:
        try:
            await self._find()
        except Exception:
            log.exception("pod %s: looking for its processes failed", self.directory.uid)
        while not (self.finished.is_set() or self._closing):
            self._wake.clear()
            try:
                wake_at = await self._turn()
            except StatusError as error:
                if error.code == 404:
                    self._forgotten = True
                    wake_at = self.services.clock.now()
                else:
                    log.warning("pod %s/%s: %s", namespace_of(self.pod), name_of(self.pod), error.message)
                    wake_at = self._in(1.0)
            except Exception as error:
                log.exception("pod %s/%s: a turn failed", namespace_of(self.pod), name_of(self.pod))
                self._reporter.say(
                    "Warning", "FailedSync", f"error syncing pod, trying again: {type(error).__name__}: {error}"
                )
                wake_at = self._in(5.0)
            if not (self.finished.is_set() or self._closing):
                await self._wait(wake_at)

    async def _wait(self, wake_at: datetime | None) -> None:
        if wake_at is None:
            await self._wake.wait()
            return
        delay = (wake_at - self.services.clock.now()).total_seconds()
        if delay <= 0 or self._wake.is_set():
            await asyncio.sleep(0)
            return
        sleeping = asyncio.ensure_future(self.services.clock.sleep(delay))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            woken.cancel()

    def _in(self, seconds: float) -> datetime:
        return self.services.clock.now() + timedelta(seconds=seconds)

    async def _find(self) -> None:
        """Find out what an earlier agent left of this pod."""
        phase = (self.pod.get("status") or {}).get("phase")
        if phase in ("Succeeded", "Failed"):
            self.over = True
        if self.directory.state.exists() or self.directory.spec.exists():
            self.process = await self.services.runtime.adopt(self.directory, self._wake.set)
            if self.process is not None:
                self._refresh_at = self.services.clock.now()
                self._reporter.was_told()
                return
            records = load_records(self.directory)
            if records is not None and not self.over:
                self.last_records = records
                self._judge_lost()
        elif not self.over and any(
            c.get("containerID") for c in (self.pod.get("status") or {}).get("containerStatuses") or ()
        ):
            self._reporter.verdict = SHIM_LOST

    def _judge_lost(self) -> None:
        """The shim is gone: if its records tell a whole story, that counts; else the pod is lost."""
        decision = decide(self.pod, self.last_records, self.services.clock.now(), self._started)
        complete = decision.phase in ("Succeeded", "Failed") and not decision.deadline_passed
        if not complete and not (is_deleting(self.pod) and self._all_exited()):
            self._reporter.verdict = SHIM_LOST

    async def _turn(self) -> datetime | None:
        if self._forgotten:
            await self._remove(0.0)
            return None
        if self.process is not None and self.process.gone:
            self.last_records = load_records(self.directory) or self.process.records
            self.process = None
            if not self.over:
                self._judge_lost()
        if is_deleting(self.pod):
            return await self._delete()
        if self.over:
            if self.process is not None:
                self.process.quit()
            return None
        return await self._advance()

    async def _advance(self) -> datetime | None:
        now = self.services.clock.now()
        decision = decide(self.pod, self.records, now, self._started)
        if decision.deadline_passed and self._reporter.verdict is None:
            self._reporter.verdict = DEADLINE
        if self._reporter.verdict is not None:
            return await self._enforce(decision)
        starts = tuple(start for start in decision.starts if self._sent.get(start.container, -1) < start.attempt)
        if starts and (self._retry_at is None or now >= self._retry_at):
            await self._start(starts)
            decision = decide(self.pod, self.records, now, self._started)
        if decision.stop and self.process is not None:
            self.process.stop(self._grace(), decision.stop)
        self._reporter.say_news(decision, self.records)
        if self._reporter.worth_telling(decision, self.records):
            await self._reporter.report(decision, self.records)
        if decision.phase in ("Succeeded", "Failed"):
            await self._conclude()
            return None
        return min(
            (at for at in (decision.wake_at, self._retry_at, await self._refresh(now)) if at is not None), default=None
        )

    async def _enforce(self, decision: Decision) -> datetime | None:
        """Bring an end that the containers did not choose."""
        if self.process is not None and not self._all_exited():
            self.process.stop(self._grace())
            return None
        await self._reporter.report(decision, self.records)
        verdict = self._reporter.verdict
        if verdict is not None:
            self._reporter.say("Warning", verdict.reason, verdict.message)
        await self._conclude()
        return None

    async def _conclude(self) -> None:
        self.over = True
        if self.process is not None:
            self.process.quit()
        await asyncio.to_thread(self._remove_roots)

    # --- starting ---

    async def _start(self, starts: tuple[Start, ...]) -> None:
        try:
            if not self._prepared:
                await self._prepare()
            containers = self._containers()
            specs = [await self._preparation.describe(containers[start.container], start) for start in starts]
            if self.process is None:
                self.process = await self.services.runtime.launch(
                    self.directory, pod_spec(self._preparation.placement(), specs), self._wake.set
                )
            else:
                for spec in specs:
                    self.process.start(spec)
        except BlockedError as error:
            self._blocked(error, starts)
            return
        except ShimError as error:
            self._blocked(BlockedError("CreateContainerError", f"Error: {error}"), starts)
            return
        except OSError as error:
            self._blocked(blocked_by_disk(error, str(self.directory.path)), starts)
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._preparing is None or (task is not None and task.cancelling()):
                raise  # this task was cancelled, not the preparation
            self._preparing = None
            return
        self._failures, self._retry_at = 0, None
        self._reporter.problems.clear()
        self._started = self._started or self.services.clock.now()
        for start in starts:
            self._sent[start.container] = start.attempt

    async def _prepare(self) -> None:
        self._preparing = asyncio.create_task(self._preparation.prepare(), name=f"prepare {name_of(self.pod)}")
        telling = asyncio.create_task(self._tell_slow(self._preparing))
        try:
            await self._preparing
            self._preparing = None
        finally:
            if self._preparing is not None and not self._preparing.done():
                self._preparing.cancel()
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        self._prepared = True
        volumes = self._preparation.volumes
        self._refresh_at = volumes.refresh_at
        if any(FILES & volume.keys() for volume in self.pod["spec"].get("volumes") or ()):
            soon = self.services.clock.now() + _REFRESH
            self._refresh_at = min(self._refresh_at or soon, soon)

    async def _tell_slow(self, preparing: "asyncio.Task[None]") -> None:
        """Say that the pod is being created when that takes long enough for somebody to look."""
        await asyncio.sleep(0.5)
        if not preparing.done():
            with contextlib.suppress(StatusError):
                await self._reporter.report(decide(self.pod, {}, self.services.clock.now()), self.records)

    def _blocked(self, error: BlockedError, starts: tuple[Start, ...]) -> None:
        self._failures += 1
        reason = error.reason
        if reason == "ErrImagePull" and self._failures > 1:
            reason = "ImagePullBackOff"
        delay = min(2.0 ** min(self._failures - 1, 10), error.longest)
        self._retry_at = self._in(delay)
        names = [error.container] if error.container else [start.container for start in starts]
        self._reporter.problems = {name: Problem(reason, error.message) for name in names}
        self._reporter.say("Warning", error.event, error.message, error.container)

    async def _refresh(self, now: datetime) -> datetime | None:
        """Bring new contents of config maps, secrets and tokens into running pods."""
        if self._refresh_at is None or self.process is None:
            return None
        if now >= self._refresh_at:
            self._refresh_at = now + _REFRESH
            try:
                volumes = await self.services.volumes.provide(
                    self.pod, self.directory, self._preparation.owner_of(), files_only=True
                )
                if volumes.refresh_at is not None:
                    self._refresh_at = min(self._refresh_at, max(volumes.refresh_at, now + timedelta(seconds=10)))
            except (MountError, OSError) as error:
                log.warning("pod %s/%s: volumes not refreshed: %s", namespace_of(self.pod), name_of(self.pod), error)
        return self._refresh_at

    # --- ending ---

    async def _delete(self) -> datetime | None:
        """Stop the pod within its grace, then let the object go."""
        grace = float(self.pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        if self.process is not None and not self._all_exited():
            if self._stopping is None:
                for name in self.records:
                    self._reporter.say("Normal", "Killing", f"Stopping container {name}", name)
            if self._stopping is None or grace < self._stopping:
                self._stopping = grace
                self.process.stop(grace)
            return None
        if not self.over and self.records:
            final = {**self.pod, "spec": {**self.pod["spec"], "restartPolicy": "Never"}}
            await self._reporter.report(decide(final, self.records, self.services.clock.now()), self.records)
            self.over = True
        await self._remove(0.0)
        await self._delete_object()
        return None

    async def _delete_object(self) -> None:
        try:
            await self.services.client.delete(
                PODS, name_of(self.pod), namespace_of(self.pod), grace_period_seconds=0, uid=uid_of(self.pod)
            )
        except StatusError as error:
            if error.code not in (404, 409):
                raise
        self.finished.set()

    async def _remove(self, grace: float) -> None:
        """End the shim and remove everything that the pod had on this machine."""
        if self.process is not None and not self._all_exited():
            self.process.stop(grace)
        await self._end_shim()
        try:
            await self.services.volumes.take_back(self.pod)
        except MountError as error:
            log.warning("pod %s/%s: %s", namespace_of(self.pod), name_of(self.pod), error)
        await asyncio.to_thread(remove_tree, self.directory.path)
        if self._forgotten:
            self.finished.set()

    async def _end_shim(self) -> None:
        """Let the shim end; kill it if it does not."""
        process, self.process = self.process, None
        if process is None:
            return
        self.last_records = process.records
        process.quit()
        try:
            await asyncio.wait_for(process.wait_gone(), _SHIM_ENDS_WITHIN)
        except TimeoutError:
            log.warning("pod %s/%s: its shim does not end, killing it", namespace_of(self.pod), name_of(self.pod))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait_gone(), _SHIM_ENDS_WITHIN)
        process.close()

    def _all_exited(self) -> bool:
        return all(record.phase == "exited" for record in self.records.values())

    def _remove_roots(self) -> None:
        """Give the containers' own files back to the disk; the logs stay until the pod is deleted."""
        for container in self._containers():
            for attempt in self.directory.attempts(container):
                remove_tree(self.directory.container(container, attempt) / "root")

    def _grace(self) -> float:
        grace = self.pod["spec"].get("terminationGracePeriodSeconds")
        return _GRACE if grace is None else float(grace)

    def _containers(self) -> Mapping[str, Mapping[str, Any]]:
        spec = self.pod["spec"]
        return {c["name"]: c for c in (*(spec.get("initContainers") or ()), *spec["containers"])}
