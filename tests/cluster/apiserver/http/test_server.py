"""What the server answers over the wire, beyond what every client relies on (``tests/kube/client``)."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import yaml
from tests.cluster.apiserver.http.conftest import Caller, Callers
from tests.cluster.apiserver.http.serving import serving

from headwater.cluster.apiserver.http.bodies import MAXIMUM
from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str, **spec: Any) -> Object:
    containers = [{"name": "main", "image": "busybox"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def definition() -> Object:
    schema = {
        "type": "object",
        "description": "A widget.",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer", "description": "How large it is."}},
            }
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version],
        },
    }


async def lines_of(caller: Caller, path: str, **options: Any) -> AsyncIterator[Any]:
    async with caller.session.get(path, **options) as response:
        assert response.status == 200, await response.text()
        async for line in response.content:
            yield json.loads(line)


# --- reading --------------------------------------------------------------------------------------------------------


async def test_a_list_is_one_valid_document(admin: Caller) -> None:
    code, empty = await admin.ask("GET", "/api/v1/configmaps?labelSelector=none=none")
    assert (code, empty["kind"], empty["items"]) == (200, "ConfigMapList", [])
    for name in "abc":
        await admin.ask("POST", MAPS, json=config_map(name))
    code, page = await admin.ask("GET", f"{MAPS}?limit=2")
    assert [item["metadata"]["name"] for item in page["items"]] == ["a", "b"]
    assert page["metadata"]["remainingItemCount"] == 1
    code, rest = await admin.ask("GET", MAPS, params={"continue": page["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["c"]
    assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]


async def test_tables(admin: Caller) -> None:
    await admin.ask("POST", PODS, json=pod("p"))
    code, table = await admin.ask("GET", PODS, headers=TABLE)
    assert (code, table["kind"]) == (200, "Table")
    columns = [column["name"] for column in table["columnDefinitions"] if not column["priority"]]
    assert columns == ["Name", "Ready", "Status", "Restarts", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["p", "0/1", "Pending", "0"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    code, table = await admin.ask("GET", f"{PODS}/p?includeObject=Object", headers=TABLE)
    assert table["rows"][0]["object"]["spec"]["containers"][0]["image"] == "busybox"
    code, table = await admin.ask("GET", f"{PODS}/p?includeObject=None", headers=TABLE)
    assert "object" not in table["rows"][0]
    code, _ = await admin.ask("GET", f"{PODS}/p?includeObject=All", headers=TABLE)
    assert code == 400


async def test_metadata_only(admin: Caller) -> None:
    await admin.ask("POST", MAPS, json=config_map("a", secret="x"))
    accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    _, listed = await admin.ask("GET", MAPS, headers=accept)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert [sorted(item) for item in listed["items"]] == [["apiVersion", "kind", "metadata"]]


async def test_yaml_in_and_out(admin: Caller) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {at: '2026-01-01'}\n"
    headers = {"Content-Type": "application/yaml", "Accept": "application/yaml"}
    code, answer = await admin.ask("POST", MAPS, data=text.encode(), headers=headers)
    assert code == 201
    assert yaml.safe_load(answer)["data"] == {"at": "2026-01-01"}


async def test_large_answers_are_compressed(admin: Caller) -> None:
    await admin.ask("POST", MAPS, json=config_map("large", text="x" * 200_000))
    async with admin.session.get(f"{MAPS}/large", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert (await response.json())["data"]["text"] == "x" * 200_000
    async with admin.session.get(f"{MAPS}/large", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        assert len(await response.read()) > 200_000


async def test_pretty(admin: Caller) -> None:
    async with admin.session.get("/api/v1/namespaces/default?pretty=true") as response:
        assert '\n  "kind"' in await response.text()


async def test_head(admin: Caller) -> None:
    async with admin.session.head("/api/v1/namespaces/default") as response:
        assert (response.status, await response.read()) == (200, b"")


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("validation", "code"), [("Strict", 400), ("Warn", 201), ("Ignore", 201)])
async def test_field_validation(admin: Caller, validation: str, code: int) -> None:
    obj = {**config_map("a"), "datum": {"b": "c"}}
    async with admin.session.post(MAPS, params={"fieldValidation": validation}, json=obj) as response:
        assert response.status == code
        if validation == "Strict":
            assert 'unknown field "datum"' in (await response.json())["message"]
        warned = response.headers.getall("Warning", [])
        assert warned == (['299 - "unknown field \\"datum\\""'] if validation == "Warn" else [])


async def test_dry_run_keeps_nothing(admin: Caller) -> None:
    code, _ = await admin.ask("POST", f"{MAPS}?dryRun=All", json=config_map("a"))
    assert code == 201
    assert (await admin.ask("GET", f"{MAPS}/a"))[0] == 404


async def test_a_body_that_is_too_large(admin: Caller) -> None:
    body = json.dumps(config_map("a", text="x" * MAXIMUM)).encode()
    code, answer = await admin.ask("POST", MAPS, data=body, headers={"Content-Type": "application/json"})
    assert (code, answer["message"]) == (413, f"Request entity too large: limit is {MAXIMUM} bytes")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    code, answer = await admin.ask("POST", MAPS, data=pieces(), headers={"Content-Type": "application/json"})
    assert code == 413
    bomb = gzip.compress(body)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    code, answer = await admin.ask("POST", MAPS, data=bomb, headers=headers)
    assert code == 413


async def test_a_caller_who_asks_before_he_sends(admin: Caller) -> None:
    async with asyncio.timeout(5):
        assert (await admin.ask("POST", MAPS, json=config_map("a"), expect100=True))[0] == 201
        body = json.dumps(config_map("a", text="x" * MAXIMUM)).encode()
        headers = {"Content-Type": "application/json"}
        assert (await admin.ask("POST", MAPS, data=body, headers=headers, expect100=True))[0] == 413


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"kind": "Pod"', "the body is not valid JSON: "),
        (b"[]", "the body must be an object, not a list"),
        (b"", "the body is empty"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, ""),
        (b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}', "ConfigMap"),
        (b'{"kind":"ConfigMap","apiVersion":"v1","metadata":[]}', "metadata"),
        (b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":5}}', "metadata.name"),
    ],
)
async def test_what_is_no_object_of_the_kind(admin: Caller, body: bytes, message: str) -> None:
    code, answer = await admin.ask("POST", MAPS, data=body, headers={"Content-Type": "application/json"})
    assert code == 400, answer
    assert message in answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("PUT", MAPS, 405),
        ("PATCH", MAPS, 405),
        ("DELETE", "/apis/authentication.k8s.io/v1/tokenreviews", 405),
        ("GET", "/apis/authentication.k8s.io/v1/tokenreviews", 405),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/configmaps/a", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", f"{MAPS}/a/status", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/openapi/v3/apis/no/v1", 404),
        ("GET", f"{MAPS}?limit=x", 400),
        ("GET", f"{MAPS}?watch=perhaps", 400),
        ("GET", f"{MAPS}?labelSelector=((", 400),
        ("GET", f"{PODS}/a/proxy", 501),
    ],
)
async def test_what_is_not_there(admin: Caller, method: str, path: str, code: int) -> None:
    got, answer = await admin.ask(method, path, json={})
    assert (got, answer["kind"]) == (code, "Status"), answer


async def test_a_large_list_arrives_whole_in_every_form(callers: Callers) -> None:
    api = callers.running.api
    for number in range(300):
        obj = {**config_map(f"c{number:03}"), "data": {"k": "v" * 3000}}
        await api.create(PLATFORM, CONFIG_MAPS, "default", obj)
    names = [f"c{number:03}" for number in range(300)]
    for accept in (None, "gzip", "identity"):
        headers = {"Accept-Encoding": accept} if accept else {}
        _, listed = await callers.admin.ask("GET", MAPS, headers=headers)
        assert [item["metadata"]["name"] for item in listed["items"]] == names
    _, table = await callers.admin.ask("GET", MAPS, headers=TABLE)
    assert [row["cells"][0] for row in table["rows"]] == names
    assert len(table["columnDefinitions"]) == 3
    metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    _, partial = await callers.admin.ask("GET", MAPS, headers={"Accept": metadata})
    assert partial["kind"] == "PartialObjectMetadataList"
    assert [item["metadata"]["name"] for item in partial["items"]] == names
    assert "data" not in partial["items"][0]
    async with callers.admin.session.head(MAPS, headers={"Accept-Encoding": "identity"}) as response:
        assert response.status == 200
        assert await response.read() == b""


# --- watching -------------------------------------------------------------------------------------------------------


async def test_a_watch_is_a_stream_of_lines(admin: Caller) -> None:
    _, listed = await admin.ask("GET", MAPS)
    revision = listed["metadata"]["resourceVersion"]
    seen = lines_of(admin, f"{MAPS}?watch=true&resourceVersion={revision}")
    first = asyncio.ensure_future(anext(seen))
    await admin.ask("POST", MAPS, json=config_map("a"))
    event = await first
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
    await admin.ask("DELETE", f"{MAPS}/a")
    assert (await anext(seen))["type"] == "DELETED"
    await seen.aclose()


async def test_a_watch_in_tables_names_its_columns_once(admin: Caller) -> None:
    await admin.ask("POST", MAPS, json=config_map("a"))
    await admin.ask("POST", MAPS, json=config_map("b"))
    seen = lines_of(admin, f"{MAPS}?watch=true&fieldSelector=metadata.name!=kube-root-ca.crt", headers=TABLE)
    first, second = await anext(seen), await anext(seen)
    assert [event["object"]["kind"] for event in (first, second)] == ["Table", "Table"]
    assert len(first["object"]["columnDefinitions"]) == 3
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "b"
    await seen.aclose()


async def test_a_watch_ends_in_time(admin: Caller) -> None:
    events = [event async for event in lines_of(admin, f"{MAPS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=1")]
    assert [event["type"] for event in events] == ["BOOKMARK"]


async def test_history_that_is_gone_is_an_event(admin: Caller) -> None:
    events = [event async for event in lines_of(admin, f"{MAPS}?watch=true&resourceVersion=999999")]
    assert [(event["type"], event["object"]["code"]) for event in events] == [("ERROR", 410)]


async def test_a_watch_of_a_caller_who_left_ends(callers: Callers) -> None:
    tasks = callers.running.server._lasting._tasks
    streaming = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    for _ in range(3):
        seen = lines_of(callers.admin, f"{MAPS}?watch=true&{streaming}")
        await anext(seen)
        assert len(tasks) == 1
        await seen.aclose()
        async with asyncio.timeout(5):
            while tasks:
                await asyncio.sleep(0.01)


async def test_stopping_ends_watches_properly(tmp_path: Any) -> None:
    async with serving(tmp_path) as running:
        trust = ssl.create_default_context(cadata=running.pki.ca_certificate.decode())
        trust.load_cert_chain(running.home / "pki" / "admin.crt", running.home / "pki" / "admin.key")
        async with (
            aiohttp.ClientSession(running.url, connector=aiohttp.TCPConnector(ssl=trust)) as session,
            session.get("/api/v1/configmaps?watch=true") as response,
        ):
            assert response.status == 200
            async with asyncio.timeout(5):
                await running.server.stop()
            assert await response.read() is not None  # the end of the stream, not a broken one


async def test_a_taken_port_is_one_sentence(callers: Callers) -> None:
    from headwater.cluster.apiserver.authn.authenticator import Authenticator
    from headwater.cluster.apiserver.http.server import ApiServer

    running = callers.running
    second = ApiServer(
        running.api,
        Authenticator(running.tokens),
        running.authorizer,
        callers.node,
        host="127.0.0.1",
        port=running.server.port,
        pki=running.pki,
    )
    with pytest.raises(OSError, match=f"port {running.server.port} on 127.0.0.1 is taken by another program"):
        await second.start()


async def test_a_write_is_done_even_when_its_caller_leaves(callers: Callers) -> None:
    for number in range(20):
        task = asyncio.ensure_future(callers.admin.ask("POST", MAPS, json=config_map(f"m{number}")))
        await asyncio.sleep(0.0005 * number)
        task.cancel()
    await asyncio.sleep(0.2)
    _, listed = await callers.admin.ask("GET", MAPS)
    for item in listed["items"]:
        assert item["metadata"]["uid"]
    code, _ = await callers.admin.ask("POST", MAPS, json=config_map("after"))
    assert code == 201


async def test_a_list_as_a_stream_ends_its_first_part_with_a_bookmark(admin: Caller) -> None:
    await admin.ask("POST", MAPS, json=config_map("a"))
    streaming = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    seen = lines_of(admin, f"{MAPS}?watch=true&{streaming}")
    first, second = await anext(seen), await anext(seen)
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert second["type"] == "BOOKMARK"
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await seen.aclose()
    silent = lines_of(admin, f"{MAPS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    waiting = asyncio.ensure_future(anext(silent))
    await asyncio.sleep(0.05)
    await admin.ask("POST", MAPS, json=config_map("b"))
    assert (await waiting)["object"]["metadata"]["name"] == "b"
    await silent.aclose()


async def test_a_watch_of_one_object(admin: Caller) -> None:
    seen = lines_of(admin, f"{MAPS}?watch=true&fieldSelector=metadata.name%3Db")
    waiting = asyncio.ensure_future(anext(seen))
    for name in ("a", "b"):
        await admin.ask("POST", MAPS, json=config_map(name))
    assert (await waiting)["object"]["metadata"]["name"] == "b"
    await seen.aclose()


async def test_pages_that_are_too_old_go_on_with_a_fresh_token(callers: Callers) -> None:
    admin = callers.admin
    for name in "abcd":
        await admin.ask("POST", MAPS, json=config_map(name))
    _, page = await admin.ask("GET", f"{MAPS}?limit=2")
    token = page["metadata"]["continue"]
    await admin.ask("DELETE", f"{MAPS}/c")
    _, same = await admin.ask("GET", MAPS, params={"limit": "2", "continue": token})
    assert [item["metadata"]["name"] for item in same["items"]] == ["c", "d"], "pages show one moment"
    assert same["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
    callers.running.api.store.compact(everything=True)
    code, gone = await admin.ask("GET", MAPS, params={"limit": "2", "continue": token})
    assert (code, gone["reason"]) == (410, "Expired")
    assert "The provided continue parameter is too old" in gone["message"]
    _, rest = await admin.ask("GET", MAPS, params={"limit": "2", "continue": gone["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest["items"]] == ["d"]


async def test_a_review_has_no_table(admin: Caller) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    code, said = await admin.ask("POST", path, json=body, headers={"Accept": TABLE["Accept"].split(",")[0]})
    assert (code, said["reason"]) == (406, "NotAcceptable")


async def test_metrics(admin: Caller) -> None:
    await admin.ask("POST", MAPS, json=config_map("a"))
    _, said = await admin.ask("GET", "/metrics")
    assert 'apiserver_request_total{verb="create",code="201"} 1' in said
    assert 'apiserver_request_duration_seconds_bucket{verb="create",le="+Inf"} 1' in said
    assert 'apiserver_storage_objects{resource="configmaps"} 1' in said
    assert "process_resident_memory_bytes" in said


# --- discovery and OpenAPI ------------------------------------------------------------------------------------------


async def test_legacy_discovery(admin: Caller) -> None:
    assert (await admin.ask("GET", "/api"))[1]["versions"] == ["v1"]
    groups = (await admin.ask("GET", "/apis"))[1]["groups"]
    assert {"name": "batch", "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"}}.items() <= next(
        group for group in groups if group["name"] == "batch"
    ).items()
    resources = {one["name"]: one for one in (await admin.ask("GET", "/api/v1"))[1]["resources"]}
    assert resources["pods"]["shortNames"] == ["po"]
    assert resources["pods/exec"]["kind"] == "PodExecOptions"
    assert resources["serviceaccounts/token"]["group"] == "authentication.k8s.io"
    scale = {one["name"]: one for one in (await admin.ask("GET", "/apis/apps/v1"))[1]["resources"]}["deployments/scale"]
    assert (scale["group"], scale["kind"]) == ("autoscaling", "Scale")


async def test_aggregated_discovery_follows_definitions(callers: Callers) -> None:
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}

    async def groups(**headers: str) -> tuple[int, Any, str]:
        async with callers.admin.session.get("/apis", headers={**accept, **headers}) as response:
            tag = response.headers["ETag"]
            return response.status, await response.json(content_type=None) if response.status == 200 else None, tag

    _, before, tag = await groups()
    assert (await groups(**{"If-None-Match": tag}))[0] == 304
    await callers.running.api.create(PLATFORM, CUSTOM_RESOURCE_DEFINITIONS, "", definition())
    code, after, changed = await groups(**{"If-None-Match": tag})
    assert (code, changed != tag) == (200, True)
    assert "example.org" not in [item["metadata"]["name"] for item in before["items"]]
    (group,) = [item for item in after["items"] if item["metadata"]["name"] == "example.org"]
    (widget,) = group["versions"][0]["resources"]
    assert (widget["resource"], widget["scope"], widget["shortNames"]) == ("widgets", "Namespaced", ["wd"])
    code, _ = await callers.admin.ask("GET", "/apis/example.org/v1/widgets")
    assert code == 200


async def test_custom_resources_have_tables_and_schemas(callers: Callers) -> None:
    admin = callers.admin
    await callers.running.api.create(PLATFORM, CUSTOM_RESOURCE_DEFINITIONS, "", definition())
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}
    code, _ = await admin.ask("POST", "/apis/example.org/v1/namespaces/default/widgets", json=widget)
    assert code == 201
    _, table = await admin.ask("GET", "/apis/example.org/v1/widgets", headers=TABLE)
    assert table["rows"][0]["cells"] == ["w", 3]
    _, index = await admin.ask("GET", "/openapi/v3")
    url = index["paths"]["apis/example.org/v1"]["serverRelativeURL"]
    code, document = await admin.ask("GET", url)
    schema = document["components"]["schemas"]["org.example.v1.Widget"]
    assert schema["properties"]["spec"]["properties"]["size"]["description"] == "How large it is."
    assert schema["x-kubernetes-group-version-kind"] == [{"group": "example.org", "version": "v1", "kind": "Widget"}]


async def test_every_openapi_document_is_whole(admin: Caller) -> None:
    _, index = await admin.ask("GET", "/openapi/v3")
    for path, entry in index["paths"].items():
        code, document = await admin.ask("GET", entry["serverRelativeURL"])
        assert code == 200
        schemas = document["components"]["schemas"]
        for reference in references(document):
            assert reference.removeprefix("#/components/schemas/") in schemas, (path, reference)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [value for key, value in node.items() if key == "$ref" and isinstance(value, str)]
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


async def test_every_served_kind_is_read_by_everybody_s_form(callers: Callers) -> None:
    for served in callers.running.api.registry.all():
        if "list" not in served.verbs:
            continue
        for headers in ({}, TABLE, {"Accept": "application/yaml"}):
            async with callers.admin.session.get(served.resource.path(), headers=headers) as response:
                assert response.status == 200, (served.resource, await response.text())


async def test_metrics_count(admin: Caller) -> None:
    await admin.ask("GET", f"{MAPS}/missing")
    _, text = await admin.ask("GET", "/metrics")
    assert 'apiserver_request_total{verb="get",code="404"} 1' in text


async def test_the_token_issuer_s_keys(admin: Caller) -> None:
    _, configuration = await admin.ask("GET", "/.well-known/openid-configuration")
    assert configuration["id_token_signing_alg_values_supported"] == ["ES256"]
    _, keys = await admin.ask("GET", "/openid/v1/jwks")
    assert [key["kty"] for key in keys["keys"]] == ["EC"]
