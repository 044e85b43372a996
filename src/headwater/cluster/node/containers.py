"""From a pod's container to what its shim is told: command line, variables, mounts, user and rights."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headwater.cluster.node.environment import ConfigError, expand
from headwater.cluster.node.environments import Environment
from headwater.cluster.node.images import Image
from headwater.cluster.node.layout import PodDirectory
from headwater.cluster.node.lifecycle import Start
from headwater.cluster.node.shim.sandbox import LAYER, SYSTEM_DIRECTORIES
from headwater.cluster.node.volumes import PodVolumes
from headwater.kube.meta.objects import Object, name_of, namespace_of, uid_of

Container = Mapping[str, Any]

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TMP = "/tmp"  # noqa: S108 (a container has its own)
UV = "/run/headwater/uv"
"""Where a sandboxed container finds the program that installs packages."""

_CAPABILITIES = tuple(
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """.split()  # noqa: SIM905 (in the kernel's order: the index is the number)
)
_USUAL = frozenset(
    """
    CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE
    SETFCAP
    """.split()  # noqa: SIM905
)
"""What a container engine leaves its containers."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What all of a pod's containers share."""

    pod: Object
    directory: PodDirectory
    sandboxed: bool
    owner: int | None
    """The host's id of the pod's user 0, or None when the pod runs as the platform's own user."""
    volumes: PodVolumes
    masks: tuple[str, ...] = ()
    uv: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image, and the Python environment that it stands for."""

    image: Image
    environment: Environment | None = None


@dataclass(slots=True)
class Identity:
    """Whom a container runs as and what it may do."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] = field(default_factory=list)
    capabilities: list[int] = field(default_factory=list)
    read_only_root: bool = False
    not_honoured: list[str] = field(default_factory=list)
    """What the container asks for and this node cannot give."""


def pod_spec(placement: Placement, starts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a pod's shim is told at its start."""
    return {
        "version": 1,
        "uid": uid_of(placement.pod),
        "name": name_of(placement.pod),
        "namespace": namespace_of(placement.pod),
        "hostname": host_name(placement.pod),
        "sandboxed": placement.sandboxed,
        "id_base": placement.owner,
        "masks": list(placement.masks),
        "start": list(starts),
    }


def host_name(pod: Object) -> str:
    """Return the name that the pod sees as its own."""
    return str(pod["spec"].get("hostname") or name_of(pod))[:63].rstrip("-.")


def base_variables(placement: Placement, resolved: Resolved, identity: Identity, attempt_root: Path) -> dict[str, str]:
    """Return the variables that a container has before its own: what an image would set, and the pod's name."""
    root = "" if placement.sandboxed else str(attempt_root)
    variables = {"PATH": SYSTEM_PATH, "HOSTNAME": host_name(placement.pod)}
    variables["HOME"] = f"{root}/root" if not identity.uid else f"{root}{_TMP}"
    if not placement.sandboxed:
        variables["TMPDIR"] = f"{root}{_TMP}"
        variables["HEADWATER_ROOT"] = root
    environment = resolved.environment
    if environment is not None:
        layer = f"{root}{LAYER}"
        variables["PATH"] = f"{layer}/bin:{environment.front}:{environment.bin}:{SYSTEM_PATH}"
        variables["LANG"] = "C.UTF-8"
        variables["HEADWATER_LAYER"] = layer
        variables["HEADWATER_UV"] = UV if placement.sandboxed else placement.uv
        variables |= environment.variables()
    return variables | dict(resolved.image.environment)


def container_spec(
    placement: Placement,
    container: Container,
    start: Start,
    resolved: Resolved,
    variables: Mapping[str, str],
    identity: Identity,
) -> dict[str, Any]:
    """Return the description of one start of a container, having made its directory.

    Raises ``ConfigError`` for what cannot be described and ``OSError``.
    """
    name = container["name"]
    own = placement.directory.container(name, start.attempt)
    termination = own / "termination"
    if not termination.exists():
        own.mkdir(parents=True, exist_ok=True)
        make_termination_file(termination, placement.owner)
    root = own / "root"
    cwd = os.path.normpath("/" + (container.get("workingDir") or resolved.image.working_directory or "/").lstrip("/"))
    mounts = [
        *_volume_mounts(placement, container, variables),
        {"source": str(termination), "target": container.get("terminationMessagePath") or "/dev/termination-log"},
    ]
    if placement.sandboxed:
        mounts += _platform_mounts(placement, resolved)
    spec: dict[str, Any] = {
        "name": name,
        "attempt": start.attempt,
        "crashes": start.crashes,
        "argv": _command_line(container, resolved.image, variables),
        "env": dict(variables),
        "cwd": cwd if placement.sandboxed else f"{root}{cwd}".rstrip("/"),
        "root": str(root),
        "mounts": mounts,
        "log": str(own / "log"),
        "termination_message": {
            "file": str(termination),
            "policy": container.get("terminationMessagePolicy") or "File",
        },
        "capabilities": identity.capabilities,
        "groups": identity.groups,
        "read_only_root": identity.read_only_root,
    }
    if identity.uid is not None:
        spec["uid"] = identity.uid
    if identity.gid is not None:
        spec["gid"] = identity.gid
    return spec


def make_termination_file(path: Path, owner: int | None) -> None:
    """Make the file in which a container may leave its last words. Raises ``OSError``."""
    path.touch()
    path.chmod(0o666)
    if owner is not None:
        os.chown(path, owner, owner)


def identity_of(placement: Placement, container: Container) -> Identity:
    """Merge the security contexts of pod and container. Raises ``ConfigError`` when it must not run."""
    of_pod = placement.pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    merged = {**of_pod, **{key: value for key, value in own.items() if value is not None}}
    uid, gid = merged.get("runAsUser"), merged.get("runAsGroup")
    if merged.get("runAsNonRoot") and not uid:
        raise ConfigError(
            "container has runAsNonRoot and "
            + ("runAsUser is 0" if uid == 0 else "image will run as root: set runAsUser in its securityContext")
        )
    groups = [*(of_pod.get("supplementalGroups") or ()), *([of_pod["fsGroup"]] if of_pod.get("fsGroup") else ())]
    result = Identity(uid, gid, groups, read_only_root=bool(own.get("readOnlyRootFilesystem")))
    asked = own.get("capabilities") or {}
    dropped = {_capability(text) for text in asked.get("drop") or ()}
    added = {_capability(text) for text in asked.get("add") or ()}
    kept = (set() if "ALL" in dropped else _USUAL - dropped) | (added & set(_USUAL))
    result.capabilities = sorted(_CAPABILITIES.index(text) for text in kept)
    if uid and gid is None:
        result.gid = 0
    refused = added - _USUAL
    if refused:
        result.not_honoured.append(f"capabilities {', '.join(sorted(refused))}")
    if own.get("privileged"):
        result.not_honoured.append("privileged: a pod has no rights over this machine")
    if placement.owner is None:
        if uid or gid or groups:
            result.not_honoured.append("runAsUser, runAsGroup and groups: the platform does not run as root")
        result.uid = result.gid = None
        result.groups = []
    result.not_honoured += _not_built(placement.pod["spec"], container)
    if not placement.sandboxed and result.read_only_root:
        result.not_honoured.append("readOnlyRootFilesystem: pods are not sandboxed here")
    for name, value in (("uid", result.uid), ("gid", result.gid)):
        if value is not None and not 0 <= value < 65536:
            raise ConfigError(f"securityContext: {name} {value} is out of the range 0 to 65535 that a pod has here")
    return result


def _not_built(spec: Mapping[str, Any], container: Container) -> list[str]:
    """Return what the pod asks for and this node does not do yet: it runs without, and says so."""
    wanted = [
        *(name for name in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle") if container.get(name)),
        *(name for name in ("stdin", "tty") if container.get(name)),
        *(name for name in ("shareProcessNamespace", "hostPID", "hostIPC") if spec.get(name)),
    ]
    return [f"{', '.join(wanted)}: not built yet, the container runs without"] if wanted else []


def _capability(text: str) -> str:
    return text.upper().removeprefix("CAP_")


def _command_line(container: Container, image: Image, variables: Mapping[str, str]) -> list[str]:
    command, arguments = container.get("command") or (), container.get("args") or ()
    argv = [*command, *arguments] if command else [*image.command, *(arguments or image.arguments)]
    if not argv:
        raise ConfigError("no command specified")
    own = len(command) + len(arguments)
    return [expand(word, variables) if own else word for word in argv]


def _volume_mounts(placement: Placement, container: Container, variables: Mapping[str, str]) -> list[dict[str, Any]]:
    mounts = []
    for mount in container.get("volumeMounts") or ():
        volume = placement.volumes.paths.get(mount["name"])
        if volume is None:
            raise ConfigError(f'volumeMounts names a volume that the pod does not have: "{mount["name"]}"')
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if sub_path.startswith("/") or ".." in sub_path.split("/"):
            raise ConfigError(f"subPath {sub_path!r} must be relative and must not contain '..'")
        read_only = bool(mount.get("readOnly")) or volume.read_only
        entry = {"source": str(volume.path), "target": mount["mountPath"], "read_only": read_only}
        if volume.exact:
            entry["exact"] = True
        mounts.append({**entry, "sub_path": sub_path} if sub_path else entry)
    return mounts


def _platform_mounts(placement: Placement, resolved: Resolved) -> list[dict[str, Any]]:
    """Return the mounts of what the platform itself brings: the environment, its interpreter, names of hosts."""
    mounts: list[dict[str, Any]] = []
    if placement.pod["spec"].get("hostAliases"):
        mounts.append({"source": str(_hosts_file(placement)), "target": "/etc/hosts", "read_only": True})
    environment = resolved.environment
    if environment is not None:
        paths = [path for path in dict.fromkeys((environment.path, environment.prefix)) if _hidden(path, placement)]
        mounts += [{"source": str(path), "target": str(path), "read_only": True} for path in paths]
        if placement.uv:
            mounts.append({"source": placement.uv, "target": UV, "read_only": True, "required": False})
    resolver = Path("/etc/resolv.conf")
    if resolver.is_symlink() and not _visible(resolver.resolve()):
        mounts.append({"source": str(resolver.resolve()), "target": str(resolver.resolve()), "read_only": True})
    return mounts


def _hosts_file(placement: Placement) -> Path:
    """Write the machine's host names with the pod's own aliases behind them."""
    aliases = placement.pod["spec"]["hostAliases"]
    lines = [" ".join((alias["ip"], *alias.get("hostnames", ()))) for alias in aliases]
    try:
        machine = Path("/etc/hosts").read_text().rstrip("\n")
    except OSError:
        machine = "127.0.0.1 localhost"
    path = placement.directory.path / "hosts"
    path.write_text("\n".join((machine, *lines, "")))
    path.chmod(0o644)
    return path


def _visible(path: Path) -> bool:
    """Tell whether a path of the host is in a sandbox anyway."""
    return len(path.parts) > 1 and path.parts[1] in SYSTEM_DIRECTORIES


def _hidden(path: Path, placement: Placement) -> bool:
    return not _visible(path) or any(path.is_relative_to(mask) for mask in placement.masks)


def masks_for(home: Path) -> tuple[str, ...]:
    """Return what must be hidden in a sandbox because it lies below a system directory."""
    return (str(home),) if _visible(home) else ()
