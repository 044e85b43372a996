"""What people who type kubectl read of limits, quotas, levels, rules and policies."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.apiserver.admission.test_policies import binding, policy
from tests.cluster.apiserver.admission.test_rules import definition
from tests.cluster.apiserver.http.processes import ProcessNode
from tests.cluster.apiserver.http.serving import serving
from tests.cluster.test_kubectl import Kubectl

from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.meta.resources import SERVICE_ACCOUNTS

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    node = ProcessNode()
    async with serving(tmp_path, node=node) as running:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await running.api.create(PLATFORM, SERVICE_ACCOUNTS, "default", account)
        yield Kubectl(running, node)


async def test_quotas_and_limits(kubectl: Kubectl) -> None:
    await kubectl("create", "quota", "q", "--hard=pods=1,requests.cpu=1")
    assert "must specify requests.cpu for: a" in await kubectl.refused("run", "a", "--image=busybox")
    limits = [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]
    await kubectl.apply(
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits}}
    )
    await kubectl("run", "a", "--image=busybox")
    error = await kubectl.refused("run", "b", "--image=busybox")
    assert 'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1' in error
    described = await kubectl("describe", "quota", "q")
    assert [line.split() for line in described.splitlines() if "cpu" in line] == [["requests.cpu", "100m", "1"]]
    assert "100m" in await kubectl("describe", "limits", "l")


async def test_pod_security_levels(kubectl: Kubectl) -> None:
    labels = ("pod-security.kubernetes.io/enforce=baseline", "pod-security.kubernetes.io/warn=restricted")
    await kubectl("label", "namespace", "default", *labels)
    answer = await kubectl.run("run", "a", "--image=busybox")
    assert answer.code == 0
    assert 'Warning: would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in answer.err
    error = await kubectl.refused("run", "b", "--image=busybox", "--privileged")
    assert 'violates PodSecurity "baseline:latest": privileged (container "b" must not set' in error


async def test_policies(kubectl: Kubectl) -> None:
    rule = {"expression": "object.metadata.name.startsWith('team-')", "message": "names begin with team-"}
    await kubectl.apply(policy(rule), binding())
    error = await kubectl.refused("create", "configmap", "c")
    assert "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: names begin with team-" in error
    await kubectl("create", "configmap", "team-c")
    assert "p" in await kubectl("get", "validatingadmissionpolicies")
    await kubectl("delete", "validatingadmissionpolicybindings", "b")
    await kubectl("create", "configmap", "c")


async def test_rules_of_custom_resources(kubectl: Kubectl) -> None:
    error = await kubectl.refused("apply", "-f", "-", stdin=yaml.safe_dump(definition({"rule": "self.nope == 1"})))
    assert "undefined field 'nope'" in error
    await kubectl.apply(definition({"rule": "self.flow <= self.limit", "message": "too much"}))
    tap = {
        "apiVersion": "water.dev/v1",
        "kind": "Tap",
        "metadata": {"name": "t"},
        "spec": {"flow": 2, "limit": 1},
    }
    error = await kubectl.refused("apply", "-f", "-", stdin=yaml.safe_dump(tap))
    assert 'The Tap "t" is invalid: spec: Invalid value: "object": too much' in error
