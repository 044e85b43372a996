"""What the API server asks of the node that runs pods: logs, exec, attach and port-forward.

The API server decides who may ask (RBAC) and speaks the wire protocols; the node only moves bytes. This is the
part that the kubelet's own HTTP server plays in Kubernetes, in-process and without a second set of certificates.
Both sides raise ``StatusError``: 404 for a container that the pod does not have, 400 for one that is not running
yet, 501 for what is not built.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from headwater.kube.meta.errors import bad_request
from headwater.kube.meta.objects import Object, annotations_of, name_of


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a container's log is wanted; the fields of ``v1.PodLogOptions``."""

    follow: bool = False
    """Go on until the container ends."""
    previous: bool = False
    """The log of the life before the last restart."""
    tail_lines: int | None = None
    """Only the last lines; 0 means none of what is already there."""
    since_seconds: int | None = None
    since_time: datetime | None = None
    """At most one of ``since_seconds`` and ``since_time`` is set."""
    timestamps: bool = False
    """Put an RFC 3339 time with nanoseconds and a space before each line."""
    limit_bytes: int | None = None
    """Stop after this many bytes, in the middle of a line if need be."""


class TerminalSize(NamedTuple):
    """The size of the caller's terminal, in characters."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ExecStreams:
    """The caller's ends of a process: what it reads, where its output goes, how its terminal changes."""

    stdin: AsyncIterator[bytes] | None
    """Pieces as the caller sends them; its end is the end of the file. ``None``: no standard input."""
    stdout: Callable[[bytes], Awaitable[None]] | None
    """Waits while the caller is slow. ``None``: discard."""
    stderr: Callable[[bytes], Awaitable[None]] | None
    """As ``stdout``; always ``None`` with a terminal, whose one stream is ``stdout``."""
    resize: AsyncIterator[TerminalSize]
    """New sizes of the caller's terminal; empty without one."""


class NodeAccess(Protocol):
    """The node's side of ``pods/log``, ``pods/exec``, ``pods/attach`` and ``pods/portforward``."""

    def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Stream a container's log in pieces of whole lines.

        Raises ``StatusError`` 400 while the container has not started, or when ``previous`` is asked of one that
        never restarted. The error comes at the first step of the iterator, before any byte.
        """
        ...

    async def exec(self, pod: Object, container: str, command: Sequence[str], streams: ExecStreams, tty: bool) -> int:
        """Run a command beside the container's own process and return its exit code.

        Cancelling the call kills the command (SIGHUP on its terminal, then SIGKILL). Raises ``StatusError`` 400
        when the container does not run, 500 with the reason when the command cannot be started.
        """
        ...

    async def attach(self, pod: Object, container: str, streams: ExecStreams, tty: bool) -> int:
        """Join the streams of the container's own process until it ends or the caller leaves.

        Returns the process's exit code. May raise ``StatusError`` 501.
        """
        ...

    async def port_forward(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port that the pod listens on. The caller closes the connection.

        Raises ``StatusError`` 400 when the pod does not run, ``OSError`` when nothing listens there.
        """
        ...


def container_of(pod: Object, asked: str) -> str:
    """Return the container that a request means; without a name, the default or only one.

    Raises ``StatusError`` 400 for a name the pod does not have, or when there are several and none is named.
    """
    spec = pod.get("spec") or {}
    names = [str(one.get("name")) for one in spec.get("containers") or ()]
    every = names + [
        str(one.get("name")) for field in ("initContainers", "ephemeralContainers") for one in spec.get(field) or ()
    ]
    wanted = asked or annotations_of(pod).get("kubectl.kubernetes.io/default-container", "")
    if wanted in every:
        return wanted
    if asked:
        raise bad_request(f"container {asked} is not valid for pod {name_of(pod)}, which has: {', '.join(every)}")
    if len(names) == 1:
        return names[0]
    raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{' '.join(names)}]")
