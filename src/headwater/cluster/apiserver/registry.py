"""What this server serves: the built-in kinds, and those that custom resource definitions add and take away.

Discovery, OpenAPI, RBAC and the verbs all read this one table. It changes on the event loop, in the same step
that publishes the definition's commit, so a definition that was acknowledged is served.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.kube.client import Propagation
from headwater.kube.meta.resources import Resource

STORED_VERBS = frozenset({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"})
VIRTUAL_VERBS = frozenset({"create"})


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a custom resource keeps what its ``scale`` subresource shows."""

    spec_replicas: str
    status_replicas: str
    label_selector: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column of a custom resource (``additionalPrinterColumns``)."""

    name: str
    type: str
    json_path: str
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A kind in one version, with everything generic code needs to know of it."""

    resource: Resource
    bucket: str
    """Where the objects live in the store; versions of a kind share it."""
    verbs: frozenset[str] = STORED_VERBS
    singular: str = ""
    storage_version: str = ""
    """``group/version`` in which objects are written; empty: the resource's own."""
    schema: dict[str, Any] | None = None
    """A custom resource's ``openAPIV3Schema``; ``None`` for a built-in kind, whose schema is in ``kube.schema``."""
    custom: bool = False
    """True when a custom resource definition made it."""
    columns: tuple[Column, ...] = ()
    """A custom resource's printer columns (without NAME and AGE)."""
    scale: ScalePaths | None = None
    selectable: frozenset[str] = frozenset()
    """Fields a field selector may name, besides ``metadata.name`` and ``metadata.namespace``."""
    has_generation: bool = True
    """Whether a change of anything but metadata and status counts in ``metadata.generation``."""
    default_propagation: Propagation = Propagation.BACKGROUND
    deprecated: str = ""
    """A warning for every caller of this version."""
    terminating: bool = False
    """The definition is being deleted: nothing new may be created."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Room for what a layer above wants to remember of the kind."""

    @property
    def has_status(self) -> bool:
        """Whether ``status`` is written through its own subresource."""
        return "status" in self.resource.subresources

    @property
    def writes(self) -> str:
        """The ``apiVersion`` of the stored form."""
        return self.storage_version or self.resource.api_version

    @property
    def virtual(self) -> bool:
        """Whether the kind is only asked and answered, never stored (``TokenReview``)."""
        return self.verbs == VIRTUAL_VERBS


class Registry:
    """The table of served kinds, found by group, version and plural."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], Served] = {}
        self._callbacks: list[Callable[[], None]] = []
        self.generation = 0
        """Counts changes; caches of discovery and OpenAPI compare it."""

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """Return the kind, or ``None`` when it is not served."""
        return self._served.get((group, version, plural))

    def of_kind(self, group: str, version: str, kind: str) -> Served | None:
        """Return the kind by its ``kind`` name, or ``None``."""
        for served in self._served.values():
            resource = served.resource
            if resource.kind == kind and resource.group == group and resource.version == version:
                return served
        return None

    def of_group(self, group: str, plural: str) -> Served | None:
        """Return the kind in any version, the one added first preferred."""
        for (its_group, _, its_plural), served in self._served.items():
            if its_group == group and its_plural == plural:
                return served
        return None

    def all(self) -> Iterator[Served]:
        """Return every served kind, built-in ones first."""
        return iter(list(self._served.values()))

    def replace(self, remove: Iterable[Resource], add: Iterable[Served]) -> None:
        """Take kinds away and add others, in one step, and tell the subscribers once."""
        changed = False
        for resource in remove:
            changed |= self._served.pop((resource.group, resource.version, resource.plural), None) is not None
        for served in add:
            resource = served.resource
            self._served[(resource.group, resource.version, resource.plural)] = served
            changed = True
        if changed:
            self.generation += 1
            for callback in self._callbacks:
                callback()

    def add(self, *served: Served) -> None:
        """Add kinds, or replace those of the same group, version and plural."""
        self.replace((), served)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call back after every change of the table."""
        self._callbacks.append(callback)
