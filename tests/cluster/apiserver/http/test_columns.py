"""Ages, JSON paths, and what tables say of pods and jobs."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.apiserver.http.builtin_columns import BUILTIN_COLUMNS
from headwater.cluster.apiserver.http.columns import custom_columns, human_duration, parse_path
from headwater.cluster.apiserver.http.pod_columns import ready, restarts, status_of
from headwater.cluster.apiserver.http.tables import table_of
from headwater.cluster.apiserver.kinds import builtin_kinds
from headwater.cluster.apiserver.registry import Column, Served
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-0.5, "0s"), (-5, "<invalid>"), (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"),
        (599, "9m59s"), (600, "10m"),
        (3 * 3600 - 1, "179m"), (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600, "8h"), (47.9 * 3600, "47h"),
        (2 * DAY, "2d"), (2 * DAY + 3600, "2d1h"), (8 * DAY, "8d"), (729 * DAY, "729d"), (730 * DAY, "2y"),
        (731 * DAY, "2y1d"), (3000 * DAY, "8y"),
    ],
)  # fmt: skip
def test_durations_read_as_kubectl_s(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


WIDGET = {
    "metadata": {"name": "w", "creationTimestamp": "2026-01-01T23:59:00Z", "labels": {"app.kubernetes.io/name": "x"}},
    "spec": {"size": 3, "on": True, "parts": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "map": {"k": "v"}},
    "status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Done", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [
        ("integer", ".spec.size", 3),
        ("boolean", ".spec.on", True),
        ("string", ".spec.absent", None),
        ("string", ".spec.parts[0].name", "a"),
        ("string", ".spec.parts[-1].name", "b"),
        ("string", ".spec.parts[9].name", None),
        ("string", ".spec.parts[*].name", "a,b"),
        ("string", '.status.conditions[?(@.type=="Done")].status', "True"),
        ("string", ".status.conditions[?(@.type=='Ready')].status", "False"),
        ("string", ".status.conditions[?(@.type=='Else')].status", None),
        ("string", r".metadata.labels.app\.kubernetes\.io/name", "x"),
        ("string", ".metadata.labels['app.kubernetes.io/name']", "x"),
        ("string", ".spec.map", '{"k":"v"}'),
        ("date", ".metadata.creationTimestamp", "60s"),
        ("date", ".status.absent", None),
        ("string", "{.spec.size}", 3),
        ("string", ".spec[?(bad", None),
    ],
)
def test_printer_columns(kind: str, path: str, cell: Any) -> None:
    (_, column) = custom_columns((Column("X", kind, path),))
    assert column.cell(WIDGET, NOW) == cell


@given(st.text(max_size=30))
def test_any_path_can_be_read(text: str) -> None:
    parse_path(text)


def test_without_printer_columns_the_age_is_shown() -> None:
    assert [column.name for column in custom_columns(())] == ["Name", "Age"]


def pod(phase: str = "Running", *, spec: Any = None, metadata: Any = None, **status: Any) -> Object:
    return {
        "metadata": metadata or {},
        "spec": {"containers": [{"name": "main"}], **(spec or {})},
        "status": {"phase": phase, **status},
    }


def state(**state: Any) -> Object:
    return {"name": "main", "state": state}


INIT = {"initContainers": [{"name": "one"}, {"name": "two"}]}
SIDECAR = {"initContainers": [{"name": "side", "restartPolicy": "Always"}]}
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"metadata": {"name": "x"}}, "Pending"),
        (pod("Pending"), "Pending"),
        (pod(containerStatuses=[{**state(running={}), "ready": True}]), "Running"),
        (pod(containerStatuses=[state(waiting={"reason": "CrashLoopBackOff"})]), "CrashLoopBackOff"),
        (pod("Pending", containerStatuses=[state(waiting={"reason": "ErrImagePull"})]), "ErrImagePull"),
        (pod("Succeeded", containerStatuses=[state(terminated={"reason": "Completed", "exitCode": 0})]), "Completed"),
        (pod("Failed", containerStatuses=[state(terminated={"exitCode": 3})]), "ExitCode:3"),
        (pod("Failed", containerStatuses=[state(terminated={"exitCode": 137, "signal": 9})]), "Signal:9"),
        (pod("Failed", reason="Evicted"), "Evicted"),
        (pod(metadata=DELETED), "Terminating"),
        (pod("Failed", metadata=DELETED), "Failed"),
        (pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
         "SchedulingGated"),
        (pod("Pending", spec=INIT, initContainerStatuses=[{"name": "one", "state": {"running": {}}}]), "Init:0/2"),
        (pod("Pending", spec=INIT, initContainerStatuses=[
            {"name": "one", "state": {"terminated": {"exitCode": 0}}},
            {"name": "two", "state": {"waiting": {"reason": "PodInitializing"}}}]), "Init:1/2"),
        (pod("Pending", spec=INIT, initContainerStatuses=[
            {"name": "one", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]), "Init:CrashLoopBackOff"),
        (pod("Failed", spec=INIT, initContainerStatuses=[
            {"name": "one", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]), "Init:Error"),
        (pod(spec=SIDECAR, initContainerStatuses=[{"name": "side", "started": True, "state": {"running": {}}}],
             containerStatuses=[{**state(running={}), "ready": True}]), "Running"),
    ],
)  # fmt: skip
def test_a_pod_in_one_word(obj: Object, expected: str) -> None:
    assert status_of(obj) == expected


def test_what_of_a_pod_is_ready_and_restarted() -> None:
    one = pod(
        spec=SIDECAR,
        initContainerStatuses=[{"name": "side", "started": True, "ready": True, "state": {"running": {}}}],
        containerStatuses=[
            {
                "name": "main",
                "ready": False,
                "restartCount": 2,
                "state": {"running": {}},
                "lastState": {"terminated": {"finishedAt": "2026-01-01T23:58:00Z"}},
            }
        ],
    )
    assert ready(one) == "1/2"
    assert restarts(one, NOW) == "2 (2m ago)"
    assert restarts(pod(), NOW) == "0"


def cells(group: str, plural: str, obj: Object) -> dict[str, Any]:
    return {column.name: column.cell(obj, NOW) for column in BUILTIN_COLUMNS[(group, plural)]}


def condition(kind: str, at: str = "2026-01-01T23:59:00Z") -> Object:
    return {"type": kind, "status": "True", "lastTransitionTime": at}


@pytest.mark.parametrize(
    ("spec", "status", "shown", "completions", "duration"),
    [
        ({"completions": 1}, {}, "Running", "0/1", ""),
        ({"completions": 3}, {"succeeded": 1, "startTime": "2026-01-01T23:59:30Z"}, "Running", "1/3", "30s"),
        ({"completions": 1}, {"succeeded": 1, "startTime": "2026-01-01T23:59:00Z",
         "completionTime": "2026-01-01T23:59:05Z", "conditions": [condition("Complete")]}, "Complete", "1/1", "5s"),
        ({"completions": 1}, {"startTime": "2026-01-01T23:58:00Z", "conditions": [condition("Failed")]},
         "Failed", "0/1", "60s"),
        ({"parallelism": 2}, {"succeeded": 1}, "Running", "1/1 of 2", ""),
        ({"suspend": True, "completions": 1}, {"conditions": [condition("Suspended")]}, "Suspended", "0/1", ""),
    ],
)  # fmt: skip
def test_jobs(spec: Object, status: Object, shown: str, completions: str, duration: str) -> None:
    found = cells("batch", "jobs", {"metadata": {"name": "j"}, "spec": spec, "status": status})
    assert (found["Status"], found["Completions"], found["Duration"]) == (shown, completions, duration)


def test_nodes_services_and_events() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1"}},
    }
    found = cells("", "nodes", node)
    assert (found["Status"], found["Roles"]) == ("Ready,SchedulingDisabled", "control-plane")
    service = {
        "spec": {"ports": [{"port": 80, "nodePort": 3000}, {"port": 53, "protocol": "UDP"}], "selector": {"a": "b"}}
    }
    found = cells("", "services", service)
    assert (found["Port(s)"], found["Selector"]) == ("80:3000/TCP,53/UDP", "a=b")
    event = {
        "involvedObject": {"kind": "Pod", "name": "p"},
        "count": 4,
        "firstTimestamp": "2026-01-01T23:00:00Z",
        "lastTimestamp": "2026-01-01T23:59:59Z",
        "message": "hello\n",
    }
    found = cells("", "events", event)
    assert (found["Last Seen"], found["Object"], found["Message"]) == ("1s (x4 over 60m)", "pod/p", "hello")


@pytest.mark.parametrize("served", builtin_kinds(), ids=lambda served: served.resource.group_resource)
@pytest.mark.parametrize("obj", [{}, {"metadata": {}}, {"metadata": None, "spec": None, "status": None, "data": None}])
def test_no_object_is_too_empty_for_a_table(served: Served, obj: Object) -> None:
    table = table_of(served, [{"metadata": {}, **obj}], NOW, metadata={})
    (row,) = table["rows"]
    assert len(row["cells"]) == len(table["columnDefinitions"])


def test_one_odd_value_hides_no_other_row() -> None:
    served = Served(Resource("batch", "v1", "Job", "jobs"), "jobs.batch")
    odd = {"metadata": {"name": "a"}, "spec": {}, "status": {"startTime": "not a time"}}
    table = table_of(served, [odd, {"metadata": {"name": "b"}}], NOW, metadata={})
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b"]
    assert table["rows"][0]["cells"][3] == "<invalid>"
