"""The URLs that are no resource: health, version, discovery, OpenAPI, metrics, and the keys of the token issuer.

They are a table of exact paths and prefixes, so that a test can ask each one as somebody who may not.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson
from aiohttp import web

from headwater.cluster.apiserver.authn.tokens import TokenIssuer
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.answering import answer, compressed_answer
from headwater.cluster.apiserver.http.discovery import Discovery
from headwater.cluster.apiserver.http.negotiation import Form, negotiate
from headwater.cluster.apiserver.http.openapi import OpenApi
from headwater.cluster.apiserver.http.requests import unknown_resource
from headwater.kube.meta.errors import StatusError
from headwater.kube.schema.builtin import builtin

_DISCOVERY_FORMS = frozenset({Form.OBJECT, Form.DISCOVERY})
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

PATHS = (
    "/",
    "/healthz",
    "/livez",
    "/readyz",
    "/version",
    "/metrics",
    "/api",
    "/apis",
    "/openapi/v2",
    "/openapi/v3",
    "/.well-known/openid-configuration",
    "/openid/v1/jwks",
)
"""The exact paths; besides them ``/api/v1``, ``/apis/<group>``, ``/apis/<group>/<version>`` and
``/openapi/v3/<group-version>``."""

_HEALTH = ("/healthz", "/livez", "/readyz")
_OPENAPI_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
# A Document of gnostic's openapiv2 schema: field 1 is ``swagger``, field 2 is ``info`` (1 ``title``, 2 ``version``).
_EMPTY_OPENAPI_V2 = b"\x0a\x032.0" + b"\x12\x0f" + b"\x0a\x09Headwater" + b"\x12\x02v1"

Answerer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class MetricsText(Protocol):
    """Writes down what the server counts."""

    def __call__(self, *, objects: Mapping[str, int]) -> str:
        """Return the text; ``objects`` are those stored, by resource."""
        ...


class Information:
    """Answers the URLs that are no resource."""

    def __init__(
        self, api: Api, tokens: TokenIssuer, metrics: MetricsText, not_ready: Callable[[], str | None]
    ) -> None:
        self._store = api.store
        self._tokens = tokens
        self._metrics_of = metrics
        self._registry = api.registry
        self._not_ready = not_ready
        self._discovery = Discovery(api.registry)
        self._openapi = OpenApi(api.registry)
        self._answers: dict[str, Answerer] = {
            "": self._root,
            "/version": self._version,
            "/metrics": self._metrics,
            "/api": self._api_versions,
            "/apis": self._api_groups,
            "/openapi/v2": self._openapi_v2,
            "/openapi/v3": self._openapi_index,
            "/.well-known/openid-configuration": self._issuer,
            "/openid/v1/jwks": self._keys,
        }

    async def handle(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer the path. Raises ``StatusError`` 404 or 405."""
        path = path.rstrip("/")
        if request.method not in ("GET", "HEAD"):
            raise StatusError(
                405, "MethodNotAllowed", f"{request.method} is not supported on {path or '/'}; only GET is"
            )
        exact = self._answers.get(path)
        if exact is not None:
            return await exact(request)
        parts = path.split("/")[1:]
        if len(parts) <= 2 and f"/{parts[0]}" in _HEALTH:
            return self._check(request, f"/{parts[0]}", *parts[1:])
        content: bytes | None = None
        if parts[0] == "api" and len(parts) == 2:
            content = self._discovery.resources("", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            content = self._discovery.group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            content = self._discovery.resources(parts[1], parts[2])
        elif parts[:2] == ["openapi", "v3"]:
            return await self._openapi_document(request, parts[2:])
        if content is None:
            raise unknown_resource()
        return await answer(request, content)

    async def _root(self, request: web.BaseRequest) -> web.StreamResponse:
        return await answer(request, orjson.dumps({"paths": sorted(PATHS)}))

    def _check(self, request: web.BaseRequest, path: str, name: str = "") -> web.StreamResponse:
        """Answer a health endpoint, or one check of it. Raises ``StatusError`` 404."""
        results: dict[str, str | None] = {"ping": None, "log": None}
        results["etcd"] = "the store is closed" if self._store.closed else None
        if path == "/readyz":
            results["startup"] = self._not_ready()
        if name:
            if name not in results:
                raise unknown_resource()
            results = {name: results[name]}
        excluded = set(request.query.getall("exclude", []))
        failed = {check: why for check, why in results.items() if why is not None and check not in excluded}
        kind = path.strip("/")
        if not failed and "verbose" not in request.query:
            return web.Response(text="ok")
        lines = []
        for check, why in results.items():
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok")
            else:
                lines.append(f"[+]{check} ok" if why is None else f"[-]{check} failed: {why}")
        lines += [
            f'warn: some health checks cannot be excluded: no matches for "{each}"'
            for each in sorted(excluded - set(results))
        ]
        lines.append(f"{kind} check failed" if failed else f"{kind} check passed")
        return web.Response(status=500 if failed else 200, text="\n".join(lines) + "\n")

    async def _version(self, request: web.BaseRequest) -> web.StreamResponse:
        version = builtin().kubernetes_version
        major, minor, _ = version.split(".", 2)
        shown = {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{version}+headwater",
            "gitCommit": "",
            "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "python",
            "platform": "",
        }
        return await answer(request, orjson.dumps(shown))

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        buckets = {one.bucket for one in self._registry.all() if not one.virtual}
        text = self._metrics_of(objects={bucket: self._store.count(bucket) for bucket in buckets})
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _openapi_v2(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer kubectl, which looks here for a kind that version 3 does not have, before it says so."""
        if "protobuf" not in request.headers.get("Accept", ""):
            info = {"title": "Headwater", "version": "v1"}
            return await answer(request, orjson.dumps({"swagger": "2.0", "info": info, "paths": {}}))
        return web.Response(body=_EMPTY_OPENAPI_V2, content_type=_OPENAPI_V2_PROTOBUF)

    async def _api_versions(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._discover(request, core=True)

    async def _api_groups(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._discover(request, core=False)

    async def _discover(self, request: web.BaseRequest, *, core: bool) -> web.StreamResponse:
        if negotiate(request.headers.get("Accept", ""), _DISCOVERY_FORMS).form is not Form.DISCOVERY:
            content = self._discovery.versions() if core else self._discovery.groups()
            return await answer(request, content, headers={"Vary": "Accept"})
        content, tag = self._discovery.aggregated(core)
        headers = {"ETag": tag, "Vary": "Accept"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return await answer(request, content, content_type=_AGGREGATED, headers=headers)

    async def _openapi_index(self, request: web.BaseRequest) -> web.StreamResponse:
        return await answer(request, self._openapi.index())

    async def _openapi_document(self, request: web.BaseRequest, parts: list[str]) -> web.StreamResponse:
        content = None
        if len(parts) == 2 and parts[0] == "api":
            content = self._openapi.document("", parts[1])
        elif len(parts) == 3 and parts[0] == "apis":
            content = self._openapi.document(parts[1], parts[2])
        if content is None:
            raise unknown_resource()
        # Whoever names a hash may keep the answer: another document has another hash.
        kept = "public, max-age=31536000, immutable" if request.query.get("hash") else "no-cache, private"
        return await compressed_answer(request, content, {"Cache-Control": kept})

    async def _issuer(self, request: web.BaseRequest) -> web.StreamResponse:
        shown = {
            "issuer": self._tokens.issuer,
            "jwks_uri": f"{self._tokens.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        return await answer(request, orjson.dumps(shown))

    async def _keys(self, request: web.BaseRequest) -> web.StreamResponse:
        return await answer(request, orjson.dumps(self._tokens.key_set()), content_type="application/jwk-set+json")
