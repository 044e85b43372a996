"""What is decided about a write after its caller was authorized: Kubernetes' built-in admission, in this process.

NamespaceLifecycle, ServiceAccount and Priority, by the rules of ``plugin/pkg/admission``. Limit ranges and quotas
are stored but not enforced yet, and there are no webhooks yet.
"""

import random
import time
from typing import Any

from headwater.cluster.apiserver.registry import Served
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import StoreClosed
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import StatusError, forbidden, not_found, unavailable
from headwater.kube.meta.names import generate_name
from headwater.kube.meta.objects import Object, is_deleting, name_of
from headwater.kube.meta.resources import NAMESPACES, PODS, SERVICE_ACCOUNTS

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where a token is mounted
_TOKEN_SECONDS = 3607
_WAIT_FOR_ACCOUNT_SECONDS = 2.0
_PERMANENT = frozenset({"default", "kube-system", "kube-public"})
_BUILTIN_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class Admission:
    """The chain of built-in rules."""

    def __init__(self, store: Store, rng: random.Random) -> None:
        self._store = store
        self._rng = rng

    def check_namespace(self, served: Served, namespace: str, name: str) -> None:
        """Refuse a new object in a namespace that is not there, or on its way out."""
        if not served.resource.namespaced:
            return
        home = self._store.get(NAMESPACES.group_resource, namespace)
        if home is None:
            raise not_found("", "namespaces", namespace)
        if is_deleting(home.object):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            error = forbidden(served.resource.group, served.resource.plural, name, why)
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
            error.details["causes"] = [{**cause, "field": "metadata.namespace"}]
            raise error

    def check_deletion(self, served: Served, name: str) -> None:
        """Refuse to delete what the cluster cannot be without."""
        if served.resource == NAMESPACES and name in _PERMANENT:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")

    async def complete(self, served: Served, namespace: str, obj: Object) -> None:
        """Fill in, in place, what other objects say about a new one."""
        if served.resource == PODS:
            self._prioritise(obj)
            await self._give_account(namespace, obj)

    # --- Priority -----------------------------------------------------------------------------------------------

    def _prioritise(self, pod: Object) -> None:
        spec = pod["spec"]
        wanted = spec.get("priorityClassName")
        policy = "PreemptLowerPriority"
        if wanted:
            found = self._store.get("priorityclasses.scheduling.k8s.io", wanted)
            if found is not None:
                value = found.object.get("value") or 0
                policy = found.object.get("preemptionPolicy") or policy
            elif wanted in _BUILTIN_PRIORITIES:
                value = _BUILTIN_PRIORITIES[wanted]
            else:
                raise forbidden("", "pods", name_of(pod), f"no PriorityClass with name {wanted} was found")
        else:
            default = self._default_priority()
            value = 0
            if default is not None:
                spec["priorityClassName"] = name_of(default)
                value = default.get("value") or 0
                policy = default.get("preemptionPolicy") or policy
        if spec.get("priority") not in (None, value):
            why = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec"
            raise forbidden("", "pods", name_of(pod), f"{why}; priority admission controller computed {value}")
        spec["priority"] = value
        spec.setdefault("preemptionPolicy", policy)

    def _default_priority(self) -> Object | None:
        found: Object | None = None
        for _, document in self._store.scan("priorityclasses.scheduling.k8s.io"):
            candidate = document.object
            if candidate.get("globalDefault") and (found is None or candidate["value"] < found["value"]):
                found = candidate
        return found

    # --- ServiceAccount -----------------------------------------------------------------------------------------

    async def _give_account(self, namespace: str, pod: Object) -> None:
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
