"""Pages of rows: a list query as SQL.

Pages are cut by key, not by offset: the next page starts after the last row's sort value and id, so that its cost does
not grow with its number and rows that come meanwhile are neither shown twice nor lost. Where a time is not set yet it
sorts before all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, or_, select

from headwater.pipelines.records.filters import (
    Field,
    FieldType,
    ListQuery,
    Operation,
    Position,
    Predicate,
    encode_token,
)
from headwater.pipelines.records.rows import Columns

R = TypeVar("R")

_NAMED = {"name": Field("display_name"), "display_name": Field("display_name"), "description": Field("description")}
_CREATED = {"created_at": Field("created_at", FieldType.TIME)}
_STORAGE = {"storage_state": Field("storage_state", FieldType.STATE)}

EXPERIMENT_FIELDS = {
    **_NAMED,
    **_CREATED,
    **_STORAGE,
    "id": Field("experiment_id"),
    "experiment_id": Field("experiment_id"),
    "namespace": Field("namespace"),
    "last_run_created_at": Field("last_run_created_at", FieldType.TIME),
}
PIPELINE_FIELDS = {
    **_NAMED,
    **_CREATED,
    "name": Field("name"),
    "id": Field("pipeline_id"),
    "pipeline_id": Field("pipeline_id"),
    "namespace": Field("namespace"),
}
VERSION_FIELDS = {
    **_NAMED,
    **_CREATED,
    "name": Field("name"),
    "id": Field("pipeline_version_id"),
    "pipeline_version_id": Field("pipeline_version_id"),
    "code_source_url": Field("code_source_url"),
}
RUN_FIELDS = {
    **_NAMED,
    **_CREATED,
    **_STORAGE,
    "id": Field("run_id"),
    "run_id": Field("run_id"),
    "experiment_id": Field("experiment_id"),
    "namespace": Field("namespace"),
    "state": Field("state", FieldType.STATE),
    "status": Field("state", FieldType.STATE),
    "scheduled_at": Field("scheduled_at", FieldType.TIME),
    "finished_at": Field("finished_at", FieldType.TIME),
    "service_account": Field("service_account"),
    "pipeline_id": Field("pipeline_id"),
    "pipeline_version_id": Field("pipeline_version_id"),
    "recurring_run_id": Field("recurring_run_id"),
}
ARTIFACT_FIELDS = {
    **_CREATED,
    "id": Field("artifact_id"),
    "artifact_id": Field("artifact_id"),
    "name": Field("name"),
    "type": Field("type"),
    "uri": Field("uri"),
    "namespace": Field("namespace"),
    "run_id": Field("run_id"),
    "task_id": Field("task_id"),
}


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """One page of a list."""

    rows: Sequence[R]
    total_size: int
    """How many rows the whole list has."""
    next_page_token: str = ""


def select_page(
    connection: Connection, table: Table, id_column: str, query: ListQuery, scope: Sequence[ColumnElement[bool]]
) -> Page[Columns]:
    """Return one page of the table's rows within the scope."""
    conditions = [*scope, *(condition(table, predicate) for predicate in query.predicates)]
    total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    column, key = table.c[query.sort.column], table.c[id_column]
    ordered = [column.desc(), key.desc()] if query.descending else [column.asc(), key.asc()]
    if column.nullable and connection.dialect.name == "postgresql":  # the others have it so already
        ordered[0] = ordered[0].nulls_last() if query.descending else ordered[0].nulls_first()
    if query.after is not None:
        conditions.append(_after(column, key, query.after, query.descending))
    statement = select(table).where(*conditions).order_by(*ordered).limit(query.page_size + 1)
    rows = [cast(Columns, row._mapping) for row in connection.execute(statement)]
    if len(rows) <= query.page_size:
        return Page(rows, total)
    rows.pop()
    last = rows[-1]
    return Page(rows, total, encode_token(query, Position(last[column.name], last[key.name])))


def _after(column: ColumnElement[Any], key: ColumnElement[Any], position: Position, down: bool) -> ColumnElement[bool]:
    beyond_id = key < position.id if down else key > position.id
    if position.value is None:
        rest: ColumnElement[bool] = literal(False) if down else column.is_not(None)
        return or_(rest, and_(column.is_(None), beyond_id))
    beyond = column < position.value if down else column > position.value
    if down:
        beyond = or_(beyond, column.is_(None))
    return or_(beyond, and_(column == position.value, beyond_id))


def condition(table: Table, predicate: Predicate) -> ColumnElement[bool]:
    """Return a predicate as SQL."""
    column, value = table.c[predicate.column], predicate.value
    match predicate.operation:
        case Operation.EQUALS:
            return column == value
        case Operation.NOT_EQUALS:
            return or_(column != value, column.is_(None))
        case Operation.GREATER_THAN:
            return column > value
        case Operation.GREATER_THAN_EQUALS:
            return column >= value
        case Operation.LESS_THAN:
            return column < value
        case Operation.LESS_THAN_EQUALS:
            return column <= value
        case Operation.IN:
            return column.in_(value if isinstance(value, tuple) else (value,))
        case Operation.IS_SUBSTRING:
            return column.icontains(str(value), autoescape=True)
