"""Objects as a table (``meta.k8s.io/v1 Table``), which is how ``kubectl get`` asks for them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from headwater.cluster.apiserver.http.builtin_columns import BUILTIN_COLUMNS
from headwater.cluster.apiserver.http.columns import AGE, NAME, Cell, Column, custom_columns
from headwater.cluster.apiserver.registry import Served
from headwater.kube.meta.objects import Object

Include = Literal["None", "Metadata", "Object"]
"""What goes along with each row, the parameter ``includeObject``."""


def columns_of(served: Served) -> Sequence[Column]:
    """Return the columns that a kind's objects are shown in."""
    if served.custom:
        return custom_columns(served.columns)
    return BUILTIN_COLUMNS.get((served.resource.group, served.resource.plural), (NAME, AGE))


def table_of(
    served: Served,
    objects: Sequence[Object],
    now: datetime,
    *,
    metadata: Object,
    include: Include = "Metadata",
    headed: bool = True,
) -> Object:
    """Return objects as a table; without its head for all but the first event of a watch."""
    columns = columns_of(served)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition for column in columns] if headed else None,
        "rows": [_row(obj, columns, now, include) for obj in objects],
    }


def partial(obj: Object) -> Object:
    """Return an object's ``PartialObjectMetadata``."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj.get("metadata", {})}


def _cell(column: Column, obj: Object, now: datetime) -> Cell:
    try:
        return column.cell(obj, now)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # A status is written by anybody's controller; one odd value must not hide all the other rows.
        return "<invalid>"


def _row(obj: Object, columns: Sequence[Column], now: datetime, include: Include) -> Object:
    row: Object = {"cells": [_cell(column, obj, now) for column in columns]}
    if include == "Metadata":
        row["object"] = partial(obj)
    elif include == "Object":
        row["object"] = obj
    return row
