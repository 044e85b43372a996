"""Finding out who a request comes from: a session cookie, a personal token, or a service account's token.

A bearer token wins over a cookie, and a wrong one is an error even with a good cookie beside it. Headers in which a
proxy would name the user (``kubeflow-userid``, ``kubeflow-groups``) are never believed: every request loses them.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from headwater.capability.identity import Identity
from headwater.capability.routes import CSRF_COOKIE
from headwater.gateway.sessions import Sessions, csrf_token
from headwater.gateway.tokens import PREFIX, Tokens
from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError, forbidden, unauthorized
from headwater.kube.meta.resources import TOKEN_REVIEWS

SESSION_COOKIE = "headwater_session"
CSRF_HEADER = "X-XSRF-TOKEN"
CSRF_FIELD = "xsrf"
AUDIENCE = "pipelines.kubeflow.org"
"""What pods' tokens for the pipelines API are made for."""

_IDENTITY_HEADERS = frozenset(
    {"x-goog-authenticated-user-email", "x-forwarded-user", "x-remote-user", "x-remote-group"}
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which session if by one."""

    identity: Identity
    session_id: str = ""


def without_identity_headers(request: web.Request) -> web.Request:
    """Return the request without the headers in which a proxy would name the user."""
    headers = CIMultiDict(
        (key, value)
        for key, value in request.headers.items()
        if not key.lower().replace("_", "-").startswith("kubeflow-") and key.lower() not in _IDENTITY_HEADERS
    )
    return request if len(headers) == len(request.headers) else request.clone(headers=headers)


class Authentication:
    """Turns a request's credentials into a caller."""

    def __init__(self, sessions: Sessions, tokens: Tokens, client: Client) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._client = client

    async def caller(self, request: web.Request) -> Caller | None:
        """Return who is asking; None without credentials or with a session that is over.

        Raises ``StatusError`` 401 for a bearer token that is not accepted.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return Caller(await self._bearer(token.strip()))
        if scheme:
            raise unauthorized(f"The scheme {scheme[:20]!r} is not accepted: send `Authorization: Bearer <token>`.")
        session_id = request.cookies.get(SESSION_COOKIE, "")
        user = await self._sessions.user_of(session_id) if session_id else None
        return None if user is None else Caller(user.identity, session_id)

    async def _bearer(self, token: str) -> Identity:
        if token.startswith(PREFIX):
            return await self._tokens.verify(token)
        answer = await self._review(token, [AUDIENCE])
        if not answer.get("authenticated"):
            answer = await self._review(token, [])
        if not answer.get("authenticated"):
            why = answer.get("error") or "it is not a token of this platform"
            raise unauthorized(f"The bearer token was not accepted: {why}")
        user = answer.get("user") or {}
        name = str(user.get("username") or "")
        namespace = name.removeprefix(_SERVICE_ACCOUNT).split(":")[0] if name.startswith(_SERVICE_ACCOUNT) else ""
        return Identity(name, tuple(user.get("groups") or ()), namespace or "default", name)

    async def _review(self, token: str, audiences: list[str]) -> dict[str, Any]:
        spec: dict[str, Any] = {"token": token}
        if audiences:
            spec["audiences"] = audiences
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        try:
            answer = await self._client.create(TOKEN_REVIEWS, review)
        except StatusError as error:
            if error.code >= 500:
                raise
            return {"error": error.message}
        status: dict[str, Any] = answer.get("status") or {}
        return status


async def require_intent(request: web.Request, session_id: str) -> None:
    """Refuse a request that another site made the browser send with the session's cookie.

    Reading needs nothing. Anything else must carry the value of the cookie ``XSRF-TOKEN`` in the header
    ``X-XSRF-TOKEN`` (as Kubeflow's web apps do), or in a form's field ``xsrf``. Raises ``StatusError`` 403.
    """
    if request.method in _SAFE:
        return
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site") == "cross-site" or (origin and urlsplit(origin).netloc != request.host):
        raise forbidden("", "requests", "", "it was sent by another site")
    sent = request.headers.get(CSRF_HEADER, "")
    if not sent and request.content_type == "application/x-www-form-urlencoded":
        sent = str((await request.post()).get(CSRF_FIELD, ""))
    wanted = csrf_token(session_id)
    cookie = request.cookies.get(CSRF_COOKIE, "")
    if not (compare_digest(sent.encode(), wanted.encode()) and compare_digest(cookie.encode(), wanted.encode())):
        why = f"the header {CSRF_HEADER} must equal the cookie {CSRF_COOKIE}; reload the page and try again"
        raise forbidden("", "requests", "", why)
