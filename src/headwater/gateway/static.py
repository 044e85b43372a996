"""Scripts and styles, from the folders that the rooms bring.

A path may begin with ``~<digest>``: the pages name files by the digest of all of them, so a browser keeps a file for
ever and asks again only after an upgrade. Relative imports between modules carry the digest along by themselves.
"""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from headwater.capability.routes import Access, Route

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain",
}


class StaticFiles:
    """Serves files below the rooms' static folders, and nothing above them."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self._roots = {room: root.resolve() for room, root in roots.items()}

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route("GET", "/static/{path:.+}", self.serve, Access.PUBLIC)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with the file; 404 for anything that is not one."""
        first, _, rest = request.match_info["path"].partition("/")
        forever = first.startswith("~")
        room, _, inside = rest.partition("/") if forever else (first, "", rest)
        root = self._roots.get(room)
        if root is None or "\0" in inside:
            raise web.HTTPNotFound
        file = (root / inside).resolve()
        content_type = _TYPES.get(file.suffix)
        if not file.is_relative_to(root) or content_type is None or not file.is_file():
            raise web.HTTPNotFound
        kept = "public, max-age=31536000, immutable" if forever else "no-cache"
        response = web.FileResponse(file, headers={"Cache-Control": kept})
        response.content_type = content_type
        if content_type.startswith("text/"):
            response.charset = "utf-8"
        return response
