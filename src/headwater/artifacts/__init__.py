"""The object store behind one interface: a directory on this machine, or a bucket elsewhere.

An artifact is addressed by URI (``minio://mlpipeline/v2/artifacts/…``, ``s3://…``, ``gs://…``). It may be a
single object or a folder of them.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

VOLUME_DRIVER = "artifacts.headwater.dev"
"""The ``csi`` driver whose volumes are artifacts: the attribute ``uri`` says which."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored object."""

    uri: str
    size: int
    """In bytes."""


class ArtifactStore(Protocol):
    """Reads and writes artifacts. Raises ``FileNotFoundError`` for what is not there, ``OSError`` otherwise."""

    async def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return an object's bytes, at most ``limit`` of them."""
        ...

    def stream(self, uri: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes in chunks."""
        ...

    async def write(self, uri: str, data: bytes) -> None:
        """Store an object durably: it is there whole, or not at all."""
        ...

    async def entries(self, uri: str) -> list[Entry]:
        """List the object at the URI, or everything below it as a folder; empty if there is nothing."""
        ...

    async def delete(self, uri: str) -> None:
        """Remove the object, or everything below it. Removing nothing is no error."""
        ...

    def make_folder(self, uri: str, *, mode: int | None = None, sealed: bool = False) -> Path | None:
        """Make a folder that processes on this machine write to; None when the store is elsewhere.

        ``mode``: its permissions. ``sealed``: refuse one that lies below a folder of somebody else's. Raises
        ``ValueError`` for a URI at which none can be, ``OSError``.
        """
        ...

    def local_path(self, uri: str) -> Path | None:
        """Return where the artifact lies on this machine, existing or not; None when the store is elsewhere.

        Raises ``ValueError`` for a URI that points out of the store.
        """
        ...
