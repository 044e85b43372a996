"""What a list may be asked for: predicates, an order and a page, read from the query as the v2beta1 API defines them.

Pure: text in, values out; ``lists`` turns them into SQL. The SDK sends operations as integers and keys in
camelCase, people send names and snake_case, and kfp 1.8 says ``op`` for ``operation``: all of them are read. A page
token is opaque to the client: it holds the last row's sort key and the query it belongs to.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import orjson

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class QueryError(ValueError):
    """A list parameter that cannot be understood; the message says which and why."""


class Operation(Enum):
    """``V2beta1PredicateOperation``, by its wire number."""

    EQUALS = 1
    NOT_EQUALS = 2
    GREATER_THAN = 3
    GREATER_THAN_EQUALS = 5
    LESS_THAN = 6
    LESS_THAN_EQUALS = 7
    IN = 8
    IS_SUBSTRING = 9


class FieldType(Enum):
    """What a field can be compared with."""

    TEXT = "text"
    STATE = "state"
    """Upper-case names; compared without the prefixes that older clients send."""
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Field:
    """A field that lists can filter and sort by."""

    column: str
    type: FieldType = FieldType.TEXT


Fields = Mapping[str, Field]
"""What a resource's lists know, by the name that clients use."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """One condition on a column. ``value`` is a text or a time, or a tuple of them for IN."""

    operation: Operation
    column: str
    value: str | datetime | tuple[str | datetime, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next page starts: after the row with this sort value and id."""

    value: str | datetime | None
    id: str


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request, understood."""

    predicates: tuple[Predicate, ...] = ()
    sort: Field = Field("created_at", FieldType.TIME)
    descending: bool = False
    page_size: int = DEFAULT_PAGE_SIZE
    after: Position | None = None
    signature: str = ""
    """What a token must agree with: the same filter and order."""


def parse_query(
    fields: Fields, *, filter_text: str = "", sort_by: str = "", page_size: str = "", page_token: str = ""
) -> ListQuery:
    """Read a list's query parameters. Raises ``QueryError``."""
    predicates = parse_filter(filter_text, fields)
    sort, descending = parse_sort(sort_by, fields)
    signature = hashlib.sha256(f"{filter_text}\0{sort.column}\0{descending}".encode()).hexdigest()[:16]
    return ListQuery(
        predicates=predicates,
        sort=sort,
        descending=descending,
        page_size=parse_page_size(page_size),
        after=decode_token(page_token, signature, sort) if page_token else None,
        signature=signature,
    )


def parse_page_size(text: str) -> int:
    """Return the page size: 0 or nothing means 20, more than 200 means 200."""
    try:
        size = int(text or 0)
    except ValueError:
        raise QueryError(f"page_size: {text!r} is not a number") from None
    if size < 0:
        raise QueryError("page_size: must not be negative")
    return min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def parse_sort(text: str, fields: Fields) -> tuple[Field, bool]:
    """Read ``"field [asc|desc]"``; return the field and whether the order is descending."""
    words = text.split()
    if not words:
        return ListQuery().sort, False
    if len(words) > 2 or (len(words) == 2 and words[1].lower() not in ("asc", "desc")):
        raise QueryError(f'sort_by: {text!r} must be "field", "field asc" or "field desc"')
    return _field(words[0], fields, "sort_by"), len(words) == 2 and words[1].lower() == "desc"


def parse_filter(text: str, fields: Fields) -> tuple[Predicate, ...]:
    """Read a filter: JSON with a list of predicates that all must hold."""
    if not text.strip():
        return ()
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise QueryError(f"filter: not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise QueryError('filter: must be an object with "predicates"')
    unknown = sorted(set(document) - {"predicates"})
    if unknown:
        raise QueryError(f'filter: unknown field "{unknown[0]}"')
    predicates = document.get("predicates")
    if predicates is None:
        return ()
    if not isinstance(predicates, list):
        raise QueryError("filter.predicates: must be a list")
    return tuple(_predicate(item, fields, f"filter.predicates[{index}]") for index, item in enumerate(predicates))


_SINGLE = ("string_value", "int_value", "long_value", "timestamp_value")
_PLURAL = ("string_values", "int_values", "long_values")


def _predicate(item: Any, fields: Fields, where: str) -> Predicate:
    if not isinstance(item, dict):
        raise QueryError(f"{where}: must be an object")
    values = {_snake(name): value for name, value in item.items() if value is not None}
    unknown = sorted(set(values) - {"operation", "op", "key", *_SINGLE, *_PLURAL})
    if unknown:
        raise QueryError(f'{where}: unknown field "{unknown[0]}"')
    operation = _operation(values.get("operation", values.get("op")), f"{where}.operation")
    field = _field(values.get("key"), fields, f"{where}.key")
    given = [name for name in (*_SINGLE, *_PLURAL) if name in values]
    if len(given) != 1:
        raise QueryError(f"{where}: needs exactly one value, and has {len(given)}")
    name = given[0]
    if (operation is Operation.IN) != (name in _PLURAL):
        needs = "a list such as string_values" if operation is Operation.IN else "a single value such as string_value"
        raise QueryError(f"{where}: {operation.name} needs {needs}, not {name}")
    if operation is Operation.IS_SUBSTRING and field.type is FieldType.TIME:
        raise QueryError(f"{where}: IS_SUBSTRING cannot be used on a time")
    if operation is not Operation.IN:
        return Predicate(operation, field.column, _value(values[name], field, f"{where}.{name}"))
    held = values[name].get("values", []) if isinstance(values[name], dict) else values[name]
    if not isinstance(held, list):
        raise QueryError(f'{where}.{name}: must be an object with "values"')
    return Predicate(operation, field.column, tuple(_value(one, field, f"{where}.{name}.values") for one in held))


def _operation(value: Any, where: str) -> Operation:
    try:
        return Operation[value.upper()] if isinstance(value, str) else Operation(value)
    except (KeyError, ValueError):
        raise QueryError(f"{where}: {value!r} is none of {', '.join(one.name for one in Operation)}") from None


def _field(name: Any, fields: Fields, where: str) -> Field:
    field = fields.get(_snake(name)) if isinstance(name, str) else None
    if field is None:
        raise QueryError(f"{where}: unknown field {name!r}; known are {', '.join(sorted(fields))}")
    return field


def _value(value: Any, field: Field, where: str) -> str | datetime:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise QueryError(f"{where}: must be a text or a number")
    if field.type is not FieldType.TIME:
        text = str(value)
        return text.upper().removeprefix("STORAGESTATE_") if field.type is FieldType.STATE else text
    try:
        if isinstance(value, int) or value.isdigit():
            return _EPOCH + timedelta(seconds=int(value))
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise QueryError(f"{where}: {value!r} is not a time such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def encode_token(query: ListQuery, position: Position) -> str:
    """Return the token with which the client asks for the page after ``position``."""
    value = position.value
    if isinstance(value, datetime):
        content: Any = (value - _EPOCH) // timedelta(microseconds=1)
    else:
        content = value
    return base64.urlsafe_b64encode(orjson.dumps([query.signature, content, position.id])).decode().rstrip("=")


def decode_token(token: str, signature: str, sort: Field) -> Position:
    """Read a page token. Raises ``QueryError`` if it is none of ours or belongs to another query."""
    try:
        signed, value, row = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        raise QueryError(_FOREIGN_TOKEN) from None
    if signed != signature:
        raise QueryError("page_token: belongs to a list with another filter or sort_by")
    try:
        if value is not None and sort.type is FieldType.TIME:
            value = _EPOCH + timedelta(microseconds=value)
    except (TypeError, OverflowError):
        raise QueryError(_FOREIGN_TOKEN) from None
    if not isinstance(row, str) or (sort.type is not FieldType.TIME and not isinstance(value, str)):
        raise QueryError(_FOREIGN_TOKEN)
    return Position(value, row)


_FOREIGN_TOKEN = "page_token: not a token that this server gave out"  # noqa: S105 - says what is wrong with one
