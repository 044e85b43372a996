"""The NamespaceLifecycle plugin: nothing new in a namespace that is not there, or on its way out."""

from headwater.cluster.apiserver.registry import Served
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import forbidden, not_found
from headwater.kube.meta.objects import is_deleting
from headwater.kube.meta.resources import NAMESPACES

_PERMANENT = frozenset({"default", "kube-system", "kube-public"})


def check_namespace(store: Store, served: Served, namespace: str, name: str) -> None:
    """Refuse a new object in a namespace that is not there (404), or on its way out (403)."""
    if not served.resource.namespaced:
        return
    home = store.get(NAMESPACES.group_resource, namespace)
    if home is None:
        raise not_found("", "namespaces", namespace)
    if is_deleting(home.object):
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        error = forbidden(served.resource.group, served.resource.plural, name, why)
        cause = {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated"}
        error.details["causes"] = [{**cause, "field": "metadata.namespace"}]
        raise error


def check_deletion(served: Served, name: str) -> None:
    """Refuse to delete what the cluster cannot be without (403)."""
    if served.resource == NAMESPACES and name in _PERMANENT:
        raise forbidden("", "namespaces", name, "this namespace may not be deleted")
