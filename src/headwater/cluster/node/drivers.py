"""What brings storage that the node does not know itself into a pod: the in-process counterpart of a CSI driver."""

from pathlib import Path
from typing import Protocol

from headwater.kube.meta.objects import Object


class VolumeDriver(Protocol):
    """Serves the inline ``csi`` volumes that name it (``spec.volumes[].csi.driver``)."""

    async def publish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> Path:
        """Return the host's directory or file that the volume stands for; it is then bound into the pod.

        No part of the path may be a symbolic link: pods may write near it, and none is followed.
        Called again for the same pod after a restart of the agent: must be idempotent. The node makes a writable
        directory belong to the pod's user. Any exception becomes the pod's ``FailedMount`` event with its text.
        """
        ...

    async def unpublish(self, attributes: dict[str, str], pod: Object, read_only: bool) -> None:
        """Let go of what ``publish`` made; called once the pod's processes are gone, perhaps more than once."""
        ...
