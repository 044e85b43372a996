"""Webhooks, asked over TLS by the API: who is asked, what the answers mean, what happens without an answer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.local import LocalClient
from headwater.cluster.apiserver.users import PLATFORM
from headwater.cluster.pki import Pki
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, NAMESPACES, SERVICES, Resource

GROUP = "admissionregistration.k8s.io"
MUTATING = Resource(GROUP, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", False)
VALIDATING = Resource(GROUP, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", False)
SLICES = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
RULE = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
Answer = Callable[[Object], Object]


class Hooks:
    """A server of webhooks: each path has a function from the request to the response."""

    def __init__(self, pki: Pki) -> None:
        self.bundle = base64.b64encode(pki.ca_certificate).decode()
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Object]] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.asked.append((request.path, review["request"]))
        response = self.answers[request.path](review["request"])
        if "sleep" in response:
            await asyncio.sleep(response["sleep"])
        answer = {"uid": review["request"]["uid"], **response}
        return web.json_response({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})

    def hook(self, path: str, answer: Answer, **more: Any) -> Object:
        self.answers[path] = answer
        name = path.strip("/") or "root"
        return {
            "name": f"{name}.hooks.dev",
            "clientConfig": {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle},
            "rules": [RULE],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.open(tmp_path_factory.mktemp("pki"), names=["hook.ns.svc"])


@pytest.fixture
async def hooks(pki: Pki, client: LocalClient) -> AsyncIterator[Hooks]:
    hooks = Hooks(pki)
    app = web.Application()
    app.router.add_post("/{name}", hooks.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=pki.server_context())
    await site.start()
    hooks.port = runner.addresses[0][1]
    metadata = {"name": "ns", "labels": {"env": "test"}}
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield hooks
    await runner.cleanup()


def mutating(*webhooks: Object, name: str = "m") -> Object:
    body = {"apiVersion": f"{GROUP}/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name}}
    return {**body, "webhooks": list(webhooks)}


def validating(*webhooks: Object) -> Object:
    body = {"apiVersion": f"{GROUP}/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "v"}}
    return {**body, "webhooks": list(webhooks)}


def config(**data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}


def allow(_: Object) -> Object:
    return {"allowed": True}


def deny(_: Object) -> Object:
    return {"allowed": False, "status": {"message": "not today", "code": 403, "reason": "Forbidden"}}


def adds(key: str, value: str) -> Answer:
    def answer(request: Object) -> Object:
        if key in request["object"]["data"]:
            return {"allowed": True}
        patch = [{"op": "add", "path": f"/data/{key}", "value": value}]
        text = base64.b64encode(json.dumps(patch).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": text}

    return answer


async def test_a_validating_webhook_refuses(client: LocalClient, hooks: Hooks) -> None:
    await client.create(VALIDATING, validating(hooks.hook("/deny", deny)))
    with pytest.raises(StatusError) as caught:
        await client.create(CONFIG_MAPS, config(a="1"), "ns")
    assert caught.value.code == 403
    assert caught.value.message == 'admission webhook "deny.hooks.dev" denied the request: not today'
    path, request = hooks.asked[0]
    assert (path, request["operation"], request["namespace"], request["name"]) == ("/deny", "CREATE", "ns", "c")
    assert request["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert request["userInfo"]["username"] == PLATFORM.name
    assert request["object"]["data"] == {"a": "1"}
    assert request["oldObject"] is None


async def test_mutating_webhooks_change_the_object_in_order(client: LocalClient, hooks: Hooks) -> None:
    await client.create(MUTATING, mutating(hooks.hook("/second", adds("b", "2")), name="z"))
    await client.create(MUTATING, mutating(hooks.hook("/first", adds("a", "1")), name="a"))
    made = await client.create(CONFIG_MAPS, config(x="0"), "ns")
    assert made["data"] == {"x": "0", "a": "1", "b": "2"}
    assert [path for path, _ in hooks.asked] == ["/first", "/second"]
    changed = await client.patch(CONFIG_MAPS, "c", {"data": {"a": None}}, "ns", patch_type=PatchType.MERGE)
    assert changed["data"]["a"] == "1"
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


async def test_one_that_asks_for_it_sees_later_changes(client: LocalClient, hooks: Hooks) -> None:
    first = hooks.hook("/first", allow, reinvocationPolicy="IfNeeded")
    await client.create(MUTATING, mutating(first, hooks.hook("/second", adds("b", "2"))))
    await client.create(CONFIG_MAPS, config(), "ns")
    assert [path for path, _ in hooks.asked] == ["/first", "/second", "/first"]
    assert hooks.asked[2][1]["object"]["data"] == {"b": "2"}


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"namespaceSelector": {"matchLabels": {"env": "prod"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"env": "test"}}}, True),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, False),
        ({"rules": [{**RULE, "operations": ["DELETE"]}]}, False),
        ({"rules": [{**RULE, "resources": ["secrets"]}]}, False),
        ({"rules": [{**RULE, "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}, True),
        ({"rules": [{**RULE, "scope": "Cluster"}]}, False),
        ({"matchConditions": [{"name": "a", "expression": "object.metadata.name == 'other'"}]}, False),
        ({"matchConditions": [{"name": "a", "expression": "request.userInfo.username != ''"}]}, True),
    ],
)
async def test_who_is_asked(client: LocalClient, hooks: Hooks, more: Object, asked: bool) -> None:
    await client.create(VALIDATING, validating(hooks.hook("/allow", allow, **more)))
    await client.create(CONFIG_MAPS, config(), "ns")
    assert bool(hooks.asked) is asked


async def test_deletions_are_asked_about(client: LocalClient, hooks: Hooks) -> None:
    await client.create(CONFIG_MAPS, config(), "ns")
    await client.create(VALIDATING, validating(hooks.hook("/deny", deny)))
    with pytest.raises(StatusError, match="not today"):
        await client.delete(CONFIG_MAPS, "c", "ns")
    request = hooks.asked[0][1]
    assert (request["operation"], request["object"], request["oldObject"]["metadata"]["name"]) == ("DELETE", None, "c")
    # Its own configuration is never put to it.
    await client.delete(VALIDATING, "v")
    await client.delete(CONFIG_MAPS, "c", "ns")


@pytest.mark.parametrize("failure_policy", ["Fail", "Ignore"])
@pytest.mark.parametrize("how", ["gone", "late", "nonsense"])
async def test_without_an_answer(client: LocalClient, hooks: Hooks, failure_policy: str, how: str) -> None:
    answers: dict[str, Answer] = {
        "gone": allow,
        "late": lambda _: {"allowed": True, "sleep": 3},
        "nonsense": lambda _: {"allowed": True, "uid": "another"},
    }
    hook = hooks.hook("/hook", answers[how], failurePolicy=failure_policy, timeoutSeconds=1)
    if how == "gone":
        hook["clientConfig"]["url"] = "https://127.0.0.1:1/hook"
    await client.create(VALIDATING, validating(hook))
    if failure_policy == "Ignore":
        await client.create(CONFIG_MAPS, config(), "ns")
        return
    with pytest.raises(StatusError) as caught:
        await client.create(CONFIG_MAPS, config(), "ns")
    assert caught.value.code == 500
    assert 'Internal error occurred: failed calling webhook "hook.hooks.dev"' in caught.value.message


async def test_a_certificate_of_somebody_else_is_not_trusted(client: LocalClient, hooks: Hooks, tmp_path: Path) -> None:
    hook = hooks.hook("/allow", allow)
    hook["clientConfig"]["caBundle"] = base64.b64encode(Pki.open(tmp_path / "other").ca_certificate).decode()
    await client.create(VALIDATING, validating(hook))
    with pytest.raises(StatusError, match="certificate verify failed"):
        await client.create(CONFIG_MAPS, config(), "ns")


async def test_a_service_is_followed_to_its_endpoints(client: LocalClient, hooks: Hooks) -> None:
    hook = hooks.hook("/allow", allow)
    service = {"namespace": "ns", "name": "hook", "path": "/allow"}
    hook["clientConfig"] = {"service": service, "caBundle": hooks.bundle}
    await client.create(VALIDATING, validating(hook))
    with pytest.raises(StatusError, match='service "hook" not found'):
        await client.create(CONFIG_MAPS, config(), "ns")
    spec = {"ports": [{"port": 443}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"}, "spec": spec}
    await client.create(SERVICES, body, "ns")
    with pytest.raises(StatusError, match='no endpoints available for service "hook"'):
        await client.create(CONFIG_MAPS, config(), "ns")
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [{"port": hooks.port}],
    }
    await client.create(SLICES, slice_, "ns")
    await client.create(CONFIG_MAPS, config(), "ns")
    assert [path for path, _ in hooks.asked] == ["/allow"]


async def test_warnings_reach_the_caller(api: Api, client: LocalClient, hooks: Hooks) -> None:
    await client.create(VALIDATING, validating(hooks.hook("/w", lambda _: {"allowed": True, "warnings": ["beware"]})))
    options = WriteOptions(dry_run=True)
    await api.create(PLATFORM, CONFIG_MAPS, "ns", config(), options=options)
    assert options.warnings == ["beware"]
    assert hooks.asked[0][1]["dryRun"] is True


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"sideEffects": "Some"}, "sideEffects: Unsupported value"),
        ({"admissionReviewVersions": ["v1beta1"]}, "must include at least one of v1"),
        ({"timeoutSeconds": 60}, "must be between 1 and 30 seconds"),
        ({"name": "short"}, "at least three segments"),
        ({"clientConfig": {}}, "exactly one of url or service"),
        ({"clientConfig": {"url": "http://x/"}}, "'https' is the only allowed URL scheme"),
        ({"matchConditions": [{"name": "a", "expression": "object.x +"}]}, "compilation failed"),
    ],
)
async def test_configurations_are_checked(client: LocalClient, hooks: Hooks, more: Object, message: str) -> None:
    with pytest.raises(StatusError, match=message) as caught:
        await client.create(VALIDATING, validating(hooks.hook("/x", allow, **more)))
    assert caught.value.code == 422
