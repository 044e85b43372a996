"""The one front door: an HTTP server on this machine that mounts every room's routes behind the guard.

Each route stands where the room put it; those of the APIs also below ``/pipeline``, where a Kubeflow installation has
them. Errors become a page in the shell or JSON here, in one place, so that no handler shows a traceback.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote
from weakref import WeakSet

from aiohttp import web

from headwater.capability.identity import Authorizer
from headwater.capability.routes import Access, Handler, PageRenderer, Route
from headwater.database import Database
from headwater.gateway.authentication import Authentication, without_identity_headers
from headwater.gateway.errors import as_json, as_page, wants_page
from headwater.gateway.guard import Guard, SignInNeeded, check_stream
from headwater.gateway.headers import secure
from headwater.gateway.hosts import is_known
from headwater.gateway.login import Login, see_other
from headwater.gateway.sessions import Sessions
from headwater.gateway.static import StaticFiles
from headwater.gateway.throttle import Throttle
from headwater.gateway.tokens import Tokens
from headwater.gateway.users import Users
from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError, internal
from headwater.kube.meta.time import Clock

log = logging.getLogger("headwater.gateway")

_LARGEST_BODY = 64 * 1024 * 1024
_SECONDS_TO_STOP = 1.0
_PREFIXED = "/apis/"
_BEGUN: web.RequestKey[bool] = web.RequestKey("begun", bool)
"""Whether the first bytes of the answer are on their way."""


_FOREIGN_NAME = (
    "The platform does not answer to this name. Open it by its address or as localhost, or list the name in the "
    "environment variable HEADWATER_HOSTS before `headwater up`."
)


def migrate(database: Database) -> None:
    """Bring the gateway's tables up to date. Raises ``DatabaseTooNew``."""
    database.migrate("gateway", Path(__file__).parent / "migrations")


class Gateway:
    """Serves the dashboard, the APIs and the login on one address."""

    def __init__(
        self,
        *,
        users: Users,
        tokens: Tokens,
        sessions: Sessions,
        authorizer: Authorizer,
        client: Client,
        routes: Sequence[Route],
        render: PageRenderer,
        static_roots: Mapping[str, Path],
        clock: Clock,
        host: str = "127.0.0.1",
        port: int = 8080,
        names: Sequence[str] = (),
    ) -> None:
        """``port`` 0 takes a free one; ``names`` are further host names by which it may be called;
        ``static_roots`` are the rooms' folders of scripts and styles by room.
        """
        self.host = host
        self.port = port
        self.authorizer = authorizer
        self._names = frozenset(name.strip().lower() for name in names if name.strip())
        self._render = render
        self._guard = Guard(Authentication(sessions, tokens, client))
        login = Login(users, sessions, Throttle(clock), render)
        self.routes: tuple[Route, ...] = (
            Route("GET", "/healthz", _healthz, Access.PUBLIC),
            *login.routes(),
            *StaticFiles(static_roots).routes(),
            *routes,
        )
        """Everything that is mounted, for whoever wants to check it."""
        self._pages: set[Handler] = set()
        self._streams: WeakSet[asyncio.Task[object]] = WeakSet()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where the dashboard is; final once it is started."""
        return f"http://{self.host}:{self.port}"

    def application(self) -> web.Application:
        """Build the aiohttp application with every route guarded."""
        app = web.Application(middlewares=[self._answer], client_max_size=_LARGEST_BODY)
        for route in self.routes:
            handler = self._guard.wrap(route)
            if route.page:
                self._pages.add(handler)
            app.router.add_route(route.method, route.path, handler)
            if route.path.startswith(_PREFIXED):
                app.router.add_route(route.method, "/pipeline" + route.path, handler)
        app.on_response_prepare.append(check_stream)
        app.on_response_prepare.append(secure)
        app.on_response_prepare.append(self._begun)
        return app

    async def start(self) -> None:
        """Listen. Raises ``OSError`` when the port is taken."""
        # A request whose client has gone is still carried through: half of a write would be worse than none.
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=_SECONDS_TO_STOP)
        await runner.setup()
        site = web.TCPSite(runner, self.host, self.port)
        try:
            await site.start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; end streams at once, and what is still being answered within a second."""
        for stream in list(self._streams):
            stream.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_known(request.headers.get("Host", ""), self._names):
            return as_json(StatusError(421, "MisdirectedRequest", _FOREIGN_NAME))
        request = without_identity_headers(request)
        route = request.match_info.route
        page = route.handler in self._pages
        try:
            try:
                return await handler(request)
            except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
                if route.resource is None:
                    page = wants_page(request)
                    await self._guard.admit(request, page=page)
                raise _as_status(request, error) from None
        except SignInNeeded as needed:
            where = f"/login?next={quote(needed.path)}" if request.method == "GET" else "/login"
            return see_other(where)
        except StatusError as error:
            return self._error(request, error, page=page)
        except web.HTTPException as error:
            if error.status < 400:
                return web.Response(status=error.status, headers=error.headers)
            return self._error(request, _as_status(request, error), page=page)
        except ConnectionResetError:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return self._error(request, internal("the log of the platform says more (`headwater logs`)"), page=page)
        finally:
            if (task := asyncio.current_task()) is not None:
                self._streams.discard(task)

    async def _begun(self, request: web.Request, response: web.StreamResponse) -> None:
        request[_BEGUN] = True
        task = asyncio.current_task()
        if task is not None and not isinstance(response, web.Response | web.FileResponse):
            self._streams.add(task)

    def _error(self, request: web.Request, error: StatusError, *, page: bool) -> web.Response:
        if request.get(_BEGUN):
            log.warning("%s %s broke off: %s", request.method, request.path, error.message)
            raise ConnectionResetError("the answer had begun and cannot become another one")
        if not page or (request.headers.get("HX-Request") and error.code == 401):
            response = as_json(error)
        else:
            response = as_page(request, error, self._render)
        if getattr(request.writer, "chunked", False):
            # A stream had prepared the connection before the guard withheld it: the error must be sent in chunks too.
            response.enable_chunked_encoding()
        return response


def _as_status(request: web.Request, error: web.HTTPException) -> StatusError:
    said = {
        404: f"{request.path} is not an address of this platform.",
        405: f"{request.method} is not possible on {request.path}.",
        413: "The request is larger than 64 MiB.",
    }
    return StatusError(error.status, error.reason.replace(" ", ""), said.get(error.status, error.text or error.reason))


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})
