"""What a pod's worker tells the API: the status, written only when it has changed, and events, each said once."""

from collections.abc import Mapping

from headwater.cluster.node.lifecycle import Decision
from headwater.cluster.node.runtime import ContainerRecord
from headwater.cluster.node.services import EventType, Services
from headwater.cluster.node.status import Problem, Verdict, pod_status
from headwater.kube.client import PatchType
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import PODS

Records = Mapping[str, ContainerRecord]


class Reporter:
    """Speaks for one pod."""

    def __init__(self, services: Services, pod: Object) -> None:
        self.services = services
        self.pod = pod
        self.problems: dict[str, Problem] = {}
        """What keeps containers from starting, by name."""
        self.verdict: Verdict | None = None
        """An end that is not the containers' own."""
        self._status: Object | None = pod.get("status") or None
        self._said: set[tuple[str, str, int]] = set()

    def was_told(self) -> None:
        """Take it that the starts of which the pod's status speaks have been said by an earlier agent."""
        status = self.pod.get("status") or {}
        statuses = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
        for entry in statuses:
            if entry.get("containerID"):
                self._said.add(("started", entry["name"], entry.get("restartCount", 0)))

    def worth_telling(self, decision: Decision, records: Records) -> bool:
        """Tell whether the status should be written: what was just sent off waits until it runs, one write less."""
        if any(record.phase == "starting" for record in records.values()):
            return False
        if decision.phase != "Pending" or self.problems:
            return True
        return any(record.started_at for record in records.values())

    async def report(self, decision: Decision, records: Records) -> None:
        """Write the pod's status unless it stands so already. Raises ``StatusError``."""
        base = {**self.pod, "status": {**(self.pod.get("status") or {}), **(self._status or {})}}
        status = pod_status(
            base,
            decision,
            records,
            problems=self.problems,
            verdict=self.verdict,
            address=self.services.address,
            now=self.services.clock.now(),
        )
        if self._status is not None and all(self._status.get(key) == value for key, value in status.items()):
            return
        answer = await self.services.client.patch(
            PODS,
            name_of(self.pod),
            {"metadata": {"uid": uid_of(self.pod)}, "status": status},
            namespace_of(self.pod),
            patch_type=PatchType.MERGE,
            subresource="status",
        )
        self._status = answer.get("status")

    def say_news(self, decision: Decision, records: Records) -> None:
        """Say which containers have started, failed to, or wait before they start again."""
        for name, record in records.items():
            if record.started_at is not None and self._first("started", name, record.attempt):
                self.say("Normal", "Started", f"Started container {name}", name)
            if record.reason in ("StartError", "CreateContainerError") and self._first("failed", name, record.attempt):
                self.say("Warning", "Failed", f"Error: {record.message}", name)
        for backoff in decision.backoffs:
            if self._first("back-off", backoff.container, records[backoff.container].attempt):
                text = f"Back-off restarting failed container {backoff.container} in pod {name_of(self.pod)}"
                self.say("Warning", "BackOff", text, backoff.container)

    def say(self, event_type: EventType, reason: str, message: str, container: str = "") -> None:
        """Record an event of the pod, or of one of its containers."""
        path = f"spec.containers{{{container}}}" if container else ""
        self.services.recorder.event(self.pod, event_type, reason, message, field_path=path)

    def _first(self, what: str, container: str, attempt: int) -> bool:
        key = (what, container, attempt)
        if key in self._said:
            return False
        self._said.add(key)
        return True
