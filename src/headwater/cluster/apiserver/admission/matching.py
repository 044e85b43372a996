"""Which requests a webhook or a policy is about: rules, selectors, and the request as expressions see it.

Follows ``k8s.io/apiserver/pkg/admission/plugin/webhook/predicates`` and ``…/policy/matching``.
"""

from typing import Any

from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.conversion import present
from headwater.cluster.apiserver.registry import Registry, Served
from headwater.cluster.apiserver.users import User
from headwater.cluster.store.documents import Document
from headwater.cluster.store.store import Store
from headwater.kube.meta.objects import Object, labels_of
from headwater.kube.meta.resources import NAMESPACES
from headwater.kube.meta.selectors import LabelSelector

GROUP = "admissionregistration.k8s.io"
"""Requests for these kinds are never put to webhooks and policies: one that refuses everything must be removable."""


def find_match(registry: Registry, rules: list[Object], match_policy: str, request: AdmissionRequest) -> Served | None:
    """Return the version of the request's kind that a rule names, the request's own preferred."""
    if any(rule_matches(rule, request, request.served) for rule in rules):
        return request.served
    if match_policy == "Exact":
        return None
    for served in registry.all():
        same_objects = served.bucket == request.served.bucket and served is not request.served
        if same_objects and any(rule_matches(rule, request, served) for rule in rules):
            return served
    return None


def rule_matches(rule: Object, request: AdmissionRequest, served: Served) -> bool:
    """Tell whether a rule is about a request, taken as one for the given version of its kind."""
    resource = served.resource
    operations = rule.get("operations") or ()
    if "*" not in operations and request.operation not in operations:
        return False
    for value, allowed in ((resource.group, rule.get("apiGroups")), (resource.version, rule.get("apiVersions"))):
        if "*" not in (allowed or ()) and value not in (allowed or ()):
            return False
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") is not resource.namespaced:
        return False
    names = rule.get("resourceNames")
    if names and request.name not in names:
        return False
    return any(_names_resource(name, resource.plural, request.subresource) for name in rule.get("resources") or ())


def _names_resource(name: str, plural: str, subresource: str) -> bool:
    wanted, slash, sub = name.partition("/")
    if wanted not in ("*", plural):
        return False
    return sub in ("*", subresource) if slash else not subresource


def selectors_match(store: Store, match: Object, request: AdmissionRequest) -> bool:
    """Tell whether a request's namespace and object are selected."""
    selector = match.get("namespaceSelector")
    if selector and not _namespace_matches(store, LabelSelector.from_object(selector), request):
        return False
    selector = match.get("objectSelector")
    if not selector:
        return True
    wanted = LabelSelector.from_object(selector)
    return any(obj is not None and wanted.matches(labels_of(obj)) for obj in (request.obj, request.old))


def _namespace_matches(store: Store, selector: LabelSelector, request: AdmissionRequest) -> bool:
    if request.served.resource == NAMESPACES:
        return selector.matches(labels_of(request.subject))
    if not request.served.resource.namespaced:
        return True
    home = store.get(NAMESPACES.group_resource, request.namespace)
    return home is not None and selector.matches(home.labels)


def in_version(served: Served, obj: Object | None) -> Object | None:
    """Return a stored object as one version of its kind shows it."""
    if obj is None or obj.get("apiVersion") == served.resource.api_version:
        return obj
    return present(served, Document.of(obj)).object


def describe(request: AdmissionRequest, served: Served, uid: str = "") -> Object:
    """Return an ``AdmissionRequest`` without its objects: what reviews carry and expressions see as ``request``."""
    asked, shown = request.served.resource, served.resource
    described: Object = {
        "uid": uid,
        "kind": {"group": shown.group, "version": shown.version, "kind": shown.kind},
        "resource": {"group": shown.group, "version": shown.version, "resource": shown.plural},
        "requestKind": {"group": asked.group, "version": asked.version, "kind": asked.kind},
        "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.plural},
        "name": request.name,
        "operation": request.operation,
        "userInfo": user_info(request.user),
        "dryRun": request.dry_run,
        "options": request.options or _OPTIONS[request.operation],
    }
    if asked.namespaced:
        described["namespace"] = request.namespace
    elif asked == NAMESPACES:
        described["namespace"] = request.name
    if request.subresource:
        described["subResource"] = described["requestSubResource"] = request.subresource
    return described


_OPTIONS: dict[str, Any] = {
    operation: {"apiVersion": "meta.k8s.io/v1", "kind": kind}
    for operation, kind in {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}.items()
}


def user_info(user: User) -> Object:
    """Return a user as reviews show him."""
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
