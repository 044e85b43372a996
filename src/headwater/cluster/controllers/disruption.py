"""PodDisruptionBudgets: how many pods may be taken away at the moment, written into the budget's status.

Follows the ``policy/v1`` disruption controller. The eviction subresource does not read it yet: an eviction is a
deletion (``cluster.apiserver.subresources`` says so).
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from headwater.cluster.controllers.calls import get_or_none, unless_gone
from headwater.cluster.controllers.workloads.kinds import (
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from headwater.cluster.controllers.workloads.pods import is_ended, is_ready, resolve
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Result, Watch
from headwater.kube.meta.conditions import set_condition
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.owners import controller_of
from headwater.kube.meta.resources import PODS
from headwater.kube.meta.selectors import LabelSelector
from headwater.kube.meta.time import Clock, parse_time

EVICTION_SECONDS = 120
"""How long a pod whose eviction was granted is reckoned with as still to go."""

Expected = Callable[[Object], tuple[str, int]]
"""Of a pod: the uid of what controls it, and how many pods that is to have; raises ``LookupError``."""


def status_of(budget: Object, pods: Sequence[Object], expected: Expected, now: datetime) -> tuple[Object, float | None]:
    """Return the status, and after how many seconds a granted eviction is given up.

    ``pods`` are those that the budget selects. Says in the condition DisruptionAllowed when it cannot tell.
    """
    spec, status = budget["spec"], copy.deepcopy(budget.get("status") or {})
    pods = [pod for pod in pods if not is_ended(pod)]
    granted, wait = _granted(status, pods, now)
    generation = budget["metadata"].get("generation", 0)
    conditions: list[Object] = status.setdefault("conditions", [])
    try:
        total, desired = _desired(spec, pods, expected)
    except LookupError as error:
        set_condition(
            conditions,
            "DisruptionAllowed",
            "False",
            "SyncFailed",
            str(error.args[0]),
            now,
            observed_generation=generation,
        )
        return {**status, "disruptionsAllowed": 0, "observedGeneration": generation}, wait
    healthy = sum(is_ready(pod) and not is_deleting(pod) and name_of(pod) not in granted for pod in pods)
    allowed = max(0, healthy - desired) if total else 0
    reason = "SufficientPods" if allowed else "InsufficientPods"
    set_condition(
        conditions,
        "DisruptionAllowed",
        "True" if allowed else "False",
        reason,
        "",
        now,
        observed_generation=generation,
    )
    status.pop("disruptedPods", None)
    if granted:
        status["disruptedPods"] = granted
    counts = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": total,
        "disruptionsAllowed": allowed,
        "observedGeneration": generation,
    }
    return {**status, **counts}, wait


def _granted(status: Object, pods: Iterable[Object], now: datetime) -> tuple[dict[str, str], float | None]:
    staying = {name_of(pod) for pod in pods if not is_deleting(pod)}
    left = {
        name: (parse_time(moment) + timedelta(seconds=EVICTION_SECONDS) - now).total_seconds()
        for name, moment in (status.get("disruptedPods") or {}).items()
        if name in staying
    }
    kept = {name: status["disruptedPods"][name] for name, seconds in left.items() if seconds > 0}
    return kept, min((left[name] for name in kept), default=None)


def _desired(spec: Object, pods: Sequence[Object], expected: Expected) -> tuple[int, int]:
    """Return how many pods there are to be, and how many of them healthy."""
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if isinstance(least, int) and most is None:
        return len(pods), least
    if least is None and most is None:
        return len(pods), 1
    total = sum(dict(map(expected, pods)).values())
    if most is not None:
        return total, max(0, total - resolve(most, total, up=True))
    return total, resolve(least, total, up=True)


class DisruptionReconciler:
    """Reconciles ``policy/v1`` PodDisruptionBudgets."""

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pods = informers.informer(PODS)
        self._budgets = informers.informer(DISRUPTION_BUDGETS)
        self._owners = {
            resource.kind: informers.informer(resource) for resource in (REPLICA_SETS, STATEFUL_SETS, DEPLOYMENTS)
        }

    async def reconcile(self, request: Request) -> Result | None:
        """Write down how many disruptions a budget allows."""
        budget = await get_or_none(self._client, DISRUPTION_BUDGETS, request.name, request.namespace)
        if budget is None or is_deleting(budget):
            return None
        pods = self._pods.list(request.namespace, _selector(budget))
        status, wait = status_of(budget, pods, self._expected, self._clock.now())
        if status != budget.get("status"):
            update = {**budget, "status": status}
            await unless_gone(self._client.update(DISRUPTION_BUDGETS, update, subresource="status"))
        return Result(wait)

    def _expected(self, pod: Object) -> tuple[str, int]:
        obj = pod
        owner: Object | None = None
        while (reference := controller_of(obj)) is not None and reference["kind"] in self._owners:
            found = self._owners[reference["kind"]].get(namespace_of(pod), reference["name"])
            if found is None or uid_of(found) != reference["uid"]:
                break
            obj = owner = found
        if owner is None:
            raise LookupError(
                f"pod {name_of(pod)} has no controller with a scale: a percentage or maxUnavailable needs one"
            )
        return uid_of(owner), int(owner["spec"].get("replicas", 1))

    def budgets_of(self, pod: Object) -> Iterable[Request]:
        """Map a pod to the budgets that select it."""
        labels = labels_of(pod)
        for budget in self._budgets.list(namespace_of(pod)):
            if _selector(budget).matches(labels):
                yield Request(namespace_of(budget), name_of(budget))

    def budgets_in(self, owner: Object) -> list[Request]:
        """Map a workload to the budgets of its namespace."""
        return [Request(namespace_of(one), name_of(one)) for one in self._budgets.list(namespace_of(owner))]


def _selector(budget: Object) -> LabelSelector:
    try:
        return LabelSelector.from_object(budget["spec"].get("selector"))
    except ValueError:
        return LabelSelector(nothing=True)


def resized(old: Object | None, new: Object | None) -> bool:
    """Tell whether a workload's wanted number of pods changed."""
    return old is None or new is None or old["spec"].get("replicas") != new["spec"].get("replicas")


def disruption_controller(client: Client, informers: Informers, clock: Clock) -> Controller:
    """Return the controller of PodDisruptionBudgets."""
    reconciler = DisruptionReconciler(client, informers, clock)
    owners = [Watch(one, reconciler.budgets_in, resized) for one in (REPLICA_SETS, STATEFUL_SETS, DEPLOYMENTS)]
    watches = (Watch(PODS, reconciler.budgets_of), *owners)
    return Controller("disruption", reconciler, DISRUPTION_BUDGETS, watches=watches, workers=1)
