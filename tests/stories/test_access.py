"""Nobody gets at what is another's: every route of the running platform, asked by the wrong people.

The routes are those that the rooms bring, and the kinds those that discovery tells of, so a new one is in the matrix by
being served. A marker stands in the names of everything that belongs to the victim: no answer may ever hold it.
"""

import asyncio
import base64
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from headwater import dashboard, pipelines
from headwater.artifacts.directory import DirectoryStore
from headwater.capability import Context
from headwater.capability.identity import Authorizer
from headwater.capability.routes import Access, Route
from headwater.database import Database
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import Users
from headwater.kube.meta.time import SystemClock

MARKER = "tell-nobody"
MINE, THEIRS = "access-mine", "access-theirs"
ABOUT_ONESELF = {("GET", "/api/namespaces")}
"""Routes whose answer is the caller's own, whatever the address says."""
PIPELINE = {
    "pipelineInfo": {"name": MARKER},
    "schemaVersion": "2.1.0",
    "sdkVersion": "kfp-2.17.0",
    "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "busybox", "command": ["echo", MARKER]}}}},
    "components": {"comp-a": {"executorLabel": "exec-a"}},
    "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}, "taskInfo": {"name": "a"}}}}},
}


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def ask(
    method: str, url: str, token: str = "", body: Any = None, tls: ssl.SSLContext | None = None
) -> tuple[int, str, str]:
    """Return status, text and where a redirection leads."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(Stay, *([urllib.request.HTTPSHandler(context=tls)] if tls else []))
    try:
        answer = opener.open(urllib.request.Request(url, data, headers, method=method), timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode(errors="replace"), answer.headers.get("Location", "")


@dataclass
class Setting:
    """The victim's things and those who want them."""

    url: str
    admin: str
    strangers: dict[str, str]
    """Tokens of those who are signed in and may not."""
    places: dict[str, str]
    """What stands in a route's path for the victim's things."""

    def seen(self) -> dict[str, str]:
        """What there is of the victim's, as the administrator sees it."""
        paths = ("experiments", "pipelines", "runs")
        return {path: ask("GET", f"{self.url}/apis/v2beta1/{path}?namespace={THEIRS}", self.admin)[1] for path in paths}


async def make_users(home: Path) -> dict[str, str]:
    database, clock = Database.open(f"sqlite:///{home / 'headwater.db'}"), SystemClock()
    users = Users(database, clock, rounds=4)
    tokens = Tokens(database, users, clock)
    made = {}
    for name in ("access-nobody", "access-neighbour"):
        await users.create(name, "correct horse battery", namespace=MINE)
        made[name] = await tokens.issue(name, timedelta(hours=1))
    await database.close()
    return made


@pytest.fixture(scope="module")
def setting(running: Any) -> Iterator[Setting]:
    for namespace in (MINE, THEIRS):
        running.kubectl("create", "namespace", namespace)
    for who in ("--user=access-neighbour", f"--serviceaccount={MINE}:default"):
        running.kubectl("create", "rolebinding", who[-9:], "--clusterrole=edit", who, "-n", MINE)
    strangers = asyncio.run(make_users(running.home))
    strangers["service account"] = running.kubectl("create", "token", "default", "-n", MINE).stdout.strip()
    url, admin = running.gateway_url, running.token()

    def make(path: str, body: Any) -> dict[str, Any]:
        status, text, _ = ask("POST", f"{url}/apis/v2beta1/{path}", admin, body)
        assert status == 200, text
        return dict(json.loads(text))

    experiment = make("experiments", {"display_name": MARKER, "namespace": THEIRS})["experiment_id"]
    run = make("runs", {"display_name": MARKER, "experiment_id": experiment, "pipeline_spec": PIPELINE})["run_id"]
    pipeline = make("pipelines", {"display_name": MARKER, "name": MARKER, "namespace": THEIRS})["pipeline_id"]
    places = {
        "namespace": THEIRS,
        "run_id": run,
        "experiment_id": experiment,
        "pipeline_id": pipeline,
        "node_id": "a",
        "task": "a",
        "path": "pipelines/run.js",
    }
    yield Setting(url, admin, strangers, places)
    for namespace in (MINE, THEIRS):
        running.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[Route]:
    """The table that the platform mounts; it is only read here."""
    directory = tmp_path_factory.mktemp("routes")
    nothing: Any = None
    context = Context(
        client=nothing,
        informers=nothing,
        database=Database.open(f"sqlite:///{directory / 'records.db'}"),
        artifacts=DirectoryStore(directory / "artifacts"),
        authorizer=Authorizer(nothing),
        render=nothing,
        clock=SystemClock(),
    )
    return [route for room in (dashboard.capability, pipelines.capability) for route in room.routes(context)]


def address(route: Route, places: dict[str, str]) -> str:
    path = re.sub(r"\{(\w+)[^}]*\}", lambda found: places.get(found[1], "x"), route.path)
    return f"{path}?namespace={THEIRS}"


def test_without_signing_in_every_route_leads_to_the_login(setting: Setting, routes: list[Route]) -> None:
    tried = 0
    for route in routes:
        if route.access is Access.PUBLIC:
            continue
        status, text, where = ask(route.method, setting.url + address(route, setting.places), body={})
        assert MARKER not in text, route
        if route.page:
            assert (status, where.startswith("/login")) == (303, True), route
        else:
            assert status == 401, (route, text)
        tried += 1
    assert tried > 40


def test_nobody_reads_or_changes_what_is_another_namespace_s(setting: Setting, routes: list[Route]) -> None:
    assert MARKER in setting.seen()["runs"]
    wrong: list[str] = []
    body = {"namespace": THEIRS, "display_name": "mine now", "experiment_id": setting.places["experiment_id"]}
    for who, token in setting.strangers.items():
        for route in routes:
            if route.access is Access.PUBLIC:
                continue
            given = None if route.method == "GET" else {**body, "pipeline_spec": PIPELINE}
            status, text, where = ask(route.method, setting.url + address(route, setting.places), token, given)
            told = f"{who}: {route.method} {route.path} answered {status} {where} {text[:300]}"
            assert MARKER not in text + where, told
            if route.access is Access.AUTHORIZED and (route.method, route.path) not in ABOUT_ONESELF:
                wrong += [told] if status not in (400, 403, 404, 501) else []
    assert not wrong, "\n".join(wrong)
    for name, text in setting.seen().items():
        assert MARKER in text, f"the victim's {name} are gone"
        assert "mine now" not in text, f"somebody changed the victim's {name}"


def test_what_names_no_namespace_shows_only_one_s_own(setting: Setting) -> None:
    for who, token in setting.strangers.items():
        for path in ("runs", "experiments", "pipelines", "artifacts", "recurringruns"):
            for query in ("", "?namespace=", "?page_size=100&sort_by=created_at%20desc"):
                _, text, _ = ask("GET", f"{setting.url}/apis/v2beta1/{path}{query}", token)
                assert MARKER not in text, (who, path)
        run = setting.places["run_id"]
        for path in (f"/ns/{MINE}/runs/{run}", f"//apis/v2beta1/runs/{run}", f"/pipeline/apis/v2beta1/runs/{run}"):
            status, text, _ = ask("GET", setting.url + path, token)
            assert (status in (403, 404), MARKER in text) == (True, False), (who, path)


def test_the_kubernetes_side_is_closed_too(running: Any, setting: Setting) -> None:
    token = setting.strangers["service account"]
    config = yaml.safe_load((running.home / "kubeconfig").read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(config["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    server = config["server"]

    def get(path: str, who: str) -> tuple[int, Any]:
        status, text, _ = ask("GET", server + path, who, tls=tls)
        return status, json.loads(text)

    roots = ["/api/v1"]
    for group in get("/apis", token)[1]["groups"]:
        roots += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    tried = 0
    for root in roots:
        for kind in get(root, token)[1]["resources"]:
            if "/" in kind["name"] or "list" not in kind["verbs"]:
                continue
            place = f"{root}/namespaces/{THEIRS}/{kind['name']}" if kind["namespaced"] else f"{root}/{kind['name']}"
            for who in ("", token):
                status, answer = get(place, who)
                assert (status, answer["reason"]) == (403, "Forbidden"), place
                assert get(f"{root}/{kind['name']}", who)[0] == 403, kind["name"]
            tried += 1
    assert tried > 20
    for header in ("Impersonate-User", "X-Remote-User", "kubeflow-userid"):
        request = urllib.request.Request(
            f"{server}/api/v1/secrets", headers={header: "admin", "Authorization": f"Bearer {token}"}
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, context=tls, timeout=20)
        assert refused.value.code == 403


def test_a_pod_does_not_get_at_another_namespace_s_artifacts(running: Any, setting: Setting, tmp_path: Path) -> None:
    from tests.stories.test_pod import wait_for

    for number, (uri, read_only) in enumerate(
        (
            ("minio://mlpipeline", True),
            (f"minio://mlpipeline/v2/artifacts/{MARKER}/{setting.places['run_id']}", True),
            (f"minio://mlpipeline/v2/artifacts/{MARKER}/{setting.places['run_id']}", False),
            (f"minio://mlpipeline/logs/{THEIRS}/{setting.places['run_id']}/a/0.log", True),
        )
    ):
        name = f"thief-{number}"
        source = {"driver": "artifacts.headwater.dev", "readOnly": read_only, "volumeAttributes": {"uri": uri}}
        container = {"name": "main", "image": "busybox", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": MINE},
            "spec": {"containers": [container], "volumes": [{"name": "v", "csi": source}]},
        }
        manifest = tmp_path / "pod.json"
        manifest.write_text(json.dumps(pod))
        running.kubectl("apply", "-f", str(manifest))
        events = ("get", "events", "-n", MINE, "--field-selector", f"involvedObject.name={name}", "-o", "json")
        wait_for(
            lambda events=events: any(
                event["reason"] == "FailedMount" for event in json.loads(running.kubectl(*events).stdout)["items"]
            ),
            f"the refusal of {uri}",
        )
