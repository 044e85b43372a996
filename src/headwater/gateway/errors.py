"""How the gateway says that something went wrong: a page in the shell for a person, JSON for a program.

The JSON is what the gRPC gateway of Kubeflow Pipelines writes (``code`` is a gRPC code, ``message``, ``details``), so
that the ``kfp`` SDK prints the sentence.
"""

from collections.abc import Mapping

from aiohttp import web

from headwater.capability.routes import PageRenderer
from headwater.kube.meta.errors import StatusError

_GRPC: Mapping[int, int] = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 8, 422: 3, 429: 8, 501: 12, 503: 14}
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
    body = {"error": error.message, "code": _GRPC.get(error.code, 13), "message": error.message, "details": []}
    headers = {"WWW-Authenticate": 'Bearer realm="headwater"'} if error.code == 401 else None
    return web.json_response(body, status=error.code, headers=headers)


def as_page(request: web.Request, error: StatusError, render: PageRenderer) -> web.Response:
    """Answer a person, inside the shell."""
    title = _TITLES.get(error.code, "Something went wrong")
    return render(
        request, "dashboard/error.html", status=error.code, title=title, code=error.code, message=error.message
    )
