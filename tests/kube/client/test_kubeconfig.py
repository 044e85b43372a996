import base64
import json
from pathlib import Path
from typing import Any

import pytest

from headwater.kube.client.credentials import Credentials
from headwater.kube.client.kubeconfig import Access, ExecPlugin, KubeconfigError, default_path, in_cluster, load


def config(cluster: Any = None, user: Any = None, **context: Any) -> dict[str, Any]:
    return {
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", **context}},
            {"name": "there", "context": {"cluster": "d"}},
        ],
        "clusters": [
            {"name": "c", "cluster": {"server": "https://host:6443/", **(cluster or {})}},
            {"name": "d", "cluster": {"server": "http://other:8080"}},
        ],
        "users": [{"name": "u", "user": user or {}}],
    }


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_inline_data_and_the_current_context():
    user = {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")}
    access = load(config({"certificate-authority-data": encoded("CA")}, user, namespace="team"))
    assert access.server == "https://host:6443"
    assert (access.namespace, access.ca_pem) == ("team", "CA")
    assert (access.client_cert_pem, access.client_key_pem) == ("CERT", "KEY")


def test_another_context():
    assert load(config(), "there") == Access("http://other:8080")


def test_files_stand_beside_the_kubeconfig(tmp_path):
    (tmp_path / "ca.crt").write_text("CA")
    path = tmp_path / "config"
    path.write_text(json.dumps(config({"certificate-authority": "ca.crt"}, {"tokenFile": "token"})))
    access = load(path)
    assert access.ca_pem == "CA"
    assert access.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("broken", "context", "says"),
    [
        ({**config(), "current-context": ""}, "", "no current-context; name one of: here, there"),
        (config(), "nowhere", "no context 'nowhere'; it has: here, there"),
        (config(cluster={"server": ""}), "", "the cluster 'c' has no server"),
        ({**config(), "clusters": []}, "", r"no cluster 'c'; it has: \(none\)"),
        (config(cluster={"certificate-authority-data": "!"}), "", "certificate-authority-data is not base64"),
        (config(cluster={"certificate-authority": "missing"}), "", "cannot read certificate-authority .*missing"),
    ],
)
def test_says_what_is_wrong(broken, context, says):
    with pytest.raises(KubeconfigError, match=says):
        load(broken, context)


@pytest.mark.parametrize(("text", "says"), [("a: [", "is not valid YAML"), ("- a", "is not a mapping")])
def test_says_what_is_wrong_with_the_file(tmp_path, text, says):
    path = tmp_path / "config"
    with pytest.raises(KubeconfigError, match="cannot read the kubeconfig"):
        load(path)
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=says):
        load(path)


def test_the_default_is_what_kubectl_takes(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{tmp_path}/there")
    assert default_path() == tmp_path / "missing"
    (tmp_path / "there").touch()
    assert default_path() == tmp_path / "there"
    monkeypatch.delenv("KUBECONFIG")
    assert default_path() == Path.home() / ".kube" / "config"


def test_a_pod_finds_its_own_access(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeconfigError, match="not inside a pod"):
        in_cluster(tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    for name, text in (("token", "secret"), ("namespace", "team\n"), ("ca.crt", "CA")):
        (tmp_path / name).write_text(text)
    access = in_cluster(tmp_path)
    assert (access.server, access.namespace, access.ca_pem) == ("https://[::1]:6443", "team", "CA")


def test_certificates_that_are_none():
    with pytest.raises(KubeconfigError, match="the certificates for https://host cannot be used"):
        Access("https://host", ca_pem="nonsense").ssl_context()


async def test_a_token_file_is_read_again_after_a_refusal(tmp_path):
    path = tmp_path / "token"
    path.write_text("one\n")
    credentials = Credentials(Access("https://host", token_file=path))
    assert await credentials.header() == "Bearer one"
    path.write_text("two\n")
    assert await credentials.header() == "Bearer one"
    assert credentials.refused()
    assert await credentials.header() == "Bearer two"


async def test_other_ways_to_say_who_asks():
    assert await Credentials(Access("https://host")).header() is None
    assert await Credentials(Access("https://host", token="t")).header() == "Bearer t"
    assert not Credentials(Access("https://host", token="t")).refused()
    basic = Credentials(Access("https://host", username="u", password="p"))
    assert await basic.header() == f"Basic {encoded('u:p')}"


def plugin(tmp_path: Path, script: str) -> ExecPlugin:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return ExecPlugin(str(path), ("x",), (("NAME", "value"),), "client.authentication.k8s.io/v1")


async def test_a_credential_plugin_is_asked_once_while_its_token_lasts(tmp_path):
    answer = '{"status": {"token": "\'$NAME-$1\'", "expirationTimestamp": "2999-01-01T00:00:00Z"}}'
    script = f"echo called >> {tmp_path}/calls; echo '{answer}'"
    credentials = Credentials(Access("https://host", exec_plugin=plugin(tmp_path, script)))
    assert await credentials.header() == "Bearer value-x"
    assert await credentials.header() == "Bearer value-x"
    assert (tmp_path / "calls").read_text() == "called\n"


@pytest.mark.parametrize(
    ("script", "says"),
    [("echo not you >&2; exit 3", "exit code 3: not you"), ("echo '{}'", "no ExecCredential with a token")],
)
async def test_a_credential_plugin_that_fails(tmp_path, script, says):
    with pytest.raises(KubeconfigError, match=says):
        await Credentials(Access("https://host", exec_plugin=plugin(tmp_path, script))).header()
