"""Where a pod can go, and in which words it is refused."""

from typing import Any

import pytest

from headwater.cluster.scheduler.cache import UsageCache
from headwater.cluster.scheduler.placement import Binding, Unschedulable, Usage, demand_of, schedule
from headwater.cluster.scheduler.resources import requests_of
from headwater.kube.meta.objects import Object


def node(name: str = "n1", *, ready: str = "True", labels: Any = None, allocatable: Any = None, **spec: Any) -> Object:
    has = {"cpu": "2", "memory": "4Gi", "pods": "10", **(allocatable or {})}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {"allocatable": has, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(cpu: str = "", memory: str = "", *, uid: str = "u", ports: Any = (), **spec: Any) -> Object:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"resources": {"requests": requests}, "ports": [*ports]}
    return {"metadata": {"name": "p", "uid": uid}, "spec": {"containers": [container], **spec}}


def affinity(**term: Any) -> Object:
    terms = {"nodeSelectorTerms": [term]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("a_pod", "a_node", "reason"),
    [
        (pod(), node(), None),
        (pod("2", "4Gi"), node(), None),
        (pod("2001m"), node(), "Insufficient cpu"),
        (pod("1", "5Gi"), node(), "Insufficient memory"),
        (pod(), node(allocatable={"pods": "0"}), "Too many pods"),
        (pod(), node(unschedulable=True), "node(s) were unschedulable"),
        (pod(), node(ready="False"), "node(s) were not ready"),
        (pod(), node(taints=[TAINT]), "node(s) had untolerated taint {gpu: yes}"),
        (pod(), node(taints=[{**TAINT, "effect": "PreferNoSchedule"}]), None),
        (pod(tolerations=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]), node(taints=[TAINT]), None),
        (pod(tolerations=[{"key": "gpu", "operator": "Exists"}]), node(taints=[TAINT]), None),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[TAINT], unschedulable=True), None),
        (
            pod(tolerations=[{"key": "gpu", "value": "no"}]),
            node(taints=[TAINT]),
            "node(s) had untolerated taint {gpu: yes}",
        ),
        (pod(nodeSelector={"disk": "ssd"}), node(), "node(s) didn't match Pod's node affinity/selector"),
        (pod(nodeSelector={"disk": "ssd"}), node(labels={"disk": "ssd"}), None),
        (
            pod(affinity=affinity(matchExpressions=[{"key": "cores", "operator": "Gt", "values": ["3"]}])),
            node(labels={"cores": "4"}),
            None,
        ),
        (
            pod(affinity=affinity(matchExpressions=[{"key": "disk", "operator": "NotIn", "values": ["hdd"]}])),
            node(labels={"disk": "hdd"}),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (
            pod(affinity=affinity(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["n1"]}])),
            node(),
            None,
        ),
        (pod(affinity=affinity()), node(), "node(s) didn't match Pod's node affinity/selector"),
    ],
)
def test_one_node(a_pod, a_node, reason):
    outcome = schedule(a_pod, [a_node], {})
    expected = Binding("n1") if reason is None else Unschedulable(f"0/1 nodes are available: 1 {reason}.")
    assert outcome == expected


def test_no_node():
    assert schedule(pod(), [], {}) == Unschedulable("no nodes available to schedule pods")


def test_what_is_taken_counts():
    usage = {"n1": Usage({"cpu": 1500}, 1)}
    assert schedule(pod("500m"), [node()], usage) == Binding("n1")
    assert schedule(pod("501m"), [node()], usage) == Unschedulable("0/1 nodes are available: 1 Insufficient cpu.")


def test_every_reason_of_every_node_is_said():
    nodes = [
        node("a", allocatable={"cpu": "1"}),
        node("b", allocatable={"memory": "1Mi"}),
        node("c", unschedulable=True),
    ]
    assert schedule(pod("2", "1Gi"), nodes, {}) == Unschedulable(
        "0/3 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 node(s) were unschedulable."
    )


def test_the_emptiest_node_is_taken():
    usage = {"a": Usage({"cpu": 1000}, 1)}
    assert schedule(pod("1"), [node("a"), node("b")], usage) == Binding("b")
    assert schedule(pod("1"), [node("b"), node("a")], {}) == Binding("a")


def test_host_ports_clash():
    cache = UsageCache()
    port = {"hostPort": 80, "protocol": "TCP"}
    cache.place(pod(ports=[port]), "n1")
    refused = Unschedulable("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.")
    assert schedule(pod(ports=[{**port, "hostIP": "10.0.0.1"}]), [node()], cache.usage) == refused
    assert schedule(pod(ports=[{**port, "protocol": "UDP"}]), [node()], cache.usage) == Binding("n1")
    cache.remove("u")
    assert schedule(pod(ports=[port]), [node()], cache.usage) == Binding("n1")


def test_requests_are_the_larger_of_start_and_run():
    def container(cpu: str, **more: Any) -> Object:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [container("3"), container("500m", restartPolicy="Always"), container("1")],
        "containers": [container("1"), {"resources": {"limits": {"cpu": "250m"}}}],
        "overhead": {"cpu": "10m"},
    }
    assert requests_of({"spec": spec}) == {"cpu": 3010}
    spec["initContainers"][0] = container("1")
    assert requests_of({"spec": spec}) == {"cpu": 1000 + 250 + 500 + 10}


def test_the_cache_counts_each_pod_once():
    cache = UsageCache()
    assert cache.place(pod("1", uid="a"), "n1")
    assert not cache.place(pod("1", uid="a"), "n1")
    assert cache.place(pod("500m", "1Gi", uid="b"), "n1")
    assert (cache.usage["n1"].requested, cache.usage["n1"].pods) == ({"cpu": 1500, "memory": 2**30}, 2)
    assert cache.remove("a")
    assert not cache.remove("a")
    assert cache.remove("b")
    assert cache.usage == {}


def test_equal_demands_are_equal():
    assert demand_of(pod("1", uid="a")) == demand_of(pod("1000m", uid="b"))
    assert demand_of(pod("1")) != demand_of(pod("1", nodeSelector={"a": "b"}))
