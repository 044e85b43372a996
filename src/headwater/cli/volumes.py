"""The volume driver that puts artifacts into pods: a directory of the artifact store, mounted instead of copied."""

import errno
from pathlib import Path
from typing import Protocol

from headwater.artifacts import VOLUME_DRIVER, ArtifactStore
from headwater.kube.meta.objects import Object, namespace_of


class Owners(Protocol):
    """Knows whose an artifact is."""

    async def refusal(self, namespace: str, uri: str, *, write: bool = False) -> str:
        """Return why pods of the namespace may not read (or write) there; empty when they may."""
        ...


class ArtifactVolumes:
    """Serves ``csi`` volumes whose attribute ``uri`` names an artifact or a folder for new ones.

    Anybody who may create a pod may name any URI, so the owners are asked for the pod's own namespace.
    """

    def __init__(self, store: ArtifactStore, owners: Owners) -> None:
        self._store = store
        self._owners = owners

    async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
        """Return where the artifact lies; a folder to write to is made.

        Raises ``ValueError`` for a missing or foreign URI, ``PermissionError`` for one of another namespace,
        ``FileNotFoundError`` for an artifact that is not there.
        """
        uri = attributes.get("uri", "")
        if not uri:
            raise ValueError(f"a volume of {VOLUME_DRIVER} needs the attribute uri")
        refused = await self._owners.refusal(namespace_of(pod), uri, write=not read_only)
        if refused:
            raise PermissionError(errno.EACCES, refused)
        path = self._store.local_path(uri) if read_only else self._store.make_folder(uri, sealed=True)
        if path is None:
            raise ValueError(f"{uri} is not in a store on this machine")
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, f"there is no artifact at {uri}")
        return path

    async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
        """Nothing was made that would have to go: the artifacts stay."""
