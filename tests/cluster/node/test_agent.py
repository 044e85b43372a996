"""The behaviour of pods, on both tiers of isolation: one suite for whatever this machine can do."""

import asyncio
import json
import os
import signal
from typing import Any

import pytest

from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, NODES, PODS, SECRETS

from tests.cluster.node.conftest import Cluster, alive


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
