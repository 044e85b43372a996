"""What the Job controller remembers between two calls: pods it created that the informer has not shown yet.

Only for the moments in which the informer is behind; after a restart the informer begins with the truth and
nothing needs to be remembered.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from headwater.cluster.controllers.job.names import ordinal_of
from headwater.cluster.controllers.job.pods import is_tracked
from headwater.kube.controller import Request
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.time import Clock

UNSEEN_SECONDS = 30.0
"""How long a created pod may stay unseen before it is no longer reckoned with."""


class Expectations:
    """Created and unseen pods by job uid; and which jobs have pods that wait to be counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unseen: dict[str, dict[int, float]] = {}
        self._indexes: dict[str, dict[int, int]] = {}
        self._blocked: dict[str, set[int]] = {}
        self._tracked: dict[Request, Counter[str]] = {}

    def expect(self, uid: str, ordinals: Iterable[int], indexes: Mapping[int, int] | None = None) -> None:
        """Reckon with pods that are about to be created, of these completion indexes if the job has any."""
        until = self._clock.monotonic() + UNSEEN_SECONDS
        self._unseen.setdefault(uid, {}).update(dict.fromkeys(ordinals, until))
        if indexes:
            self._indexes.setdefault(uid, {}).update(indexes)

    def failed(self, uid: str, ordinals: Iterable[int]) -> None:
        """Reckon no longer with these."""
        unseen = self._unseen.get(uid, {})
        for ordinal in ordinals:
            unseen.pop(ordinal, None)
        if not unseen:
            self._unseen.pop(uid, None)
            self._indexes.pop(uid, None)

    def unseen(self, uid: str) -> set[int]:
        """Return the numbers of the job's pods that were created and not seen yet."""
        now = self._clock.monotonic()
        self.failed(uid, [ordinal for ordinal, until in self._unseen.get(uid, {}).items() if until <= now])
        return set(self._unseen.get(uid, ()))

    def starting_indexes(self, uid: str) -> set[int]:
        """Return the completion indexes of the pods that were created and not seen yet."""
        indexes = self._indexes.get(uid, {})
        return {indexes[ordinal] for ordinal in self._unseen.get(uid, ()) if ordinal in indexes}

    def unseen_for(self, uid: str) -> float | None:
        """Return after how many seconds the first unseen pod is given up, or None if there is none."""
        until = self._unseen.get(uid)
        return max(0.0, min(until.values()) - self._clock.monotonic()) if until else None

    def block(self, uid: str, ordinal: int) -> None:
        """Remember that somebody else's pod has this number's name."""
        self._blocked.setdefault(uid, set()).add(ordinal)

    def blocked(self, uid: str) -> set[int]:
        """Return the numbers whose name belongs to somebody else's pod."""
        return self._blocked.get(uid, set())

    def owners_called(self, request: Request) -> set[str]:
        """Return the uids of jobs of this name, former ones too, that have pods with the tracking finalizer."""
        return set(self._tracked.get(request, ()))

    def forget(self, uid: str) -> None:
        """Drop what is remembered about a job that is gone."""
        self._unseen.pop(uid, None)
        self._blocked.pop(uid, None)
        self._indexes.pop(uid, None)

    def pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Take note of a pod's change, as an informer's handler."""
        for pod, step in ((old, -1), (new, 1)):
            if pod is not None and is_tracked(pod):
                owner = _job_of(pod)
                if owner is not None:
                    self._note(Request(namespace_of(pod), owner[0]), owner[1], step)
        if old is None and new is not None:
            owner = _job_of(new)
            if owner is not None and owner[1] in self._unseen:
                ordinal = ordinal_of(name_of(new), owner[1])
                self.failed(owner[1], () if ordinal is None else (ordinal,))

    def _note(self, request: Request, uid: str, step: int) -> None:
        tracked = self._tracked.setdefault(request, Counter())
        tracked[uid] += step
        if tracked[uid] <= 0:
            del tracked[uid]
        if not tracked:
            del self._tracked[request]


def _job_of(pod: Object) -> tuple[str, str] | None:
    owner = controller_of(pod)
    if owner is None or owner.get("kind") != "Job":
        return None
    return owner["name"], owner["uid"]
