"""What is taken on each node, kept up to date pod by pod.

A pod counts from the moment the scheduler has decided on it, before the API has confirmed the binding, until it
has ended or is gone.
"""

from headwater.cluster.scheduler.placement import Usage
from headwater.cluster.scheduler.resources import Amounts, add, host_ports_of, requests_of
from headwater.kube.meta.objects import Object, uid_of


class UsageCache:
    """Usage by node name."""

    def __init__(self) -> None:
        self.usage: dict[str, Usage] = {}
        self._placed: dict[str, tuple[str, Amounts, frozenset[tuple[str, str, int]]]] = {}

    def place(self, pod: Object, node: str) -> bool:
        """Count a pod on a node; tell whether that was news."""
        uid = uid_of(pod)
        known = self._placed.get(uid)
        if known is not None:
            if known[0] == node:
                return False
            self.remove(uid)
        requested, ports = requests_of(pod), frozenset(host_ports_of(pod))
        self._placed[uid] = (node, requested, ports)
        usage = self.usage.setdefault(node, Usage())
        add(usage.requested, requested)
        usage.pods += 1
        usage.ports.update(ports)
        return True

    def remove(self, uid: str) -> bool:
        """Count a pod no longer; tell whether it was counted."""
        known = self._placed.pop(uid, None)
        if known is None:
            return False
        node, requested, ports = known
        usage = self.usage[node]
        add(usage.requested, {name: -value for name, value in requested.items()})
        usage.pods -= 1
        usage.ports.subtract(ports)
        usage.ports += type(usage.ports)()  # drops what is at zero
        if not usage.pods:
            del self.usage[node]
        return True
