"""Who is asking, and whether they may.

The gateway authenticates; a room asks the ``Authorizer`` before it answers. The decision itself is
Kubernetes RBAC, so that one set of roles rules ``kubectl``, the SDKs and the pages alike.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field

from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.resources import SUBJECT_ACCESS_REVIEWS


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller."""

    user: str
    groups: tuple[str, ...] = ()
    namespace: str = "default"
    """The namespace that is meant when a request names none."""
    display_name: str = ""


@dataclass(slots=True)
class Questions:
    """How often the ``Authorizer`` was asked while one request was served."""

    count: int = 0


QUESTIONS: ContextVar[Questions | None] = ContextVar("questions", default=None)
"""The running request's count, set by the gateway: it refuses the answer of a handler that had to ask and never did."""


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Asks the Kubernetes API (``SubjectAccessReview``) what a caller may do."""

    client: Client = field(repr=False)

    async def allowed(
        self, identity: Identity, verb: str, group: str, plural: str, namespace: str = "", name: str = ""
    ) -> bool:
        """Tell whether the caller may ``verb`` the resource in the namespace (empty: in the whole cluster)."""
        questions = QUESTIONS.get()
        if questions is not None:
            questions.count += 1
        attributes = {"verb": verb, "group": group, "resource": plural, "namespace": namespace, "name": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": identity.user, "groups": list(identity.groups), "resourceAttributes": attributes},
        }
        answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool(answer.get("status", {}).get("allowed"))

    async def require(
        self, identity: Identity, verb: str, group: str, plural: str, namespace: str = "", name: str = ""
    ) -> None:
        """Raise ``StatusError`` 403 with who, what and where, unless the caller may do this."""
        if await self.allowed(identity, verb, group, plural, namespace, name):
            return
        target = f"{plural}.{group}" if group else plural
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        raise StatusError(403, "Forbidden", f'User "{identity.user}" cannot {verb} {target} {where}')
