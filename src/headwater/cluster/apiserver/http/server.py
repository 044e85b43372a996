"""The API server's front: TLS, who is asking, and which part answers.

Every request passes through ``ApiServer.handle`` in the same order: authenticate, impersonate, then either a
resource (authorized by ``Api``) or another URL (authorized here). There is no other way in.
"""

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from headwater.cluster.apiserver.authn.authenticator import Authenticator, impersonated
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.answering import refusal, send_in_pieces
from headwater.cluster.apiserver.http.bodies import MAXIMUM, too_large
from headwater.cluster.apiserver.http.fairness import Fairness
from headwater.cluster.apiserver.http.information import Information
from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.http.metrics import Metrics
from headwater.cluster.apiserver.http.pods import STREAMS, PodStreams
from headwater.cluster.apiserver.http.requests import ResourceRequest, flag, parse
from headwater.cluster.apiserver.http.resources import ResourceHandlers
from headwater.cluster.apiserver.nodes import NodeAccess
from headwater.cluster.apiserver.rbac.authorizer import RbacAuthorizer
from headwater.cluster.apiserver.users import User
from headwater.cluster.pki import Pki
from headwater.kube.meta.errors import StatusError, bad_request, internal

_log = logging.getLogger(__name__)

_LONGEST_LINE = 256 * 1024  # the command of an exec travels in the URL
_STOP_SECONDS = 2.0
_LONGEST_REQUEST = 60.0  # seconds; upstream's limit too. Watches and streams last as long as somebody listens.
_LASTING = frozenset({"watch", "connect"})
_VERB: web.RequestKey[str] = web.RequestKey("verb", str)


class ApiServer:
    """Serves the Kubernetes API over HTTPS."""

    def __init__(
        self,
        api: Api,
        authenticator: Authenticator,
        authorizer: RbacAuthorizer,
        node: NodeAccess,
        *,
        host: str,
        port: int,
        pki: Pki,
        not_ready: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``port`` 0 takes a free one. ``not_ready`` says what is still starting, for ``/readyz``."""
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._host = host
        self._port = port
        self._pki = pki
        self._metrics = Metrics()
        self._fairness = Fairness()
        self._lasting = Streams()
        self._resources = ResourceHandlers(api, self._lasting)
        self._streams = PodStreams(api, node, self._lasting)
        self._information = Information(api, authenticator.tokens, self._metrics_text, not_ready)
        self._runner: web.ServerRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises ``OSError`` with one sentence when the port is taken."""
        server = web.Server(
            self.handle,
            request_factory=_make_request,
            # A caller that leaves ends his watch; writes are shielded from it.
            handler_cancellation=True,
            access_log=None,
            max_line_size=_LONGEST_LINE,
            max_field_size=64 * 1024,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._pki.server_context(), backlog=512)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            if error.errno == errno.EADDRINUSE:
                message = f"port {self._port} on {self._host} is taken by another program; choose another API port"
                raise OSError(error.errno, message) from error
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, end watches and other streams, let writes finish. Takes a few seconds at most."""
        self._lasting.end()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._resources.settle()
        except TimeoutError:
            _log.warning("some writes did not end while the API server stopped")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever happens, with an answer or a ``Status``."""
        began = time.monotonic()
        try:
            response = await self._answer(request)
        except StatusError as error:
            response = refusal(error)
        except web.HTTPRequestEntityTooLarge:
            response = refusal(too_large())
        except RecursionError:
            response = refusal(bad_request("the object is nested too deeply"))
        except ConnectionError:
            raise  # the caller has left; there is nobody to answer
        except Exception:
            _log.exception("%s %s failed", request.method, request.rel_url.path)
            response = refusal(internal("an unexpected fault; the platform's log has the details"))
        verb = request.get(_VERB) or request.method
        seconds = None if verb in _LASTING else time.monotonic() - began
        self._metrics.answered(verb, response.status, seconds)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        user = self._user(request)
        path = request.rel_url.raw_path
        asked = parse(request.method, path, request.query)
        if asked is None:
            denial = self._authorizer.authorize_path(user, request.method.lower().replace("head", "get"), path)
            if denial is not None:
                raise StatusError(403, "Forbidden", f"forbidden: {denial}")
            return await self._information.handle(request, path)
        request[_VERB] = asked.verb
        if (asked.group, asked.plural) == ("", "pods") and asked.subresource.split("/", 1)[0] in STREAMS:
            if asked.subresource != "log" or flag(request.query, "follow"):
                request[_VERB] = "connect"
            return await self._streams.handle(request, user, asked)
        if asked.verb in _LASTING:
            return await self._resources.handle(request, user, asked)
        try:
            return await self._in_turn(request, user, asked)
        except TimeoutError as error:
            message = f"the request did not complete within {_LONGEST_REQUEST:.0f} seconds"
            raise StatusError(504, "Timeout", message, {"retryAfterSeconds": 1}) from error

    async def _in_turn(self, request: web.BaseRequest, user: User, asked: ResourceRequest) -> web.StreamResponse:
        """Answer a request of limited length, and hold its user's place until a large answer is sent, too."""
        waited = asyncio.timeout(_LONGEST_REQUEST)
        async with waited, self._fairness.place(user.name, asked.verb):
            response = await self._resources.handle(request, user, asked)
            waited.reschedule(None)
            return await send_in_pieces(request, response)

    def _metrics_text(self, *, objects: Mapping[str, int]) -> str:
        return self._metrics.text(
            running=self._fairness.running,
            waiting=self._fairness.waiting,
            lasting=self._lasting.count,
            objects=objects,
        )

    def _user(self, request: web.BaseRequest) -> User:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the connection is closed")
        headers = request.headers
        user = self._authenticator.authenticate(headers.get("Authorization"), transport.get_extra_info("peercert"))
        return impersonated(user, headers.items(), self._authorizer)


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=MAXIMUM
    )
