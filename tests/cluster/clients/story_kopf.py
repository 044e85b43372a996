"""An operator written with kopf: handlers, a timer, a daemon, a finalizer, status patches, events, peering."""

import asyncio
import sys
import threading
import time

import kopf
import yaml
from kopf._core.intents import registries  # noqa: F401 - a real installation, not a stub

PEERED = sys.argv[1] == "peered"
said = {"create": 0, "update": [], "delete": 0, "timer": 0, "daemon": 0, "field": [], "event": 0, "resume": 0}


@kopf.on.startup()
def configure(settings, **_):
    settings.peering.standalone = not PEERED
    if PEERED:
        settings.peering.name = "widgets"
        settings.peering.mandatory = True
    settings.posting.level = 20


@kopf.on.create("example.org", "v1", "widgets")
def create(spec, patch, name, body, **_):
    said["create"] += 1
    patch.status["phase"] = "Made"
    kopf.info(body, reason="Made", message="a widget was made")
    return {"size": spec.get("size")}


@kopf.on.update("example.org", "v1", "widgets")
def update(diff, **_):
    said["update"].append(str(diff))


@kopf.on.field("example.org", "v1", "widgets", field="spec.size")
def resized(old, new, **_):
    said["field"].append((old, new))


@kopf.on.delete("example.org", "v1", "widgets")
def delete(**_):
    said["delete"] += 1


@kopf.timer("example.org", "v1", "widgets", interval=0.3)
def tick(**_):
    said["timer"] += 1


@kopf.daemon("example.org", "v1", "widgets")
async def guard(stopped, **_):
    said["daemon"] += 1
    await stopped.wait()


@kopf.on.event("configmaps", labels={"watched": "yes"})
def seen(**_):
    said["event"] += 1


def crd(group, plural, kind, schema, scope="Namespaced"):
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}} if kind == "Widget" else {},
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def main():
    import json
    import os
    import ssl
    import tempfile
    import urllib.error
    import urllib.request
    from base64 import b64decode
    from pathlib import Path

    context = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    cluster, user = context["clusters"][0]["cluster"], context["users"][0]["user"]
    trust = ssl.create_default_context(cadata=b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as own:
        own.write(b64decode(user["client-certificate-data"]) + b"\n" + b64decode(user["client-key-data"]))
        own.flush()
        trust.load_cert_chain(own.name)

    def ask(method, path, body=None, kind="application/json"):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(cluster["server"] + path, data, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, context=trust) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise AssertionError(error.read().decode()) from error

    def until(what, message):
        ends = time.monotonic() + 20
        while not what():
            assert time.monotonic() < ends, (message, said)
            time.sleep(0.05)

    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    size = {"type": "object", "properties": {"size": {"type": "integer"}}}
    ask(
        "POST",
        definitions,
        crd("example.org", "widgets", "Widget", {**OPEN, "properties": {"spec": size, "status": OPEN}}),
    )
    if PEERED:
        ask("POST", definitions, crd("kopf.dev", "clusterkopfpeerings", "ClusterKopfPeering", OPEN, "Cluster"))
        ask("POST", definitions, crd("kopf.dev", "kopfpeerings", "KopfPeering", OPEN))
        ask(
            "POST",
            "/apis/kopf.dev/v1/clusterkopfpeerings",
            {"apiVersion": "kopf.dev/v1", "kind": "ClusterKopfPeering", "metadata": {"name": "widgets"}},
        )
    ready, stop = threading.Event(), threading.Event()
    running = threading.Thread(
        target=lambda: asyncio.run(kopf.operator(clusterwide=True, ready_flag=ready, stop_flag=stop)), daemon=True
    )
    running.start()
    assert ready.wait(20)
    place = "/apis/example.org/v1/namespaces/default/widgets"
    ask(
        "POST",
        place,
        {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}},
    )
    until(lambda: ask("GET", f"{place}/w").get("status", {}).get("phase") == "Made", "status was not patched")
    assert ask("GET", f"{place}/w")["status"]["create"] == {"size": 1}
    assert ask("GET", f"{place}/w")["metadata"]["finalizers"]
    ask("PATCH", f"{place}/w", {"spec": {"size": 2}}, "application/merge-patch+json")
    until(lambda: (1, 2) in said["field"], "the field handler was not called")
    until(lambda: said["update"], "the update handler was not called")
    until(lambda: said["timer"] >= 3, "the timer does not tick")
    assert said["daemon"] == 1
    ask("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "c", "labels": {"watched": "yes"}}})
    until(lambda: said["event"] >= 1, "the event handler was not called")
    until(
        lambda: any(e["reason"] == "Made" for e in ask("GET", "/api/v1/namespaces/default/events")["items"]),
        "no event was posted",
    )
    # A kind that comes while the operator runs is one it can serve at once.
    if PEERED:
        until(
            lambda: ask("GET", "/apis/kopf.dev/v1/clusterkopfpeerings/widgets").get("status"),
            "the operator does not announce itself to its peers",
        )
    ask("DELETE", f"{place}/w")
    until(lambda: ask("GET", f"{place}/w") is None, "the finalizer was not taken away")
    assert (said["create"], said["delete"]) == (1, 1), said
    stop.set()
    running.join(20)
    assert not running.is_alive()


main()
print("done")
