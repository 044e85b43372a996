"""Nobody gets past the door: every route, asked by somebody without a role and by nobody at all.

The routes are those that discovery tells of, with every verb, subresource and plain URL; a new kind is in the
matrix by being served.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from tests.cluster.apiserver.http.conftest import Callers
from tests.cluster.apiserver.http.serving import serving

from headwater.cluster.apiserver.http.information import PATHS
from headwater.cluster.apiserver.registry import Registry
from headwater.cluster.apiserver.users import PLATFORM
from headwater.cluster.pki import Pki
from headwater.kube.client.http import HttpClient
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, uid_of
from headwater.kube.meta.resources import CONFIG_MAPS, SERVICE_ACCOUNTS
from headwater.kube.meta.time import format_time

PUBLIC = {"/healthz", "/livez", "/readyz", "/version"}
OPEN_TO_ALL_USERS = {
    *PUBLIC,
    "/api",
    "/apis",
    "/api/v1",
    "/apis/batch",
    "/apis/batch/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/batch/v1",
}
SELF_REVIEWS = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
ON_COLLECTIONS = {"list", "watch", "create", "deletecollection"}
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}


def routes(registry: Registry) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and verb of every route of every served resource."""
    for served in registry.all():
        resource = served.resource
        namespace = "default" if resource.namespaced else None
        for verb in served.verbs:
            name = None if verb in ON_COLLECTIONS else "x"
            query = "?watch=true" if verb == "watch" else ""
            yield METHODS[verb], resource.path(namespace, name) + query, f"{verb} {resource.plural}"
        for subresource in resource.subresources:
            for method in ("GET", "POST", "PUT", "PATCH"):
                path = resource.path(namespace, "x", subresource)
                yield method, path, f"{method} {resource.plural}/{subresource}"
        for method in ("DELETE", "OPTIONS"):
            yield method, resource.path(namespace, "x", "status"), f"{method} {resource.plural}/status"
    yield "GET", "/api/v1/namespaces/default/pods/x/proxy/some/path", "proxy"
    yield "GET", "/api/v1/namespaces/default/nothings", "unknown kind"
    yield "GET", "/apis/no.group/v1/nothings", "unknown group"


async def refused(callers: Callers, who: str) -> list[str]:
    """Return what was not answered 403 and should have been."""
    caller = getattr(callers, who)
    wrong = []
    for method, path, what in routes(callers.running.api.registry):
        if who == "stranger" and any(review in path for review in SELF_REVIEWS) and method == "POST":
            continue
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        if path.endswith(("/exec", "/attach")) and method == "GET":
            headers = WEBSOCKET
        code, answer = await caller.ask(method, path, data=b"{}", headers=headers)
        if code != 403 or "cannot" not in answer["message"]:
            wrong.append(f"{what}: {method} {path} -> {code} {answer}")
    return wrong


@pytest.mark.parametrize("who", ["stranger", "anonymous"])
async def test_every_resource_route_refuses(callers: Callers, who: str) -> None:
    assert await refused(callers, who) == []


async def test_a_refusal_does_not_tell_whether_the_object_exists(callers: Callers) -> None:
    present: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "present"}}
    await callers.running.api.create(PLATFORM, CONFIG_MAPS, "default", present)
    answers = [
        await callers.stranger.ask("GET", f"/api/v1/namespaces/default/configmaps/{name}")
        for name in ("present", "missing")
    ]
    (first, second) = [str(answer).replace("present", "X").replace("missing", "X") for answer in answers]
    assert first == second


@pytest.mark.parametrize("path", sorted({*PATHS, *OPEN_TO_ALL_USERS}))
async def test_every_other_url(callers: Callers, path: str) -> None:
    for caller, allowed in (
        (callers.anonymous, path in PUBLIC),
        (callers.stranger, path in OPEN_TO_ALL_USERS),
        (callers.admin, True),
    ):
        code, answer = await caller.ask("GET", path)
        assert code == (200 if allowed else 403), (path, answer)
        code, answer = await caller.ask("POST", path)
        assert code == (405 if caller is callers.admin else 403), (path, answer)


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("Bearer nonsense", "the bearer token is not one that this cluster issued"),
        ("Bearer ", "the bearer token is not one that this cluster issued"),
        ("Basic YWRtaW46YWRtaW4=", "the authorization scheme 'Basic' is not supported; send a bearer token"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/pods", "/version", "/healthz"])
async def test_bad_credentials_are_refused_everywhere(
    callers: Callers, path: str, authorization: str, message: str
) -> None:
    # Even with a good certificate: what is sent must hold.
    for caller in (callers.anonymous, callers.admin):
        code, answer = await caller.ask("GET", path, headers={"Authorization": authorization})
        assert (code, answer["message"]) == (401, message)


async def test_a_certificate_of_another_authority_is_not_accepted(callers: Callers, tmp_path: Path) -> None:
    other = Pki.open(tmp_path / "other")
    config = callers.running.pki.kubeconfig(callers.running.url, other.admin)
    caller = await callers.caller(config)
    with pytest.raises(aiohttp.ClientError):
        await caller.ask("GET", "/healthz")


async def test_impersonation_needs_the_right_to(callers: Callers) -> None:
    headers = {"Impersonate-User": "ann"}
    code, answer = await callers.stranger.ask("GET", "/version", headers=headers)
    assert (code, answer["message"]) == (
        403,
        (
            'users "ann" is forbidden: User "stranger" cannot impersonate resource "users" in API group "" '
            "at the cluster scope"
        ),
    )
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    code, answer = await callers.admin.ask("POST", path, json=review, headers=headers)
    assert (code, answer["status"]["userInfo"]["username"]) == (201, "ann")
    code, _ = await callers.admin.ask("GET", "/api/v1/pods", headers=headers)
    assert code == 403


async def test_a_service_account_comes_in_with_its_token(callers: Callers) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    code, answer = await callers.admin.ask("POST", path, json=request)
    assert code == 201, answer
    headers = {"Authorization": f"Bearer {answer['status']['token']}"}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    code, answer = await callers.anonymous.ask(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review, headers=headers
    )
    assert answer["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"
    code, answer = await callers.anonymous.ask("GET", "/api/v1/namespaces/default/pods", headers=headers)
    assert (code, answer["message"]) == (
        403,
        (
            'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" '
            'in API group "" in the namespace "default"'
        ),
    )
    code, _ = await callers.admin.ask("DELETE", "/api/v1/namespaces/default/serviceaccounts/default")
    assert code == 200
    code, answer = await callers.anonymous.ask("GET", "/version", headers=headers)
    assert code == 401
    assert "has been deleted" in answer["message"]


async def test_a_role_is_in_force_as_soon_as_it_is_acknowledged(callers: Callers) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "viewer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "stranger"}],
    }
    pods = "/api/v1/namespaces/default/pods"
    for _ in range(5):
        assert (await callers.admin.ask("POST", f"{rbac}/rolebindings", json=binding))[0] == 201
        assert (await callers.stranger.ask("GET", pods))[0] == 200
        assert (await callers.stranger.ask("GET", "/api/v1/namespaces/default/secrets"))[0] == 403
        assert (await callers.admin.ask("DELETE", f"{rbac}/rolebindings/viewer"))[0] == 200
        assert (await callers.stranger.ask("GET", pods))[0] == 403


class Later:
    """The machine's clock, moved ahead by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead.total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def test_an_expired_token_gets_one_clear_sentence(tmp_path: Path) -> None:
    clock = Later()
    async with serving(tmp_path, clock=clock) as running:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
        created = await running.api.create(PLATFORM, SERVICE_ACCOUNTS, "default", account)
        token, expiry = running.tokens.issue("robot", "default", uid_of(created.object))
        config = {**running.pki.kubeconfig(running.url), "users": [{"name": "robot", "user": {"token": token}}]}
        config["contexts"] = [{"name": "headwater", "context": {"cluster": "headwater", "user": "robot"}}]
        client = HttpClient.from_kubeconfig(config)
        with pytest.raises(StatusError, match="cannot list"):
            await client.list(CONFIG_MAPS, "default")
        clock.ahead += timedelta(hours=1)
        with pytest.raises(StatusError) as caught:
            await client.list(CONFIG_MAPS, "default")
        await client.close()
    assert caught.value.code == 401
    assert caught.value.message == (
        f"the token of service account default/robot expired at {format_time(expiry)}; "
        "get a new one, for example with: kubectl create token robot --namespace default"
    )
