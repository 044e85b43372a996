"""The count of a quota follows what is there."""

from typing import Any

from tests.cluster.controllers.conftest import Cluster, until

from headwater.cluster.controllers.quota import RESOURCE_QUOTAS
from headwater.kube.meta.resources import PODS


async def test_the_count_follows_what_comes_and_goes(cluster: Cluster) -> None:
    await cluster.start()
    await cluster.namespace("ns")
    hard = {"pods": "3", "count/configmaps": "10"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}
    await cluster.client.create(RESOURCE_QUOTAS, quota, "ns")

    async def used() -> Any:
        return ((await cluster.client.get(RESOURCE_QUOTAS, "q", "ns")).get("status") or {}).get("used")

    async def shows(pods: str) -> bool:
        # The root certificate is a config map.
        return await used() == {"pods": pods, "count/configmaps": "1"}

    await until(lambda: shows("0"))
    first = await cluster.pod("a")
    await cluster.pod("b")
    await until(lambda: shows("2"))
    await cluster.finish(first, "Succeeded")
    await until(lambda: shows("1"))
    await cluster.client.delete(PODS, "b", "ns")
    await until(lambda: shows("0"))
