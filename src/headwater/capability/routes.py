"""A room's HTTP routes as data, so that the gateway can guard each one and a test can list them all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from aiohttp import web

from headwater.capability.identity import Identity

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CSRF_COOKIE = "XSRF-TOKEN"
"""Holds what a page sends back with every request that changes something; the name is that of Kubeflow's web apps."""

IDENTITY: web.RequestKey[Identity] = web.RequestKey("identity", Identity)
"""The authenticated caller, set by the gateway before a handler runs (absent on PUBLIC routes)."""


class Access(Enum):
    """Who may reach a route at all."""

    PUBLIC = "public"
    """Anybody: health, the login page, static files."""
    SIGNED_IN = "signed-in"
    """Any authenticated caller; the answer depends on nobody's data."""
    AUTHORIZED = "authorized"
    """The handler asks the ``Authorizer`` itself, since the namespace is known only after reading a record."""


@dataclass(frozen=True)
class Route:
    """One method and path of a room."""

    method: str
    """``GET``, ``POST``, ``PATCH``, ``PUT``, ``DELETE``."""
    path: str
    """In aiohttp's syntax, from the gateway's root: ``/apis/v2beta1/runs/{run_id}``."""
    handler: Handler
    access: Access = Access.AUTHORIZED
    page: bool = False
    """True for a page that a person opens: without a session it leads to the login instead of answering 401."""


class PageRenderer(Protocol):
    """Renders a room's template inside the dashboard's shell."""

    def __call__(self, request: web.Request, template: str, /, *, status: int = 200, **values: Any) -> web.Response:
        """Return the page; ``values`` reach the template along with what the shell itself needs."""
        ...


def identity_of(request: web.Request) -> Identity:
    """Return the caller of a route that is not PUBLIC."""
    return request[IDENTITY]
