"""The client over HTTP: any Kubernetes API server, reached by kubeconfig or as a pod of the cluster.

It speaks plain JSON on the paths and with the parameters of the Kubernetes API; a refusal becomes the same
``StatusError`` that the in-process client raises, and so does a server that cannot be reached (503).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import orjson

from headwater.kube.client import ObjectList, PatchType, Propagation, WatchEvent
from headwater.kube.client.credentials import Credentials
from headwater.kube.client.kubeconfig import Access, KubeconfigError
from headwater.kube.client.kubeconfig import in_cluster as in_cluster_access
from headwater.kube.client.kubeconfig import load as load_kubeconfig
from headwater.kube.meta.errors import StatusError, expired, internal, unavailable
from headwater.kube.meta.objects import Object, name_of, namespace_of
from headwater.kube.meta.resources import Resource

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_REQUEST_SECONDS = 60.0
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_MOST_RETRIES = 5

Parameters = Mapping[str, str]


class HttpClient:
    """``kube.client.Client`` over HTTP. Belongs to one event loop; ``close`` it, or use it as a context manager."""

    def __init__(self, access: Access) -> None:
        self.access = access
        """Where the server is; ``access.namespace`` is the namespace of the context."""
        self._credentials = Credentials(access)
        self._ssl = access.ssl_context() if access.server.startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @classmethod
    def from_kubeconfig(cls, source: str | Path | dict[str, Any] | None = None, *, context: str = "") -> Self:
        """Use a kubeconfig: a path, its content, or None for kubectl's own. Raises ``KubeconfigError``."""
        return cls(load_kubeconfig(source, context))

    @classmethod
    def in_cluster(cls) -> Self:
        """Use the service account of the pod this runs in. Raises ``KubeconfigError`` outside a pod."""
        return cls(in_cluster_access())

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Read one object, or a subresource of it."""
        return await self._call("GET", _path(resource, namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """Read a collection; ``namespace=None`` means all namespaces."""
        parameters = _parameters(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=limit or None,
            resourceVersion=resource_version,
            **{"continue": continue_token},
        )
        answer = await self._call("GET", resource.path(namespace), parameters)
        metadata = answer.get("metadata") or {}
        items = answer.get("items") or []
        for item in items:  # a list of a built-in kind does not repeat what its items are
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return ObjectList(items, str(metadata.get("resourceVersion") or ""), str(metadata.get("continue") or ""))

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = False,
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Follow a collection from a revision on. Ends when the time is over; raises 410 when history is gone."""
        parameters = _parameters(
            watch="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            allowWatchBookmarks="true" if bookmarks else None,
            timeoutSeconds=timeout_seconds,
        )
        async for line in self._lines(resource.path(namespace), parameters):
            if not line.strip():
                continue
            event = orjson.loads(line)
            kind, obj = event.get("type"), event.get("object") or {}
            if kind == "ERROR":
                error = StatusError.from_status(obj)
                raise expired(error.message) if error.code == 410 else error
            yield WatchEvent(kind, obj)

    async def create(
        self,
        resource: Resource,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Create an object, or post to a subresource of the one called ``name``."""
        path = _path(resource, namespace or namespace_of(obj), name, subresource)
        return await self._call("POST", path, _parameters(dryRun="All" if dry_run else None), body=obj)

    async def update(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace an object; a ``metadata.resourceVersion`` in it is a precondition."""
        return await self._call("PUT", _path(resource, namespace_of(obj), name_of(obj), subresource), body=obj)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        """Change part of an object."""
        if patch_type is PatchType.APPLY and not field_manager:
            field_manager = "headwater"
        parameters = _parameters(fieldManager=field_manager, force="true" if force else None)
        path = _path(resource, namespace, name, subresource)
        return await self._call("PATCH", path, parameters, body=patch, content_type=patch_type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Ask for an object's deletion; answers the object as it then is, or a ``Status``."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if propagation is not None:
            options["propagationPolicy"] = propagation.value
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in preconditions.items() if value is not None}
        if preconditions:
            options["preconditions"] = preconditions
        return await self._call("DELETE", _path(resource, namespace, name), body=options)

    async def delete_collection(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> None:
        """Ask for the deletion of every object that the selectors match."""
        parameters = _parameters(labelSelector=label_selector, fieldSelector=field_selector)
        await self._call("DELETE", resource.path(namespace), parameters)

    async def logs(
        self,
        name: str,
        namespace: str,
        *,
        container: str = "",
        follow: bool = False,
        timestamps: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Stream a container's log in pieces of whole lines."""
        parameters = _parameters(
            container=container,
            follow="true" if follow else None,
            timestamps="true" if timestamps else None,
            tailLines=tail_lines,
            previous="true" if previous else None,
        )
        async for line in self._lines(f"/api/v1/namespaces/{namespace}/pods/{name}/log", parameters, batched=True):
            yield line

    async def close(self) -> None:
        """Let go of connections. Calls after this fail."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.close()

    async def _call(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else orjson.dumps(body)
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        for attempt in range(_MOST_RETRIES + 1):
            response = await self._send(method, path, parameters, data, content_type, timeout)
            async with response:
                try:
                    answer = await response.read()
                except (aiohttp.ClientError, TimeoutError) as error:
                    raise self._unreachable(error) from error
            if response.status < 400:
                return _decode(answer, path)
            pause = response.headers.get("Retry-After", "")
            if response.status == 429 and pause.isdecimal() and attempt < _MOST_RETRIES:
                await asyncio.sleep(int(pause))  # the server asks for it
                continue
            if response.status == 401 and attempt == 0 and self._credentials.refused():
                continue
            raise _refusal(response.status, answer, path)
        raise internal("unreachable")

    async def _lines(self, path: str, parameters: Parameters, *, batched: bool = False) -> AsyncIterator[bytes]:
        """Yield the answer line by line, or as many whole lines at once as have come."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_REQUEST_SECONDS)
        response = await self._send("GET", path, parameters, None, "", timeout)
        async with response:
            if response.status >= 400:
                if response.status == 401:
                    self._credentials.refused()
                raise _refusal(response.status, await response.read(), path)
            rest = b""
            try:
                async for chunk in response.content.iter_any():
                    whole, newline, tail = chunk.rpartition(b"\n")
                    if not newline:
                        rest += chunk
                        continue
                    whole, rest = rest + whole, tail
                    if batched:
                        yield whole + newline
                    else:
                        for line in whole.split(b"\n"):
                            yield line
            except (aiohttp.ClientError, TimeoutError) as error:
                raise self._unreachable(error) from error
            if rest:
                yield rest

    async def _send(
        self,
        method: str,
        path: str,
        parameters: Parameters | None,
        data: bytes | None,
        content_type: str,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        try:
            authorization = await self._credentials.header()
        except KubeconfigError as error:
            raise StatusError(401, "Unauthorized", str(error)) from error
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            return await self._connected().request(
                method,
                self.access.server + path,
                params=parameters,
                data=data,
                headers=headers,
                timeout=timeout,
                server_hostname=self.access.server_name or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._closed:
            raise unavailable("the client is closed")
        if self._session is None:
            # No limit: every informer keeps a connection for its watch.
            connector = aiohttp.TCPConnector(ssl=self._ssl if self._ssl is not None else True, limit=0)
            headers = {"User-Agent": "headwater"}
            if urlsplit(self.access.server).hostname in _THIS_MACHINE:
                headers["Accept-Encoding"] = "identity"  # compressing costs more than carrying it across loopback
            self._session = aiohttp.ClientSession(connector=connector, headers=headers, auto_decompress=True)
        return self._session

    def _unreachable(self, error: Exception) -> StatusError:
        why = str(error) or type(error).__name__
        return unavailable(f"cannot reach the Kubernetes API at {self.access.server}: {why}")


def _path(resource: Resource, namespace: str | None, name: str | None, subresource: str | None = None) -> str:
    if name is not None and (not name or "/" in name or name in (".", "..")):
        raise StatusError(400, "BadRequest", f"{name!r} cannot be the name of an object")
    return resource.path(namespace, name, subresource)


def _parameters(**values: str | int | None) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if value not in (None, "")}


def _decode(answer: bytes, path: str) -> Object:
    try:
        decoded = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise internal(f"the server's answer to {path} is not JSON: {answer[:200]!r}") from error
    if not isinstance(decoded, dict):
        raise internal(f"the server's answer to {path} is not an object")
    return decoded


def _refusal(code: int, answer: bytes, path: str) -> StatusError:
    try:
        status = orjson.loads(answer)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return StatusError.from_status({"code": code, **status})
    text = answer.decode(errors="replace").strip()[:500]
    return StatusError(code, _REASONS.get(code, "Unknown"), text or f"the server answered {code} to {path}")
