"""The streams of pods: ``log``, ``exec``, ``attach`` and ``portforward``.

Authorized here, since no verb of ``Api`` is behind them.
"""

from collections.abc import AsyncIterator

from aiohttp import web

from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http import forwarding
from headwater.cluster.apiserver.http.channels import check_upgrade, serve_channels
from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.http.requests import ResourceRequest, flag, moment, whole
from headwater.cluster.apiserver.nodes import ExecStreams, LogOptions, NodeAccess, container_of
from headwater.cluster.apiserver.users import User
from headwater.kube.meta.errors import bad_request, method_not_allowed, not_found, not_implemented
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import PODS

STREAMS = frozenset({"log", "exec", "attach", "portforward", "proxy"})


class PodStreams:
    """Answers the requests for a pod's streams."""

    def __init__(self, api: Api, node: NodeAccess, streams: Streams) -> None:
        self._api = api
        self._streams = streams
        self._node = node

    async def handle(self, request: web.BaseRequest, user: User, asked: ResourceRequest) -> web.StreamResponse:
        """Answer the request. Raises ``StatusError`` before the stream begins."""
        stream = asked.subresource.split("/", 1)[0]
        # Starting a process is no reading, whatever the method: the rule of Kubernetes since 1.35.
        verb = "get" if stream == "log" else "create"
        self._api.authorize(user, verb, PODS, stream, asked.namespace, asked.name)
        allowed = ("GET", "HEAD") if stream == "log" else ("GET", "POST")
        if request.method not in allowed:
            raise method_not_allowed("", f"pods/{stream}", request.method.lower())
        if stream == "proxy":
            raise not_implemented("pods/proxy is not built yet; use kubectl port-forward")
        found = self._api.peek(PODS, asked.namespace, asked.name)
        if found is None:
            raise not_found("", "pods", asked.name)
        pod = found.copy()
        if stream == "portforward":
            check_upgrade(request, forwarding.PROTOCOLS)
            return await forwarding.forward(request, lambda port: self._node.port_forward(pod, port), self._streams)
        container = container_of(pod, request.query.get("container", ""))
        if stream == "log":
            return await self._log(request, pod, container)
        return await self._process(request, pod, container, attach=stream == "attach")

    async def _log(self, request: web.BaseRequest, pod: Object, container: str) -> web.StreamResponse:
        query = request.query
        options = LogOptions(
            follow=flag(query, "follow"),
            previous=flag(query, "previous"),
            tail_lines=whole(query, "tailLines"),
            since_seconds=whole(query, "sinceSeconds"),
            since_time=moment(query, "sinceTime"),
            timestamps=flag(query, "timestamps"),
            limit_bytes=whole(query, "limitBytes"),
        )
        if options.since_seconds is not None and options.since_time is not None:
            raise bad_request("at most one of sinceTime and sinceSeconds may be given")
        pieces = self._node.logs(pod, container, options)
        # The first piece comes before the status line: until then an error is a proper answer.
        first = await _first(pieces)
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if first is not None:
            await response.write(first)
            with self._streams.open():
                async for piece in pieces:
                    await response.write(piece)
        await response.write_eof()
        return response

    async def _process(
        self, request: web.BaseRequest, pod: Object, container: str, *, attach: bool
    ) -> web.StreamResponse:
        query = request.query
        check_upgrade(request)
        command = query.getall("command", [])
        if not attach and not command:
            raise bad_request("you must specify at least one command for the container")
        tty = flag(query, "tty")
        wanted = {name: flag(query, name) for name in ("stdin", "stdout", "stderr")}
        if not any(wanted.values()):
            raise bad_request("you must specify at least one of stdin, stdout, stderr")

        async def run(streams: ExecStreams) -> int:
            if attach:
                return await self._node.attach(pod, container, streams, tty)
            return await self._node.exec(pod, container, command, streams, tty)

        return await serve_channels(request, run, self._streams, tty=tty, **wanted)


async def _first(pieces: AsyncIterator[bytes]) -> bytes | None:
    async for piece in pieces:
        return piece
    return None
