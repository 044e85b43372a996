"""Where a step's files are: as a URI in the store, and as a path inside its pod.

The ``kfp`` SDK in the pod derives an artifact's path from its URI by fixed rules (``minio://b/k`` is ``/minio/b/k``),
so volumes are mounted there. Where pods share the machine's file system, the SDK is handed the host's paths
instead, which it passes through; they are turned back into URIs when the step is done.
"""

from collections.abc import Mapping
from pathlib import Path

from headwater.artifacts import ArtifactStore

DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
_MOUNTS = {"minio": "/minio/", "s3": "/s3/", "gs": "/gcs/", "oci": "/oci/"}


class Locations:
    """Translates between URIs and what a process in a pod sees."""

    def __init__(self, store: ArtifactStore, mounts_volumes: bool) -> None:
        self._store = store
        self.mounts_volumes = mounts_volumes

    def host_path(self, uri: str) -> Path | None:
        """Return where the URI's bytes lie on this machine; None when they do not."""
        try:
            return self._store.local_path(uri)
        except ValueError:
            return None

    def mount_path(self, uri: str) -> str | None:
        """Return the path at which the SDK looks for the URI; None when it has no rule for it."""
        scheme, separator, rest = uri.partition("://")
        prefix = _MOUNTS.get(scheme)
        if not separator or prefix is None or not rest:
            return None
        return prefix + (rest.replace("/", "_") if scheme == "oci" else rest)

    def seen_uri(self, uri: str) -> str:
        """Return the URI as the process is told it."""
        if self.mounts_volumes:
            return uri
        path = self.host_path(uri)
        return uri if path is None else str(path)

    def seen_path(self, uri: str) -> str:
        """Return the path as the process is told it; a URI without a path stays."""
        path = self.mount_path(uri) if self.mounts_volumes else self.seen_uri(uri)
        return uri if path is None else path

    def stored_uri(self, seen: str, known: Mapping[str, str]) -> str:
        """Return the URI that a process means; ``known`` maps what it was told to URIs.

        A path or URI below a known one is below that one's URI; anything else stays as it is.
        """
        for told, uri in known.items():
            if seen == told:
                return uri
            if seen.startswith(told.rstrip("/") + "/"):
                return uri.rstrip("/") + seen[len(told.rstrip("/")) :]
        return seen
