"""The machine as a Node: what it has, that it is ready, and the lease that proves it."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from headwater import __version__
from headwater.cluster.node.tiers import Tier
from headwater.kube.client import Client, PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, uid_of
from headwater.kube.meta.resources import LEASES, NAMESPACES, NODES
from headwater.kube.meta.time import Clock, format_micro_time, format_time

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
HEARTBEAT = 10.0
ISOLATION = "headwater.dev/isolation"
ISOLATION_REASON = "headwater.dev/isolation-reason"

_KUBERNETES = "v1.34.0"


def allocatable(home: Path, most_pods: int) -> dict[str, str]:
    """Return what the node can give to pods."""
    try:
        disk = os.statvfs(home)
        storage = disk.f_blocks * disk.f_frsize // 1024
    except OSError:
        storage = 0
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{_memory_kib()}Ki",
        "ephemeral-storage": f"{storage}Ki",
        "pods": str(most_pods),
    }


def node_object(name: str, tier: Tier, capacity: Mapping[str, str], address: str, clock: Clock) -> Object:
    """Return the Node as it is registered."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    system = sys.platform
    now = format_time(clock.now())
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": system,
                "kubernetes.io/arch": machine,
                ISOLATION: tier.name,
            },
            "annotations": {ISOLATION_REASON: tier.reason},
        },
        "spec": {},
        "status": {
            "capacity": dict(capacity),
            "allocatable": dict(capacity),
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                }
                for kind, status, reason, message in conditions
            ],
            "nodeInfo": {
                "machineID": _read("/etc/machine-id"),
                "systemUUID": "",
                "bootID": _read("/proc/sys/kernel/random/boot_id"),
                "kernelVersion": platform.release(),
                "osImage": _os_name(),
                "containerRuntimeVersion": f"headwater://{__version__}",
                "kubeletVersion": f"{_KUBERNETES}+headwater.{__version__}",
                "kubeProxyVersion": "",
                "operatingSystem": system,
                "architecture": machine,
            },
        },
    }


async def register(client: Client, node: Object) -> Object:
    """Create the node, or bring an existing one up to date. Returns it as it is stored. Raises ``StatusError``."""
    metadata = node["metadata"]
    status = node["status"]
    body = {**node, "metadata": dict(metadata), "status": {}}
    try:
        stored = await client.create(NODES, body)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
        patch = {"metadata": {"labels": metadata["labels"], "annotations": metadata["annotations"]}}
        stored = await client.patch(NODES, metadata["name"], patch, patch_type=PatchType.MERGE)
    return (
        await client.patch(
            NODES, metadata["name"], {"status": status}, patch_type=PatchType.MERGE, subresource="status"
        )
        or stored
    )


async def renew_lease(client: Client, node: Object, clock: Clock) -> None:
    """Say that the node lives. Raises ``StatusError``."""
    name = node["metadata"]["name"]
    now = format_micro_time(clock.now())
    try:
        await client.patch(LEASES, name, {"spec": {"renewTime": now}}, LEASE_NAMESPACE, patch_type=PatchType.MERGE)
        return
    except StatusError as error:
        if error.code != 404:
            raise
    try:
        await client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASE_NAMESPACE}}
        )
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
    lease: Object = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now},
    }
    await client.create(LEASES, lease, LEASE_NAMESPACE)


def _memory_kib() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    except (ValueError, OSError):
        return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())
    except OSError:
        return platform.platform()
