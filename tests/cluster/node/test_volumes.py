"""Volumes that change while a pod runs, and homes in deep places."""

import asyncio
import shutil
from pathlib import Path

from tests.cluster.node.conftest import Cluster, running_cluster

from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, PODS


async def test_a_config_map_that_changes_reaches_the_running_pod(cluster: Cluster) -> None:
    config: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "old"}}
    await cluster.client.create(CONFIG_MAPS, config, "default")
    where = "/c" if cluster.isolation == "sandboxed" else "$HEADWATER_ROOT/c"
    pod = await cluster.run(
        command=f"until grep -q new {where}/a; do sleep 0.01; done; echo seen",
        volumes=[{"name": "c", "configMap": {"name": "c"}}],
        container={"volumeMounts": [{"name": "c", "mountPath": "/c"}]},
    )
    await cluster.running()
    await cluster.client.patch(CONFIG_MAPS, "c", {"data": {"a": "new"}}, "default")
    worker = cluster.agent._workers[pod["metadata"]["uid"]]
    worker._refresh_at = cluster.agent.clock.now()
    worker.update(await cluster.get())
    await cluster.ended()
    assert await cluster.logs() == "seen\n"


async def test_an_adopted_pod_gets_new_tokens_and_can_start_again(cluster: Cluster) -> None:
    where = "/t" if cluster.isolation == "sandboxed" else "$HEADWATER_ROOT/t"
    source = {"serviceAccountToken": {"path": "token", "audience": "somebody"}}
    token_path = f"{where}/token"
    script = (
        f"while [ -e {token_path} ]; do sleep 0.01; done; echo missing; "
        f"until [ -e {token_path} ]; do sleep 0.01; done; exit 4"
    )
    pod = await cluster.run(
        command=script,
        restartPolicy="OnFailure",
        volumes=[{"name": "t", "projected": {"sources": [source]}}],
        container={"volumeMounts": [{"name": "t", "mountPath": "/t"}]},
    )
    await cluster.running()
    token = cluster.directory(pod) / "volumes" / "t" / "token"
    await cluster.stop_agent(kill_pods=False)
    shutil.rmtree(token.parent / token.parent.joinpath("..data").readlink())
    log = cluster.directory(pod) / "containers" / "main" / "0" / "log"
    async with asyncio.timeout(10):
        while "missing" not in log.read_text():
            await asyncio.sleep(0.01)
    await cluster.start_agent()
    pod = await cluster.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 4
    assert token.read_text() == "token of default/default"


async def test_what_cannot_be_done_yet_is_said(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["true"]}}
    await cluster.run(command="true", container={"readinessProbe": probe, "tty": True})
    assert await cluster.event("NotHonoured") == "readinessProbe, tty: not built yet, the container runs without"
    await cluster.ended()


async def test_a_claim_is_not_built_yet(cluster: Cluster) -> None:
    await cluster.run(command="true", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
    assert "persistent volume claims are not built yet" in await cluster.event("FailedMount")
    await cluster.client.delete(PODS, "p", "default")
    await cluster.gone()


async def test_host_aliases(sandbox: Cluster) -> None:
    aliases = [{"ip": "127.0.0.9", "hostnames": ["one.example", "two.example"]}]
    await sandbox.run(command="getent hosts two.example; grep -c localhost /etc/hosts", hostAliases=aliases)
    await sandbox.ended()
    assert (await sandbox.logs()).startswith("127.0.0.9")


async def test_a_home_with_a_long_path(home: Path, isolation: str) -> None:
    deep = home / ("d" * 100) / "home"
    deep.mkdir(parents=True)
    async with running_cluster(deep, isolation, shutdown_grace=0.5) as cluster:
        await cluster.run(command="sleep 0.3; echo done")
        await cluster.running()
        await cluster.stop_agent(kill_pods=False)
        await cluster.start_agent()
        assert (await cluster.ended())["status"]["phase"] == "Succeeded"


async def test_a_pod_that_is_starting_while_the_node_stops_leaves_nothing(cluster: Cluster) -> None:
    for number in range(6):
        await cluster.run(f"p{number}", command="sleep 1000")
    await asyncio.sleep(0.01)
    # the fixture stops the node now; the home's fixture looks for processes
