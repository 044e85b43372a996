"""DaemonSets: one pod of a template on every node that can take it, as the ``apps/v1`` controller keeps them.

``plan`` decides from the set, its pods and the nodes. A pod is bound to its node by an affinity to the node's name,
which the scheduler reads. An update removes old pods, at most ``maxUnavailable`` at a time; ``maxSurge`` is not
built: it is taken for an update in place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from headwater.cluster.controllers.calls import each, get_or_none, is_terminating_namespace, unless_gone
from headwater.cluster.controllers.workloads import history
from headwater.cluster.controllers.workloads.claims import adopters, claim
from headwater.cluster.controllers.workloads.kinds import DAEMON_SETS
from headwater.cluster.controllers.workloads.pods import available_after, earliest, is_ended, is_ready, pod_of, resolve
from headwater.cluster.controllers.workloads.recent import Recent
from headwater.cluster.scheduler.placement import Usage, refused
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers, Request, Result, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, labels_of, name_of, namespace_of, uid_of
from headwater.kube.meta.resources import NODES, PODS
from headwater.kube.meta.time import Clock

_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)
_READY = {"allocatable": {"pods": "1"}, "conditions": [{"type": "Ready", "status": "True"}]}
_AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass(slots=True)
class Plan:
    """What to do for a daemon set."""

    create: list[str] = field(default_factory=list)
    """Names of the nodes that need a pod."""
    remove: list[Object] = field(default_factory=list)
    status: Object = field(default_factory=dict)
    requeue_after: float | None = None


def daemon_pod(daemon_set: Object, node: str, revision: str) -> Object:
    """Return the pod for a node; its name is the server's to choose."""
    pod = pod_of(daemon_set, daemon_set["spec"]["template"], labels={history.HASH_LABEL: revision})
    pod["metadata"]["generateName"] = f"{name_of(daemon_set)}-"
    spec = pod["spec"]
    tolerations = [*(spec.get("tolerations") or ())]
    for key, effect in _TOLERATED:
        wanted = {"key": key, "operator": "Exists", "effect": effect}
        if wanted not in tolerations:
            tolerations.append(wanted)
    spec["tolerations"] = tolerations
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    terms = (affinity.get(_AFFINITY) or {}).get("nodeSelectorTerms") or [{}]
    affinity[_AFFINITY] = {"nodeSelectorTerms": [{**term, "matchFields": fields} for term in terms]}
    return pod


def node_of(pod: Object) -> str:
    """Return the node that the pod runs on, or is meant for."""
    spec = pod.get("spec") or {}
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = (((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_AFFINITY) or {}).get("nodeSelectorTerms")
    for term in required or ():
        for rule in term.get("matchFields") or ():
            if rule.get("key") == "metadata.name" and len(rule.get("values") or ()) == 1:
                return str(rule["values"][0])
    return ""


def should_run(daemon_set: Object, node: Object) -> bool:
    """Tell whether a node is to have a pod: by its name, labels and taints; resources do not matter."""
    wanted = daemon_set["spec"]["template"]["spec"].get("nodeName")
    if wanted and wanted != name_of(node):
        return False
    pod = {"spec": daemon_set["spec"]["template"]["spec"]}
    tolerations = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    pod["spec"] = {**pod["spec"], "tolerations": [*(pod["spec"].get("tolerations") or ()), *tolerations]}
    return not refused(pod, {**node, "status": _READY}, {}, (), Usage())


def plan(daemon_set: Object, pods: Sequence[Object], nodes: Iterable[Object], revision: str, now: datetime) -> Plan:
    """Decide which nodes need a pod and which pods go. ``revision`` is that of the present template."""
    todo = Plan()
    spec = daemon_set["spec"]
    least = int(spec.get("minReadySeconds") or 0)
    wanted = sorted(name_of(node) for node in nodes if should_run(daemon_set, node))
    on: dict[str, list[Object]] = {}
    for pod in pods:
        on.setdefault(node_of(pod), []).append(pod)
    counts = dict.fromkeys(("current", "ready", "available", "updated"), 0)
    old: list[Object] = []
    unavailable = 0
    for node in wanted:
        here = on.get(node, [])
        staying = [pod for pod in here if not is_ended(pod) and not is_deleting(pod)]
        staying.sort(key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", name_of(pod)))
        todo.remove += [pod for pod in here if is_ended(pod) and not is_deleting(pod)] + staying[1:]
        if not here:
            todo.create.append(node)
        if not staying:
            unavailable += 1
            continue
        pod = staying[0]
        delay = available_after(pod, least, now)
        todo.requeue_after = earliest((todo.requeue_after, delay))
        counts["current"] += 1
        counts["ready"] += is_ready(pod)
        counts["available"] += delay == 0.0
        unavailable += delay != 0.0
        if labels_of(pod).get(history.HASH_LABEL) == revision:
            counts["updated"] += 1
        else:
            old.append(pod)
    strays = [pod for node, here in on.items() if node not in wanted for pod in here if not is_deleting(pod)]
    todo.remove += strays
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        most = max(1, resolve((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(wanted), up=True))
        broken = [pod for pod in old if available_after(pod, least, now) != 0.0]
        working = [pod for pod in old if available_after(pod, least, now) == 0.0]
        todo.remove += broken + working[: max(0, most - unavailable)]
    todo.status = {
        "currentNumberScheduled": counts["current"],
        "desiredNumberScheduled": len(wanted),
        "numberMisscheduled": sum(not is_ended(pod) for pod in strays),
        "numberReady": counts["ready"],
        "observedGeneration": daemon_set["metadata"].get("generation", 0),
    }
    more = {
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["available"],
        "numberUnavailable": len(wanted) - counts["available"],
    }
    todo.status.update({key: number for key, number in more.items() if number})
    if is_deleting(daemon_set):
        todo.create, todo.remove = [], []
    return todo


class DaemonSetReconciler:
    """Reconciles ``apps/v1`` DaemonSets."""

    def __init__(self, client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> None:
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._pods = Recent(informers.informer(PODS), clock)
        self._nodes = informers.informer(NODES)
        self._sets = informers.informer(DAEMON_SETS)

    async def reconcile(self, request: Request) -> Result | None:
        """Bring a daemon set's pods onto the nodes."""
        daemon_set = await get_or_none(self._client, DAEMON_SETS, request.name, request.namespace)
        if daemon_set is None or is_deleting(daemon_set):
            return None
        pods = await claim(self._client, PODS, self._pods, daemon_set)
        known = await history.revisions_of(self._client, daemon_set)
        latest = await history.record(self._client, daemon_set, known)
        digest = labels_of(latest)[history.HASH_LABEL]
        todo = plan(daemon_set, pods, self._nodes.list(), digest, self._clock.now())
        try:
            await each(todo.create, lambda node: self._create(daemon_set, node, digest))
            await each(todo.remove, lambda pod: self._remove(daemon_set, pod))
        finally:
            if todo.status != daemon_set.get("status"):
                update = {**daemon_set, "status": todo.status}
                await unless_gone(self._client.update(DAEMON_SETS, update, subresource="status"))
        used = {labels_of(pod).get(history.HASH_LABEL, "") for pod in pods}
        live = {name_of(one) for one in known if labels_of(one).get(history.HASH_LABEL) in used} | {name_of(latest)}
        await history.forget(self._client, daemon_set, known, live)
        return Result(todo.requeue_after)

    async def _create(self, daemon_set: Object, node: str, revision: str) -> None:
        try:
            created = await self._client.create(PODS, daemon_pod(daemon_set, node, revision))
        except StatusError as error:
            if is_terminating_namespace(error):
                return
            self._recorder.event(daemon_set, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._pods.wrote(created)
        self._recorder.event(daemon_set, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")

    async def _remove(self, daemon_set: Object, pod: Object) -> None:
        if is_ended(pod):
            message = f"Found failed daemon pod {namespace_of(pod)}/{name_of(pod)} on node {node_of(pod)}, will kill it"
            self._recorder.event(daemon_set, "Warning", "FailedDaemonPod", message)
        await unless_gone(
            self._client.delete(
                PODS, name_of(pod), namespace_of(pod), propagation=Propagation.BACKGROUND, uid=uid_of(pod)
            )
        )
        self._pods.removed(pod)
        self._recorder.event(daemon_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")

    def all_sets(self, node: Object) -> list[Request]:
        """Map a node that comes, goes or changes to every daemon set."""
        return [Request(namespace_of(one), name_of(one)) for one in self._sets.list()]


def node_matters(old: Object | None, new: Object | None) -> bool:
    """Tell whether a node's change can matter: its heartbeats do not."""
    if old is None or new is None:
        return True
    return labels_of(old) != labels_of(new) or old.get("spec") != new.get("spec")


def daemon_set_controller(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Controller:
    """Return the controller of DaemonSets."""
    reconciler = DaemonSetReconciler(client, informers, recorder, clock)
    watches = (
        Watch(PODS, adopters(informers.informer(DAEMON_SETS))),
        Watch(NODES, reconciler.all_sets, node_matters),
    )
    return Controller("daemonset", reconciler, DAEMON_SETS, owns=(PODS,), watches=watches, workers=2)
