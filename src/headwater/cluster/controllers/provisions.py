"""What every namespace is given: a default service account, and the certificate that its pods trust.

Both come back when they are deleted, and the certificate is put right when it is changed.
"""

from collections.abc import Iterable

from headwater.cluster.controllers.calls import is_terminating_namespace
from headwater.kube.client import Client
from headwater.kube.controller import Controller, Informers, Request, Watch
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object, is_deleting, name_of, namespace_of
from headwater.kube.meta.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS, Resource

DEFAULT_SERVICE_ACCOUNT = "default"
ROOT_CA = "kube-root-ca.crt"

_ROOT_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def default_service_account() -> Object:
    """Return the service account of pods that name none."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT_SERVICE_ACCOUNT}}


def root_ca(ca_pem: str) -> Object:
    """Return the config map that the service-account volume of every pod shows as ``ca.crt``."""
    metadata = {"name": ROOT_CA, "annotations": {"kubernetes.io/description": _ROOT_CA_NOTE}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": ca_pem}}


class ProvisionReconciler:
    """Keeps one object of one name in every namespace."""

    def __init__(self, client: Client, informers: Informers, resource: Resource, wanted: Object) -> None:
        self._client = client
        self._resource = resource
        self._wanted = wanted
        self._namespaces = informers.informer(NAMESPACES)
        self._provisions = informers.informer(resource)

    async def reconcile(self, request: Request) -> None:
        """Create the object in the namespace called ``request.name``, or put its data right."""
        namespace = self._namespaces.get("", request.name)
        if namespace is None or is_deleting(namespace):
            return
        existing = self._provisions.get(request.name, name_of(self._wanted))
        try:
            if existing is None:
                await self._client.create(self._resource, self._wanted, request.name)
            elif existing.get("data") != self._wanted.get("data") and not is_deleting(existing):
                await self._client.update(self._resource, {**existing, "data": self._wanted["data"]})
        except StatusError as error:
            if error.reason != "AlreadyExists" and not is_terminating_namespace(error):
                raise

    def namespaces(self, obj: Object) -> Iterable[Request]:
        """Map a changed object to its namespace, if it is the one that is kept."""
        return (Request("", namespace_of(obj)),) if name_of(obj) == name_of(self._wanted) else ()


def provision_controllers(client: Client, informers: Informers, ca_pem: str) -> list[Controller]:
    """Return the controllers of default service accounts and of root certificates."""
    accounts = ProvisionReconciler(client, informers, SERVICE_ACCOUNTS, default_service_account())
    authorities = ProvisionReconciler(client, informers, CONFIG_MAPS, root_ca(ca_pem))
    return [
        Controller(
            "service-account", accounts, NAMESPACES, watches=(Watch(SERVICE_ACCOUNTS, accounts.namespaces),), workers=1
        ),
        Controller(
            "root-ca", authorities, NAMESPACES, watches=(Watch(CONFIG_MAPS, authorities.namespaces),), workers=1
        ),
    ]
