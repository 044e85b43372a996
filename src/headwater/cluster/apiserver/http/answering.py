"""Writing an answer: encoding, compression, warnings, and errors as ``Status`` objects."""

import asyncio
import gzip
from collections.abc import Iterable

import orjson
from aiohttp import web
from multidict import CIMultiDict

from headwater.cluster.apiserver.http.negotiation import Wanted
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object

COMPRESSED_FROM = 128 * 1024
"""Answers of at least this many bytes are compressed for clients that accept it; upstream's threshold."""

LARGE_FROM = 512 * 1024
"""Answers of at least this many bytes are sent in pieces."""

_PIECE = 128 * 1024
_LONGEST_SEND = 120.0  # seconds
_WARNING_LIMIT = 4096
_LINES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": " ", "\r": " ", "\t": " "})


def accepts_gzip(request: web.BaseRequest) -> bool:
    """Tell whether the client takes gzip."""
    return "gzip" in request.headers.get("Accept-Encoding", "")


async def answer(
    request: web.BaseRequest,
    content: bytes,
    *,
    status: int = 200,
    wanted: Wanted | None = None,
    content_type: str = "",
    warnings: Iterable[str] = (),
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Return an answer whose body is JSON text, in the encoding that was agreed on."""
    wanted = wanted or Wanted()
    if wanted.yaml:
        content = to_yaml(content)
    elif request.query.get("pretty") in ("true", "1"):
        content = orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    fields: CIMultiDict[str] = CIMultiDict(headers or {})
    fields["Content-Type"] = content_type or wanted.content_type
    fields["Cache-Control"] = "no-cache, private"
    for line in warning_lines(warnings):
        fields.add("Warning", line)
    if len(content) >= COMPRESSED_FROM and accepts_gzip(request):
        content = await asyncio.to_thread(gzip.compress, content, 1)
        fields["Content-Encoding"] = "gzip"
        fields["Vary"] = "Accept-Encoding"
    return web.Response(status=status, body=content, headers=fields)


async def send_in_pieces(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """Send a large answer piece by piece, so that others get a word in between; leave any other as it is.

    Raises ``ConnectionResetError`` when the caller does not take it in time.
    """
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) < LARGE_FROM or request.method == "HEAD":
        return response
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    sent.content_length = len(body)
    await sent.prepare(request)
    view = memoryview(body)
    try:
        async with asyncio.timeout(_LONGEST_SEND):
            for start in range(0, len(body), _PIECE):
                await sent.write(view[start : start + _PIECE])
                await asyncio.sleep(0)
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the caller took too long to read the answer") from error
    await sent.write_eof()
    return sent


async def compressed_answer(request: web.BaseRequest, content: bytes, headers: dict[str, str]) -> web.Response:
    """Return an answer that is kept compressed, inflating it for clients that do not take gzip."""
    fields = {"Content-Type": "application/json", "Vary": "Accept-Encoding", **headers}
    if accepts_gzip(request):
        fields["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return web.Response(body=content, headers=fields)


def refusal(error: StatusError, wanted: Wanted | None = None) -> web.Response:
    """Return an error as its ``Status`` object."""
    content = orjson.dumps(error.status)
    wanted = wanted or Wanted()
    headers = {"Content-Type": wanted.content_type, "Cache-Control": "no-cache, private"}
    seconds = error.details.get("retryAfterSeconds")
    if seconds or error.code in (429, 503):
        headers["Retry-After"] = str(seconds or 1)
    if error.code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(status=error.code, body=to_yaml(content) if wanted.yaml else content, headers=headers)


def warning_lines(warnings: Iterable[str]) -> list[str]:
    """Write sentences as values of ``Warning`` headers (RFC 7234, code 299), each once, within what headers hold."""
    lines: list[str] = []
    size = 0
    for text in dict.fromkeys(warnings):
        line = f'299 - "{"".join(char for char in text.translate(_LINES) if char.isprintable())}"'
        size += len(line)
        if size > _WARNING_LIMIT:
            break
        lines.append(line)
    return lines


def to_yaml(content: bytes) -> bytes:
    """Turn JSON text into YAML."""
    import yaml

    value: Object = orjson.loads(content)
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, encoding="utf-8")
