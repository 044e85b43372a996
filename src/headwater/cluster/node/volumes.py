"""A pod's volumes as directories and files of the host, ready to be bound into its containers.

Config maps, secrets, the downward API, service-account tokens and their projections are written below the pod's
directory and kept up to date; ``emptyDir`` is a directory there; ``hostPath`` is refused unless an operator allows
the path; ``csi`` volumes come from the driver that they name. Persistent volume claims come later.
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from headwater.cluster.node.drivers import VolumeDriver
from headwater.cluster.node.environment import ConfigError, Facts
from headwater.cluster.node.layout import PodDirectory
from headwater.cluster.node.projection import File, Files, ProjectionError, data_of, object_files, write_files
from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, Resource
from headwater.kube.meta.time import Clock, parse_time

FILES = frozenset({"configMap", "secret", "projected", "downwardAPI"})
"""The types of volumes whose contents come from API objects and change with them."""
_API_AUDIENCE = ""
_TOKEN_SECONDS = 3600


class MountError(Exception):
    """A volume that cannot be provided; the message is for the pod's ``FailedMount`` event."""


class TokenSource(Protocol):
    """Issues service-account tokens for pods; bound to the pod, so that they die with it."""

    async def issue(
        self, namespace: str, service_account: str, audiences: Sequence[str], expires_in: int, pod: Object
    ) -> tuple[str, datetime]:
        """Return a token and when it ends; ``expires_in`` in seconds, no audience meaning the API server's."""
        ...


class TokenRequests:
    """Asks the API server for tokens, as the kubelet does (``serviceaccounts/token``)."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def issue(
        self, namespace: str, service_account: str, audiences: Sequence[str], expires_in: int, pod: Object
    ) -> tuple[str, datetime]:
        """Return a token and when it ends. Raises ``StatusError``."""
        bound = {"kind": "Pod", "apiVersion": "v1", "name": name_of(pod), "uid": uid_of(pod)}
        request: Object = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": list(audiences), "expirationSeconds": expires_in, "boundObjectRef": bound},
        }
        answer = await self._client.create(
            SERVICE_ACCOUNTS, request, namespace, name=service_account, subresource="token"
        )
        return answer["status"]["token"], parse_time(answer["status"]["expirationTimestamp"])


@dataclass(frozen=True, slots=True)
class Volume:
    """Where a volume lies on the host."""

    path: Path
    read_only: bool = False
    exact: bool = False
    """Pods write near it: it is bound only if no symbolic link is on the way."""


@dataclass(slots=True)
class PodVolumes:
    """The volumes of one pod."""

    paths: dict[str, Volume] = field(default_factory=dict)
    refresh_at: datetime | None = None
    """When the first of its tokens should be replaced."""


class Volumes:
    """Provides volumes and takes them back."""

    def __init__(
        self,
        client: Client,
        *,
        drivers: Mapping[str, VolumeDriver],
        tokens: TokenSource,
        facts: Facts,
        clock: Clock,
        allowed_host_paths: Sequence[Path] = (),
        writable_by: Callable[[Path, int], None] | None = None,
    ) -> None:
        self._client = client
        self._drivers = drivers
        self._tokens = tokens
        self._facts = facts
        self._clock = clock
        self._allowed = [path.resolve() for path in allowed_host_paths]
        self._writable_by = writable_by or give_directory

    async def provide(
        self, pod: Object, directory: PodDirectory, owner: int | None, *, files_only: bool = False
    ) -> PodVolumes:
        """Make every volume of the pod; again is harmless and brings changed contents. Raises ``MountError``.

        With ``files_only`` just those that are made of an API object's data.
        """
        result = PodVolumes()
        for volume in pod["spec"].get("volumes") or ():
            if files_only and not FILES & volume.keys():
                continue
            try:
                result.paths[volume["name"]] = await self._provide(pod, volume, directory, owner, result)
            except MountError as error:
                raise MountError(f'volume "{volume["name"]}": {error}') from error
            except (ProjectionError, ConfigError, StatusError) as error:
                raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}": {error}') from error
            except OSError as error:
                said = error.strerror or str(error)
                raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}": {said}') from error
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}": {text}') from error
        return result

    async def take_back(self, pod: Object) -> None:
        """Let drivers release what they provided. Raises ``MountError``."""
        for volume in pod["spec"].get("volumes") or ():
            source = volume.get("csi")
            driver = self._drivers.get(source["driver"]) if source else None
            if source and driver:
                try:
                    await driver.unpublish(source.get("volumeAttributes") or {}, pod, bool(source.get("readOnly")))
                except Exception as error:
                    raise MountError(f'volume "{volume["name"]}" could not be released: {error}') from error

    async def _provide(
        self, pod: Object, volume: Mapping[str, Any], directory: PodDirectory, owner: int | None, result: PodVolumes
    ) -> Volume:
        own = directory.volumes / volume["name"]
        if "csi" in volume:
            return await self._driver_volume(pod, volume["csi"], owner)
        if "hostPath" in volume:
            return self._host_path(volume["hostPath"])
        if "persistentVolumeClaim" in volume or "ephemeral" in volume:
            raise MountError("persistent volume claims are not built yet")
        if "emptyDir" in volume:
            if not own.is_dir():
                own.mkdir(parents=True)
                own.chmod(0o777)
                if owner is not None:
                    os.chown(own, owner, owner)
            return Volume(own)
        files = await self._files(pod, volume, result)
        own.mkdir(parents=True, exist_ok=True, mode=0o755)
        await asyncio.to_thread(write_files, own, files, owner) if len(files) > 50 else write_files(own, files, owner)
        return Volume(own, read_only=True)

    async def _driver_volume(self, pod: Object, source: Mapping[str, Any], owner: int | None) -> Volume:
        driver = self._drivers.get(source["driver"])
        if driver is None:
            known = ", ".join(sorted(self._drivers)) or "none"
            raise MountError(f"driver name {source['driver']} not found in the list of registered drivers: {known}")
        read_only = bool(source.get("readOnly"))
        path = await driver.publish(source.get("volumeAttributes") or {}, pod, read_only)
        if not path.exists():
            raise MountError(f"driver {source['driver']} names a path that does not exist: {path}")
        if owner is not None and not read_only:
            self._writable_by(path, owner)
        return Volume(path, read_only, exact=True)

    def _host_path(self, source: Mapping[str, Any]) -> Volume:
        path = Path(source["path"])
        real = path.resolve()
        if not any(real.is_relative_to(allowed) for allowed in self._allowed):
            raise MountError(
                f"hostPath {path} is not allowed: a pod may not see the machine's own files. An operator can allow "
                "it (setting allowed_host_paths of the node)"
            )
        if source.get("type") in ("DirectoryOrCreate", "FileOrCreate") and not real.exists():
            if source["type"] == "DirectoryOrCreate":
                real.mkdir(parents=True)
            else:
                real.touch()
        if not real.exists():
            raise MountError(f"hostPath {path} does not exist")
        return Volume(real)

    async def _files(self, pod: Object, volume: Mapping[str, Any], result: PodVolumes) -> Files:
        if "configMap" in volume:
            source = volume["configMap"]
            return await self._object_files(pod, CONFIG_MAPS, source.get("name", ""), source, source.get("defaultMode"))
        if "secret" in volume:
            source = volume["secret"]
            name = source.get("secretName", "")
            return await self._object_files(pod, SECRETS, name, source, source.get("defaultMode"))
        if "downwardAPI" in volume:
            return self._downward(pod, volume["downwardAPI"], volume["downwardAPI"].get("defaultMode"))
        if "projected" in volume:
            files: Files = {}
            mode = volume["projected"].get("defaultMode")
            for source in volume["projected"].get("sources") or ():
                files |= await self._projected(pod, source, mode, result)
            return files
        kind = next((key for key in volume if key != "name"), "nothing")
        raise MountError(f"volumes of type {kind} are not built yet")

    async def _projected(self, pod: Object, source: Mapping[str, Any], mode: int | None, result: PodVolumes) -> Files:
        if "configMap" in source:
            return await self._object_files(
                pod, CONFIG_MAPS, source["configMap"].get("name", ""), source["configMap"], mode
            )
        if "secret" in source:
            return await self._object_files(pod, SECRETS, source["secret"].get("name", ""), source["secret"], mode)
        if "downwardAPI" in source:
            return self._downward(pod, source["downwardAPI"], mode)
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            audience = wanted.get("audience") or _API_AUDIENCE
            account = pod["spec"].get("serviceAccountName") or "default"
            seconds = int(wanted.get("expirationSeconds") or _TOKEN_SECONDS)
            token, ends = await self._tokens.issue(
                namespace_of(pod), account, [audience] if audience else [], seconds, pod
            )
            now = self._clock.now()
            refresh = now + (ends - now) * 0.8
            result.refresh_at = min(result.refresh_at or refresh, refresh)
            return {wanted["path"]: File(token.encode(), 0o600)}
        raise MountError(f"projected source {next(iter(source), 'without a type')} is not built yet")

    async def _object_files(
        self, pod: Object, resource: Resource, name: str, source: Mapping[str, Any], mode: int | None
    ) -> Files:
        optional = bool(source.get("optional"))
        try:
            obj = await self._client.get(resource, name, namespace_of(pod))
        except StatusError as error:
            if error.code == 404 and optional:
                return {}
            raise
        what = f"{resource.kind} {namespace_of(pod)}/{name}"
        return object_files(
            data_of({"kind": resource.kind, **obj}), source.get("items"), mode or 0o644, what=what, optional=optional
        )

    def _downward(self, pod: Object, source: Mapping[str, Any], mode: int | None) -> Files:
        files: Files = {}
        for item in source.get("items") or ():
            if "fieldRef" in item:
                text = self._facts.field(pod, item["fieldRef"]["fieldPath"])
            else:
                text = self._facts.resource(pod, pod["spec"]["containers"][0], item["resourceFieldRef"])
            files[item["path"]] = File(text.encode(), item.get("mode") or mode or 0o644)
        return files


def give_directory(path: Path, owner: int) -> None:
    """Make a volume's top belong to the pod's user, who may be the owner of what is below already."""
    if path.lstat().st_uid != owner:
        os.chown(path, owner, owner, follow_symlinks=False)


def remove_tree(path: Path) -> None:
    """Remove a directory with everything in it, also what its owner had made unwritable. Missing is no error.

    A pod may have nested directories deeper than a stack, the open files or a path's length allow, so what lies two
    levels down is moved up instead of being descended into. No link is followed.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    prefix, moved = f".removed-{uuid.uuid4().hex}-", 0
    try:
        os.fchmod(top, 0o700)
        while entries := [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(top)]:
            before, gone = moved, 0
            for name, is_directory in entries:
                with contextlib.suppress(OSError):
                    if is_directory:
                        moved += _empty(top, name, prefix, moved)
                        os.rmdir(name, dir_fd=top)
                    else:
                        os.unlink(name, dir_fd=top)
                    gone += 1
            if not gone and moved == before:
                break  # what is left cannot be removed by anybody
    finally:
        os.close(top)
    with contextlib.suppress(OSError):
        path.rmdir()


def _empty(top: int, name: str, prefix: str, number: int) -> int:
    """Remove a directory's files and move its directories up; return how many those were."""
    moved = 0
    os.chmod(name, 0o700, dir_fd=top)
    held = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for entry in list(os.scandir(held)):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.name, 0o700, dir_fd=held)
                    os.rename(entry.name, f"{prefix}{number + moved}", src_dir_fd=held, dst_dir_fd=top)
                    moved += 1
                else:
                    os.unlink(entry.name, dir_fd=held)
    finally:
        os.close(held)
    return moved
