"""Who calls the API, and the question that decides whether they may.

Authentication produces a ``User``; ``Api`` puts every call to an ``Authorizer`` before anything else happens.
Names and groups are those of Kubernetes (``system:masters``, ``system:serviceaccount:<namespace>:<name>``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headwater.kube.meta.resources import Resource

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated caller of the Kubernetes API."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


PLATFORM = User("system:headwater", (MASTERS, AUTHENTICATED))
"""The platform's own controllers."""

ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))


def service_account_user(namespace: str, name: str, uid: str = "") -> User:
    """Return the user that a pod's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}", groups, uid)


class Authorizer(Protocol):
    """Decides from what is in memory; it is asked on every call and must not wait."""

    def authorize(
        self, user: User, verb: str, resource: Resource, subresource: str | None, namespace: str, name: str
    ) -> str | None:
        """Return ``None`` when allowed, else the reason (which may be empty).

        ``namespace`` is empty for a cluster-scoped resource and for all namespaces; ``name`` is empty for a
        collection.
        """
        ...


class MastersOnly:
    """Lets the group ``system:masters`` do everything and others nothing: what holds until RBAC is loaded."""

    def authorize(
        self, user: User, verb: str, resource: Resource, subresource: str | None, namespace: str, name: str
    ) -> str | None:
        """Return ``None`` for a member of ``system:masters``."""
        return None if MASTERS in user.groups else "no role is loaded yet"
