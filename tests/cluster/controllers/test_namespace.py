from tests.cluster.controllers.conftest import Cluster, until

from headwater.kube.meta.conditions import find_condition
from headwater.kube.meta.objects import name_of
from headwater.kube.meta.resources import CONFIG_MAPS, NAMESPACES, PODS, SERVICE_ACCOUNTS


async def gone(cluster: Cluster, name: str) -> None:
    async def look() -> bool:
        return await cluster.find(NAMESPACES, name) is None

    await until(look)


async def test_a_namespace_is_provisioned_and_what_is_lost_comes_back(cluster):
    await cluster.start()
    await cluster.namespace("ns")

    async def provided() -> bool:
        account = await cluster.find(SERVICE_ACCOUNTS, "default", "ns")
        authority = await cluster.find(CONFIG_MAPS, "kube-root-ca.crt", "ns")
        return account is not None and authority is not None and authority["data"] == {"ca.crt": "PEM"}

    await until(provided)
    await cluster.client.delete(SERVICE_ACCOUNTS, "default", "ns")
    await cluster.client.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, "ns")
    await until(provided)


async def test_an_empty_namespace_goes(cluster):
    await cluster.start()
    await cluster.namespace("ns")
    await cluster.client.delete(NAMESPACES, "ns")
    await gone(cluster, "ns")


async def test_goes_with_all_that_is_in_it(cluster):
    await cluster.start()
    await cluster.namespace("ns")
    await until(lambda: cluster.find(SERVICE_ACCOUNTS, "default", "ns"))
    await cluster.job(parallelism=3, completions=3)

    async def running() -> bool:
        return len(await cluster.pods()) == 3

    await until(running)
    await cluster.client.delete(NAMESPACES, "ns")
    await gone(cluster, "ns")
    assert await cluster.pods() == []
    assert not [obj for obj in (await cluster.client.list(CONFIG_MAPS)).items if obj["metadata"]["namespace"] == "ns"]


async def test_says_what_it_waits_for_and_goes_when_that_has_ended(cluster):
    await cluster.start()
    await cluster.namespace("ns")
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.org/hold"]}}
    await cluster.client.create(CONFIG_MAPS, held, "ns")
    await cluster.client.delete(NAMESPACES, "ns")

    async def said() -> bool:
        namespace = await cluster.client.get(NAMESPACES, "ns")
        content = find_condition(namespace, "NamespaceContentRemaining") or {}
        finalizers = find_condition(namespace, "NamespaceFinalizersRemaining") or {}
        return (
            content.get("message") == "Some resources are remaining: configmaps. has 1 resource instances"
            and finalizers.get("message")
            == "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances"
        )

    await until(said)
    await cluster.client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "ns")
    await gone(cluster, "ns")


async def test_a_deletion_that_was_asked_for_before_the_start_is_done(cluster):
    await cluster.namespace("ns")
    await cluster.client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}, "ns")
    await cluster.client.delete(NAMESPACES, "ns")
    await cluster.start()
    await gone(cluster, "ns")


async def test_a_pod_that_stops_slowly_is_waited_for(cluster):
    await cluster.start()
    await cluster.node()
    await cluster.namespace("ns")
    await until(lambda: cluster.find(SERVICE_ACCOUNTS, "default", "ns"))
    await cluster.pod("slow", nodeName="n1")
    await cluster.client.delete(NAMESPACES, "ns")

    async def stopping() -> bool:
        return "deletionTimestamp" in (await cluster.client.get(PODS, "slow", "ns"))["metadata"]

    await until(stopping)
    assert name_of(await cluster.client.get(NAMESPACES, "ns")) == "ns"
    await cluster.client.delete(PODS, "slow", "ns", grace_period_seconds=0)
    await gone(cluster, "ns")
