"""From a request's credentials to a user: bearer token, else client certificate, else nobody.

The rules are the Kubernetes API server's: a certificate of the cluster's authority gives its common name as the
user and its organizations as groups; a bearer token must hold or the request is refused; a request without
credentials is ``system:anonymous``, whom RBAC allows next to nothing. ``Impersonate-*`` headers then let a user who
may ``impersonate`` act as another.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from headwater.cluster.apiserver.authn.tokens import TokenIssuer
from headwater.cluster.apiserver.users import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT_PREFIX, User
from headwater.kube.meta.errors import bad_request, forbidden, unauthorized

_EXTRA = "impersonate-extra-"


class MayImpersonate(Protocol):
    """The one question that impersonation asks of the authorizer."""

    def impersonate(self, user: User, group: str, resource: str, namespace: str, name: str) -> str | None:
        """Return ``None`` when the user may act as this one, else the reason."""
        ...


class Authenticator:
    """Answers who makes a request."""

    def __init__(self, tokens: TokenIssuer) -> None:
        self.tokens = tokens

    def authenticate(self, authorization: str | None, certificate: Mapping[str, Any] | None) -> User:
        """Return the user of an ``Authorization`` header and of a verified peer certificate (``getpeercert()``).

        Raises ``StatusError`` 401 for credentials that do not hold.
        """
        if authorization:
            scheme, _, token = authorization.strip().partition(" ")
            if scheme.lower() != "bearer":
                raise unauthorized(f"the authorization scheme {scheme!r} is not supported; send a bearer token")
            return self.tokens.verify(token.strip())
        if certificate:
            return user_of_certificate(certificate)
        return ANONYMOUS


def user_of_certificate(certificate: Mapping[str, Any]) -> User:
    """Return the user that a verified certificate names. Raises ``StatusError`` 401 when it names none."""
    name = ""
    groups: list[str] = []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    if not name:
        raise unauthorized("the client certificate has no common name, which is the user's name")
    return User(name, (*groups, AUTHENTICATED))


def impersonated(user: User, headers: Iterable[tuple[str, str]], authorizer: MayImpersonate) -> User:
    """Return the user that the ``Impersonate-*`` headers ask to act as, or ``user`` when there are none.

    Raises ``StatusError`` 403 when ``user`` may not, 400 when the headers name no user.
    """
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in headers:
        lower = key.lower()
        if not lower.startswith("impersonate-"):
            continue
        if lower == "impersonate-user":
            name = value
        elif lower == "impersonate-group":
            groups.append(value)
        elif lower == "impersonate-uid":
            uid = value
        elif lower.startswith(_EXTRA):
            field = unquote(lower.removeprefix(_EXTRA))
            extra[field] = (*extra.get(field, ()), value)
        else:
            raise bad_request(f"the header {key} is not one of Impersonate-User, -Group, -Uid and -Extra-<key>")
    if not name:
        if groups or uid or extra:
            raise bad_request("Impersonate-Group, -Uid and -Extra need an Impersonate-User")
        return user
    asked: list[tuple[str, str, str, str]] = [("", "groups", "", group) for group in groups]
    if name.startswith(SERVICE_ACCOUNT_PREFIX) and name.count(":") == 3:
        namespace, account = name.removeprefix(SERVICE_ACCOUNT_PREFIX).split(":")
        asked.append(("", "serviceaccounts", namespace, account))
        if not groups:
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    else:
        asked.append(("", "users", "", name))
    if uid:
        asked.append(("authentication.k8s.io", "uids", "", uid))
    asked += [
        ("authentication.k8s.io", f"userextras/{key}", "", value) for key, values in extra.items() for value in values
    ]
    for group, resource, namespace, target in asked:
        reason = authorizer.impersonate(user, group, resource, namespace, target)
        if reason is not None:
            raise forbidden(group, resource, target, reason)
    if name == ANONYMOUS.name:
        return User(name, tuple(groups) or ANONYMOUS.groups, uid, extra)
    if AUTHENTICATED not in groups:
        groups.append(AUTHENTICATED)
    return User(name, tuple(groups), uid, extra)
