"""The kinds that ask what somebody may do: ``SubjectAccessReview`` and its relatives (``authorization.k8s.io/v1``).

They are created, answered and never stored. Asking about oneself is open to every signed-in user through
``system:basic-user``; asking about others needs ``create`` on the kind, as for any resource.
"""

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.rbac.rules import Attributes
from headwater.cluster.apiserver.users import User
from headwater.kube.meta.errors import Cause, invalid
from headwater.kube.meta.objects import Object, namespace_of
from headwater.kube.meta.resources import SELF_SUBJECT_ACCESS_REVIEWS, SUBJECT_ACCESS_REVIEWS, Resource

GROUP = "authorization.k8s.io"
LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(GROUP, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
SELF_SUBJECT_RULES_REVIEWS = Resource(GROUP, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", False)


def register_access_reviews(api: Api, authorizer: RbacAuthorizer) -> None:
    """Let the API answer the access reviews from this authorizer."""

    async def about_self(user: User, review: Object) -> Object:
        return _answered(review, authorizer.decide(user, attributes_of(review)))

    async def about_other(user: User, review: Object) -> Object:
        asked = attributes_of(review)
        return _answered(review, authorizer.decide(_subject(review), asked))

    async def about_other_here(user: User, review: Object) -> Object:
        asked = attributes_of(review)
        if asked.path or asked.namespace != namespace_of(review):
            cause = Cause(
                "spec.resourceAttributes.namespace",
                f'Invalid value: "{asked.namespace}": must match metadata.namespace',
            )
            raise invalid(GROUP, "LocalSubjectAccessReview", "", [cause])
        return _answered(review, authorizer.decide(_subject(review), asked))

    async def rules(user: User, review: Object) -> Object:
        namespace = str((review.get("spec") or {}).get("namespace") or "")
        if not namespace:
            raise invalid(
                GROUP,
                "SelfSubjectRulesReview",
                "",
                [Cause("spec.namespace", "Required value: name the namespace to ask about", "FieldValueRequired")],
            )
        held = [rule.dump() for rule in authorizer.rules_of(user, namespace)]
        status = {
            "resourceRules": [rule for rule in held if "nonResourceURLs" not in rule],
            "nonResourceRules": [rule for rule in held if "nonResourceURLs" in rule],
            "incomplete": False,
        }
        return {**review, "status": status}

    api.register_virtual(SELF_SUBJECT_ACCESS_REVIEWS, about_self)
    api.register_virtual(SUBJECT_ACCESS_REVIEWS, about_other)
    api.register_virtual(LOCAL_SUBJECT_ACCESS_REVIEWS, about_other_here)
    api.register_virtual(SELF_SUBJECT_RULES_REVIEWS, rules)


def attributes_of(review: Object) -> Attributes:
    """Read the question of a review. Raises ``StatusError`` 422 when it asks none, or two."""
    spec = review.get("spec") or {}
    resource: Object | None = spec.get("resourceAttributes")
    url: Object | None = spec.get("nonResourceAttributes")
    if (resource is None) == (url is None):
        cause = Cause(
            "spec.resourceAttributes",
            "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )
        raise invalid(GROUP, str(review.get("kind", "SubjectAccessReview")), "", [cause])
    if url is not None:
        return Attributes(_text(url, "verb").lower(), path=_text(url, "path"))
    asked = resource or {}
    return Attributes(
        _text(asked, "verb"),
        _text(asked, "group"),
        _text(asked, "resource"),
        _text(asked, "subresource"),
        _text(asked, "namespace"),
        _text(asked, "name"),
    )


def _text(part: Object, field: str) -> str:
    return str(part.get(field) or "")


def _subject(review: Object) -> User:
    spec = review.get("spec") or {}
    name, groups = _text(spec, "user"), tuple(str(group) for group in spec.get("groups") or ())
    if not name and not groups:
        cause = Cause("spec.user", 'Invalid value: "": at least one of user or group must be specified')
        raise invalid(GROUP, str(review.get("kind", "SubjectAccessReview")), "", [cause])
    return User(name, groups, _text(spec, "uid"))


def _answered(review: Object, denial: str | None) -> Object:
    # Like upstream's RBAC, a refusal gives no reason: that nothing allows it is the reason.
    return {**review, "status": {"allowed": denial is None}}
