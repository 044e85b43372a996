"""The ServiceAccount plugin: a pod's account, and the volume with its token.

The rules are those of ``plugin/pkg/admission/serviceaccount``.
"""

import random
import time
from typing import Any

from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import StoreClosed
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import StatusError, forbidden, unavailable
from headwater.kube.meta.names import generate_name
from headwater.kube.meta.objects import Object, name_of
from headwater.kube.meta.resources import SERVICE_ACCOUNTS

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where a token is mounted
_TOKEN_SECONDS = 3607
_WAIT_FOR_ACCOUNT_SECONDS = 2.0


class ServiceAccounts:
    """Gives pods their accounts."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng

    async def complete(self, namespace: str, pod: Object) -> None:
        """Write the account and its volume into a new pod, in place. Raises ``StatusError`` 403 without an account."""
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = (await self._account(namespace, name, name_of(pod))).object
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = [dict(secret) for secret in account["imagePullSecrets"]]
        mounts = spec.get("automountServiceAccountToken")
        if mounts is None:
            mounts = account.get("automountServiceAccountToken")
        if mounts is not False:
            self._mount_token(spec)

    async def _account(self, namespace: str, name: str, pod: str) -> Document:
        """Return the account; one of a namespace made a moment ago may still be on its way."""
        bucket, key = SERVICE_ACCOUNTS.group_resource, f"{namespace}/{name}"
        found = self._store.get(bucket, key)
        if found is not None:
            return found
        try:
            watch = self._store.watch(bucket, f"{namespace}/")
        except StoreClosed as error:
            raise unavailable("the server is stopping") from error
        deadline = time.monotonic() + _WAIT_FOR_ACCOUNT_SECONDS
        while (left := deadline - time.monotonic()) > 0 and not watch.ended:
            watch.read(self._store.revision)
            found = self._store.get(bucket, key)
            if found is not None:
                return found
            if name != "default":
                break
            await watch.wait(left)
        raise self._no_account(namespace, name, pod)

    @staticmethod
    def _no_account(namespace: str, name: str, pod: str) -> StatusError:
        why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        return forbidden("", "pods", pod, why)

    def _mount_token(self, spec: dict[str, Any]) -> None:
        containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
        needing = [
            container
            for container in containers
            if all(mount.get("mountPath") != TOKEN_PATH for mount in container.get("volumeMounts") or ())
        ]
        if not needing:
            return
        volume = generate_name("kube-api-access-", self._rng)
        for container in needing:
            mount = {"name": volume, "mountPath": TOKEN_PATH, "readOnly": True}
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
        spec["volumes"] = [*(spec.get("volumes") or ()), _token_volume(volume)]


def _token_volume(name: str) -> Object:
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    here = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": certificate},
        {"downwardAPI": {"items": [here]}},
    ]
    return {"name": name, "projected": {"defaultMode": 0o644, "sources": sources}}
