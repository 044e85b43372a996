"""Numbers, sizes and values as the pages write them."""

import json
import math
from typing import Any


def number(value: Any) -> str:
    """Write a number with as many digits as say something: ``0.9441``, ``12,345``, ``1.2e-07``; text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.3g}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if abs(value) < 100 else f"{value:,.2f}".rstrip("0").rstrip(".")


def bytes_text(size: int) -> str:
    """Write a size in bytes: ``512 B``, ``1.4 MiB``."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{int(amount)} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def pretty(value: Any) -> str:
    """Write any value: text and numbers as they are, anything else as indented JSON when it is long."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    short = json.dumps(value, ensure_ascii=False, default=str)
    return short if len(short) <= 60 else json.dumps(value, ensure_ascii=False, indent=2, default=str)
