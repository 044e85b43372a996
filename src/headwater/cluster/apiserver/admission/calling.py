"""Calling a webhook: where it is, whom it is trusted as, and how long it may take.

A ``clientConfig`` names a URL or a Service. A Service is followed to its ready endpoints, and the certificate must
be the Service's; one without endpoints is an error that says so. Connections are kept.
"""

import asyncio
import base64
import binascii
import ssl
from typing import TYPE_CHECKING, Any

import orjson

from headwater.cluster.store.store import Store
from headwater.kube.meta.objects import Object, is_deleting

if TYPE_CHECKING:
    import aiohttp

_MOST_BYTES = 8 * 1024 * 1024
_SLICES = "endpointslices.discovery.k8s.io"


class WebhookCallError(Exception):
    """A webhook that could not be asked, or whose answer makes no sense."""


class WebhookCaller:
    """Posts reviews to webhooks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Drop the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, config: Object, review: Object, seconds: float) -> Object:
        """Return the review that a webhook answers. Raises ``WebhookCallError``."""
        import aiohttp

        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(trust_env=False)
        address, server_name, shown = self._address(config)
        try:
            async with self._session.post(
                address,
                params={"timeout": f"{seconds:g}s"},
                data=orjson.dumps(review),
                headers={"Content-Type": "application/json", "Accept": "application/json", "Host": shown},
                ssl=self._context(config.get("caBundle") or ""),
                server_hostname=server_name,
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
            ) as response:
                body = await response.content.read(_MOST_BYTES + 1)
                if response.status != 200:
                    raise WebhookCallError(f"the server at {shown} answered {response.status}")
        except TimeoutError:
            raise WebhookCallError(f'Post "{address}?timeout={seconds:g}s": context deadline exceeded') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise WebhookCallError(f'Post "{address}?timeout={seconds:g}s": {error}') from None
        if len(body) > _MOST_BYTES:
            raise WebhookCallError(f"the server at {shown} answered more than {_MOST_BYTES} bytes")
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise WebhookCallError(f"the server at {shown} did not answer JSON") from None
        if not isinstance(answer, dict) or not isinstance(answer.get("response"), dict):
            raise WebhookCallError("the answer has no response")
        return answer

    def _address(self, config: Object) -> tuple[str, str | None, str]:
        """Return the URL to call, the name its certificate must have (``None``: the URL's), and its ``Host``."""
        url = config.get("url")
        if url:
            return url, None, url.partition("://")[2].partition("/")[0]
        service = config.get("service") or {}
        namespace, name = service.get("namespace", ""), service.get("name", "")
        host, port = self._endpoint(namespace, name, service.get("port") or 443)
        path = "/" + (service.get("path") or "").lstrip("/")
        server_name = f"{name}.{namespace}.svc"
        host = f"[{host}]" if ":" in host else host
        return f"https://{host}:{port}{path}", server_name, f"{server_name}:{port}"

    def _endpoint(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        found = self._store.get("services", f"{namespace}/{name}")
        if found is None or is_deleting(found.object):
            raise WebhookCallError(f'service "{name}" not found in the namespace "{namespace}"')
        spec = found.object.get("spec") or {}
        ports = [each for each in spec.get("ports") or () if each.get("port") == port]
        if not ports:
            raise WebhookCallError(f'no service port {port} found for service "{name}"')
        if spec.get("type") == "ExternalName":
            return spec.get("externalName", ""), port
        for address, number in self._ready(namespace, name, ports[0]):
            return address, number
        raise WebhookCallError(f'no endpoints available for service "{name}"')

    def _ready(self, namespace: str, name: str, port: Object) -> list[tuple[str, int]]:
        wanted, found = port.get("name") or "", []
        for _, document in self._store.scan(_SLICES, f"{namespace}/"):
            if document.labels.get("kubernetes.io/service-name") != name:
                continue
            numbers = [
                each["port"] for each in document.object.get("ports") or () if (each.get("name") or "") == wanted
            ]
            for endpoint in document.object.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready") is not False and numbers:
                    found += [(address, numbers[0]) for address in endpoint.get("addresses") or ()]
        endpoints = self._store.get("endpoints", f"{namespace}/{name}")
        if not found and endpoints is not None:
            for subset in endpoints.object.get("subsets") or ():
                numbers = _ports(subset.get("ports"), wanted)
                found += [(each["ip"], numbers[0]) for each in subset.get("addresses") or () if numbers]
        return found

    def _context(self, bundle: str) -> ssl.SSLContext:
        context = self._contexts.get(bundle)
        if context is None:
            try:
                pem: str | None = base64.b64decode(bundle).decode() if bundle else None
                context = ssl.create_default_context(cadata=pem)
            except (ssl.SSLError, binascii.Error, UnicodeDecodeError) as error:
                raise WebhookCallError(f"the caBundle cannot be read: {error}") from None
            if len(self._contexts) > 100:
                self._contexts.clear()
            self._contexts[bundle] = context
        return context


def _ports(ports: Any, name: str) -> list[int]:
    return [each["port"] for each in ports or () if (each.get("name") or "") == name]


async def gather_first_error(calls: list[Any]) -> None:
    """Await all; raise the first error in the order of the calls, once all have ended."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
