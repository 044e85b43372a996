"""Stories of ownership told by the stock kubectl: apply on the server, conflicts, and the way there from the client's
side.
"""

import json
import shutil
from typing import Any

import pytest
import yaml
from tests.cluster.test_kubectl import Kubectl, config_map, definition, deployment, kubectl, pod

from headwater.kube.meta.objects import Object

__all__ = ["kubectl"]

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


async def apply(kubectl: Kubectl, obj: Object, *arguments: str) -> str:
    return await kubectl("apply", "--server-side", "-f", "-", *arguments, stdin=yaml.safe_dump(obj))


async def read(kubectl: Kubectl, *what: str) -> Any:
    return json.loads(await kubectl("get", *what, "-o", "json", "--show-managed-fields"))


def managers(obj: Object) -> list[tuple[str, str, str]]:
    entries = obj["metadata"]["managedFields"]
    return sorted((entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries)


async def test_apply_on_the_server_and_again(kubectl: Kubectl) -> None:
    assert await apply(kubectl, deployment("web")) == "deployment.apps/web serverside-applied\n"
    before = await read(kubectl, "deploy", "web")
    assert managers(before) == [("kubectl", "Apply", "")]
    assert await apply(kubectl, deployment("web")) == "deployment.apps/web serverside-applied\n"
    assert await read(kubectl, "deploy", "web") == before
    await apply(kubectl, deployment("web", image="two", workingDir="/"))
    await apply(kubectl, deployment("web", image="two"))
    (container,) = (await read(kubectl, "deploy", "web"))["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "two"
    assert "workingDir" not in container


async def test_managed_fields_are_shown_when_asked_for(kubectl: Kubectl) -> None:
    await apply(kubectl, config_map("m", a="1"))
    assert "managedFields" not in await kubectl("get", "cm", "m", "-o", "yaml")
    assert "f:data" in await kubectl("get", "cm", "m", "-o", "yaml", "--show-managed-fields")


async def test_kubectl_says_who_owns_what_and_force_takes_over(kubectl: Kubectl) -> None:
    await apply(kubectl, deployment("web"))
    said = await kubectl.refused(
        "apply", "--server-side", "-f", "-", "--field-manager=ci", stdin=yaml.safe_dump(deployment("web", image="two"))
    )
    image = '.spec.template.spec.containers[name="main"].image'
    assert f'Apply failed with 1 conflict: conflict with "kubectl": {image}' in said
    assert "--force-conflicts" in said
    await apply(kubectl, deployment("web", image="two"), "--field-manager=ci", "--force-conflicts")
    obj = await read(kubectl, "deploy", "web")
    assert managers(obj) == [("ci", "Apply", ""), ("kubectl", "Apply", "")]
    said = await kubectl.refused(
        "apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(deployment("web", image="three"))
    )
    assert 'conflict with "ci"' in said


async def test_a_scaled_deployment_keeps_its_replicas(kubectl: Kubectl) -> None:
    await apply(kubectl, deployment("web"))
    await kubectl("scale", "deploy", "web", "--replicas=5")
    obj = await read(kubectl, "deploy", "web")
    assert managers(obj) == [("kubectl", "Apply", ""), ("kubectl", "Update", "scale")]
    said = await kubectl.refused("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(deployment("web")))
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1 at ' in said
    assert ".spec.replicas" in said
    given_up = deployment("web")
    del given_up["spec"]["replicas"]
    await apply(kubectl, given_up)
    assert (await read(kubectl, "deploy", "web"))["spec"]["replicas"] == 5


async def test_every_verb_leaves_its_managers_name(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=yaml.safe_dump(config_map("m", a="1")))
    await kubectl("label", "cm", "m", "x=y")
    await kubectl("annotate", "cm", "m", "x=y")
    await kubectl("patch", "cm", "m", "-p", '{"data":{"b":"1"}}')
    assert sorted(entry["manager"] for entry in (await read(kubectl, "cm", "m"))["metadata"]["managedFields"]) == [
        "kubectl-annotate",
        "kubectl-create",
        "kubectl-label",
        "kubectl-patch",
    ]
    await kubectl("replace", "-f", "-", stdin=yaml.safe_dump(config_map("m", c="1")))
    obj = await read(kubectl, "cm", "m")
    assert managers(obj) == [("kubectl-create", "Update", ""), ("kubectl-replace", "Update", "")]


async def test_from_the_clients_side_to_the_servers(kubectl: Kubectl) -> None:
    await kubectl.apply(deployment("web"))
    assert ("kubectl-client-side-apply", "Update", "") in managers(await read(kubectl, "deploy", "web"))
    assert "serverside-applied" in await apply(kubectl, deployment("web", image="two"))
    obj = await read(kubectl, "deploy", "web")
    assert ("kubectl", "Apply", "") in managers(obj)
    assert ("kubectl-client-side-apply", "Update", "") not in managers(obj)
    # What the client's side set, and the configuration says no more, goes.
    smaller = deployment("web", image="two")
    del smaller["spec"]["replicas"]
    await apply(kubectl, smaller)
    obj = await read(kubectl, "deploy", "web")
    said = json.loads(obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"])
    assert "replicas" not in said["spec"]
    assert obj["spec"]["replicas"] == 1
    # And back: the client's side takes up where the server's left off.
    assert await kubectl.apply(deployment("web", image="three")) == "deployment.apps/web configured\n"
    (container,) = (await read(kubectl, "deploy", "web"))["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "three"


async def test_on_trial_and_diff(kubectl: Kubectl) -> None:
    assert await apply(kubectl, config_map("m", a="1"), "--dry-run=server") == (
        "configmap/m serverside-applied (server dry run)\n"
    )
    assert await kubectl("get", "cm", "m", "--ignore-not-found") == ""
    await apply(kubectl, config_map("m", a="1"))
    said = yaml.safe_dump(config_map("m", a="2"))
    answer = await kubectl.run("diff", "--server-side", "-f", "-", stdin=said)
    assert answer.code == 1, answer.err
    assert '-  a: "1"' in answer.out
    assert '+  a: "2"' in answer.out
    same = await kubectl.run("diff", "--server-side", "-f", "-", stdin=yaml.safe_dump(config_map("m", a="1")))
    assert (same.code, same.out) == (0, "")


async def test_wrong_fields_are_refused_with_their_place(kubectl: Kubectl) -> None:
    obj = pod("p")
    obj["spec"]["containers"][0]["imagee"] = "x"
    said = await kubectl.refused("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(obj))
    assert '.spec.containers[name="main"].imagee: field not declared in schema' in said


async def test_custom_resources(kubectl: Kubectl) -> None:
    assert "serverside-applied" in await apply(kubectl, definition())
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}}
    assert await apply(kubectl, widget) == "widget.example.org/w serverside-applied\n"
    said = await kubectl.refused(
        "apply",
        "--server-side",
        "--field-manager=ci",
        "-f",
        "-",
        stdin=yaml.safe_dump({**widget, "spec": {"size": 2}}),
    )
    assert 'conflict with "kubectl": .spec.size' in said
    assert "f:size" in await kubectl("get", "widget", "w", "-o", "yaml", "--show-managed-fields")
