"""Rendering a room's template inside the dashboard's frame.

``Shell`` is the ``PageRenderer`` that rooms are given. A template is found under its room's name
(``pipelines/run.html``) and extends ``dashboard/base.html``; one that does not is a fragment of a page. Values are
escaped; a name that a template misspells is an error, not an empty string.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from headwater.capability import Capability, NavigationEntry
from headwater.capability.routes import CSRF_COOKIE, IDENTITY
from headwater.dashboard.formatting import bytes_text, number, pretty
from headwater.dashboard.times import ago, duration_element, exact, lasted, time_element
from headwater.kube.meta.time import Clock

_NAMESPACE = "namespace"


class Shell:
    """Knows every room's templates and links, and puts a page together."""

    def __init__(
        self,
        *,
        templates: Mapping[str, Path],
        static_roots: Mapping[str, Path],
        navigation: Sequence[NavigationEntry],
        clock: Clock,
    ) -> None:
        """``templates`` and ``static_roots`` are the rooms' folders by the rooms' names."""
        self._clock = clock
        self._navigation = navigation
        self._rooms = tuple(templates)
        self._digest = digest_of(static_roots)
        self._templates = Environment(
            loader=PrefixLoader({room: FileSystemLoader(folder) for room, folder in templates.items()}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(number=number, pretty=pretty, bytes=bytes_text, lasted=lasted, exact=exact)
        self._templates.globals.update(static=self.static)

    @classmethod
    def of(cls, capabilities: Iterable[Capability], clock: Clock) -> "Shell":
        """Build the shell from what the rooms bring."""
        rooms = list(capabilities)
        return cls(
            templates={room.name: room.templates for room in rooms if room.templates is not None},
            static_roots={room.name: room.static for room in rooms if room.static is not None},
            navigation=[entry for room in rooms for entry in room.navigation],
            clock=clock,
        )

    def __call__(self, request: web.Request, template: str, /, *, status: int = 200, **values: Any) -> web.Response:
        """Return the page; ``values`` reach the template along with what the shell itself needs."""
        identity = request.get(IDENTITY)
        namespace = request.match_info.get(_NAMESPACE) or (identity.namespace if identity else "")
        now = self._clock.now()
        text = self._templates.get_template(template).render(
            {
                "identity": identity,
                "namespace": namespace,
                "sections": sections(self._navigation, namespace, request.path) if identity else [],
                "home": f"/ns/{namespace}/",
                "path": request.path,
                "xsrf": request.cookies.get(CSRF_COOKIE, ""),
                "fragment": bool(request.headers.get("HX-Request")),
                "home_panels": self._home_panels(),
                "now": now,
                **_moments(now),
                **values,
            }
        )
        return web.Response(text=text, status=status, content_type="text/html")

    def static(self, path: str) -> str:
        """Return the address of a script or style (``dashboard/app.js``), which changes when any of them does."""
        return f"/static/~{self._digest}/{path}"

    def _home_panels(self) -> list[str]:
        """The rooms that have something to show on the home page: those with a template ``home.html``."""
        names = self._templates.list_templates(filter_func=lambda name: name.endswith("/home.html"))
        rooms = {name.partition("/")[0] for name in names if name.count("/") == 1}
        return [room for room in self._rooms if room in rooms and room != "dashboard"]


def sections(
    navigation: Sequence[NavigationEntry], namespace: str, path: str
) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return the left column: sections in order of appearance, each with its links (label, address, whether here)."""
    found: dict[str, list[tuple[str, str, bool]]] = {}
    for entry in navigation:
        address = f"/ns/{namespace}{entry.path}"
        here = path == address or path.startswith(address + "/")
        found.setdefault(entry.section, []).append((entry.label, address, here))
    return list(found.items())


def digest_of(roots: Mapping[str, Path]) -> str:
    """Return a short digest of every file in the folders."""
    total = hashlib.sha256()
    for room, root in sorted(roots.items()):
        for file in sorted(path for path in root.rglob("*") if path.is_file()):
            total.update(f"{room}/{file.relative_to(root)}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()[:12]


def _moments(now: datetime) -> dict[str, Any]:
    def when(moment: datetime | None) -> Markup:
        return time_element(moment, now)

    def took(start: datetime | None, end: datetime | None) -> Markup:
        return duration_element(start, end, now)

    return {"when": when, "took": took, "ago": lambda moment: ago(moment, now)}
