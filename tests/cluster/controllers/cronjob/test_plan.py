"""CronJobs: which job is due, by tables; and the reconciler on a real API server with a clock that is moved."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cluster.controllers.conftest import until
from tests.cluster.controllers.workload import prepare, template
from tests.kube.controller.clocks import ManualClock

from headwater.cluster.controllers.cronjob.plan import job_name, plan
from headwater.cluster.controllers.cronjob.reconciler import cron_job_controller
from headwater.cluster.controllers.workloads.kinds import CRON_JOBS
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import JOBS
from headwater.kube.meta.time import format_time

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def cron_job(schedule: str = "* * * * *", *, last: datetime | None = None, active: list[str] = [], **spec: Any):  # noqa: B006
    status: Object = {"active": [{"name": uid, "uid": uid, "namespace": "ns"} for uid in active]} if active else {}
    if last is not None:
        status["lastScheduleTime"] = format_time(last)
    created = format_time(NOW - timedelta(hours=1))
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "ns", "uid": "c1", "creationTimestamp": created},
        "spec": {"schedule": schedule, "jobTemplate": {"spec": {"template": {}}}, **spec},
        "status": status,
    }


def job(name: str, end: str = "", *, started: int = 0) -> Object:
    status: Object = {"startTime": format_time(NOW - timedelta(minutes=started))}
    if end:
        status["conditions"] = [{"type": end, "status": "True"}]
        status["completionTime"] = format_time(NOW - timedelta(minutes=started))
    return {"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": {}, "status": status}


@pytest.mark.parametrize(
    ("spec", "jobs", "starts"),
    [
        ({"last": NOW - timedelta(seconds=90)}, [], True),
        ({"last": NOW - timedelta(seconds=30)}, [], False),
        ({"last": NOW - timedelta(seconds=90), "suspend": True}, [], False),
        ({"last": NOW - timedelta(seconds=90), "active": ["a"]}, [job("a")], True),
        ({"last": NOW - timedelta(seconds=90), "active": ["a"], "concurrencyPolicy": "Forbid"}, [job("a")], False),
        (
            {"last": NOW - timedelta(seconds=90), "active": ["a"], "concurrencyPolicy": "Forbid"},
            [job("a", "Complete")],
            True,
        ),
        ({"schedule": "0 12 * * *", "startingDeadlineSeconds": 20}, [], False),
        ({"schedule": "0 12 * * *", "startingDeadlineSeconds": 40}, [], True),
        ({"schedule": "0 13 * * *", "timeZone": "Europe/Berlin"}, [], True),
        ({"schedule": "0 12 * * *", "timeZone": "Europe/Berlin"}, [], False),
        ({"schedule": "broken"}, [], False),
        ({"timeZone": "Moon/Crater"}, [], False),
    ],
)
def test_what_is_due(spec, jobs, starts):
    todo = plan(cron_job(**spec), jobs, NOW)
    assert (todo.start is not None) == starts
    if starts:
        assert name_of(todo.start) == job_name({"metadata": {"name": "tick"}}, NOW.replace(second=0))


def test_a_running_job_is_replaced():
    wanted = cron_job(last=NOW - timedelta(minutes=2), active=["a"], concurrencyPolicy="Replace")
    todo = plan(wanted, [job("a")], NOW)
    assert [name_of(one) for one in todo.remove] == ["a"]
    assert todo.start is not None


def test_history():
    jobs = [job(f"s{number}", "Complete", started=number) for number in range(5)]
    jobs += [job(f"f{number}", "Failed", started=number) for number in range(3)]
    limits = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    todo = plan(cron_job(last=NOW, **limits), jobs, NOW)
    assert sorted(map(name_of, todo.remove)) == ["f1", "f2", "s3", "s4"]
    assert todo.status["lastSuccessfulTime"] == format_time(NOW)


def test_of_many_missed_times_the_latest_is_made_up_for():
    wanted = cron_job(last=NOW - timedelta(days=300))
    todo = plan(wanted, [], NOW)
    assert todo.scheduled == NOW.replace(second=0)
    assert [said.reason for said in todo.events] == ["TooManyMissedTimes"]
    rare = plan(cron_job("0 0 1 3 *", last=NOW - timedelta(days=700)), [], NOW)
    assert rare.scheduled == datetime(2025, 3, 1, tzinfo=UTC)
    assert rare.events == []


async def test_a_job_a_minute_each_once_also_across_a_restart(cluster):
    def controllers(client, informers, recorder, clock):
        return [cron_job_controller(client, informers, recorder, clock)]

    await prepare(cluster)
    clock = ManualClock()
    spec = {"template": {"spec": {**template()["spec"], "restartPolicy": "Never"}}}
    body = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "ns"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"metadata": {"labels": {"a": "b"}}, "spec": spec}},
    }
    await cluster.client.create(CRON_JOBS, body)
    await cluster.client.patch(
        CRON_JOBS, "tick", {"status": {"lastScheduleTime": format_time(clock.now())}}, "ns", subresource="status"
    )
    await cluster.start(controllers, clock=clock)
    for number in (1, 2):
        await clock.advance(60.2)

        async def there(number: int = number) -> Any:
            status = (await cluster.client.get(CRON_JOBS, "tick", "ns"))["status"]
            return len(status.get("active") or ()) == number

        await until(there)
    await cluster.stop()
    before = (await cluster.client.list(JOBS, "ns")).items
    assert [one["metadata"]["labels"]["a"] for one in before] == ["b", "b"]
    assert all("batch.kubernetes.io/cronjob-scheduled-timestamp" in one["metadata"]["annotations"] for one in before)
    # A life that could not write its status starts nothing twice.
    last = format_time(clock.now() - timedelta(seconds=61))
    await cluster.client.patch(
        CRON_JOBS, "tick", {"status": {"lastScheduleTime": last, "active": None}}, "ns", subresource="status"
    )
    await cluster.start(controllers, clock=clock)

    async def again() -> Any:
        status = (await cluster.client.get(CRON_JOBS, "tick", "ns"))["status"]
        return len(status.get("active") or ()) == 2

    await until(again)
    assert len((await cluster.client.list(JOBS, "ns")).items) == 2
