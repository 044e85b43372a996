"""Nobody grants what he does not have: the check on writes of roles and bindings.

As upstream's ``rbac.authorization.k8s.io`` storage: the writer of a role must hold each of its rules, the writer of
a binding those of the role it names, unless he may ``escalate`` or ``bind``.
"""

from typing import Protocol, runtime_checkable

from headwater.cluster.apiserver.admission.request import AdmissionRequest
from headwater.cluster.apiserver.users import Authorizer, User
from headwater.kube.meta.errors import forbidden
from headwater.kube.meta.objects import Object

RBAC_GROUP = "rbac.authorization.k8s.io"
_GRANTING = ("rules", "aggregationRule", "roleRef", "subjects")


@runtime_checkable
class KnowsGrants(Protocol):
    """An authorizer that can tell what a role or a binding would give away."""

    def escalation(self, user: User, obj: Object) -> str | None:
        """Say why the object would give more than the user has, or ``None`` when it does not."""
        ...


def check_grant(authorizer: Authorizer, request: AdmissionRequest) -> None:
    """Raise ``StatusError`` 403 when a role or binding gives more than its writer has."""
    new, old = request.obj, request.old
    if new is None or not isinstance(authorizer, KnowsGrants):
        return
    if old is not None and all(new.get(field) == old.get(field) for field in _GRANTING):
        return
    why = authorizer.escalation(request.user, new)
    if why is not None:
        raise forbidden(RBAC_GROUP, request.served.resource.plural, request.name, why)
