"""What every pod's worker shares: clients, stores and the facts of this node."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from headwater.cluster.node.blanks import Blanks
from headwater.cluster.node.environment import Facts
from headwater.cluster.node.environments import Environments
from headwater.cluster.node.images import ImageMap
from headwater.cluster.node.layout import ID_BASE, ID_RANGE, Layout, write_json
from headwater.cluster.node.pythons import Version
from headwater.cluster.node.runtime import Runtime
from headwater.cluster.node.tiers import Tier
from headwater.cluster.node.volumes import Volumes
from headwater.kube.client import Client
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import Clock

EventType = Literal["Normal", "Warning"]


class Recorder(Protocol):
    """What a worker needs of ``kube.controller.EventRecorder``."""

    def event(self, obj: Object, event_type: EventType, reason: str, message: str, *, field_path: str = "") -> None:
        """Say what happened to an object."""
        ...


@dataclass(slots=True)
class IdRanges:
    """Gives every namespace a range of the host's user ids, the same for ever."""

    path: Path
    given: dict[str, int] = field(default_factory=dict)

    def load(self) -> None:
        """Read what was given before. Raises ``OSError`` and ``ValueError``."""
        if self.path.exists():
            self.given = {str(name): int(index) for name, index in json.loads(self.path.read_text()).items()}

    def base_of(self, namespace: str) -> int:
        """Return the first id of the namespace's range. Raises ``OSError`` when a new one cannot be written."""
        if namespace not in self.given:
            grown = {**self.given, namespace: max(self.given.values(), default=-1) + 1}
            write_json(self.path, grown)
            self.given = grown
        return ID_BASE + self.given[namespace] * ID_RANGE


@dataclass(frozen=True)
class Services:
    """One node's shared parts."""

    client: Client
    clock: Clock
    recorder: Recorder
    layout: Layout
    tier: Tier
    runtime: Runtime
    blanks: Blanks
    volumes: Volumes
    images: ImageMap
    environments: Environments
    pythons: Mapping[Version, Path]
    facts: Facts
    api_url: str
    address: str
    masks: tuple[str, ...]
    ids: IdRanges | None
    """None when the platform does not run as root, or pods are not sandboxed."""
