"""Stories told by the stock kubectl: what its users type, and what they must read.

The server runs without controllers and with the smallest node, so that each story is about the API itself.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from tests.cluster.apiserver.http.processes import ProcessNode
from tests.cluster.apiserver.http.serving import Serving, serving

from headwater.cluster.apiserver.users import PLATFORM
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import SERVICE_ACCOUNTS

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


class Kubectl:
    """Runs kubectl against a server, with a home of its own."""

    def __init__(self, running: Serving, node: ProcessNode) -> None:
        self.running = running
        self.node = node
        self.config = running.kubeconfig

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "KUBECONFIG": str(self.config), "HOME": str(self.running.home)}
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            KUBECTL or "", *arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment
        )

    async def run(self, *arguments: str, stdin: str = "") -> Answer:
        process = await self.start(*arguments)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin.encode())
        return Answer(process.returncode or 0, out.decode(), err.decode())

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Return the output of a command that must succeed."""
        answer = await self.run(*arguments, stdin=stdin)
        assert answer.code == 0, f"kubectl {' '.join(arguments)}: {answer.out}{answer.err}"
        return answer.out

    async def refused(self, *arguments: str, stdin: str = "") -> str:
        """Return the errors of a command that must fail."""
        answer = await self.run(*arguments, stdin=stdin)
        assert answer.code != 0, answer.out
        return answer.err

    async def apply(self, *objects: Object) -> str:
        return await self("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    node = ProcessNode()
    async with serving(tmp_path, node=node) as running:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await running.api.create(PLATFORM, SERVICE_ACCOUNTS, "default", account)
        yield Kubectl(running, node)


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str) -> Object:
    spec = {"containers": [{"name": "main", "image": "busybox", "command": ["sleep", "1"]}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def job(name: str) -> Object:
    spec = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": spec}}}


def deployment(name: str, **container: object) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "one", **container}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


def definition() -> Object:
    size = {"type": "integer", "minimum": 1, "description": "How large the widget is."}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": size}}}}
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
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [version],
        },
    }


async def test_apply_and_apply_again(kubectl: Kubectl) -> None:
    assert await kubectl.apply(job("hello"), config_map("settings", a="1")) == (
        "job.batch/hello created\nconfigmap/settings created\n"
    )
    assert await kubectl.apply(config_map("settings", a="1")) == "configmap/settings unchanged\n"
    assert await kubectl.apply(config_map("settings", b="2")) == "configmap/settings configured\n"
    assert json.loads(await kubectl("get", "cm", "settings", "-o", "json"))["data"] == {"b": "2"}


async def test_apply_merges_containers_by_name(kubectl: Kubectl) -> None:
    await kubectl.apply(deployment("web"))
    await kubectl("set", "env", "deployment/web", "WHO=somebody")
    assert await kubectl.apply(deployment("web", image="two")) == "deployment.apps/web configured\n"
    (container,) = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["image"] == "two"
    assert container["env"] == [{"name": "WHO", "value": "somebody"}]
    assert await kubectl("scale", "deploy", "web", "--replicas", "5") == "deployment.apps/web scaled\n"
    assert "0/5" in await kubectl("get", "deploy", "web")


async def test_get_in_every_form(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"))
    lines = (await kubectl("get", "pods")).splitlines()
    assert lines[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert lines[1].split()[:4] == ["p", "0/1", "Pending", "0"]
    assert "NOMINATED NODE" in await kubectl("get", "pods", "-o", "wide")
    assert await kubectl("get", "pods", "-o", "name") == "pod/p\n"
    assert await kubectl("get", "pod", "p", "-o", "jsonpath={.spec.containers[0].image}") == "busybox"
    assert yaml.safe_load(await kubectl("get", "pod", "p", "-o", "yaml"))["metadata"]["name"] == "p"
    assert (await kubectl("get", "pods", "-A", "--no-headers")).split()[0] == "default"
    assert "app=p" in await kubectl("get", "pods", "--show-labels")
    assert await kubectl("get", "pods", "-l", "app=other", "-o", "name") == ""
    assert await kubectl("get", "pods", "--field-selector", "metadata.name=p", "-o", "name") == "pod/p\n"
    assert "NAME" in await kubectl("get", "all")
    assert "p" in await kubectl("get", "pods", "--sort-by", ".metadata.name")
    assert await kubectl.refused("get", "pod", "none") == 'Error from server (NotFound): pods "none" not found\n'
    assert 'the server doesn\'t have a resource type "nothings"' in await kubectl.refused("get", "nothings")


async def test_describe(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"), job("j"))
    said = await kubectl("describe", "pod", "p")
    assert "Name:             p" in said
    assert "Service Account:  default" in said
    assert "Pods Statuses:    0 Active" in await kubectl("describe", "job", "j")
    assert "Status:       Active" in await kubectl("describe", "ns", "default")


async def test_label_annotate_patch_edit_replace(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    await kubectl.apply(config_map("c", a="1"))
    assert await kubectl("label", "cm", "c", "team=x") == "configmap/c labeled\n"
    assert await kubectl("annotate", "cm", "c", "note=y") == "configmap/c annotated\n"
    assert await kubectl("label", "cm", "c", "team-") == "configmap/c unlabeled\n"
    assert await kubectl("patch", "cm", "c", "-p", '{"data":{"b":"2"}}') == "configmap/c patched\n"
    await kubectl("patch", "cm", "c", "--type=merge", "-p", '{"data":{"d":"4"}}')
    await kubectl("patch", "cm", "c", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    found = json.loads(await kubectl("get", "cm", "c", "-o", "json"))
    assert found["data"] == {"b": "2", "d": "4"}
    assert found["metadata"]["annotations"]["note"] == "y"
    assert "labels" not in found["metadata"] or "team" not in found["metadata"]["labels"]
    found["data"] = {"e": "5"}
    assert await kubectl("replace", "-f", "-", stdin=json.dumps(found)) == "configmap/c replaced\n"
    stale = await kubectl.refused("replace", "-f", "-", stdin=json.dumps(found))
    assert "the object has been modified; please apply your changes to the latest version" in stale
    monkeypatch.setenv("KUBE_EDITOR", """sed -i 's/e: "5"/e: "6"/'""")
    assert await kubectl("edit", "cm", "c") == "configmap/c edited\n"
    assert await kubectl("get", "cm", "c", "-o", "jsonpath={.data.e}") == "6"


async def test_create_and_delete(kubectl: Kubectl) -> None:
    assert await kubectl("create", "-f", "-", stdin=yaml.safe_dump(config_map("c"))) == "configmap/c created\n"
    again = await kubectl.refused("create", "-f", "-", stdin=yaml.safe_dump(config_map("c")))
    assert 'configmaps "c" already exists' in again
    assert await kubectl("delete", "cm", "c") == 'configmap "c" deleted\n'
    assert await kubectl("delete", "cm", "c", "--ignore-not-found") == ""
    assert 'configmaps "c" not found' in await kubectl.refused("delete", "cm", "c")


async def test_what_kubectl_sends_as_protobuf(kubectl: Kubectl) -> None:
    assert await kubectl("create", "namespace", "team") == "namespace/team created\n"
    assert await kubectl("create", "configmap", "c", "--from-literal=a=b") == "configmap/c created\n"
    assert await kubectl("create", "secret", "generic", "s", "--from-literal=p=q") == "secret/s created\n"
    assert await kubectl("create", "serviceaccount", "robot") == "serviceaccount/robot created\n"
    await kubectl("create", "role", "r", "--verb=get,list", "--resource=pods", "--resource-name=x")
    await kubectl("create", "clusterrole", "cr", "--verb=get", "--non-resource-url=/metrics")
    await kubectl("create", "rolebinding", "rb", "--role=r", "--serviceaccount=default:robot")
    await kubectl("create", "clusterrolebinding", "crb", "--clusterrole=cr", "--user=ann")
    assert await kubectl("get", "secret", "s", "-o", "jsonpath={.data.p}") == "cQ=="
    rule = json.loads(await kubectl("get", "role", "r", "-o", "json"))["rules"]
    assert rule == [{"apiGroups": [""], "resourceNames": ["x"], "resources": ["pods"], "verbs": ["get", "list"]}]
    await kubectl("create", "job", "j", "--image=busybox", "--", "echo", "hi")
    await kubectl("create", "cronjob", "cj", "--image=busybox", "--schedule=*/5 * * * *", "--", "date")
    await kubectl("create", "deployment", "d", "--image=busybox", "--replicas=3", "--port=80")
    await kubectl("create", "service", "externalname", "web", "--external-name=example.org")
    await kubectl("create", "quota", "q", "--hard=cpu=2,memory=1Gi")
    await kubectl("create", "priorityclass", "high", "--value=10", "--description=first")
    await kubectl("create", "poddisruptionbudget", "pdb", "--selector=app=d", "--min-available=50%")
    job = json.loads(await kubectl("get", "job", "j", "-o", "json"))["spec"]["template"]["spec"]
    assert job["containers"][0]["command"] == ["echo", "hi"]
    deployed = json.loads(await kubectl("get", "deployment", "d", "-o", "json"))["spec"]
    assert (deployed["replicas"], deployed["selector"]) == (3, {"matchLabels": {"app": "d"}})
    assert deployed["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] == 80
    assert await kubectl("get", "service", "web", "-o", "jsonpath={.spec.externalName}") == "example.org"
    assert json.loads(await kubectl("get", "quota", "q", "-o", "json"))["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    assert await kubectl("get", "pdb", "pdb", "-o", "jsonpath={.spec.minAvailable}") == "50%"
    assert (await kubectl("create", "job", "again", "--from=cronjob/cj")) == "job.batch/again created\n"
    await kubectl("create", "ingress", "i", "--rule=foo.com/bar=svc1:8080,tls=my-cert", "--class=x")
    rule = json.loads(await kubectl("get", "ingress", "i", "-o", "json"))["spec"]["rules"][0]
    assert rule["host"] == "foo.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "svc1", "port": {"number": 8080}}
    await kubectl("create", "clusterrole", "sum", "--aggregation-rule=a=b")
    await kubectl("create", "service", "clusterip", "s", "--tcp=80:8080")
    await kubectl("create", "secret", "docker-registry", "r", "--docker-username=u", "--docker-password=p")
    assert await kubectl("get", "service", "s", "-o", "jsonpath={.spec.ports[0].targetPort}") == "8080"


async def test_bad_input_gets_one_clear_sentence(kubectl: Kubectl) -> None:
    misspelt = pod("p")
    misspelt["spec"]["containers"][0]["comand"] = ["x"]
    said = await kubectl.refused("create", "-f", "-", stdin=yaml.safe_dump(misspelt))
    assert 'strict decoding error: unknown field "spec.containers[0].comand"' in said
    assert said.count("\n") == 1
    wrong = deployment("d")
    wrong["spec"]["replicas"] = "two"
    said = await kubectl.refused("apply", "-f", "-", stdin=yaml.safe_dump(wrong))
    assert "spec.replicas" in said
    said = await kubectl.refused("create", "--raw", "/api/v1/namespaces/default/pods", "-f", "-", stdin="{nonsense")
    assert "the body is not valid JSON" in said
    assert "at line 1, column 2" in said


async def test_dry_run_and_diff(kubectl: Kubectl) -> None:
    manifest = yaml.safe_dump(config_map("c", a="1"))
    assert "(server dry run)" in await kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert "not found" in await kubectl.refused("get", "cm", "c")
    await kubectl.apply(config_map("c", a="1"))
    answer = await kubectl.run("diff", "-f", "-", stdin=yaml.safe_dump(config_map("c", a="2")))
    assert answer.code == 1
    assert '+  a: "2"' in answer.out


async def test_explain(kubectl: Kubectl) -> None:
    said = await kubectl("explain", "pod.spec.containers.image")
    assert "FIELD: image <string>" in said
    assert "Container image name" in said
    assert "backoffLimit\t<integer>" in await kubectl("explain", "job.spec", "--recursive")
    await kubectl.apply(definition())
    said = await kubectl("explain", "widgets.spec.size")
    assert "How large the widget is." in said


async def test_api_resources_and_versions(kubectl: Kubectl) -> None:
    names = (await kubectl("api-resources", "-o", "name")).split()
    assert {"pods", "jobs.batch", "roles.rbac.authorization.k8s.io"} <= set(names)
    assert "batch/v1" in (await kubectl("api-versions")).split()
    assert "Server Version: v1." in await kubectl("version")


async def test_custom_resources(kubectl: Kubectl) -> None:
    assert "created" in await kubectl.apply(definition())
    await kubectl("wait", "--for=condition=Established", "crd/widgets.example.org", "--timeout=5s")
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}
    assert await kubectl.apply(widget) == "widget.example.org/w created\n"
    lines = (await kubectl("get", "wd")).splitlines()
    assert [line.split() for line in lines] == [["NAME", "SIZE"], ["w", "3"]]
    widget["spec"] = {"size": 0}
    said = await kubectl.refused("apply", "-f", "-", stdin=yaml.safe_dump(widget))
    assert "spec.size" in said
    assert await kubectl("delete", "crd", "widgets.example.org")
    assert "widgets" not in await kubectl("api-resources", "-o", "name")


async def test_wait(kubectl: Kubectl) -> None:
    await kubectl.apply(config_map("c", a="1"))
    waiting = await kubectl.start("wait", "--for=jsonpath={.data.a}=2", "cm/c", "--timeout=20s")
    await kubectl("patch", "cm", "c", "-p", '{"data":{"a":"2"}}')
    async with asyncio.timeout(20):
        out, _ = await waiting.communicate()
    assert out == b"configmap/c condition met\n"
    waiting = await kubectl.start("wait", "--for=delete", "cm/c", "--timeout=20s")
    await kubectl("delete", "cm", "c")
    async with asyncio.timeout(20):
        await waiting.communicate()
    assert waiting.returncode == 0


async def test_watching(kubectl: Kubectl) -> None:
    watching = await kubectl.start("get", "configmaps", "-w", "--no-headers")
    assert watching.stdout
    await kubectl.apply(config_map("first"))
    async with asyncio.timeout(20):
        assert (await watching.stdout.readline()).split()[0] == b"first"
        await kubectl.apply(config_map("second"))
        assert (await watching.stdout.readline()).split()[0] == b"second"
    watching.kill()
    await watching.communicate()


async def test_auth(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "delete", "nodes") == "yes\n"
    answer = await kubectl.run("auth", "can-i", "get", "pods", "--as=ann")
    assert (answer.code, answer.out) == (1, "no\n")
    await kubectl("create", "rolebinding", "ann", "--clusterrole=view", "--user=ann")
    assert await kubectl("auth", "can-i", "get", "pods", "--as=ann") == "yes\n"
    assert "headwater-admin" in await kubectl("auth", "whoami")
    assert "selfsubjectreviews" in await kubectl("auth", "can-i", "--list", "--as=ann")
    said = await kubectl.refused("get", "secrets", "--as=ann")
    assert said == (
        'Error from server (Forbidden): secrets is forbidden: User "ann" cannot list resource "secrets" '
        'in API group "" in the namespace "default"\n'
    )


async def test_a_token_of_a_service_account(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--serviceaccount=default:default")
    token = (await kubectl("create", "token", "default", "--duration=15m")).strip()
    config = kubectl.running.pki.kubeconfig(kubectl.running.url)
    config["users"][0]["user"] = {"token": token}
    kubectl.config = tmp_path / "account"
    kubectl.config.write_text(yaml.safe_dump(config))
    assert "No resources found" in (await kubectl.run("get", "pods")).err
    assert 'cannot list resource "secrets"' in await kubectl.refused("get", "secrets")
    config["users"][0]["user"] = {"token": token[:-8]}
    kubectl.config.write_text(yaml.safe_dump(config))
    assert "the bearer token is not one that this cluster issued" in await kubectl.refused("get", "pods")


async def test_logs(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"))
    kubectl.node.say("one")
    assert await kubectl("logs", "p") == "one\n"
    following = await kubectl.start("logs", "-f", "p")
    assert following.stdout
    async with asyncio.timeout(20):
        assert await following.stdout.readline() == b"one\n"
        kubectl.node.say("two", end=True)
        assert await following.stdout.read() == b"two\n"
        await following.wait()
    said = await kubectl.refused("logs", "p", "-c", "none")
    assert "container none is not valid for pod p" in said


async def test_exec(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"))
    await kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Running"}}')
    assert await kubectl("exec", "p", "--", "echo", "hello") == "hello\n"
    assert await kubectl("exec", "-i", "p", "--", "cat", stdin="typed") == "typed"
    answer = await kubectl.run("exec", "p", "--", "sh", "-c", "echo bad >&2; exit 7")
    assert (answer.code, answer.err.splitlines()[0]) == (7, "bad")
    assert "cannot start 'nothing'" in await kubectl.refused("exec", "p", "--", "nothing")
    assert 'pods "none" not found' in await kubectl.refused("exec", "none", "--", "true")


async def test_copying_files(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl.apply(pod("p"))
    await kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Running"}}')
    source, target = tmp_path / "source.txt", tmp_path / "inside.txt"
    source.write_text("content\n" * 10_000)
    await kubectl("cp", str(source), f"default/p:{target}")
    assert target.read_text() == source.read_text()
    back = tmp_path / "back.txt"
    await kubectl("cp", f"default/p:{target}", str(back))
    assert back.read_text() == source.read_text()


async def test_autoscale_in_both_versions(kubectl: Kubectl) -> None:
    await kubectl.apply(deployment("web"))
    await kubectl("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu-percent=80")
    assert "cpu: <unknown>/80%" in await kubectl("get", "hpa")
    older = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/web"
    found = json.loads(await kubectl("get", "--raw", older))
    assert (found["apiVersion"], found["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 80)
    newer = json.loads(await kubectl("get", "hpa", "web", "-o", "json"))
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
    newer["spec"]["metrics"].append({"type": "Resource", "resource": memory})
    await kubectl("replace", "-f", "-", stdin=json.dumps(newer))
    found = json.loads(await kubectl("get", "--raw", older))
    found["spec"]["maxReplicas"] = 7
    await kubectl("replace", "--raw", older, "-f", "-", stdin=json.dumps(found))
    again = json.loads(await kubectl("get", "hpa", "web", "-o", "json"))
    assert again["spec"]["metrics"] == newer["spec"]["metrics"], "the older version loses nothing of the newer"
    assert again["spec"]["maxReplicas"] == 7


async def test_debug_stores_an_ephemeral_container_and_says_that_it_is_not_started(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"))
    answer = await kubectl.run("debug", "p", "--image=busybox", "-c", "look", "--profile=general", "--attach=false")
    assert answer.code == 0
    assert "Warning: the ephemeral container look is stored, but not started" in answer.err
    (stored,) = json.loads(await kubectl("get", "pod", "p", "-o", "json"))["spec"]["ephemeralContainers"]
    assert (stored["name"], stored["image"]) == ("look", "busybox")
    patch = '{"spec":{"ephemeralContainers":[{"name":"look","image":"other"}]}}'
    path = ("patch", "pod", "p", "--subresource=ephemeralcontainers", "-p", patch)
    answer = await kubectl.run(*path)
    assert answer.code != 0


async def test_health_checks_by_name(kubectl: Kubectl) -> None:
    assert await kubectl("get", "--raw", "/livez/ping") == "ok"
    said = await kubectl("get", "--raw", "/readyz?verbose&exclude=log")
    assert said.splitlines() == [
        "[+]ping ok",
        "[+]log excluded: ok",
        "[+]etcd ok",
        "[+]startup ok",
        "readyz check passed",
    ]


async def test_workloads_without_a_controller_yet(kubectl: Kubectl) -> None:
    await kubectl.apply(deployment("web"))
    assert "paused" in await kubectl("rollout", "pause", "deployment/web")
    assert "resumed" in await kubectl("rollout", "resume", "deployment/web")
    assert "restarted" in await kubectl("rollout", "restart", "deployment/web")
    await kubectl("expose", "deployment", "web", "--port=80")
    await kubectl("set", "resources", "deployment/web", "--limits=cpu=1")
    await kubectl("set", "image", "deployment/web", "main=two")
    await kubectl("run", "one", "--image=busybox", "--restart=Never", "--env=A=b", "--", "true")
    assert "Metrics API not available" in await kubectl.refused("top", "pods")
    assert "replaced" in await kubectl("replace", "--force", "-f", "-", stdin=yaml.safe_dump(deployment("web")))
    assert "control plane is running" in await kubectl("cluster-info")
    columns = "custom-columns=N:.metadata.name,I:.spec.template.spec.containers[0].image"
    assert (await kubectl("get", "deploy", "-o", columns)).split() == ["N", "I", "web", "one"]
    assert await kubectl("get", "deploy", "-o", "go-template={{range .items}}{{.metadata.name}}{{end}}") == "web"


async def test_pages_of_a_list(kubectl: Kubectl) -> None:
    await kubectl.apply(*(config_map(f"c{number}") for number in range(5)))
    names = (await kubectl("get", "cm", "-o", "name", "--chunk-size=2", "--sort-by=.metadata.name")).split()
    assert names == [f"configmap/c{number}" for number in range(5)]
    assert (await kubectl("get", "cm", "--field-selector=metadata.name!=c0", "--no-headers")).count("\n") == 4


async def test_reconcile_of_roles(kubectl: Kubectl) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "default"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    await kubectl("auth", "reconcile", "-f", "-", stdin=yaml.safe_dump(role))
    role["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    await kubectl("auth", "reconcile", "-f", "-", stdin=yaml.safe_dump(role))
    assert len(json.loads(await kubectl("get", "role", "r", "-o", "json"))["rules"]) >= 1


async def test_port_forward(kubectl: Kubectl) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"you said " + await reader.readline())
        writer.close()

    await kubectl.apply(pod("p"))
    await kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Running"}}')
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        forwarding = await kubectl.start("port-forward", "p", f":{port}", ":1", "--address=127.0.0.1")
        assert forwarding.stdout
        assert forwarding.stderr
        async with asyncio.timeout(20):
            local = [int((await forwarding.stdout.readline()).split()[2].decode().rsplit(":", 1)[1]) for _ in range(2)]
            for number in range(3):
                reader, writer = await asyncio.open_connection("127.0.0.1", local[0])
                writer.write(f"{number}\n".encode())
                assert await reader.read() == f"you said {number}\n".encode()
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", local[1])
            assert await reader.read() == b""
            writer.close()
            said = b""
            while b"error forwarding port 1" not in said:
                said = await forwarding.stderr.readline()
                assert said
        forwarding.kill()
        await forwarding.communicate()


async def test_attach(kubectl: Kubectl) -> None:
    await kubectl.apply(pod("p"))
    await kubectl("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Running"}}')
    assert "typed" in await kubectl("attach", "-i", "p", stdin="typed")


async def test_nodes_are_cordoned_tainted_and_drained(kubectl: Kubectl) -> None:
    bound = pod("p")
    bound["spec"] |= {"nodeName": "n1", "terminationGracePeriodSeconds": 0}
    await kubectl(
        "create", "-f", "-", stdin=yaml.safe_dump({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    )
    await kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(bound))
    assert "cordoned" in await kubectl("cordon", "n1")
    assert "SchedulingDisabled" in await kubectl("get", "node", "n1")
    assert "tainted" in await kubectl("taint", "node", "n1", "a=b:NoSchedule")
    assert "untainted" in await kubectl("taint", "node", "n1", "a-")
    assert "drained" in await kubectl("drain", "n1", "--force", "--timeout=10s")
    assert "not found" in await kubectl.refused("get", "pod", "p")
    assert "uncordoned" in await kubectl("uncordon", "n1")


async def test_a_list_of_one_name_needs_only_the_right_to_that_name(kubectl: Kubectl) -> None:
    await kubectl.apply(config_map("mine"), config_map("other"))
    await kubectl("create", "role", "one", "--verb=get,list,watch", "--resource=configmaps", "--resource-name=mine")
    await kubectl("create", "rolebinding", "one", "--role=one", "--user=ann")
    one = ("get", "configmaps", "--as=ann", "-o", "name")
    assert await kubectl(*one, "--field-selector=metadata.name=mine") == "configmap/mine\n"
    assert "cannot list" in await kubectl.refused(*one, "--field-selector=metadata.name=other")
    assert "cannot list" in await kubectl.refused(*one)


async def test_describe_of_every_kind(kubectl: Kubectl) -> None:
    await kubectl.apply(deployment("web"), config_map("c"), job("j"))
    await kubectl("create", "ingress", "i", "--rule=foo.com/bar=svc1:8080")
    await kubectl("create", "quota", "q", "--hard=cpu=2")
    await kubectl("create", "pdb", "pdb", "--selector=app=web", "--min-available=1")
    await kubectl("expose", "deployment", "web", "--port=80")
    kinds = "deploy,rs,sts,ds,rc,svc,ep,ing,netpol,quota,limits,pdb,cm,secret,sa,cj,job,hpa,pvc,lease,role,rolebinding"
    said = await kubectl("describe", kinds)
    for line in ("Name:                   web", "Name:             i", "Name:       q", "Min available:  1"):
        assert line in said, said
    assert "PolicyRule" in await kubectl("describe", "clusterrole", "view")
