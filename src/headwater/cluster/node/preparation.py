"""Everything a pod needs before its first container starts: images, environments, volumes, variables.

Each step either succeeds or raises ``BlockedError``, which says what ``kubectl describe`` shows and when to try again.
"""

import base64
from collections.abc import Mapping
from typing import Any

from headwater.cluster.node.containers import (
    Container,
    Placement,
    Resolved,
    base_variables,
    container_spec,
    identity_of,
)
from headwater.cluster.node.environment import ConfigError, service_variables, variables_of
from headwater.cluster.node.environments import BuildError, Environment
from headwater.cluster.node.images import Image, ImageError
from headwater.cluster.node.layout import PodDirectory
from headwater.cluster.node.lifecycle import Start
from headwater.cluster.node.pip_lines import PipLine, pip_lines
from headwater.cluster.node.pythons import nearest
from headwater.cluster.node.services import EventType, Services
from headwater.cluster.node.volumes import MountError, PodVolumes
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, namespace_of
from headwater.kube.meta.resources import CONFIG_MAPS, SECRETS


class BlockedError(Exception):
    """Something a pod waits for."""

    def __init__(self, reason: str, message: str, *, container: str = "", event: str = "", longest: float = 60) -> None:
        """``reason`` stands in ``state.waiting`` of the container, or of all; ``event`` is the event's reason."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.container = container
        self.event = event or "Failed"
        self.longest = longest
        """The longest time between two tries, in seconds."""


class Preparation:
    """Prepares one pod, step by step; what is done is kept for the next try and for later containers."""

    def __init__(self, services: Services, pod: Object, directory: PodDirectory) -> None:
        self.services = services
        self.pod = pod
        self.directory = directory
        self.resolved: dict[str, Resolved] = {}
        self.volumes = PodVolumes()
        self.owner: int | None = None
        self._data: dict[tuple[str, str], Mapping[str, str] | None] = {}

    async def prepare(self) -> None:
        """Provide volumes and images of all containers. Raises ``BlockedError``."""
        self._data.clear()
        try:
            self.owner = self.owner_of()
            spec = self.pod["spec"]
            first = (*(spec.get("initContainers") or ()), *spec["containers"])[0]["name"]
            self.services.blanks.take(self.directory, first, self.owner)
            self.directory.volumes.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise blocked_by_disk(error, str(self.directory.path)) from error
        try:
            self.volumes = await self.services.volumes.provide(self.pod, self.directory, self.owner)
        except MountError as error:
            raise BlockedError("ContainerCreating", str(error), event="FailedMount") from error
        for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
            if container["name"] not in self.resolved:
                self.resolved[container["name"]] = await self._resolve(container)

    def owner_of(self) -> int | None:
        """Return the host's id of the pod's user 0, if it has one of its own. Raises ``OSError``."""
        return self.services.ids.base_of(namespace_of(self.pod)) if self.services.ids else None

    async def describe(self, container: Container, start: Start) -> dict[str, Any]:
        """Return what the shim is told to start the container. Raises ``BlockedError``."""
        name = container["name"]
        resolved = self.resolved[name]
        placement = self.placement()
        root = self.directory.container(name, start.attempt) / "root"
        try:
            identity = identity_of(placement, container)
            base = base_variables(placement, resolved, identity, root) | service_variables(self.services.api_url)
            variables = await variables_of(self.pod, container, base, self._lookup, self.services.facts)
            spec = container_spec(placement, container, start, resolved, variables, identity)
        except ConfigError as error:
            raise BlockedError("CreateContainerConfigError", str(error), container=name) from error
        except StatusError as error:
            raise BlockedError("CreateContainerConfigError", error.message, container=name) from error
        except OSError as error:
            raise blocked_by_disk(error, str(root.parent), name) from error
        if start.attempt == 0:
            for refused in identity.not_honoured:
                self._say("Warning", "NotHonoured", refused, name)
        return spec

    def placement(self) -> Placement:
        """Return what the pod's containers share."""
        try:
            uv = self.services.environments.uv
        except BuildError:
            uv = ""
        return Placement(
            self.pod,
            self.directory,
            self.services.tier.sandboxed,
            self.owner,
            self.volumes,
            self.services.masks,
            uv,
        )

    async def _resolve(self, container: Container) -> Resolved:
        name = container["name"]
        try:
            image = self.services.images.resolve(container.get("image", ""))
            if image.kind == "shell":
                return Resolved(image)
            return Resolved(image, await self._environment(container, image))
        except (ImageError, BuildError) as error:
            text = f'Failed to pull image "{container.get("image", "")}": {error}'
            raise BlockedError("ErrImagePull", text, container=name, longest=10) from error

    async def _environment(self, container: Container, image: Image) -> Environment:
        """Return the environment of a Python container: of its image, and of the pip lines in its command."""
        services, name = self.services, container["name"]
        version = nearest(image.python, services.pythons)
        wanted = "{}.{}".format(*image.python)
        if version is None:
            have = ", ".join("{}.{}".format(*version) for version in sorted(services.pythons)) or "none"
            raise ImageError(f"there is no Python {wanted} or like it on this machine (there is: {have})")
        if version != image.python:
            used = "{}.{}".format(*version)
            self._say("Warning", "PythonSubstituted", f"Python {wanted} is not on this machine: using {used}", name)
        interpreter = services.pythons[version]
        of_image: tuple[PipLine, ...] = (image.requirements,) if image.requirements else ()
        predicted = pip_lines([*(container.get("command") or ()), *(container.get("args") or ())])
        lines = (*of_image, *predicted)
        found = services.environments.find(interpreter, lines)
        if found is not None:
            return found
        said = " and ".join(" ".join(line) for line in lines) or "no packages"
        self._say("Normal", "Pulling", f'Building the environment of image "{container["image"]}": {said}', name)
        began = services.clock.monotonic()
        try:
            built = await services.environments.build(interpreter, lines)
        except BuildError as error:
            if not predicted:
                raise
            self._say("Warning", "RequirementsNotPrebuilt", f"the container will install them itself: {error}", name)
            built = await services.environments.build(interpreter, of_image)
        seconds = services.clock.monotonic() - began
        self._say("Normal", "Pulled", f'Built the environment of image "{container["image"]}" in {seconds:.1f}s', name)
        return built

    async def _lookup(self, kind: str, name: str) -> Mapping[str, str] | None:
        if (kind, name) not in self._data:
            resource = CONFIG_MAPS if kind == "ConfigMap" else SECRETS
            try:
                obj = await self.services.client.get(resource, name, namespace_of(self.pod))
            except StatusError as error:
                if error.code != 404:
                    raise
                return None
            data = obj.get("data") or {}
            if kind == "Secret":
                data = {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in data.items()}
            self._data[kind, name] = data
        return self._data[kind, name]

    def _say(self, event_type: EventType, reason: str, message: str, container: str) -> None:
        kind = "containers"
        if any(c["name"] == container for c in self.pod["spec"].get("initContainers") or ()):
            kind = "initContainers"
        self.services.recorder.event(self.pod, event_type, reason, message, field_path=f"spec.{kind}{{{container}}}")


def blocked_by_disk(error: OSError, path: str, container: str = "") -> BlockedError:
    """Return what to say when the pod's own files cannot be written."""
    said = (error.strerror or str(error)).lower()
    text = f"Error: cannot write the pod's files in {path}: {said}"
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        text += "; free some space, the pod is then started by itself"
    return BlockedError("CreateContainerError", text, container=container, longest=10)
