"""The node agent: takes the pods that are bound to this node, runs them, and says how they are."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from headwater.cluster.apiserver.nodes import ExecStreams, LogOptions
from headwater.cluster.node.drivers import VolumeDriver
from headwater.cluster.node.tiers import Tier
from headwater.kube.client import Client
from headwater.kube.controller import EventRecorder, Informers
from headwater.kube.meta.errors import not_implemented
from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import Clock, SystemClock


class TokenSource(Protocol):
    """Issues service-account tokens for pods; bound to the pod, so that they die with it."""

    async def issue(
        self, namespace: str, service_account: str, audiences: Sequence[str], expires_in: int, pod: Object
    ) -> tuple[str, datetime]:
        """Return a token and when it ends; ``expires_in`` in seconds, no audience meaning the API server's."""
        ...


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What an operator may choose."""

    isolation: str = ""
    """Empty: the best there is. ``plain``: no sandboxes."""
    allowed_host_paths: tuple[Path, ...] = ()
    """``hostPath`` volumes at or below these are granted; all others are refused."""
    most_pods: int = 250
    address: str = "127.0.0.1"


class NodeAgent:
    """One node of the cluster: this machine."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        home: Path,
        node_name: str,
        ca: bytes,
        api_url: str,
        token_source: TokenSource,
        drivers: Mapping[str, VolumeDriver],
        clock: Clock | None = None,
        recorder: EventRecorder | None = None,
        settings: NodeSettings | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.settings = settings or NodeSettings()
        raise NotImplementedError("being written")

    @property
    def tier(self) -> Tier:
        """The level of isolation in force; known after ``start``."""
        raise NotImplementedError

    async def start(self) -> None:
        """Probe the tier, register the node, adopt the pods that run already, and follow the pods bound here."""

    async def stop(self, *, kill_pods: bool) -> None:
        """Stop following. With ``kill_pods`` end every pod gracefully, bounded in time, leaving no process behind;
        without, leave them to their shims and to the next agent.
        """

    def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Stream a container's log."""
        raise NotImplementedError

    async def exec(self, pod: Object, container: str, command: Sequence[str], streams: ExecStreams, tty: bool) -> int:
        """Run a command beside the container's own process and return its exit code."""
        raise NotImplementedError

    async def attach(self, pod: Object, container: str, streams: ExecStreams, tty: bool) -> int:
        """Join the streams of the container's own process: not built yet."""
        raise not_implemented("attach is not built yet: use exec, or logs -f")
