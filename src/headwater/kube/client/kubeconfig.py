"""Where the API server is and how to prove who is asking: kubeconfig files and a pod's own credentials.

The file format is ``client.authentication`` of kubectl: contexts, clusters and users, inline data or files next to
the kubeconfig, client certificates, tokens, passwords, and credential plugins (``exec``).
"""

import base64
import json
import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class KubeconfigError(ValueError):
    """A kubeconfig that is missing, unreadable or incomplete; says which entry and what to do."""


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """A command that prints an ``ExecCredential``."""

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    api_version: str


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that a client needs to reach one cluster as one user."""

    server: str
    """``https://host:port``, without a slash at the end."""
    namespace: str = "default"
    ca_pem: str = ""
    """Certificates to trust; empty for the system's own."""
    insecure: bool = False
    """Do not check the server's certificate."""
    server_name: str = ""
    """The name to expect in the server's certificate, if it is not the host's."""
    client_cert_pem: str = ""
    client_key_pem: str = ""
    token: str = ""
    token_file: Path | None = None
    """Read again while it is used, since its content is renewed."""
    username: str = ""
    password: str = ""
    exec_plugin: ExecPlugin | None = None

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS settings. Raises ``KubeconfigError`` for certificates that cannot be read."""
        try:
            context = ssl.create_default_context(cadata=self.ca_pem or None)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_cert_pem:
                # ssl reads a chain from files only; this one is private to us and gone at once.
                with tempfile.NamedTemporaryFile("w", prefix="headwater-", suffix=".pem") as pem:
                    pem.write(self.client_cert_pem.rstrip() + "\n" + self.client_key_pem)
                    pem.flush()
                    context.load_cert_chain(pem.name)
        except ssl.SSLError as error:
            raise KubeconfigError(f"the certificates for {self.server} cannot be used: {error}") from error
        return context


def in_cluster(directory: Path = SERVICE_ACCOUNT_DIRECTORY) -> Access:
    """Return a pod's own access, by its service-account volume. Raises ``KubeconfigError`` outside a pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token = directory / "token"
    if not host or not port or not token.exists():
        raise KubeconfigError(
            "not inside a pod with a service account: KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and "
            f"{token} are needed; pass a kubeconfig instead"
        )
    namespace = directory / "namespace"
    ca = directory / "ca.crt"
    return Access(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        ca_pem=ca.read_text() if ca.exists() else "",
        token_file=token,
    )


def load(source: str | Path | dict[str, Any] | None = None, context: str = "") -> Access:
    """Read a kubeconfig: a path, its decoded content, or None for ``$KUBECONFIG`` or ``~/.kube/config``.

    ``context`` names the context to use instead of the current one. Raises ``KubeconfigError``.
    """
    directory = Path.cwd()
    if isinstance(source, dict):
        config, where = source, "the kubeconfig"
    else:
        path = Path(source) if source else default_path()
        directory, where = path.parent, str(path)
        config = _read(path)
    name = context or config.get("current-context") or ""
    if not name:
        raise KubeconfigError(f"{where} has no current-context; name one of: {_names(config, 'contexts')}")
    chosen = _entry(config, "contexts", "context", name, where)
    cluster = _entry(config, "clusters", "cluster", str(chosen.get("cluster") or ""), where)
    user = _entry(config, "users", "user", str(chosen["user"]), where) if chosen.get("user") else {}
    server = str(cluster.get("server") or "").rstrip("/")
    if not server:
        raise KubeconfigError(f"{where}: the cluster {chosen.get('cluster')!r} has no server")
    return Access(
        server=server,
        namespace=str(chosen.get("namespace") or "default"),
        ca_pem=_pem(cluster, "certificate-authority", directory, where),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
        client_cert_pem=_pem(user, "client-certificate", directory, where),
        client_key_pem=_pem(user, "client-key", directory, where),
        token=str(user.get("token") or ""),
        token_file=directory / str(user["tokenFile"]) if user.get("tokenFile") else None,
        username=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        exec_plugin=_plugin(user.get("exec"), directory),
    )


def default_path() -> Path:
    """Return the first existing file of ``$KUBECONFIG``, else ``~/.kube/config``."""
    listed = [Path(part) for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return next((path for path in listed if path.exists()), listed[0] if listed else Path.home() / ".kube" / "config")


def exec_credential(plugin: ExecPlugin, output: bytes) -> tuple[str, str]:
    """Return the token and its expiry (RFC 3339, or empty) that a plugin printed. Raises ``KubeconfigError``."""
    try:
        status = json.loads(output)["status"]
        return str(status["token"]), str(status.get("expirationTimestamp") or "")
    except (ValueError, KeyError, TypeError) as error:
        raise KubeconfigError(
            f"the credential plugin {plugin.command!r} printed no ExecCredential with a token"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise KubeconfigError(f"cannot read the kubeconfig {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"the kubeconfig {path} is not valid YAML: {error}") from error
    if not isinstance(config, dict):
        raise KubeconfigError(f"the kubeconfig {path} is not a mapping")
    return config


def _names(config: dict[str, Any], section: str) -> str:
    return ", ".join(str(entry.get("name")) for entry in config.get(section) or ()) or "(none)"


def _entry(config: dict[str, Any], section: str, key: str, name: str, where: str) -> dict[str, Any]:
    for entry in config.get(section) or ():
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    raise KubeconfigError(f"{where} has no {key} {name!r}; it has: {_names(config, section)}")


def _pem(entry: dict[str, Any], key: str, directory: Path, where: str) -> str:
    data = entry.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode("".join(str(data).split()), validate=True).decode()
        except ValueError as error:
            raise KubeconfigError(f"{where}: {key}-data is not base64") from error
    if entry.get(key):
        path = directory / str(entry[key])
        try:
            return path.read_text()
        except OSError as error:
            raise KubeconfigError(f"{where}: cannot read {key} {path}: {error.strerror}") from error
    return ""


def _plugin(section: dict[str, Any] | None, directory: Path) -> ExecPlugin | None:
    if not section:
        return None
    command = str(section.get("command") or "")
    if "/" in command:
        command = str(directory / command)
    return ExecPlugin(
        command,
        tuple(str(arg) for arg in section.get("args") or ()),
        tuple((str(pair["name"]), str(pair["value"])) for pair in section.get("env") or ()),
        str(section.get("apiVersion") or "client.authentication.k8s.io/v1"),
    )
