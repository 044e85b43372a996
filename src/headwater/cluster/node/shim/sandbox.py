"""The file system that a container sees, made of the host's system directories and the pod's own ones.

The root is a directory of the pod on disk. The host's system directories (``/usr``, ``/etc``, ``/opt`` …) appear in
it read-only; what belongs to people or to other programs (``/home``, ``/root``, ``/tmp``, ``/run``, ``/var``, ``/mnt``,
``/srv``, anything else at the top) is the container's own, empty and writable. The interpreter, the environment and
the volumes are bound where the container expects them. The work is done with the shim's rights, before the
container's user is taken on; afterwards nobody inside has any right over these mounts.
"""

import contextlib
import errno
import os
import stat
from typing import Any, TypedDict

from headwater.cluster.node.shim import syscalls as linux


class Mount(TypedDict, total=False):
    """One volume, file or host directory that a container sees."""

    source: str
    """An absolute path of the host, which may be trusted."""
    target: str
    """An absolute path of the container; made if it does not exist."""
    read_only: bool
    sub_path: str
    """A path below the source, chosen by the pod's author and perhaps written by its processes."""
    required: bool
    """False: a source that does not exist is left out."""
    exact: bool
    """True: pods write near the source, so that no symbolic link on the way to it is followed."""


LAYER = "/var/lib/headwater"
"""Where a container's own Python packages go."""
SYSTEM_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "nix", "gnu")
OWN_DIRECTORIES = ("root", "home", "run", "var", "mnt", "media", "srv", "var/log", "var/cache", "var/lib", LAYER[1:])
SHARED_DIRECTORIES = ("tmp", "var/tmp", "run/lock")
_DEVICES = (
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "nvidiactl",
    "nvidia-uvm",
    "nvidia-modeset",
    "kfd",
    "dri",
)
_SAFE = linux.ATTR_NOSUID | linux.ATTR_NODEV
_PRIVATE = "/.headwater"


def build(container: dict[str, Any], owner: int | None, masks: list[str]) -> None:
    """Replace this process's mounts by the container's and make their root its root directory.

    To be called as process 1 of a new PID namespace. ``owner``: the host's user and group id that the container's
    own directories are given. ``masks``: paths of the host that must look empty. Raises ``OSError``.
    """
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("", "/", "", linux.MS_REC | linux.MS_PRIVATE)
    root = container["root"]
    volumes = [(mount, _pin(mount)) for mount in sorted(container["mounts"], key=_depth)]
    if not os.path.isdir(root):
        furnish(root, owner)
    tree = linux.open_tree(root)
    linux.set_attributes(tree, _SAFE, root)
    linux.move_mount(tree, root)
    os.close(tree)
    for name in (*SYSTEM_DIRECTORIES, "sys"):
        target = f"{root}/{name}"
        if os.path.isdir(target) and not os.path.islink(target):
            bind(f"/{name}", target)
    _devices(f"{root}/dev")
    linux.mount("proc", f"{root}/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    os.chdir(root)
    linux.pivot_root_here()
    for path in masks:
        if os.path.isdir(path):
            linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=64k")
    for mount, volume in volumes:
        if volume is not None:
            _place(volume, mount["target"])
    make_directory(container["cwd"], owner)
    if container.get("read_only_root"):
        here = os.open("/", os.O_PATH | os.O_CLOEXEC)
        linux.set_attributes(here, linux.ATTR_RDONLY, "/", recursive=False)
        os.close(here)


def own_directories_only(container: dict[str, Any]) -> None:
    """Make the container's own directories without a sandbox: on the plain tier they are reached by host paths.

    A mount becomes a symbolic link below the container's root.
    """
    root = container["root"]
    if not os.path.isdir(root):
        furnish(root, None)
    for mount in container["mounts"]:
        target = root + os.path.normpath("/" + mount["target"])
        source = os.path.join(mount["source"], mount.get("sub_path") or "").rstrip("/")
        if not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.symlink(source, target)
    if container["cwd"].startswith(root):
        os.makedirs(container["cwd"], exist_ok=True)


def bind(source: str, target: str, *, read_only: bool = True) -> None:
    """Show a path of the host, with everything mounted below it, at a target that exists."""
    tree = linux.open_tree(source)
    linux.set_attributes(tree, _SAFE | (linux.ATTR_RDONLY if read_only else 0), source)
    linux.move_mount(tree, target)
    os.close(tree)


def make_directory(path: str, owner: int | None) -> None:
    """Make a directory of the container, with its parents, unless it lies where nothing can be made."""
    missing = []
    while path not in ("", "/") and not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except OSError:
            return
        if owner is not None:
            os.chown(directory, owner, owner, follow_symlinks=False)


def _depth(mount: Mount) -> int:
    return os.path.normpath(mount["target"]).count("/")


def _pin(mount: Mount) -> int | None:
    """Return a detached copy of the mount's source, so that no path of the host is followed later."""
    source, sub_path = mount["source"], mount.get("sub_path", "")
    exact = mount.get("exact", False)
    try:
        if sub_path:
            tree = _pin_beneath(source, sub_path, exact)
        else:
            tree = _pin_exactly(source) if exact else linux.open_tree(os.path.realpath(source))
    except FileNotFoundError:
        if mount.get("required", True):
            raise
        return None
    linux.set_attributes(tree, _SAFE | (linux.ATTR_RDONLY if mount.get("read_only") else 0), source)
    return tree


def _open_exactly(source: str) -> int:
    """Open a path of the host of which no part may be a symbolic link."""
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return linux.open_beneath(top, source.lstrip("/"), os.O_PATH, links=False)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(error.errno, f"the volume's source {source} leads through a symbolic link") from None
    finally:
        os.close(top)


def _pin_exactly(source: str) -> int:
    found = _open_exactly(source)
    try:
        return linux.open_tree("", found)
    finally:
        os.close(found)


def _pin_beneath(source: str, sub_path: str, exact: bool) -> int:
    base = _open_exactly(source) if exact else os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            found = linux.open_beneath(base, sub_path, os.O_PATH)
        except FileNotFoundError:
            found = _make_beneath(base, sub_path)
        try:
            return linux.open_tree("", found)
        finally:
            os.close(found)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise OSError(error.errno, f"subPath {sub_path!r} leads out of its volume") from None
    finally:
        os.close(base)


def _make_beneath(base: int, sub_path: str) -> int:
    """Make the directories of a sub path that do not exist yet, with the owner of the volume."""
    owner = os.fstat(base)
    here = os.dup(base)
    for part in [part for part in sub_path.split("/") if part not in ("", ".")]:
        try:
            deeper = linux.open_beneath(here, part, os.O_PATH)
        except FileNotFoundError:
            os.mkdir(part, 0o755, dir_fd=here)
            deeper = linux.open_beneath(here, part, os.O_PATH)
            os.chown(f"/proc/self/fd/{deeper}", owner.st_uid, owner.st_gid)
        os.close(here)
        here = deeper
    return here


def furnish(root: str, owner: int | None) -> None:
    """Make a container's own directories and what the system's are shown at. Raises ``OSError``.

    Some thirty small changes of a file system: the node makes a few roots ahead of time, so that a start need not.
    """
    os.mkdir(root, 0o755)
    made = [root]
    for name in OWN_DIRECTORIES:
        made.append(f"{root}/{name}")
        os.mkdir(made[-1], 0o755)
    for name in SHARED_DIRECTORIES:
        made.append(f"{root}/{name}")
        os.mkdir(made[-1])
        os.chmod(made[-1], 0o1777)  # noqa: S103 (every user of the container shares it)
    os.symlink("../run", f"{root}/var/run")
    os.symlink("../run/lock", f"{root}/var/lock")
    if os.stat(root).st_mode & 0o777 != 0o755:  # a narrow umask
        for path in made[: 1 + len(OWN_DIRECTORIES)]:
            os.chmod(path, 0o755)  # noqa: S103 (as in any machine's root)
    if owner is not None:
        for path in made:
            os.chown(path, owner, owner)
    for name in ("proc", "sys", "dev"):
        os.mkdir(f"{root}/{name}", 0o755)
    for name in SYSTEM_DIRECTORIES:
        with contextlib.suppress(FileNotFoundError):
            mode = os.lstat(f"/{name}").st_mode
            if stat.S_ISLNK(mode):
                os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
            elif stat.S_ISDIR(mode):
                os.mkdir(f"{root}/{name}", 0o755)


def _devices(dev: str) -> None:
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=755,size=1m")
    names = [*_DEVICES, *(name for name in os.listdir("/dev") if name[:6] == "nvidia" and name[6:].isdigit())]
    for name in names:
        source, target = f"/dev/{name}", f"{dev}/{name}"
        try:
            mode = os.stat(source).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        tree = linux.open_tree(source)
        linux.move_mount(tree, target)
        os.close(tree)
    for link, to in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(to, f"{dev}/{link}")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    os.mkdir(f"{dev}/pts")
    linux.mount(
        "devpts", f"{dev}/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"
    )
    os.mkdir(f"{dev}/shm")
    linux.mount("tmpfs", f"{dev}/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777")


def _place(tree: int, target: str) -> None:
    """Put a pinned volume at the container's path, which is made if it does not exist."""
    path = os.path.realpath(os.path.normpath("/" + target))
    directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    try:
        _make_target(path, directory)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        _make_writable(path)
        _make_target(path, directory)
    linux.move_mount(tree, path)
    os.close(tree)


def _make_target(path: str, directory: bool) -> None:
    if os.path.lexists(path):
        return
    if directory:
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _make_writable(path: str) -> None:
    """Let something be made in a read-only directory of the host: cover it by links to what is in it.

    The nearest directory that exists is shown at a private place, and a directory of symbolic links to its entries
    takes its own place: cheap, and possible without the rights that an overlay needs.
    """
    covered = os.path.dirname(path)
    while not os.path.isdir(covered):
        covered = os.path.dirname(covered)
    if not os.path.isdir(_PRIVATE):
        os.mkdir(_PRIVATE, 0o755)
        linux.mount("tmpfs", _PRIVATE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=16m")
    number = len(os.listdir(_PRIVATE))
    original, links = f"{_PRIVATE}/{number}-original", f"{_PRIVATE}/{number}-links"
    os.mkdir(original)
    os.mkdir(links)
    tree = linux.open_tree(covered)
    linux.move_mount(tree, original)
    os.close(tree)
    for entry in os.scandir(original):
        to = os.readlink(entry.path) if entry.is_symlink() else entry.path
        os.symlink(to, f"{links}/{entry.name}")
    tree = linux.open_tree(links)
    linux.move_mount(tree, covered)
    os.close(tree)
