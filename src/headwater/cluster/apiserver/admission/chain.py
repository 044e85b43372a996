"""What is decided about a write after its caller was authorized: Kubernetes' admission, in this process.

The order is upstream's: first what changes the object, then, once it is valid, what only judges it. A rule of which
no object exists costs a look-up.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater.cluster.apiserver.admission import limits, quota, registrations
from headwater.cluster.apiserver.admission.calling import WebhookCaller
from headwater.cluster.apiserver.admission.escalation import RBAC_GROUP, check_grant
from headwater.cluster.apiserver.admission.matching import GROUP
from headwater.cluster.apiserver.admission.namespaces import check_deletion, check_namespace
from headwater.cluster.apiserver.admission.pod_security import check_labels, check_pod_security
from headwater.cluster.apiserver.admission.priority import check_class, prioritise
from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.admission.service_account import ServiceAccounts
from headwater.cluster.apiserver.registry import Registry, Served
from headwater.cluster.apiserver.users import Authorizer
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import invalid
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import NAMESPACES, PODS

if TYPE_CHECKING:
    from headwater.cluster.apiserver.admission.policies import Policies
    from headwater.cluster.apiserver.admission.webhooks import Webhooks

_MUTATING = f"mutatingwebhookconfigurations.{GROUP}"
_VALIDATING = f"validatingwebhookconfigurations.{GROUP}"
_BINDINGS = f"validatingadmissionpolicybindings.{GROUP}"


class Admission:
    """The chain of rules."""

    def __init__(
        self, store: Store, registry: Registry, rng: random.Random, authorizer: Callable[[], Authorizer]
    ) -> None:
        self._store = store
        self._authorizer = authorizer
        self._accounts = ServiceAccounts(store, rng)
        self._registry = registry
        self._policies_made: Policies | None = None
        self._webhooks_made: Webhooks | None = None
        self._caller = WebhookCaller(store)
        self._quotas = quota.Quotas(store, registry)

    def check_namespace(self, served: Served, namespace: str, name: str) -> None:
        """Refuse a new object in a namespace that is not there, or on its way out."""
        check_namespace(self._store, served, namespace, name)

    def check_deletion(self, served: Served, name: str) -> None:
        """Refuse to delete what the cluster cannot be without."""
        check_deletion(served, name)

    async def close(self) -> None:
        """Drop the connections to webhooks."""
        if self._webhooks_made is not None:
            await self._caller.close()

    async def mutate(self, request: AdmissionRequest) -> None:
        """Fill in and change the wanted object. Raises ``StatusError``."""
        if request.obj is not None and not request.subresource:
            await self._complete(request, request.obj)
        if self._store.count(_MUTATING) and request.served.resource.group != GROUP:
            await self._webhooks().mutate(request)

    async def _complete(self, request: AdmissionRequest, obj: Object) -> None:
        resource = request.served.resource
        if resource.group == GROUP:
            registrations.complete(obj)
        elif resource.kind == "LimitRange" and not resource.group:
            limits.complete_range(obj)
        if request.operation != "CREATE":
            return
        if resource == PODS:
            prioritise(self._store, obj)
            await self._accounts.complete(request.namespace, obj)
            if self._store.count(limits.BUCKET):
                limits.fill_in(self._store, request.namespace, obj)

    async def validate(self, request: AdmissionRequest) -> None:
        """Judge the object as it would be stored, or the deletion. Raises ``StatusError``."""
        resource = request.served.resource
        if resource.group == RBAC_GROUP:
            check_grant(self._authorizer(), request)
        elif resource.group == "scheduling.k8s.io" and request.obj is not None:
            check_class(self._store, request.obj)
        elif resource == NAMESPACES and request.obj is not None:
            check_labels(request.obj)
        elif resource.kind == "ResourceQuota" and not resource.group and request.obj is not None:
            quota.check_scopes(request.obj)
        elif resource.group == GROUP:
            self._check_registration(request)
            return
        if resource.namespaced and request.obj is not None:
            self._check_pod(request, request.obj)
        if self._store.count(_BINDINGS):
            self._policies().check(request)
        if request.operation == "DELETE" and self._store.count(_MUTATING):
            await self._webhooks().mutate(request)
        if self._store.count(_VALIDATING):
            await self._webhooks().validate(request)
        if resource.namespaced and request.obj is not None and self._store.count(quota.BUCKET):
            await self._quotas.check(request)

    def _policies(self) -> "Policies":
        if self._policies_made is None:
            from headwater.cluster.apiserver.admission.policies import Policies

            self._policies_made = Policies(self._store, self._registry, self._authorizer)
        return self._policies_made

    def _webhooks(self) -> "Webhooks":
        if self._webhooks_made is None:
            from headwater.cluster.apiserver.admission.webhooks import Webhooks

            self._webhooks_made = Webhooks(self._store, self._registry, self._authorizer, self._caller)
        return self._webhooks_made

    @staticmethod
    def _check_registration(request: AdmissionRequest) -> None:
        if request.obj is None:
            return
        causes = registrations.check(request.obj)
        if causes:
            resource = request.served.resource
            raise invalid(resource.group, resource.kind, request.name, causes)

    def _check_pod(self, request: AdmissionRequest, obj: Object) -> None:
        if self._store.count(limits.BUCKET):
            self._check_limits(request, obj)
        check_pod_security(self._store, request)

    def _check_limits(self, request: AdmissionRequest, obj: Object) -> None:
        resource = request.served.resource
        if request.subresource or resource.group:
            return
        if resource.plural == "pods" and request.operation == "CREATE":
            limits.check_pod(self._store, request.namespace, obj)
        elif resource.plural == "persistentvolumeclaims":
            limits.check_claim(self._store, request.namespace, obj)
