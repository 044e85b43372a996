"""Indexed jobs, pod failure policies and success policies: tables and properties of the pure parts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cluster.controllers.job.test_plan import condition, decide, job, pod

from headwater.cluster.controllers.job.failures import judge
from headwater.cluster.controllers.job.indexes import format_indexes, parse_indexes
from headwater.kube.meta.objects import Object, uid_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def indexed(number: int, index: int, phase: str = "Running", *, failures: int = 0, exit_code: int = 1, **options: Any):
    one = pod(number, phase, **options)
    one["metadata"]["annotations"] = {
        "batch.kubernetes.io/job-completion-index": str(index),
        "batch.kubernetes.io/job-index-failure-count": str(failures),
    }
    for status in one["status"]["containerStatuses"]:
        status["name"] = "main"
        if phase == "Failed":
            status["state"]["terminated"]["exitCode"] = exit_code
    return one


def indexed_job(status: Object | None = None, /, **spec: Any) -> Object:
    return job(status, completionMode="Indexed", **{"completions": 4, "parallelism": 2, **spec})


@pytest.mark.parametrize(
    ("indexes", "text"), [([], ""), ([0], "0"), ([0, 1], "0,1"), ([3, 1, 4, 5, 7], "1,3-5,7"), ([2, 3, 4], "2-4")]
)
def test_lists_of_indexes(indexes, text):
    assert format_indexes(indexes) == text


@given(st.sets(st.integers(0, 60)), st.integers(0, 70))
def test_lists_of_indexes_are_read_as_written(indexes, below):
    assert parse_indexes(format_indexes(indexes), below) == {index for index in indexes if index < below}


@pytest.mark.parametrize(
    ("status", "pods", "created"),
    [
        ({}, [], [0, 1]),
        ({"completedIndexes": "0,2"}, [], [1, 3]),
        ({"completedIndexes": "0-2"}, [], [3]),
        ({}, [indexed(0, 0), indexed(1, 1)], []),
        ({}, [indexed(0, 0, "Succeeded"), indexed(1, 1)], [2]),
        ({}, [indexed(0, 0, deleting=True), indexed(1, 1)], [0]),
        ({"completedIndexes": "0-3"}, [], []),
    ],
)
def test_the_lowest_indexes_come_first(status, pods, created):
    todo = decide(indexed_job(status), *pods)
    assert [*todo.indexes.values()] == created
    assert [*todo.indexes] == todo.create


def test_an_index_that_is_starting_is_not_started_again():
    todo = decide(indexed_job(), expected={0}, starting_indexes={0})
    assert [*todo.indexes.values()] == [1]


def test_of_two_pods_of_an_index_the_younger_goes():
    todo = decide(indexed_job(), indexed(0, 0), indexed(1, 0))
    assert [uid_of(one) for one in todo.remove] == ["u1"]


class TestFailurePolicy:
    rules = (
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [13]}},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}},
    )

    def job(self, **spec: Any) -> Object:
        return indexed_job(podFailurePolicy={"rules": [*self.rules]}, podReplacementPolicy="Failed", **spec)

    @pytest.mark.parametrize(
        ("code", "action"), [(42, "FailJob"), (13, "FailIndex"), (1, None), (3, "Count"), (0, None)]
    )
    def test_the_first_rule_that_matches(self, code, action):
        verdict = judge(self.job(), indexed(0, 0, "Failed", exit_code=code))
        assert (verdict.action if verdict else None) == action

    def test_the_job_fails_at_once(self):
        todo = decide(self.job(), indexed(0, 0, "Failed", exit_code=42), indexed(1, 1))
        target = condition(todo.status, "FailureTarget")
        assert target["reason"] == "PodFailurePolicy"
        assert target["message"].endswith("failed with exit code 42 matching FailJob rule at index 1")
        assert [uid_of(one) for one in todo.stop] == ["u1"]

    def test_an_ignored_failure_is_not_counted_and_is_replaced_at_once(self):
        ignored = indexed(0, 0, "Failed")
        ignored["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True"})
        todo = decide(self.job(), ignored, indexed(1, 1))
        assert todo.status["uncountedTerminatedPods"] == {}
        assert [uid_of(one) for one in todo.release] == ["u0"]
        assert [*todo.indexes.values()] == [0]

    def test_an_index_fails_by_its_exit_code(self):
        todo = decide(self.job(backoffLimitPerIndex=5), indexed(0, 0, "Failed", exit_code=13), indexed(1, 1))
        assert todo.status["failedIndexes"] == "0"
        assert [*todo.indexes.values()] == [2]


class TestBackOffPerIndex:
    def test_a_failed_pod_stays_until_its_successor_counts_on(self):
        failed = indexed(0, 0, "Failed")
        assert decide(indexed_job(backoffLimitPerIndex=2), failed, indexed(1, 1)).release == []
        later = decide(indexed_job(backoffLimitPerIndex=2), failed, indexed(1, 1), indexed(2, 0, failures=1))
        assert [uid_of(one) for one in later.release] == ["u0"]

    @pytest.mark.parametrize(("most", "reason"), [(0, "MaxFailedIndexesExceeded"), (1, None), (None, None)])
    def test_too_many_failed_indexes(self, most, reason):
        spec = {"backoffLimitPerIndex": 0, **({} if most is None else {"maxFailedIndexes": most})}
        target = condition(decide(indexed_job(**spec), indexed(0, 0, "Failed"), indexed(1, 1)).status, "FailureTarget")
        assert (target or {}).get("reason") == reason

    def test_failed_when_every_index_has_ended(self):
        status = {"completedIndexes": "0-2"}
        todo = decide(indexed_job(status, backoffLimitPerIndex=0), indexed(9, 3, "Failed"))
        assert condition(todo.status, "FailureTarget")["reason"] == "FailedIndexes"


@pytest.mark.parametrize(
    ("rule", "completed", "met"),
    [
        ({"succeededCount": 2}, "0", False),
        ({"succeededCount": 2}, "0,3", True),
        ({"succeededIndexes": "0,2"}, "0,1", False),
        ({"succeededIndexes": "0,2"}, "0-2", True),
        ({"succeededIndexes": "0-3", "succeededCount": 1}, "3", True),
    ],
)
def test_success_policy(rule, completed, met):
    wanted = indexed_job({"completedIndexes": completed}, successPolicy={"rules": [rule]})
    todo = decide(wanted, indexed(7, 1) if "1" not in completed else indexed(7, 3))
    found = condition(todo.status, "SuccessCriteriaMet")
    assert (found is not None) == met
    if found is not None:
        assert (found["reason"], found["message"]) == ("SuccessPolicy", "Matched rules at index 0")
        assert [uid_of(one) for one in todo.remove] == ["u7"]
        assert todo.create == []
