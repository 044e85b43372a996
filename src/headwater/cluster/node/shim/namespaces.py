"""The namespaces that a pod's containers share, and the users of those that each has for itself."""

import os
from typing import Any

from headwater.cluster.node.shim import syscalls as linux


def enter(pod: dict[str, Any]) -> None:
    """Give the pod its own host name and IPC, and, without root, the user namespace that allows it.

    Raises ``OSError``.
    """
    if pod.get("id_base") is None:
        user, group = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {user} 1")
        _write("/proc/self/gid_map", f"0 {group} 1")
    linux.unshare(linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
    linux.set_host_name(pod["hostname"])


def map_users(pid: int, base: int | None) -> None:
    """Give the user namespace of a process its ids: a range of the host's, or this user alone. Raises ``OSError``."""
    ids = "0 0 1" if base is None else f"0 {base} 65536"
    _write(f"/proc/{pid}/uid_map", ids)
    _write(f"/proc/{pid}/gid_map", ids)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
