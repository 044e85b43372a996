"""What is decided about a write after its caller was authorized: Kubernetes' admission, in this process.

The order is upstream's: first what changes the object, then, once it is valid, what only judges it. A rule of which
no object exists costs a look-up.
"""

import random
from collections.abc import Callable

from headwater.cluster.apiserver.admission.escalation import RBAC_GROUP, check_grant
from headwater.cluster.apiserver.admission.namespaces import check_deletion, check_namespace
from headwater.cluster.apiserver.admission.priority import check_class, prioritise
from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.admission.service_account import ServiceAccounts
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.users import Authorizer
from headwater.cluster.store.store import Store
from headwater.kube.meta.resources import PODS


class Admission:
    """The chain of rules."""

    def __init__(self, store: Store, rng: random.Random, authorizer: Callable[[], Authorizer]) -> None:
        self._store = store
        self._authorizer = authorizer
        self._accounts = ServiceAccounts(store, rng)

    def check_namespace(self, served: Served, namespace: str, name: str) -> None:
        """Refuse a new object in a namespace that is not there, or on its way out."""
        check_namespace(self._store, served, namespace, name)

    def check_deletion(self, served: Served, name: str) -> None:
        """Refuse to delete what the cluster cannot be without."""
        check_deletion(served, name)

    async def mutate(self, request: AdmissionRequest) -> None:
        """Fill in and change the wanted object. Raises ``StatusError``."""
        if request.served.resource == PODS and request.operation == "CREATE" and request.obj is not None:
            prioritise(self._store, request.obj)
            await self._accounts.complete(request.namespace, request.obj)

    async def validate(self, request: AdmissionRequest) -> None:
        """Judge the object as it would be stored, or the deletion. Raises ``StatusError``."""
        resource = request.served.resource
        if resource.group == RBAC_GROUP:
            check_grant(self._authorizer(), request)
        elif resource.group == "scheduling.k8s.io" and request.obj is not None:
            check_class(self._store, request.obj)
