"""The small filter language of the runs list: ``state = failed and name ~ cancer``.

Pure: text in, the API's own predicates out, so that pages and SDK filter alike. Words that are no condition are looked
for in the run's name. Mistakes come back as a sentence to show under the box.
"""

import json
import re
from typing import Any

from headwater.pipelines.records.models import RunState

FIELDS = {
    "state": "state",
    "name": "display_name",
    "created": "created_at",
    "finished": "finished_at",
    "experiment": "experiment_id",
    "pipeline": "pipeline_id",
    "id": "run_id",
}
"""What a condition can be about, and what the API calls it."""
_TIMES = frozenset({"created_at", "finished_at"})
CONTAINS = 9
"""The API's number for ``IS_SUBSTRING``."""
_OPERATIONS = {"=": 1, "==": 1, "!=": 2, ">": 3, ">=": 5, "<": 6, "<=": 7, "~": CONTAINS}
_CONDITION = re.compile(r"""^([\w.]+)\s*(==|!=|>=|<=|=|~|>|<)\s*("[^"]*"|'[^']*'|[^\s].*)$""")


class FilterError(ValueError):
    """A filter that cannot be understood; says which part and what would be."""


def predicates_of(text: str) -> list[dict[str, Any]]:
    """Read a filter into v2beta1 predicates that all must hold. Raises ``FilterError``."""
    parts = [part.strip() for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE)]
    return [_predicate(part) for part in parts if part]


def filter_document(text: str, *, archived: bool = False, states: tuple[str, ...] = ()) -> str:
    """Return the API's filter as JSON: the text's conditions, within the archived or the other runs."""
    predicates = predicates_of(text)
    predicates.append({"operation": 1, "key": "storage_state", "string_value": "ARCHIVED" if archived else "AVAILABLE"})
    if states:
        predicates.append({"operation": 8, "key": "state", "string_values": {"values": list(states)}})
    return json.dumps({"predicates": predicates})


def _predicate(part: str) -> dict[str, Any]:
    found = _CONDITION.match(part)
    if found is None:
        return {"operation": CONTAINS, "key": "display_name", "string_value": part.strip("\"'")}
    name, sign, value = found.groups()
    value = value.strip("\"'")
    key = FIELDS.get(name.lower())
    if key is None:
        if name.lower().startswith(("metrics.", "parameters.", "params.")):
            raise FilterError(f"Filtering by {name} is not built yet; sort the table by eye for now.")
        raise FilterError(f"There is no field “{name}”; known are {', '.join(FIELDS)}.")
    if key in _TIMES:
        if sign == "~":
            raise FilterError(f"A time has no parts: use <, > or = with “{name}”.")
        return {"operation": _OPERATIONS[sign], "key": key, "timestamp_value": value}
    if key == "state":
        value = value.upper()
        if value not in RunState.__members__:
            raise FilterError(f"“{value.lower()}” is no state; runs are {', '.join(s.lower() for s in RunState)}.")
    return {"operation": _OPERATIONS[sign], "key": key, "string_value": value}
