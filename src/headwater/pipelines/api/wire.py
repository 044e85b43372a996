"""Requests and answers of the v2beta1 API as gRPC's JSON gateway speaks them.

Field names are snake_case, camelCase is read too, unset fields are left out, and a field that a message does not have
is refused by its path. An error is what ``capability.errors`` says; uploads, which upstream
serves by other means, answer ``{"error_message", "error_details"}``.
"""

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import orjson
from aiohttp import web

from headwater.capability.errors import Code, code_of, error_body
from headwater.capability.routes import Handler
from headwater.kube.meta.errors import StatusError
from headwater.pipelines.records.catalog import NameTakenError, NotEmptyError
from headwater.pipelines.records.filters import Fields, ListQuery, QueryError, parse_query
from headwater.pipelines.records.lists import Page
from headwater.pipelines.spec.tree import SpecError

log = logging.getLogger(__name__)

MAX_BODY = 32 << 20
"""The largest request that is read, in bytes: what upstream allows for an upload."""

_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class ApiError(Exception):
    """A request that the API refuses, with the sentence that the caller reads."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def bad_request(message: str) -> ApiError:
    """A request that is wrong in itself."""
    return ApiError(Code.INVALID_ARGUMENT, message)


def not_found(kind: str, key: str) -> ApiError:
    """A record that does not exist."""
    return ApiError(Code.NOT_FOUND, f'There is no {kind} "{key}".')


def not_built(what: str) -> ApiError:
    """A part of the API that Headwater does not have yet."""
    return ApiError(Code.UNIMPLEMENTED, f"{what}: not built yet in this version of Headwater.")


def as_api_error(error: Exception) -> ApiError:
    """Return what to tell the caller about an error; what nobody foresaw is logged and told as such."""
    match error:
        case ApiError():
            return error
        case QueryError() | SpecError():
            return bad_request(str(error))
        case NameTakenError():
            return ApiError(Code.ALREADY_EXISTS, str(error))
        case NotEmptyError():
            return ApiError(Code.FAILED_PRECONDITION, str(error))
        case StatusError():
            return ApiError(code_of(error.code), error.message)
    if "disk is full" in str(error) or "disk I/O error" in str(error):
        log.error("the records database cannot be written: %s", error)
        return ApiError(Code.UNAVAILABLE, "The disk that holds the records is full or failing: nothing was changed.")
    log.error("a request to the pipelines API failed", exc_info=error)
    return ApiError(Code.INTERNAL, "The server failed to answer this request; its log says why.")


def error_response(error: ApiError) -> web.Response:
    """Return the error as gRPC's gateway writes it."""
    return respond(error_body(error.code, error.message), status=_HTTP[error.code])


def upload_error_response(error: ApiError) -> web.Response:
    """Return the error as the upload routes write it."""
    return respond({"error_message": error.message, "error_details": error.message}, status=_HTTP[error.code])


def answering(
    handler: Handler, render: Callable[[ApiError], web.Response] = error_response
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wrap a handler so that whatever goes wrong is answered in the API's own shape."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            return render(as_api_error(error))

    return answer


def respond(value: Any, *, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


def stamp(moment: datetime | None) -> str | None:
    """Write a time as protobuf's JSON does: RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def present(**values: Any) -> dict[str, Any]:
    """Return a message without its unset fields: None, the empty text, the empty list and the empty object."""
    return {name: value for name, value in values.items() if value is not None and value not in ("", [], {})}


def respond_page(name: str, rows: Sequence[dict[str, Any]], page: Page[Any]) -> web.Response:
    """Return one page of a list, its rows under ``name``."""
    listed = {name: rows, "total_size": page.total_size or None, "next_page_token": page.next_page_token}
    return respond(present(**listed))


def wants_full(request: web.Request) -> bool:
    """Tell whether a request asks for runs with their tasks in the newer shape: ``view=FULL``, or its number."""
    return request.query.get("view", "").upper() in ("FULL", "1")


def checked_display_name(body: Mapping[str, Any]) -> str:
    """Return a message's ``display_name``. Raises ``ApiError`` when it is empty or too long."""
    name: str = body.get("display_name", "")
    if not name.strip() or len(name) > 255:
        raise bad_request("display_name must have between 1 and 255 characters.")
    return name


def list_query(request: web.Request, fields: Fields) -> ListQuery:
    """Read the parameters that every list has. Raises ``QueryError``."""
    query = request.query
    return parse_query(
        fields,
        filter_text=query.get("filter", ""),
        sort_by=query.get("sort_by", ""),
        page_size=query.get("page_size", ""),
        page_token=query.get("page_token", ""),
    )


class Kind(Enum):
    """The kinds of simple fields, by what a person is told that they must be."""

    TEXT = "a text"
    FLAG = "true or false"
    NUMBER = "a number"
    TIME = "a time such as 2026-01-31T12:00:00Z"
    STRUCT = "an object"
    TEXTS = "an object of texts"
    ANY = "anything"


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of a request message."""

    fields: Mapping[str, "Kind | Message"] = field(default_factory=dict)


STATUS = Message({"code": Kind.NUMBER, "message": Kind.TEXT, "details": Kind.ANY})
"""An error inside a message."""


async def read_body(request: web.Request, limit: int = MAX_BODY) -> bytes:
    """Return the request's body. Raises ``ApiError`` when it is longer than ``limit`` bytes."""
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > limit:
            raise bad_request(f"The request is larger than {limit >> 20} MiB.")
        pieces.append(piece)
    return b"".join(pieces)


async def read_message(request: web.Request, message: Message) -> dict[str, Any]:
    """Read the body as a message; names become snake_case and unset fields are left out. Raises ``ApiError``."""
    body = await read_body(request)
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise bad_request(f"The request is not valid JSON: {error}") from None
    return check_message(document, message)


def check_message(document: Any, message: Message, path: str = "") -> dict[str, Any]:
    """Check a decoded message. Raises ``ApiError`` with the path of the first field that is wrong."""
    if not isinstance(document, dict):
        raise bad_request(f"{path or 'the request'} must be an object, not {_found(document)}.")
    checked: dict[str, Any] = {}
    for given, value in document.items():
        name = given if given in message.fields else _snake(given)
        here = f"{path}.{name}" if path else name
        kind = message.fields.get(name)
        if kind is None:
            raise bad_request(f'Unknown field "{path + "." if path else ""}{given}".')
        if value is None:
            continue
        if isinstance(kind, Message):
            checked[name] = check_message(value, kind, here)
        elif _is(kind, value):
            checked[name] = value
        else:
            raise bad_request(f"{here} must be {kind.value}, not {_found(value)}.")
    return checked


def _is(kind: Kind, value: Any) -> bool:
    match kind:
        case Kind.TEXT:
            return isinstance(value, str)
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.NUMBER:
            return isinstance(value, (int, float)) or (isinstance(value, str) and value.lstrip("-").isdigit())
        case Kind.TIME:
            return isinstance(value, str) and _is_time(value)
        case Kind.STRUCT:
            return isinstance(value, dict)
        case Kind.TEXTS:
            return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
        case Kind.ANY:
            return True


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _found(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
