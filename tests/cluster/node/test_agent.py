"""The behaviour of pods, on both tiers of isolation: one suite for whatever this machine can do."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from tests.cluster.node.conftest import Cluster, alive, children

from headwater.cluster.apiserver.nodes import LogOptions
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, NODES, PODS, SECRETS


def terminated(pod: Object) -> Any:
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]


async def test_a_pod_runs_to_success(cluster: Cluster) -> None:
    await cluster.run(command="echo Hello Kubernetes!; echo oops >&2")
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Succeeded"
    assert terminated(pod)["exitCode"] == 0
    assert terminated(pod)["reason"] == "Completed"
    assert sorted((await cluster.logs()).splitlines()) == ["Hello Kubernetes!", "oops"]
    assert pod["status"]["podIP"] == "127.0.0.1"
    conditions = {c["type"]: c["status"] for c in pod["status"]["conditions"]}
    assert conditions["Initialized"] == "True"
    assert conditions["Ready"] == "False"


async def test_a_pod_that_fails_says_its_exit_code(cluster: Cluster) -> None:
    await cluster.run(command="exit 3")
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert terminated(pod)["exitCode"] == 3
    assert terminated(pod)["reason"] == "Error"


async def test_a_command_that_is_not_there(cluster: Cluster) -> None:
    await cluster.run(command=["no-such-program"])
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert terminated(pod)["reason"] == "StartError"
    assert terminated(pod)["exitCode"] == 128
    assert 'exec: "no-such-program": executable file not found in $PATH' in terminated(pod)["message"]
    assert "no-such-program" in await cluster.event("Failed")


async def test_a_killed_process_counts_as_128_and_the_signal(cluster: Cluster) -> None:
    await cluster.run(command="kill -KILL $$$$")
    pod = await cluster.ended()
    assert terminated(pod)["exitCode"] == 137


async def test_variables(cluster: Cluster) -> None:
    client = cluster.client
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"A": "1", "b.txt": "two"}}
    await client.create(CONFIG_MAPS, config, "default")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hush"}}
    await client.create(SECRETS, secret, "default")
    env = [
        {"name": "GREETING", "value": "hello $(A) $(MISSING) $$(A)"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}}},
        {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
    ]
    await cluster.run(
        metadata={"labels": {"app": "x"}},
        container={
            "command": ["sh", "-c", "env; echo args=$0", "$(WHO)-$(UNKNOWN)"],
            "env": env,
            "envFrom": [{"configMapRef": {"name": "c"}}],
            "resources": {"limits": {"cpu": "250m"}},
        },
    )
    await cluster.ended()
    text = await cluster.logs()
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert found["A"] == "1"
    assert found["GREETING"] == "hello 1 $(MISSING) $(A)"
    assert found["PASSWORD"] == "hush"
    assert "MAYBE" not in found
    assert found["WHO"] == found["HOSTNAME"] == "p"
    assert found["LABEL"] == "x"
    assert found["CPU"] == "250"
    assert found["KUBERNETES_SERVICE_PORT"] == "6443"
    assert found["args"] == "p-$(UNKNOWN)"
    assert "PYTHONDONTWRITEBYTECODE" not in found


async def test_a_missing_config_map_is_waited_for(cluster: Cluster) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}]
    await cluster.run(command="echo $A", container={"env": env})
    waiting = await cluster.waiting()
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "later" not found'}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"a": "here"}}
    await cluster.client.create(CONFIG_MAPS, config, "default")
    await cluster.ended()
    assert await cluster.logs() == "here\n"


async def test_an_unknown_image_says_what_to_add(cluster: Cluster) -> None:
    await cluster.run(container={"image": "example.com/me/thing:1"})
    waiting = await cluster.waiting()
    assert waiting["reason"] == "ErrImagePull"
    path = cluster.home / "config" / "images.yaml"
    assert f'add to {path}:\n\nimages:\n  "example.com/me/thing:1":\n    python:' in waiting["message"]
    path.parent.mkdir()
    path.write_text('images: {"example.com/me/thing:1": {shell: true, command: [echo], args: [mapped]}}')
    await cluster.ended()
    assert await cluster.logs() == "mapped\n"


async def test_on_failure_is_started_again_until_it_succeeds(cluster: Cluster) -> None:
    script = 'n=$(cat /dev/null); if [ -e "$MARK" ]; then echo again; else touch "$MARK"; echo first; exit 4; fi'
    volume = cluster.home / "marks"
    volume.mkdir()
    volume.chmod(0o777)
    cluster.settings["allowed_host_paths"] = (volume,)
    cluster.agent._services.volumes._allowed = [volume]  # type: ignore[union-attr]
    target = "/marks" if cluster.isolation == "sandboxed" else str(volume)
    await cluster.run(
        command=script,
        restartPolicy="OnFailure",
        container={
            "env": [{"name": "MARK", "value": f"{target}/x"}],
            "volumeMounts": [{"name": "m", "mountPath": "/marks"}],
        },
        volumes=[{"name": "m", "hostPath": {"path": str(volume)}}],
    )
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Succeeded"
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 4
    assert await cluster.logs() == "again\n"
    assert await cluster.logs(previous=True) == "first\n"


async def test_a_crash_loop_backs_off(cluster: Cluster) -> None:
    await cluster.run(command="exit 1", restartPolicy="Always")
    pod = await cluster.until(
        lambda p: (
            "waiting" in ((p.get("status") or {}).get("containerStatuses") or [{"state": {}}])[0]["state"]
            and p["status"]["containerStatuses"][0]["restartCount"] == 1
        )
    )
    status = pod["status"]["containerStatuses"][0]
    assert pod["status"]["phase"] == "Running"
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert "back-off 10s restarting failed container=main" in status["state"]["waiting"]["message"]
    assert status["lastState"]["terminated"]["exitCode"] == 1


async def test_init_containers_run_first_and_in_order(cluster: Cluster) -> None:
    volume = {"name": "v", "mountPath": "/v"}
    where = "/v" if cluster.isolation == "sandboxed" else "$HEADWATER_ROOT/v"
    inits = [
        {
            "name": name,
            "image": "busybox",
            "command": ["sh", "-c", f"echo {name} >> {where}/order"],
            "volumeMounts": [volume],
        }
        for name in ("one", "two")
    ]
    await cluster.run(
        command=f"cat {where}/order",
        initContainers=inits,
        volumes=[{"name": "v", "emptyDir": {}}],
        container={"volumeMounts": [volume]},
    )
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Succeeded"
    assert await cluster.logs(container="main") == "one\ntwo\n"
    assert [c["state"]["terminated"]["exitCode"] for c in pod["status"]["initContainerStatuses"]] == [0, 0]


async def test_a_failing_init_container_fails_the_pod(cluster: Cluster) -> None:
    init = {"name": "one", "image": "busybox", "command": ["sh", "-c", "exit 5"]}
    await cluster.run(command="echo never", initContainers=[init])
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    with pytest.raises(StatusError, match="waiting to start: PodInitializing"):
        await cluster.logs(container="main")


async def test_a_sidecar_ends_when_the_others_have_ended(cluster: Cluster) -> None:
    side = {"name": "side", "image": "busybox", "restartPolicy": "Always", "command": ["sh", "-c", "exec sleep 60"]}
    await cluster.run(command="sleep 0.1", initContainers=[side], terminationGracePeriodSeconds=2)
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Succeeded"


async def test_two_containers(cluster: Cluster) -> None:
    two = [{"name": n, "image": "busybox", "command": ["sh", "-c", f"echo {n}; exit {i}"]} for i, n in enumerate("ab")]
    await cluster.run(containers=two)
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert [c["state"]["terminated"]["exitCode"] for c in pod["status"]["containerStatuses"]] == [0, 1]
    assert await cluster.logs(container="b") == "b\n"
    with pytest.raises(StatusError, match="a container name must be specified for pod p, choose one of: \\[a b\\]"):
        await cluster.logs()


async def test_deletion_gives_grace(cluster: Cluster) -> None:
    await cluster.run(command="trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done")
    pod = await cluster.running()
    async with asyncio.timeout(5):
        while "up" not in await cluster.logs():
            await asyncio.sleep(0.01)
    said: list[str] = []

    async def follow() -> None:
        said.extend([piece.decode() async for piece in cluster.agent.logs(pod, "", LogOptions(follow=True))])

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.05)
    await cluster.client.delete(PODS, "p", "default")
    await cluster.gone()
    await asyncio.wait_for(following, 5)
    assert "".join(said) == "up\nbye\n"
    assert not cluster.directory(pod).exists()


async def test_deletion_kills_what_does_not_end(cluster: Cluster) -> None:
    await cluster.run(command="trap '' TERM; echo up; while :; do sleep 0.02; done")
    pod = await cluster.running()
    worker = cluster.agent._workers[pod["metadata"]["uid"]]
    shim = worker.process.pid  # type: ignore[union-attr]
    await cluster.client.delete(PODS, "p", "default", grace_period_seconds=1)
    await cluster.gone()
    async with asyncio.timeout(5):
        while alive(shim):
            await asyncio.sleep(0.01)


async def test_forced_deletion_leaves_nothing(cluster: Cluster) -> None:
    await cluster.run(command="trap '' TERM; sleep 1000 & sleep 1000")
    pod = await cluster.running()
    shim = cluster.agent._workers[pod["metadata"]["uid"]].process.pid  # type: ignore[union-attr]
    await cluster.client.delete(PODS, "p", "default", grace_period_seconds=0)
    await cluster.gone()
    async with asyncio.timeout(10):
        while alive(shim) or cluster.directory(pod).exists():
            await asyncio.sleep(0.01)


async def test_a_new_agent_adopts_running_pods(cluster: Cluster) -> None:
    await cluster.run("stays", command="sleep 0.6; echo done; exit 7")
    await cluster.run("ends", command="sleep 0.1; exit 6")
    pod = await cluster.running("stays")
    await cluster.running("ends")
    await cluster.stop_agent(kill_pods=False)
    await asyncio.sleep(0.3)
    await cluster.start_agent()
    ended = await cluster.ended("ends")
    assert terminated(ended)["exitCode"] == 6
    ended = await cluster.ended("stays")
    assert terminated(ended)["exitCode"] == 7
    assert ended["metadata"]["uid"] == pod["metadata"]["uid"]
    assert ended["status"]["containerStatuses"][0]["restartCount"] == 0
    assert await cluster.logs("stays") == "done\n"


async def test_an_end_while_nobody_looks_is_not_lost_when_the_shim_is_gone_too(cluster: Cluster) -> None:
    await cluster.run(command="sleep 0.1; exit 6")
    pod = await cluster.running()
    shim = cluster.agent._workers[pod["metadata"]["uid"]].process.pid  # type: ignore[union-attr]
    await cluster.stop_agent(kill_pods=False)
    state = cluster.directory(pod) / "state.json"
    async with asyncio.timeout(5):
        while json.loads(state.read_text())["containers"]["main"]["phase"] != "exited":
            await asyncio.sleep(0.01)
    os.kill(shim, signal.SIGKILL)
    await cluster.start_agent()
    assert terminated(await cluster.ended())["exitCode"] == 6


@pytest.mark.parametrize("watched", [True, False])
async def test_a_killed_shim_takes_its_pod_along(cluster: Cluster, watched: bool) -> None:
    await cluster.run(command="sleep 1000 & echo $!; sleep 1000")
    pod = await cluster.running()
    worker = cluster.agent._workers[pod["metadata"]["uid"]]
    shim = worker.process.pid  # type: ignore[union-attr]
    below = children(shim)
    assert below
    if not watched:
        await cluster.stop_agent(kill_pods=False)
    os.kill(shim, signal.SIGKILL)
    if not watched:
        await cluster.start_agent()
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "ShimLost"
    assert "gone" in pod["status"]["message"]
    assert terminated(pod)["reason"] == "ContainerStatusUnknown"
    assert any(c["type"] == "DisruptionTarget" for c in pod["status"]["conditions"])
    async with asyncio.timeout(5):
        while any(alive(child) for child in below):
            await asyncio.sleep(0.01)


async def test_pods_start_after_the_zygote_was_killed(cluster: Cluster) -> None:
    zygote = cluster.agent._services.runtime._zygote  # type: ignore[union-attr]
    assert zygote is not None
    zygote[0].kill()
    zygote[0].wait()
    await cluster.run(command="echo still here")
    assert (await cluster.ended())["status"]["phase"] == "Succeeded"


async def test_stopping_the_node_ends_its_pods(cluster: Cluster) -> None:
    await cluster.run(command="trap '' TERM; while :; do sleep 0.05; done")
    pod = await cluster.running()
    shim = cluster.agent._workers[pod["metadata"]["uid"]].process.pid  # type: ignore[union-attr]
    cluster.agent.settings = type(cluster.agent.settings)(shutdown_grace=0.2)
    await cluster.agent.stop(kill_pods=True)
    assert not alive(shim)
    pod = await cluster.get()
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "Terminated"
    assert [c["reason"] for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget"] == [
        "TerminationByKubelet"
    ]


async def test_what_was_left_of_deleted_pods_is_swept_away(cluster: Cluster) -> None:
    await cluster.run(command="sleep 1000")
    pod = await cluster.running()
    shim = cluster.agent._workers[pod["metadata"]["uid"]].process.pid  # type: ignore[union-attr]
    await cluster.stop_agent(kill_pods=False)
    await cluster.client.delete(PODS, "p", "default", grace_period_seconds=0)
    assert alive(shim)
    await cluster.start_agent()
    assert not cluster.directory(pod).exists()
    async with asyncio.timeout(5):
        while alive(shim):
            await asyncio.sleep(0.01)


async def test_the_deadline_of_a_pod(cluster: Cluster) -> None:
    await cluster.run(command="sleep 1000", activeDeadlineSeconds=1, terminationGracePeriodSeconds=1)
    pod = await cluster.ended()
    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "DeadlineExceeded"


async def test_the_termination_message(cluster: Cluster) -> None:
    path = "/dev/termination-log" if cluster.isolation == "sandboxed" else "$HEADWATER_ROOT/dev/termination-log"
    await cluster.run("told", command=f"printf because > {path}; exit 1")
    assert terminated(await cluster.ended("told"))["message"] == "because"
    await cluster.run(
        "log", command="echo last words; exit 1", container={"terminationMessagePolicy": "FallbackToLogsOnError"}
    )
    assert terminated(await cluster.ended("log"))["message"] == "last words\n"


async def test_the_node_says_what_it_is(cluster: Cluster) -> None:
    node = await cluster.client.get(NODES, "here")
    assert node["metadata"]["labels"]["headwater.dev/isolation"] == cluster.isolation
    ready = [c for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready[0]["status"] == "True"
    assert int(node["status"]["allocatable"]["cpu"]) >= 1


async def test_a_refused_host_path(cluster: Cluster) -> None:
    await cluster.run(command="true", volumes=[{"name": "h", "hostPath": {"path": "/etc"}}])
    assert 'volume "h": hostPath /etc is not allowed' in await cluster.event("FailedMount")
    assert (await cluster.get())["status"].get("phase", "Pending") == "Pending"


async def test_a_driver_that_fails(cluster: Cluster) -> None:
    volume = {"name": "a", "csi": {"driver": "none.example.com"}}
    await cluster.run(command="true", volumes=[volume])
    assert "driver name none.example.com not found" in await cluster.event("FailedMount")
    await cluster.client.delete(PODS, "p", "default")
    await cluster.gone()


async def test_a_pod_that_finishes_while_it_is_deleted_can_be_made_again(cluster: Cluster) -> None:
    for _ in range(3):
        await cluster.run(command="sleep 0.02")
        await cluster.client.delete(PODS, "p", "default", grace_period_seconds=1)
        await cluster.gone()


async def test_many_pods_at_once(cluster: Cluster) -> None:
    names = [f"p{number}" for number in range(12)]
    await asyncio.gather(*(cluster.run(name, command=f"echo {name}") for name in names))
    for name in names:
        assert (await cluster.ended(name))["status"]["phase"] == "Succeeded"
        assert await cluster.logs(name) == f"{name}\n"
