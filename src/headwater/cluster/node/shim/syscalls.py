"""The Linux calls that Python's ``os`` does not have: namespaces, mounts and process attributes.

A bare machine has no bubblewrap and no setuid helper to install, so the sandbox is made with the kernel's own
interface, called through ``ctypes``. Every function raises ``OSError`` that names the call and its target. The
mount calls are the file-descriptor based ones (Linux 5.12 and newer): a source is pinned before the root changes
and put in place after, so that no path of the host can be reached while a pod's paths are resolved.
"""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

ATTR_RDONLY = 1
ATTR_NOSUID = 2
ATTR_NODEV = 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = getattr(_libc, "syscall", None)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _check(result: int, call: str, target: str = "") -> int:
    if result >= 0:
        return result
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", target or None)


def _call(name: str, number: int, target: str, *arguments: object) -> int:
    if _syscall is None:
        raise OSError(38, f"{name}: this system has no such call", target or None)
    result: int = _syscall(ctypes.c_long(number), *arguments)
    return _check(result, name, target)


def unshare(flags: int) -> None:
    """Leave the namespaces that the flags name for new ones (``unshare(2)``)."""
    if not hasattr(_libc, "unshare"):
        raise OSError(38, "unshare: this system has no namespaces")
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount a new file system (``mount(2)``); an empty kind changes the propagation of the target."""
    result = _libc.mount(
        source.encode() or None,
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(result, f"mount {kind}".strip(), target)


def detach(target: str) -> None:
    """Unmount lazily everything at the target (``umount2`` with ``MNT_DETACH``)."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)), "umount", target)


def open_tree(path: str, dir_fd: int = _AT_FDCWD) -> int:
    """Return a detached copy of the mounts at a path, or at the descriptor itself when the path is empty."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC | (0 if path else _AT_EMPTY_PATH)
    return _call(
        "open_tree",
        _SYS_OPEN_TREE,
        path,
        ctypes.c_int(dir_fd),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_uint(flags),
    )


def set_attributes(tree: int, attributes: int, label: str, *, recursive: bool = True) -> None:
    """Add attributes (read-only, no setuid, no devices) to a detached tree and to every mount inside it."""
    attr = _MountAttr(attr_set=attributes)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    _call(
        "mount_setattr",
        _SYS_MOUNT_SETATTR,
        label,
        ctypes.c_int(tree),
        ctypes.c_char_p(b""),
        ctypes.c_uint(flags),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )


def move_mount(tree: int, target: str) -> None:
    """Put a detached tree at a path that exists."""
    _call(
        "move_mount",
        _SYS_MOVE_MOUNT,
        target,
        ctypes.c_int(tree),
        ctypes.c_char_p(b""),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def pivot_root_here() -> None:
    """Make the current directory, a mount point, the root, and let go of the old root."""
    machine = os.uname().machine
    if machine not in _SYS_PIVOT_ROOT:
        raise OSError(38, f"pivot_root: not known on {machine}")
    here = ctypes.c_char_p(b".")
    _call("pivot_root", _SYS_PIVOT_ROOT[machine], ".", here, here)
    detach(".")
    os.chdir("/")


def open_beneath(directory: int, path: str, flags: int, *, links: bool = True) -> int:
    """Open a path below a directory; a symbolic link that leads out of it is refused (``openat2``).

    Without ``links`` any symbolic link on the way is (``ELOOP``).
    """
    resolve = RESOLVE_BENEATH | (0 if links else RESOLVE_NO_SYMLINKS)
    how = _OpenHow(flags=flags | os.O_CLOEXEC, resolve=resolve)
    return _call(
        "open",
        _SYS_OPENAT2,
        path,
        ctypes.c_int(directory),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )


def prctl(option: int, argument: int = 0) -> int:
    """Read or set an attribute of this process (``prctl(2)``). Does nothing where the call does not exist."""
    if not hasattr(_libc, "prctl"):
        return 0
    zero = ctypes.c_ulong(0)
    result: int = _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), zero, zero, zero)
    return _check(result, "prctl")


def set_name(name: str) -> None:
    """Set the name that ``ps`` and ``top`` show for this process (15 characters)."""
    if hasattr(_libc, "prctl"):
        _libc.prctl(ctypes.c_int(PR_SET_NAME), ctypes.c_char_p(name.encode()[:15]))


def set_host_name(name: str) -> None:
    """Set the host name of this UTS namespace."""
    text = name.encode()
    _check(_libc.sethostname(ctypes.c_char_p(text), ctypes.c_size_t(len(text))), "sethostname", name)
