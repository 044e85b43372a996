"""The kinds that ask who somebody is and hand out tokens: ``TokenReview``, ``SelfSubjectReview``, ``TokenRequest``."""

from datetime import datetime

from headwater.cluster.apiserver.authn.tokens import MINIMUM_LIFETIME, BoundObject, TokenIssuer
from headwater.cluster.apiserver.core import Api, SubresourceCall
from headwater.cluster.apiserver.users import User
from headwater.kube.meta.errors import Cause, StatusError, bad_request, conflict, invalid, method_not_allowed, not_found
from headwater.kube.meta.objects import Object, uid_of
from headwater.kube.meta.resources import PODS, SECRETS, SERVICE_ACCOUNTS, TOKEN_REVIEWS, Resource
from headwater.kube.meta.time import format_time

GROUP = "authentication.k8s.io"
SELF_SUBJECT_REVIEWS = Resource(GROUP, "v1", "SelfSubjectReview", "selfsubjectreviews", False)


def register_authentication_reviews(api: Api, tokens: TokenIssuer) -> None:
    """Let the API answer who bears a token, who is asking, and the ``token`` subresource of service accounts."""

    async def token_review(user: User, review: Object) -> Object:
        spec = review.get("spec") or {}
        token = spec.get("token")
        if not isinstance(token, str) or not token:
            cause = Cause("spec.token", "Required value: the token to review", "FieldValueRequired")
            raise invalid(GROUP, "TokenReview", "", [cause])
        try:
            verified = tokens.authenticate(token, tuple(spec.get("audiences") or ()))
        except StatusError as error:
            return {**review, "status": {"authenticated": False, "error": error.message, "user": {}}}
        status = {"authenticated": True, "user": user_info(verified.user), "audiences": list(verified.audiences)}
        return {**review, "status": status}

    async def self_review(user: User, review: Object) -> Object:
        return {**review, "status": {"userInfo": user_info(user)}}

    async def token_request(call: SubresourceCall) -> Object:
        if call.verb != "create":
            raise method_not_allowed("", "serviceaccounts/token", call.verb)
        return _issue(api, tokens, call)

    api.register_virtual(TOKEN_REVIEWS, token_review)
    api.register_virtual(SELF_SUBJECT_REVIEWS, self_review)
    api.register_subresource(SERVICE_ACCOUNTS, "token", token_request)


def user_info(user: User) -> Object:
    """Write a user as ``authentication.k8s.io/v1 UserInfo``."""
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _issue(api: Api, tokens: TokenIssuer, call: SubresourceCall) -> Object:
    spec = call.body.get("spec") or {}
    seconds = spec.get("expirationSeconds")
    seconds = 3600 if seconds is None else seconds
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise bad_request(f"spec.expirationSeconds must be a whole number of seconds, not {seconds!r}")
    if seconds < MINIMUM_LIFETIME.total_seconds():
        cause = Cause(
            "spec.expirationSeconds", f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        )
        raise invalid(GROUP, "TokenRequest", call.name, [cause])
    bound = _bound(api, call, spec.get("boundObjectRef"))
    audiences = [str(audience) for audience in spec.get("audiences") or ()] or list(tokens.audiences[:1])
    uid = uid_of(call.parent.object)
    expiry: datetime
    token, expiry = ("", api.clock.now())
    if not call.options.dry_run:
        token, expiry = tokens.issue(call.name, call.namespace, uid, audiences, seconds, bound)
    return {
        "kind": "TokenRequest",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {"name": call.name, "namespace": call.namespace, "creationTimestamp": format_time(api.clock.now())},
        "spec": {**spec, "audiences": audiences, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": format_time(expiry)},
    }


def _bound(api: Api, call: SubresourceCall, reference: Object | None) -> BoundObject | None:
    """Find the object that the token is to be bound to; it must be there and be this service account's."""
    if not reference:
        return None
    kind, name, uid = (str(reference.get(field) or "") for field in ("kind", "name", "uid"))
    if kind not in ("Pod", "Secret") or reference.get("apiVersion", "v1") != "v1":
        cause = Cause(
            "spec.boundObjectRef.kind", f'Unsupported value: "{kind}": supported values: "Pod", "Secret"',
            "FieldValueNotSupported",
        )  # fmt: skip
        raise invalid(GROUP, "TokenRequest", call.name, [cause])
    resource = PODS if kind == "Pod" else SECRETS
    found = api.peek(resource, call.namespace, name)
    if found is None:
        raise not_found("", resource.plural, name)
    obj = found.object
    if uid and uid != uid_of(obj):
        why = f"the UID in the bound object reference ({uid}) does not match the UID of the object ({uid_of(obj)})"
        raise conflict("", resource.plural, name, why)
    account = (obj.get("spec") or {}).get("serviceAccountName") or "default"
    if kind == "Pod" and account != call.name:
        raise bad_request(
            f"cannot bind a token of service account {call.name} to pod {name}: it runs as service account {account}"
        )
    return BoundObject(kind, name, uid_of(obj))
