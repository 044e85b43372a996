"""Writes the rules of aggregating cluster roles into them, so that everybody can read what they grant.

The authorizer needs no help: it aggregates in its index, at once. This controller does what upstream's
``clusterrole-aggregation-controller`` does for the eyes of ``kubectl describe`` and of other programs.
"""

from collections.abc import Iterable

from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of
from headwater.kube.meta.resources import CLUSTER_ROLES
from headwater.kube.meta.selectors import LabelSelector


def aggregated_rules(role: Object, roles: Iterable[Object]) -> list[Object]:
    """Return the rules of all roles that a role's aggregation rule selects, by role name, each rule once."""
    selectors = [
        LabelSelector.from_object(selector)
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    ]
    rules: list[Object] = []
    for other in sorted(roles, key=name_of):
        if name_of(other) == name_of(role) or not any(selector.matches(labels_of(other)) for selector in selectors):
            continue
        rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


class AggregationReconciler:
    """Keeps the ``rules`` of aggregating cluster roles what their selectors say."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._roles = informers.informer(CLUSTER_ROLES)

    async def reconcile(self, request: Request) -> None:
        """Put the rules of the role called ``request.name`` right."""
        role = self._roles.get("", request.name)
        if role is None or is_deleting(role) or not role.get("aggregationRule"):
            return
        rules = aggregated_rules(role, self._roles.list())
        if rules == (role.get("rules") or []):
            return
        try:
            await self._client.update(CLUSTER_ROLES, {**role, "rules": rules})
        except StatusError as error:
            # Another writer was first, and his change leads here again.
            if error.reason not in ("Conflict", "NotFound"):
                raise

    def aggregating(self, changed: Object) -> Iterable[Request]:
        """Map a changed role to the roles that may aggregate it."""
        return [Request("", name_of(role)) for role in self._roles.list() if role.get("aggregationRule")]


def aggregation_controller(client: Client, informers: Informers) -> Controller:
    """Return the controller of aggregating cluster roles."""
    reconciler = AggregationReconciler(client, informers)
    watch = Watch(CLUSTER_ROLES, reconciler.aggregating)
    return Controller("cluster-role-aggregation", reconciler, CLUSTER_ROLES, watches=(watch,), workers=1)
