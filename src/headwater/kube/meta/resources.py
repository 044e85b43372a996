"""The identity of a kind as the API serves it, and the built-in kinds that Headwater's own code names.

A ``Resource`` is what discovery says of a kind. The embedded cluster serves more kinds than stand here; these
are constants for code that reads and writes them by name.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind in one version: where it is served and what it is called."""

    group: str
    """API group, empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = field(default=(), compare=False)
    categories: tuple[str, ...] = field(default=(), compare=False)
    subresources: frozenset[str] = field(default=frozenset(), compare=False)
    """Names such as ``status``, ``scale``, ``log``."""

    @property
    def api_version(self) -> str:
        """``group/version``, or just the version in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """``plural.group`` as error messages and RBAC name it; just the plural in the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """The kind of a list of these objects."""
        return f"{self.kind}List"

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, of one object, or of its subresource.

        ``namespace=None`` for a namespaced kind addresses all namespaces.
        """
        parts = ["/api" if not self.group else f"/apis/{self.group}", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


_STATUS = frozenset({"status"})

NAMESPACES = Resource("", "v1", "Namespace", "namespaces", False, ("ns",), (), frozenset({"status", "finalize"}))
NODES = Resource("", "v1", "Node", "nodes", False, ("no",), (), _STATUS)
PODS = Resource(
    "",
    "v1",
    "Pod",
    "pods",
    True,
    ("po",),
    ("all",),
    frozenset({"status", "log", "exec", "attach", "portforward", "binding", "eviction", "ephemeralcontainers"}),
)
CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps", True, ("cm",))
SECRETS = Resource("", "v1", "Secret", "secrets")
SERVICE_ACCOUNTS = Resource("", "v1", "ServiceAccount", "serviceaccounts", True, ("sa",), (), frozenset({"token"}))
SERVICES = Resource("", "v1", "Service", "services", True, ("svc",), ("all",), _STATUS)
EVENTS = Resource("", "v1", "Event", "events", True, ("ev",))
JOBS = Resource("batch", "v1", "Job", "jobs", True, (), ("all",), _STATUS)
LEASES = Resource("coordination.k8s.io", "v1", "Lease", "leases")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    False,
    ("crd", "crds"),
    ("api-extensions",),
    _STATUS,
)
ROLES = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False)
CLUSTER_ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", False)
SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", False)
SELF_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", False
)
