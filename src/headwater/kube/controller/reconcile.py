"""The nouns of an operator: what is reconciled, by whom, and what wakes it.

The names and their meaning are controller-runtime's: a ``Reconciler`` is called with nothing but a name, may be
called at any time and for any reason, and keeps no state of its own that matters.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource


class Request(NamedTuple):
    """The object to look at."""

    namespace: str
    """Empty for a cluster-scoped object."""
    name: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a reconciler asks for when it has done what can be done now."""

    requeue_after: float | None = None
    """Seconds after which it wants to be called again, whatever happens until then; None for not at all."""


class Reconciler(Protocol):
    """Brings the world nearer to what one object asks for."""

    async def reconcile(self, request: Request) -> Result | None:
        """Look at the object and act. Any error means: again, after a back-off."""
        ...


Enqueue = Callable[[Request], None]
"""Puts a request into a controller's queue; the same request twice is one."""

Source = Callable[[Enqueue], None]
"""Something that wakes a controller and is not a fixed list of watches; called once, before the workers start."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Objects of another kind whose changes concern a controller."""

    resource: Resource
    map: Callable[[Object], Iterable[Request]]
    """Which requests a change of this object leads to. Called with the old and with the new state."""
    predicate: Callable[[Object | None, Object | None], bool] | None = None
    """Given the old and the new state (None: did not or does not exist), tells whether the change matters."""
    field_selector: str = ""


@dataclass(frozen=True, slots=True)
class Controller:
    """A reconciler with what wakes it."""

    name: str
    """As it appears in logs and events: ``job``."""
    reconciler: Reconciler
    resource: Resource | None
    """The primary kind: every change of such an object is a request with its name."""
    owns: Sequence[Resource] = ()
    """Kinds that it creates: a change is a request for the object named by the controller owner reference."""
    watches: Sequence[Watch] = ()
    workers: int = 4
    """How many requests are worked on at once. One request is never worked on twice at the same time."""
    sources: Sequence[Source] = ()
