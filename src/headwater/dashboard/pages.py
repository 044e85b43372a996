"""The pages that belong to no single room: the way in, the home page, and the list of namespaces for the switcher."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from headwater.capability import Context
from headwater.capability.routes import Access, Route, identity_of
from headwater.kube.meta.errors import not_found
from headwater.kube.meta.objects import name_of
from headwater.kube.meta.resources import NAMESPACES


def routes(context: Context) -> Sequence[Route]:
    """Return the shell's own routes."""
    pages = _Pages(context)
    front = [Route("GET", path, pages.front, Access.SIGNED_IN, page=True) for path in ("/", "/pipeline", "/pipeline/")]
    return [
        *front,
        Route("GET", "/ns/{namespace}", pages.to_home, Access.SIGNED_IN, page=True),
        Route("GET", "/ns/{namespace}/", pages.home, page=True),
        Route("GET", "/api/namespaces", pages.namespaces),
    ]


class _Pages:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def front(self, request: web.Request) -> web.Response:
        """Lead to the caller's own namespace; the browser carries a ``#/runs/details/…`` along to the script there."""
        raise web.HTTPFound(f"/ns/{identity_of(request).namespace}/")

    async def to_home(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/ns/{request.match_info['namespace']}/")

    async def home(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        await self._context.authorizer.require(identity_of(request), "get", "", "namespaces", namespace, namespace)
        if namespace not in await self._names():
            raise not_found("", "namespaces", namespace)
        return self._context.render(request, "dashboard/home.html")

    async def namespaces(self, request: web.Request) -> web.Response:
        """Return the names of the namespaces that the caller may see."""
        identity, authorizer = identity_of(request), self._context.authorizer
        names = await self._names()
        if not await authorizer.allowed(identity, "list", "", "namespaces"):
            asked = [authorizer.allowed(identity, "get", "", "namespaces", name, name) for name in names]
            names = [name for name, allowed in zip(names, await asyncio.gather(*asked), strict=True) if allowed]
        return web.json_response({"namespaces": names})

    async def _names(self) -> list[str]:
        found = await self._context.client.list(NAMESPACES)
        return sorted(name_of(item) for item in found.items)
