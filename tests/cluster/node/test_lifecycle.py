"""What a pod needs next, by tables and by properties: no process, no clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.cluster.node.lifecycle import Start, backoff_seconds, decide
from headwater.cluster.node.runtime import ContainerRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def pod(policy: str = "Never", names: str = "a", inits: tuple[str, ...] = (), **spec: Any) -> Any:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": name} for name in names],
            "initContainers": [
                {"name": name.strip("*"), **({"restartPolicy": "Always"} if name.endswith("*") else {})}
                for name in inits
            ],
            **spec,
        },
    }


def running(attempt: int = 0) -> ContainerRecord:
    return ContainerRecord(attempt, "running", started_at=nanoseconds(NOW))


def exited(code: int = 0, attempt: int = 0, crashes: int = 0, ago: float = 0, ran: float = 1) -> ContainerRecord:
    end = NOW - timedelta(seconds=ago)
    begin = end - timedelta(seconds=ran)
    return ContainerRecord(
        attempt, "exited", nanoseconds(begin), nanoseconds(end), code, "Error" if code else "Completed", crashes=crashes
    )


def test_everything_starts_at_once() -> None:
    decision = decide(pod(names="ab"), {}, NOW)
    assert decision.starts == (Start("a", 0, 0), Start("b", 0, 0))
    assert decision.phase == "Pending"


@pytest.mark.parametrize(
    ("policy", "code", "phase", "restarts"),
    [
        ("Never", 0, "Succeeded", False),
        ("Never", 1, "Failed", False),
        ("OnFailure", 0, "Succeeded", False),
        ("OnFailure", 1, "Running", True),
        ("Always", 0, "Running", True),
        ("Always", 1, "Running", True),
    ],
)
def test_restart_policies(policy: str, code: int, phase: str, restarts: bool) -> None:
    decision = decide(pod(policy), {"a": exited(code)}, NOW)
    assert decision.phase == phase
    assert bool(decision.starts) == restarts
    if restarts:
        assert decision.starts == (Start("a", 1, 1),)


@pytest.mark.parametrize(("crashes", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (60, 300)])
def test_the_back_off_doubles_up_to_five_minutes(crashes: int, seconds: float) -> None:
    assert backoff_seconds(crashes) == seconds
    if seconds:
        early = decide(pod("Always"), {"a": exited(1, 3, crashes, ago=seconds - 1)}, NOW)
        assert not early.starts
        assert early.backoffs[0].seconds == seconds
        assert early.wake_at == NOW + timedelta(seconds=1)
        assert early.phase == "Running"
    late = decide(pod("Always"), {"a": exited(1, 3, crashes, ago=seconds)}, NOW)
    assert late.starts == (Start("a", 4, crashes + 1),)


def test_a_long_good_run_is_forgiven() -> None:
    decision = decide(pod("Always"), {"a": exited(1, 9, 6, ran=600)}, NOW)
    assert decision.starts == (Start("a", 10, 1),)


def test_init_containers_are_a_queue() -> None:
    wanted = pod(inits=("i", "j"))
    assert decide(wanted, {}, NOW).starts == (Start("i", 0, 0),)
    assert decide(wanted, {"i": running()}, NOW).starts == ()
    assert decide(wanted, {"i": exited()}, NOW).starts == (Start("j", 0, 0),)
    last = decide(wanted, {"i": exited(), "j": exited()}, NOW)
    assert last.starts == (Start("a", 0, 0),)
    assert last.initialized


def test_a_failed_init_container() -> None:
    assert decide(pod(inits=("i",)), {"i": exited(1)}, NOW).phase == "Failed"
    again = decide(pod("OnFailure", inits=("i",)), {"i": exited(1)}, NOW)
    assert again.starts == (Start("i", 1, 1),)
    assert again.phase == "Pending"


def test_a_sidecar_starts_before_and_stops_after() -> None:
    wanted = pod(inits=("s*", "i"))
    assert decide(wanted, {}, NOW).starts == (Start("s", 0, 0),)
    assert decide(wanted, {"s": running()}, NOW).starts == (Start("i", 0, 0),)
    assert decide(wanted, {"s": running(), "i": exited()}, NOW).starts == (Start("a", 0, 0),)
    ending = decide(wanted, {"s": running(), "i": exited(), "a": exited()}, NOW)
    assert ending.stop == ("s",)
    assert ending.phase == "Running"
    ended = decide(wanted, {"s": exited(143), "i": exited(), "a": exited()}, NOW)
    assert ended.phase == "Succeeded"
    assert ended.starts == ()


def test_the_deadline() -> None:
    wanted = pod(activeDeadlineSeconds=60)
    assert decide(wanted, {"a": running()}, NOW, NOW).wake_at == NOW + timedelta(seconds=60)
    assert decide(wanted, {"a": running()}, NOW + timedelta(seconds=60), NOW).deadline_passed


def test_one_of_two_still_runs() -> None:
    assert decide(pod(names="ab"), {"a": exited(1), "b": running()}, NOW).phase == "Running"
    assert decide(pod(names="ab"), {"a": exited(1), "b": exited()}, NOW).phase == "Failed"


RECORDS = st.one_of(
    st.builds(running, st.integers(0, 3)),
    st.builds(exited, st.sampled_from([0, 1]), st.integers(0, 3), st.integers(0, 9), st.floats(0, 400)),
)


@given(
    st.sampled_from(["Never", "OnFailure", "Always"]),
    st.dictionaries(st.sampled_from(["i", "s", "a", "b"]), RECORDS),
)
def test_decisions_are_sane(policy: str, records: dict[str, ContainerRecord]) -> None:
    wanted = pod(policy, names="ab", inits=("s*", "i"))
    decision = decide(wanted, records, NOW)
    for start in decision.starts:
        record = records.get(start.container)
        assert start.attempt == (record.attempt + 1 if record else 0)
        assert record is None or record.phase == "exited"
    if decision.phase in ("Succeeded", "Failed"):
        assert not decision.starts
        assert not decision.backoffs
    if policy == "Always":
        assert decision.phase != "Succeeded"
