"""Signing in and out with a browser.

The form is protected against being sent by another site before there is a session: a random cookie must equal a field.
Failures are throttled, say the same for a wrong name and a wrong password, and never repeat what was typed as password.
"""

import logging
import math
import secrets
from hmac import compare_digest

from aiohttp import web

from headwater.capability.routes import CSRF_COOKIE, Access, PageRenderer, Route
from headwater.gateway.authentication import SESSION_COOKIE
from headwater.gateway.guard import SESSION_ID
from headwater.gateway.sessions import Sessions, csrf_token
from headwater.gateway.throttle import Throttle
from headwater.gateway.users import Users
from headwater.kube.meta.errors import StatusError

log = logging.getLogger("headwater.gateway")

_FORM_COOKIE = "headwater_login"
_LARGEST_FORM = 16 * 1024


def safe_next(path: str) -> str:
    r"""Return where to go after signing in: a path on this site, else the home page.

    A browser reads ``//host`` and ``/\host`` as another site, and drops control characters before it looks.
    """
    fine = path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() and "\\" not in path
    return path if fine and not path.startswith(("/login", "/logout")) else "/"


def see_other(path: str) -> web.Response:
    """Send the browser to another page of this site by GET."""
    return web.Response(status=303, headers={"Location": path})


class Login:
    """The login page, its form, and the way out."""

    def __init__(self, users: Users, sessions: Sessions, throttle: Throttle, render: PageRenderer) -> None:
        self._users = users
        self._sessions = sessions
        self._throttle = throttle
        self._render = render

    def routes(self) -> list[Route]:
        """Return the routes of signing in and out."""
        return [
            Route("GET", "/login", self.show, Access.PUBLIC, page=True),
            Route("POST", "/login", self.sign_in, Access.PUBLIC, page=True),
            Route("POST", "/logout", self.sign_out, Access.SIGNED_IN, page=True),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the form, or go on when there is a session already."""
        following = safe_next(request.query.get("next", "/"))
        if await self._sessions.user_of(request.cookies.get(SESSION_COOKIE, "")) is not None:
            return see_other(following)
        return self._form(request, following)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Check name and password and start a session."""
        if request.content_length is None or request.content_length > _LARGEST_FORM:
            raise StatusError(413, "RequestEntityTooLarge", "That form is too large for a name and a password.")
        form = await request.post()
        name, password = str(form.get("username", "")).strip(), str(form.get("password", ""))
        following = safe_next(str(form.get("next", "/")))
        cookie = request.cookies.get(_FORM_COOKIE, "")
        if not cookie or not compare_digest(cookie.encode(), str(form.get("form", "")).encode()):
            return self._form(request, following, name, "The form had been open for too long. Please try again.", 403)
        address = request.remote or ""
        wait = self._throttle.wait(address, name)
        if wait:
            said = f"Too many wrong attempts. Try again in {math.ceil(wait)} s."
            response = self._form(request, following, name, said, 429)
            response.headers["Retry-After"] = str(math.ceil(wait))
            return response
        user = await self._users.verify(name, password)
        if user is None:
            self._throttle.failed(address, name)
            log.warning("sign-in refused for an attempt from %s", address)
            return self._form(request, following, name, "The name or the password is not right.", 401)
        self._throttle.succeeded(address, name)
        session_id = await self._sessions.start(user)
        response = see_other(following)
        age = int(self._sessions.lifetime.total_seconds())
        _set_cookie(request, response, SESSION_COOKIE, session_id, age, script=False)
        _set_cookie(request, response, CSRF_COOKIE, csrf_token(session_id), age, script=True)
        response.del_cookie(_FORM_COOKIE, path="/login")
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session for good and go to the login page."""
        if request[SESSION_ID]:
            await self._sessions.end(request[SESSION_ID])
        response = see_other("/login")
        response.del_cookie(SESSION_COOKIE, path="/")
        response.del_cookie(CSRF_COOKIE, path="/")
        return response

    def _form(
        self, request: web.Request, following: str, name: str = "", said: str = "", status: int = 200
    ) -> web.Response:
        token = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(24)
        response = self._render(
            request, "dashboard/login.html", status=status, following=following, name=name, said=said, form=token
        )
        _set_cookie(request, response, _FORM_COOKIE, token, 3600, script=False, path="/login")
        return response


def _set_cookie(
    request: web.Request, response: web.Response, name: str, value: str, age: int, *, script: bool, path: str = "/"
) -> None:
    response.set_cookie(
        name, value, max_age=age, path=path, httponly=not script, samesite="Lax", secure=request.scheme == "https"
    )
