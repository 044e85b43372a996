"""How the gateway says that something went wrong: a page in the shell for a person, JSON for a program."""

from collections.abc import Mapping

from aiohttp import web

from headwater.capability.errors import code_of, error_body
from headwater.capability.routes import PageRenderer
from headwater.kube.meta.errors import StatusError

_TITLES: Mapping[int, str] = {
    400: "That request makes no sense here",
    401: "Sign in first",
    403: "You may not do this",
    404: "There is nothing here",
    405: "That cannot be done here",
    409: "That is not possible as things stand",
    413: "That is too large",
    501: "Not built yet",
    503: "Not just now",
}


def wants_page(request: web.Request) -> bool:
    """Tell whether the caller is a browser that opens a page, by what it says it reads."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith(("/apis/", "/api/"))


def as_json(error: StatusError) -> web.Response:
    """Answer a program."""
    body = error_body(code_of(error.code), error.message)
    headers = {"WWW-Authenticate": 'Bearer realm="headwater"'} if error.code == 401 else None
    return web.json_response(body, status=error.code, headers=headers)


def as_page(request: web.Request, error: StatusError, render: PageRenderer) -> web.Response:
    """Answer a person, inside the shell."""
    title = _TITLES.get(error.code, "Something went wrong")
    return render(
        request, "dashboard/error.html", status=error.code, title=title, code=error.code, message=error.message
    )
