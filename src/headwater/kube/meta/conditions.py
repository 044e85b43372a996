"""Conditions in an object's status, by ``metav1.Condition``'s rules.

A condition's ``lastTransitionTime`` is when its status last changed, not when it was last written.
"""

from datetime import datetime
from typing import Any, Literal

from headwater.kube.meta.objects import Object
from headwater.kube.meta.time import format_time


def set_condition(
    conditions: list[dict[str, Any]],
    type: str,  # noqa: A002 - the wire's own name
    status: Literal["True", "False", "Unknown"],
    reason: str,
    message: str,
    now: datetime,
    *,
    observed_generation: int | None = None,
) -> bool:
    """Add or change a condition in the list, in place. Returns whether anything changed."""
    wanted: dict[str, Any] = {"status": status, "reason": reason, "message": message}
    if observed_generation is not None:
        wanted["observedGeneration"] = observed_generation
    for condition in conditions:
        if condition.get("type") == type:
            break
    else:
        conditions.append({"type": type, **wanted, "lastTransitionTime": format_time(now)})
        return True
    if all(condition.get(key) == value for key, value in wanted.items()):
        return False
    if condition.get("status") != status:
        condition["lastTransitionTime"] = format_time(now)
    condition.update(wanted)
    return True


def find_condition(obj: Object, type: str) -> dict[str, Any] | None:  # noqa: A002
    """Return the condition of this type in the object's status, or ``None``."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == type:
            found: dict[str, Any] = condition
            return found
    return None


def condition_is(obj: Object, type: str, status: str = "True") -> bool:  # noqa: A002
    """Tell whether the object's status has the condition with this status. An absent condition is Unknown."""
    condition = find_condition(obj, type)
    return bool((condition or {}).get("status", "Unknown") == status)
