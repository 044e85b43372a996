"""The guard in front of every route: nobody gets past it by a handler's oversight.

It wraps each route of the table when the gateway starts. PUBLIC lets anybody in; the others need a caller. A handler
that is AUTHORIZED must have asked the ``Authorizer`` before it answers with anything but an error: one that did not is
a fault of ours, and its answer is withheld (500) and logged, also when it streams.
"""

import logging
from dataclasses import dataclass

from aiohttp import web

from headwater.capability.identity import QUESTIONS, Questions
from headwater.capability.routes import IDENTITY, Access, Handler, Route
from headwater.gateway.authentication import Authentication, Caller, require_intent
from headwater.kube.meta.errors import internal, unauthorized

log = logging.getLogger("headwater.gateway")

SESSION_ID: web.RequestKey[str] = web.RequestKey("session_id", str)
"""The session by which the caller came; empty for a bearer token."""
_GUARDED: web.RequestKey[Questions] = web.RequestKey("guarded", Questions)


@dataclass(frozen=True)
class SignInNeeded(Exception):  # noqa: N818 - not an error: the page comes after the login
    """A page was asked for without a session."""

    path: str


@dataclass(frozen=True)
class Guard:
    """Wraps handlers so that they run only for whom their route is meant."""

    authentication: Authentication

    def wrap(self, route: Route) -> Handler:
        """Return the handler to mount for the route."""
        if route.access is Access.PUBLIC:
            return route.handler

        async def guarded(request: web.Request) -> web.StreamResponse:
            caller = await self.admit(request, page=route.page)
            return await self._answer(request, caller, route)

        return guarded

    async def admit(self, request: web.Request, *, page: bool) -> Caller:
        """Return the caller, who may act in this session; raises ``SignInNeeded`` or ``StatusError`` 401 or 403."""
        caller = await self.authentication.caller(request)
        if caller is None:
            if page:
                raise SignInNeeded(request.path_qs)
            raise unauthorized("Sign in, or send `Authorization: Bearer <token>` (`headwater token` makes one).")
        if caller.session_id:
            await require_intent(request, caller.session_id)
        request[IDENTITY] = caller.identity
        request[SESSION_ID] = caller.session_id
        return caller

    async def _answer(self, request: web.Request, caller: Caller, route: Route) -> web.StreamResponse:
        if route.access is not Access.AUTHORIZED:
            return await route.handler(request)
        questions = Questions()
        request[_GUARDED] = questions
        before = QUESTIONS.set(questions)
        try:
            response = await route.handler(request)
        except web.HTTPException as answer:
            check_asked(request, answer)
            raise
        finally:
            QUESTIONS.reset(before)
        if not response.prepared:
            check_asked(request, response)
        return response


def check_asked(request: web.Request, response: web.StreamResponse) -> None:
    """Raise ``StatusError`` 500 when an answer is about to leave for which nobody was asked."""
    questions = request.get(_GUARDED)
    if questions is None or questions.count or response.status >= 400:
        return
    log.error("%s %s answered %d without authorization: withheld", request.method, request.path, response.status)
    raise internal("this answer was withheld, because nothing checked that you may see it; please report this as a bug")


async def check_stream(request: web.Request, response: web.StreamResponse) -> None:
    """Hold the same rule for answers that a handler starts to send itself (a signal of aiohttp)."""
    check_asked(request, response)
