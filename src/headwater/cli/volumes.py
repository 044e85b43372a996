"""The volume driver that puts artifacts into pods: a directory of the artifact store, mounted instead of copied."""

from pathlib import Path

from headwater.artifacts import ArtifactStore
from headwater.kube.meta.objects import Object

ARTIFACTS_DRIVER = "artifacts.headwater.dev"


class ArtifactVolumes:
    """Serves ``csi`` volumes whose attribute ``uri`` names an artifact or a folder for new ones."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
        """Return where the artifact lies; a folder to write to is made.

        Raises ``ValueError`` for a missing or foreign URI, ``FileNotFoundError`` for an artifact that is not there.
        """
        uri = attributes.get("uri", "")
        if not uri:
            raise ValueError(f"a volume of {ARTIFACTS_DRIVER} needs the attribute uri")
        path = self._store.local_path(uri)
        if path is None:
            raise ValueError(f"{uri} is not in a store on this machine")
        if read_only:
            if not path.exists():
                raise FileNotFoundError(f"there is no artifact at {uri}")
        else:
            path.mkdir(parents=True, exist_ok=True)
        return path

    async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
        """Nothing was made that would have to go: the artifacts stay."""
