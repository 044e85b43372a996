"""Jobs on a real API server, with a node that a test plays; and with a controller that is killed at any write."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.cluster.controllers.conftest import Cluster, until
from tests.kube.controller.clocks import ManualClock

from headwater.cluster.controllers.job.names import ordinal_of, pod_name
from headwater.cluster.controllers.job.reconciler import job_controller
from headwater.kube.client import Client, Propagation
from headwater.kube.controller import Controller, EventRecorder, Informers
from headwater.kube.meta.conditions import condition_is
from headwater.kube.meta.objects import Object, is_deleting, name_of, uid_of
from headwater.kube.meta.resources import EVENTS, JOBS, PODS, SERVICE_ACCOUNTS
from headwater.kube.meta.time import Clock, format_time

TRACKING = "batch.kubernetes.io/job-tracking"


def jobs_only(client: Client, informers: Informers, recorder: EventRecorder, clock: Clock) -> Sequence[Controller]:
    return [job_controller(client, informers, recorder, clock)]


@pytest.fixture
async def ready(cluster: Cluster) -> Cluster:
    await cluster.namespace("ns")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await cluster.client.create(SERVICE_ACCOUNTS, account, "ns")
    return cluster


async def job_that(cluster: Cluster, kind: str, name: str = "pi") -> Object:
    async def look() -> Object | None:
        job = await cluster.client.get(JOBS, name, "ns")
        return job if condition_is(job, kind) else None

    return await until(look)


async def pods_of(cluster: Cluster, number: int) -> list[Object]:
    async def look() -> tuple[list[Object]] | None:
        pods = await cluster.pods()
        return (pods,) if len(pods) == number else None

    (pods,) = await until(look)
    return pods


async def test_one_pod_to_completion(ready):
    await ready.start(jobs_only)
    job = await ready.job()
    (pod,) = await pods_of(ready, 1)
    assert name_of(pod) == pod_name("pi", uid_of(job), 0)
    await ready.finish(pod, "Succeeded")
    done = await job_that(ready, "Complete")
    assert done["status"]["succeeded"] == 1
    assert done["status"]["uncountedTerminatedPods"] == {}
    (pod,) = await ready.pods()
    assert "finalizers" not in pod["metadata"]
    await ready.stop()
    events = {event["reason"]: event for event in (await ready.client.list(EVENTS, "ns")).items}
    assert set(events) == {"SuccessfulCreate", "Completed"}
    assert events["SuccessfulCreate"]["message"] == f"Created pod: {name_of(pod)}"


async def test_failures_wait_longer_each_time_until_the_limit(ready):
    clock = ManualClock()
    await ready.start(jobs_only, clock=clock)
    await ready.job(backoffLimit=2)
    for number, seconds in ((1, 10), (2, 20), (3, 0)):
        pods = await pods_of(ready, number)
        (pod,) = [pod for pod in pods if pod["status"]["phase"] == "Pending"]
        ended = {"terminated": {"exitCode": 1, "finishedAt": format_time(clock.now())}}
        await ready.finish(pod, "Failed", containerStatuses=[_container(ended)])

        async def counted(number: int = number) -> bool:
            return (await ready.client.get(JOBS, "pi", "ns"))["status"].get("failed") == number

        await until(counted)
        if seconds:
            await clock.advance(seconds - 1.5)  # the API writes whole seconds: stay clear of the limit itself
            assert len(await ready.pods()) == number
            await clock.advance(2)
    failed = await job_that(ready, "Failed")
    assert failed["status"]["failed"] == 3
    assert len(await ready.pods()) == 3


def _container(state: Object) -> Object:
    return {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


async def test_a_deadline_stops_the_pods(ready):
    clock = ManualClock()
    await ready.start(jobs_only, clock=clock)
    await ready.job(activeDeadlineSeconds=60, parallelism=2, completions=2)
    await pods_of(ready, 2)
    await clock.advance(61)
    failed = await job_that(ready, "Failed")
    assert failed["status"]["failed"] == 2
    assert await ready.pods() == []


async def test_suspension_takes_the_pods_away_and_resumption_brings_them_back(ready):
    await ready.start(jobs_only)
    await ready.job(parallelism=2, completions=2)
    before = await pods_of(ready, 2)
    await ready.client.patch(JOBS, "pi", {"spec": {"suspend": True}}, "ns")
    await pods_of(ready, 0)
    suspended = await job_that(ready, "Suspended")
    assert "failed" not in suspended["status"]
    await ready.client.patch(JOBS, "pi", {"spec": {"suspend": False}}, "ns")
    after = await pods_of(ready, 2)
    assert {uid_of(pod) for pod in before}.isdisjoint({uid_of(pod) for pod in after})


async def test_a_pod_that_is_deleted_is_counted_and_replaced(ready):
    clock = ManualClock()
    await ready.start(jobs_only, clock=clock)
    await ready.job()
    (pod,) = await pods_of(ready, 1)
    await ready.client.delete(PODS, name_of(pod), "ns")

    async def replaced() -> bool:
        return [uid_of(other) for other in await ready.pods()] not in ([], [uid_of(pod)])

    await until(replaced)

    async def counted() -> bool:
        return (await ready.client.get(JOBS, "pi", "ns"))["status"].get("failed") == 1

    await until(counted)


async def test_a_finished_job_goes_after_its_time_to_live(ready):
    clock = ManualClock()
    await ready.start(clock=clock)
    await ready.job(ttlSecondsAfterFinished=100)
    (pod,) = await pods_of(ready, 1)
    await ready.finish(pod, "Succeeded")
    await job_that(ready, "Complete")
    await clock.advance(99)
    assert await ready.find(JOBS, "pi", "ns")
    await clock.advance(2)

    async def gone() -> bool:
        return await ready.find(JOBS, "pi", "ns") is None and not await ready.pods()

    await until(gone)


@pytest.mark.parametrize("policy", [Propagation.BACKGROUND, Propagation.FOREGROUND])
async def test_pods_go_with_their_job(ready, policy):
    await ready.start()
    await ready.job(parallelism=3, completions=3)
    await pods_of(ready, 3)
    await ready.client.delete(JOBS, "pi", "ns", propagation=policy)

    async def gone() -> bool:
        return await ready.find(JOBS, "pi", "ns") is None and not await ready.pods()

    await until(gone)


async def test_an_orphaned_pod_stays_and_is_released(ready):
    await ready.start()
    await ready.job()
    await pods_of(ready, 1)
    await ready.client.delete(JOBS, "pi", "ns", propagation=Propagation.ORPHAN)

    async def free() -> bool:
        (pod,) = await ready.pods()
        return "ownerReferences" not in pod["metadata"] and not await ready.find(JOBS, "pi", "ns")

    await until(free)


async def test_pods_of_a_former_job_of_the_name_are_released(ready):
    """The job was deleted and made anew while no controller ran."""
    await ready.start(jobs_only)
    await ready.job()
    (old,) = await pods_of(ready, 1)
    await ready.stop()
    await ready.client.delete(JOBS, "pi", "ns", propagation=Propagation.BACKGROUND)
    await ready.job()
    await ready.start()

    async def replaced() -> bool:
        pods = await ready.pods()
        return len(pods) == 1 and uid_of(pods[0]) != uid_of(old)

    await until(replaced)


async def test_the_name_of_the_next_pod_is_taken_by_another(ready):
    job = await ready.job(suspend=True)
    await ready.pod(pod_name("pi", uid_of(job), 0))
    await ready.start(jobs_only)
    await ready.client.patch(JOBS, "pi", {"spec": {"suspend": False}}, "ns")
    names = {name_of(pod) for pod in await pods_of(ready, 2)}
    assert names == {pod_name("pi", uid_of(job), 0), pod_name("pi", uid_of(job), 1)}


async def indexed_pods(cluster: Cluster) -> dict[str, Object]:
    """Return the pods that may still run, by their index."""
    pods = await cluster.pods()
    running = [pod for pod in pods if pod["status"]["phase"] == "Pending" and not is_deleting(pod)]
    return {pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: pod for pod in running}


async def test_an_indexed_job_runs_each_index_once(ready):
    await ready.start(jobs_only)
    await ready.job(completionMode="Indexed", completions=3, parallelism=2)
    for expected, finish in (({"0", "1"}, "1"), ({"0", "2"}, "0"), ({"2"}, "2")):

        async def running(expected: set[str] = expected) -> Any:
            pods = await indexed_pods(ready)
            return pods if set(pods) == expected else None

        pods = await until(running)
        pod = pods[finish]
        assert name_of(pod).startswith(f"pi-{finish}-")
        assert pod["spec"]["hostname"] == f"pi-{finish}"
        assert pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == finish
        assert [variable["name"] for variable in pod["spec"]["containers"][0]["env"]] == ["JOB_COMPLETION_INDEX"]
        await ready.finish(pod, "Succeeded")
    done = await job_that(ready, "Complete")
    assert (done["status"]["completedIndexes"], done["status"]["succeeded"]) == ("0-2", 3)


async def test_an_index_fails_alone_and_the_others_go_on(ready):
    clock = ManualClock()
    await ready.start(jobs_only, clock=clock)
    await ready.job(completionMode="Indexed", completions=2, parallelism=2, backoffLimitPerIndex=1)

    async def both() -> Any:
        pods = await indexed_pods(ready)
        return pods if len(pods) == 2 else None

    pods = await until(both)
    await ready.finish(pods["1"], "Succeeded")
    failing = pods["0"]
    for attempt in range(2):
        ended = {"terminated": {"exitCode": 1, "finishedAt": format_time(clock.now())}}
        await ready.finish(failing, "Failed", containerStatuses=[_container(ended)])
        if attempt == 0:

            async def written() -> Any:
                status = (await ready.client.get(JOBS, "pi", "ns"))["status"]
                return (status.get("uncountedTerminatedPods") or {}).get("failed")

            await until(written)
            await clock.advance(11)

            async def again() -> Any:
                return (await indexed_pods(ready)).get("0")

            failing = await until(again)
            assert failing["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "1"
    failed = await job_that(ready, "Failed")
    assert failed["status"]["failedIndexes"] == "0"
    assert failed["status"]["completedIndexes"] == "1"
    assert failed["status"]["failed"] == 2


async def test_a_job_of_another_controller_is_left_alone(ready):
    await ready.start(jobs_only)
    await ready.job("theirs", managedBy="example.com/other")
    await ready.job("ours")
    await pods_of(ready, 1)
    assert not (await ready.client.get(JOBS, "theirs", "ns")).get("status")


async def test_a_thousand_pods_each_once(ready):
    await ready.start(jobs_only)
    job = await ready.job(parallelism=1000, completions=1000)
    pods = await pods_of(ready, 1000)
    assert {ordinal_of(name_of(pod), uid_of(job)) for pod in pods} == set(range(1000))


class Killed(BaseException):
    """The process is gone."""


class MortalClient:
    """Passes calls on until a certain write; that one may still be done, and nothing after it."""

    def __init__(self, client: Client, writes: int, last_one_done: bool) -> None:
        self._client = client
        self._left = writes
        self._last_one_done = last_one_done
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **options: Any) -> Any:
            if self.dead.is_set():
                raise Killed
            if name in ("create", "update", "patch", "delete") and EVENTS not in args:
                self._left -= 1
                if self._left == 0:
                    self.dead.set()
                    if self._last_one_done:
                        await method(*args, **options)
                    raise Killed
            answer = await method(*args, **options)
            if self.dead.is_set():
                raise Killed
            return answer

        return call


class PlayedNode:
    """Ends pods as told by their numbers, and watches that there are never more than there may be."""

    def __init__(self, cluster: Cluster, clock: ManualClock, job: Object, fails: set[int], tidy: bool) -> None:
        self.cluster = cluster
        self.clock = clock
        self.job = job
        self.fails = fails
        self.tidy = tidy
        self.ended: dict[str, str] = {}
        self.most = 0

    async def step(self) -> None:
        pods = await self.cluster.pods()
        live = [p for p in pods if p["status"]["phase"] == "Pending" and not is_deleting(p)]
        self.most = max(self.most, len(live))
        for pod in live[:1]:
            ordinal = ordinal_of(name_of(pod), uid_of(self.job))
            phase = "Failed" if ordinal in self.fails else "Succeeded"
            ended = {"terminated": {"exitCode": 0, "finishedAt": format_time(self.clock.now())}}
            await self.cluster.finish(pod, phase, containerStatuses=[_container(ended)])
            self.ended[uid_of(pod)] = phase
            if self.tidy:
                await self.cluster.client.delete(PODS, name_of(pod), "ns")


@pytest.mark.parametrize("tidy", [False, True], ids=["pods stay", "pods are deleted when they end"])
@pytest.mark.parametrize("last_one_done", [False, True], ids=["write lost", "write done, answer lost"])
async def test_killed_at_any_write_no_pod_is_doubled_and_no_end_counted_twice(ready, last_one_done, tidy):
    kills = 0
    for writes in range(1, 100):
        clock = ManualClock()
        name = f"pi{writes}"
        job = await ready.job(name, parallelism=2, completions=4, backoffLimit=10)
        node = PlayedNode(ready, clock, job, {1, 2}, tidy)
        mortal = MortalClient(ready.client, writes, last_one_done)
        await ready.start(jobs_only, client=mortal, clock=clock)  # type: ignore[arg-type]
        alive = True

        async def over(node: PlayedNode = node, clock: ManualClock = clock, name: str = name) -> bool:
            nonlocal alive
            if mortal.dead.is_set() and alive:  # noqa: B023
                alive = False
                await ready.stop()
                await ready.start(jobs_only, clock=clock)
            await node.step()
            await clock.advance(5)
            return condition_is(await ready.client.get(JOBS, name, "ns"), "Complete")

        await until(over)
        status = (await ready.client.get(JOBS, name, "ns"))["status"]
        outcomes = [*node.ended.values()]
        assert status["succeeded"] == outcomes.count("Succeeded") == 4
        assert status.get("failed", 0) == outcomes.count("Failed") == 2
        assert node.most <= 2
        assert not any(TRACKING in pod["metadata"].get("finalizers", ()) for pod in await ready.pods())
        await ready.stop()
        for pod in await ready.pods():
            await ready.client.delete(PODS, name_of(pod), "ns")
        if not mortal.dead.is_set():
            break
        kills += 1
    else:
        raise AssertionError("the controller never got through")
    assert kills > 15
