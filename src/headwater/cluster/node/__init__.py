"""The node agent: runs the pods that are bound to this machine as supervised, sandboxed processes.

The public names are loaded when they are first used: the shim, a process of its own for every pod, imports its
modules from below this package and must not pay for the agent's.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.cluster.node.agent import NodeAgent, NodeSettings, TokenSource
    from headwater.cluster.node.drivers import VolumeDriver
    from headwater.cluster.node.tiers import Tier, probe

__all__ = ["NodeAgent", "NodeSettings", "Tier", "TokenSource", "VolumeDriver", "probe"]

_HOMES = {
    "NodeAgent": "agent",
    "NodeSettings": "agent",
    "TokenSource": "agent",
    "VolumeDriver": "drivers",
    "Tier": "tiers",
    "probe": "tiers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
