"""Aggregating cluster roles show the rules that they grant."""

import asyncio
import random
from pathlib import Path
from typing import Any

from tests.cluster.apiserver.http.serving import serving

from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.rbac.aggregation import aggregated_rules, aggregation_controller
from headwater.kube.controller import Informers, Manager
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CLUSTER_ROLES
from headwater.kube.meta.time import SystemClock

LABEL = "rbac.authorization.k8s.io/aggregate-to-view"


def role(name: str, *resources: str, **labels: str) -> Object:
    rules = [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]} for resource in resources]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": labels},
        "rules": rules,
    }


def named(rules: list[Object]) -> list[str]:
    return [resource for rule in rules for resource in rule["resources"]]


def test_the_rules_of_what_is_selected_each_once() -> None:
    whole = {**role("whole"), "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "1"}}]}}
    roles = [role("z", "pods", "jobs", a="1"), role("b", "pods", a="1"), role("c", "secrets", a="2"), whole]
    assert named(aggregated_rules(whole, roles)) == ["pods", "jobs"]
    assert aggregated_rules(role("plain"), roles) == []


async def test_roles_are_filled_and_follow(tmp_path: Path) -> None:
    async with serving(tmp_path) as running:
        client = LocalClient(running.api)
        clock = SystemClock()
        informers = Informers(client, clock=clock)
        controller = aggregation_controller(client, informers)
        manager = Manager(client, informers, [controller], clock, rng=random.Random(1))
        await manager.start()

        async def until(name: str, holds: Any) -> None:
            async with asyncio.timeout(10):
                while not holds(named((await client.get(CLUSTER_ROLES, name)).get("rules") or [])):
                    await asyncio.sleep(0.01)

        for name, resource in (("view", "pods/log"), ("edit", "pods/exec"), ("admin", "rolebindings")):
            await until(name, lambda resources, resource=resource: resource in resources)
        await until("admin", lambda resources: "pods/log" in resources)
        custom = role("widgets", "widgets")
        custom["metadata"]["labels"] = {LABEL: "true"}
        await client.create(CLUSTER_ROLES, custom)
        await until("admin", lambda resources: "widgets" in resources)
        await client.delete(CLUSTER_ROLES, "widgets")
        await until("admin", lambda resources: "widgets" not in resources)
        await manager.stop()
        await informers.stop()
