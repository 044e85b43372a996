"""The Job controller's decisions, as tables: job and pods in, actions and status out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headwater.cluster.controllers.job.names import pod_name
from headwater.cluster.controllers.job.plan import Plan, back_off, newly_ended, plan, vanished
from headwater.cluster.controllers.job.pods import TRACKING_FINALIZER, pod_of
from headwater.kube.meta.objects import Object, name_of, uid_of
from headwater.kube.meta.time import format_time

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UID = "job-uid"


def job(status: Object | None = None, /, *, deleting: bool = False, restart: str = "Never", **spec: Any) -> Object:
    metadata: Object = {"name": "pi", "namespace": "ns", "uid": UID}
    if deleting:
        metadata["deletionTimestamp"] = format_time(NOW)
    template = {"metadata": {"labels": {"app": "pi"}}, "spec": {"restartPolicy": restart, "containers": [{}]}}
    spec = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec}
    spec = {key: value for key, value in spec.items() if value is not None}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": spec,
        "status": {"startTime": format_time(NOW), **(status or {})},
    }


def pod(
    ordinal: int,
    phase: str = "Running",
    *,
    deleting: bool = False,
    tracked: bool = True,
    ended: float = 0,
    ready: bool = False,
    restarts: int = 0,
    node: str = "n",
) -> Object:
    metadata: Object = {
        "name": pod_name("pi", UID, ordinal),
        "namespace": "ns",
        "uid": f"u{ordinal}",
        "creationTimestamp": format_time(NOW - timedelta(seconds=100 - ordinal)),
        "finalizers": [TRACKING_FINALIZER] if tracked else [],
    }
    if deleting:
        metadata["deletionTimestamp"] = format_time(NOW)
    container: Object = {"restartCount": restarts, "state": {}}
    if phase in ("Succeeded", "Failed"):
        container["state"] = {"terminated": {"finishedAt": format_time(NOW - timedelta(seconds=ended))}}
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    status = {"phase": phase, "containerStatuses": [container], "conditions": conditions}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": status}


def decide(a_job: Object, *pods: Object, now: datetime = NOW, **options: Any) -> Plan:
    return plan(a_job, pods, now, **options)


def condition(status: Object, kind: str) -> Object | None:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind and c["status"] == "True"), None)


def ordinals(pods: list[Object]) -> list[str]:
    return sorted(uid_of(pod) for pod in pods)


class TestCreation:
    @pytest.mark.parametrize(
        ("spec", "status", "pods", "created"),
        [
            ({}, {}, [], [0]),
            ({"parallelism": 3, "completions": 5}, {}, [], [0, 1, 2]),
            ({"parallelism": 3, "completions": 2}, {}, [], [0, 1]),
            ({"parallelism": 3, "completions": 5}, {}, [pod(0), pod(2)], [3]),
            ({"parallelism": 2, "completions": 5}, {}, [pod(0, "Succeeded"), pod(1)], [2]),
            ({"parallelism": 3, "completions": 5}, {"succeeded": 4}, [], [4]),
            ({"parallelism": 3, "completions": 5}, {"succeeded": 3}, [pod(4)], [5]),
            ({"parallelism": 2, "completions": None}, {}, [], [0, 1]),
            ({"parallelism": 2, "completions": None}, {"succeeded": 1}, [pod(1)], []),
            ({"parallelism": 0}, {}, [], []),
            ({"suspend": True}, {}, [], []),
            ({"completions": 0}, {}, [], []),
            ({}, {}, [pod(0, deleting=True)], [1]),
            ({"podReplacementPolicy": "Failed"}, {}, [pod(0, deleting=True)], []),
            ({"parallelism": 1000, "completions": 1000}, {}, [], list(range(500))),
        ],
    )
    def test_creates_what_is_missing(self, spec, status, pods, created):
        assert decide(job(status, **spec), *pods).create == created

    def test_reckons_with_pods_that_are_not_seen_yet(self):
        todo = decide(job(parallelism=2, completions=5), pod(0), expected={1})
        assert todo.create == []
        assert todo.status["active"] == 2

    def test_leaves_names_of_others_alone(self):
        assert decide(job(parallelism=2, completions=5), blocked={0}).create == [1, 2]

    def test_a_pod_says_whose_it_is(self):
        made = pod_of(job(), "pi-x")
        assert made["metadata"]["labels"] == {
            "app": "pi",
            "batch.kubernetes.io/controller-uid": UID,
            "batch.kubernetes.io/job-name": "pi",
            "controller-uid": UID,
            "job-name": "pi",
        }
        assert made["metadata"]["ownerReferences"][0]["uid"] == UID
        assert made["metadata"]["ownerReferences"][0]["controller"] is True
        assert made["metadata"]["finalizers"] == [TRACKING_FINALIZER]

    def test_first_status(self):
        todo = decide({**job(), "status": {}})
        assert todo.status == {
            "active": 1,
            "ready": 0,
            "terminating": 0,
            "startTime": format_time(NOW),
            "uncountedTerminatedPods": {},
        }


class TestRemoval:
    def test_takes_the_youngest_that_does_not_run_first(self):
        pods = [pod(0), pod(1), pod(2, "Pending"), pod(3, "Pending", node="")]
        todo = decide(job(parallelism=1, completions=9), *pods)
        assert ordinals(todo.remove) == ["u1", "u2", "u3"]
        assert todo.status["active"] == 1
        assert todo.status["terminating"] == 3

    def test_suspension_removes_all_and_counts_none(self):
        todo = decide(job(suspend=True, parallelism=2, completions=2), pod(0), pod(1))
        assert ordinals(todo.remove) == ["u0", "u1"]
        assert condition(todo.status, "Suspended")
        assert "failed" not in todo.status
        assert [said.reason for said in todo.events] == ["Suspended"]

    def test_resumption_starts_the_time_anew(self):
        conditions = [{"type": "Suspended", "status": "True", "lastTransitionTime": "x"}]
        old = {"startTime": format_time(NOW - timedelta(hours=1)), "conditions": conditions}
        todo = decide(job(old))
        assert todo.status["startTime"] == format_time(NOW)
        assert todo.create == [0]
        assert [said.reason for said in todo.events] == ["Resumed"]


class TestCounting:
    def test_an_end_is_written_down_first(self):
        todo = decide(job(parallelism=2, completions=3), pod(0, "Succeeded"), pod(1, "Failed", ended=100))
        assert todo.status["uncountedTerminatedPods"] == {"succeeded": ["u0"], "failed": ["u1"]}
        assert "succeeded" not in todo.status
        assert ordinals(todo.release) == ["u0", "u1"]

    def test_and_counted_when_the_finalizer_is_gone(self):
        written = {"uncountedTerminatedPods": {"succeeded": ["u0"], "failed": ["u1", "u2"]}, "succeeded": 4}
        pods = [pod(0, "Succeeded", tracked=False), pod(1, "Failed", ended=100)]
        todo = decide(job(written, parallelism=2, completions=9), *pods)
        assert todo.status["succeeded"] == 5
        assert todo.status["failed"] == 1  # u2 is gone
        assert todo.status["uncountedTerminatedPods"] == {"failed": ["u1"]}
        assert ordinals(todo.release) == ["u1"]

    def test_and_never_again(self):
        todo = decide(job({"succeeded": 1}, completions=3), pod(0, "Succeeded", tracked=False))
        assert todo.status["succeeded"] == 1
        assert todo.status["uncountedTerminatedPods"] == {}

    def test_a_pod_that_somebody_deletes_has_failed(self):
        pods = [pod(0, deleting=True)]
        assert newly_ended(job(), pods) == pods
        assert newly_ended(job(podReplacementPolicy="Failed"), pods) == []
        assert decide(job(), *pods).status["uncountedTerminatedPods"] == {"failed": ["u0"]}

    def test_what_vanished_has_to_be_looked_for(self):
        written = {"uncountedTerminatedPods": {"succeeded": ["u0", "u1"]}}
        assert vanished(job(written), [pod(0)]) == {"u1"}

    def test_a_deleted_job_lets_its_pods_go(self):
        todo = decide(job(deleting=True), pod(0), pod(1, tracked=False))
        assert ordinals(todo.release) == ["u0"]
        assert todo.create == []

    def test_shows_ready_and_terminating(self):
        todo = decide(job(parallelism=2, completions=9), pod(0, ready=True), pod(1), pod(2, deleting=True))
        assert (todo.status["active"], todo.status["ready"], todo.status["terminating"]) == (2, 1, 1)


class TestCompletion:
    def test_first_the_criteria_then_the_end(self):
        first = decide(job(), pod(0, "Succeeded"))
        assert condition(first.status, "SuccessCriteriaMet")
        assert not condition(first.status, "Complete")
        second = decide({**job(), "status": first.status}, pod(0, "Succeeded", tracked=False))
        complete = condition(second.status, "Complete")
        assert complete is not None
        assert complete["reason"] == "CompletionsReached"
        assert second.status["succeeded"] == 1
        assert second.status["completionTime"] == format_time(NOW)
        assert [said.reason for said in second.events] == ["Completed"]
        third = decide({**job(), "status": second.status}, pod(0, "Succeeded", tracked=False))
        assert third == Plan(status=second.status)

    def test_waits_for_pods_that_still_stop(self):
        todo = decide(job({"succeeded": 1}), pod(3, deleting=True, tracked=False))
        assert condition(todo.status, "SuccessCriteriaMet")
        assert not condition(todo.status, "Complete")

    def test_a_work_queue_is_complete_when_one_succeeded_and_none_runs(self):
        queue = job(parallelism=2, completions=None)
        assert not condition(decide(queue, pod(0, "Succeeded"), pod(1)).status, "SuccessCriteriaMet")
        assert condition(decide(queue, pod(0, "Succeeded"), pod(1, "Failed")).status, "SuccessCriteriaMet")

    def test_no_completions_wanted(self):
        assert condition(decide(job(completions=0)).status, "Complete")


class TestFailure:
    @pytest.mark.parametrize(
        ("spec", "status", "pods", "reason"),
        [
            ({"backoffLimit": 0}, {}, [pod(0, "Failed")], "BackoffLimitExceeded"),
            ({"backoffLimit": 1}, {}, [pod(0, "Failed")], None),
            (
                {"backoffLimit": 1},
                {"failed": 1},
                [pod(0, "Failed", tracked=False), pod(1, "Failed")],
                "BackoffLimitExceeded",
            ),
            ({"backoffLimit": 0, "restart": "OnFailure"}, {}, [pod(0, restarts=1)], "BackoffLimitExceeded"),
            ({"backoffLimit": 3, "restart": "OnFailure"}, {}, [pod(0, restarts=2)], None),
            ({"backoffLimit": 3, "restart": "OnFailure"}, {}, [pod(0, restarts=3)], "BackoffLimitExceeded"),
            ({"activeDeadlineSeconds": 0}, {}, [pod(0)], "DeadlineExceeded"),
            ({"activeDeadlineSeconds": 10}, {}, [pod(0)], None),
            ({"activeDeadlineSeconds": 0, "suspend": True}, {}, [], None),
        ],
    )
    def test_fails_for_a_reason(self, spec, status, pods, reason):
        target = condition(decide(job(status, **spec), *pods).status, "FailureTarget")
        assert (target or {}).get("reason") == reason

    def test_stops_what_runs_and_is_failed_when_all_is_counted(self):
        failing = job(backoffLimit=0, parallelism=2, completions=2)
        first = decide(failing, pod(0, "Failed"), pod(1))
        assert ordinals(first.stop) == ["u1"]
        assert not condition(first.status, "Failed")
        assert [said.reason for said in first.events] == ["BackoffLimitExceeded"]
        failing["status"] = first.status
        second = decide(failing, pod(0, "Failed", tracked=False), pod(1, deleting=True))
        assert not condition(second.status, "Failed")
        failing["status"] = second.status
        third = decide(failing, pod(0, "Failed", tracked=False))
        failed = condition(third.status, "Failed")
        assert failed is not None
        assert failed["reason"] == "BackoffLimitExceeded"
        assert third.status["failed"] == 2
        assert third.create == []

    def test_wakes_at_the_deadline(self):
        assert decide(job(activeDeadlineSeconds=30), pod(0), now=NOW + timedelta(seconds=10)).requeue_after == 20


class TestBackOff:
    @pytest.mark.parametrize(
        ("pods", "seconds"),
        [
            ([], 0),
            ([pod(0, "Failed", ended=3)], 7),
            ([pod(0, "Failed", ended=60), pod(1, "Failed", ended=5)], 15),
            ([pod(i, "Failed", ended=100 - i) for i in range(9)], 360 - 92),
            ([pod(0, "Failed", ended=9), pod(1, "Succeeded", ended=5)], 0),
            ([pod(0, "Failed", ended=9), pod(1, "Succeeded", ended=5), pod(2, "Failed", ended=1)], 9),
        ],
    )
    def test_doubles_with_failures_since_the_last_success(self, pods, seconds):
        assert back_off(pods, NOW) == seconds

    def test_the_next_pod_waits(self):
        todo = decide(job(), pod(0, "Failed", ended=3))
        assert (todo.create, todo.requeue_after) == ([], 7)
        later = decide(job(), pod(0, "Failed", ended=10))
        assert (later.create, later.requeue_after) == ([1], None)


class TestTimeToLive:
    def finished(self, **spec: Any) -> Object:
        done = {"type": "Complete", "status": "True", "lastTransitionTime": format_time(NOW)}
        return job({"conditions": [done], "succeeded": 1}, **spec)

    def test_expires(self):
        ended = self.finished(ttlSecondsAfterFinished=10)
        early = decide(ended, now=NOW + timedelta(seconds=4))
        assert (early.expire, early.requeue_after) == (False, 6)
        assert decide(ended, now=NOW + timedelta(seconds=10)).expire

    def test_otherwise_stays(self):
        assert decide(self.finished()) == Plan(status=self.finished()["status"])

    def test_a_finished_job_releases_pods_that_were_missed(self):
        assert [name_of(p) for p in decide(self.finished(), pod(0)).release] == [pod_name("pi", UID, 0)]
