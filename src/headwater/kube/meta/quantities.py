"""Amounts of resources: ``100m``, ``1.5``, ``2Gi``, ``1e3``.

Follows ``k8s.io/apimachinery/pkg/api/resource``: decimal and binary suffixes, exact arithmetic, nothing finer than
a nano.
"""

import re
from decimal import ROUND_CEILING, Decimal

_FORM = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?[0-9]{1,2}|)")
_SCALE = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_NANO = Decimal("1e-9")
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")
_DECIMAL = ("E", "P", "T", "G", "M", "k", "", "m", "u", "n")

INVALID = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse_quantity(value: str | int | float | Decimal) -> Decimal:
    """Return the amount in base units (cores, bytes). Rounds up below a nano. Raises ``ValueError``."""
    if isinstance(value, bool) or value is None:
        raise ValueError(INVALID)
    if isinstance(value, int | Decimal):
        return Decimal(value)
    text = repr(value) if isinstance(value, float) else value
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(INVALID)
    number, suffix = match[1], match[2]
    amount = Decimal(number) * _SCALE[suffix] if suffix in _SCALE else Decimal(number).scaleb(int(suffix[1:]))
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -9:
        amount = amount.quantize(_NANO, rounding=ROUND_CEILING)
    return amount


def format_quantity(amount: Decimal | int, *, binary: bool = False) -> str:
    """Write an amount in its shortest exact form: ``100m``, ``2``, ``1500M``; with ``binary`` ``512Mi``."""
    amount = Decimal(amount)
    if amount == 0:
        return "0"
    if binary and amount == amount.to_integral_value():
        for suffix in _BINARY:
            if amount % _SCALE[suffix] == 0:
                return f"{int(amount / _SCALE[suffix])}{suffix}"
        return str(int(amount))
    for suffix in _DECIMAL:
        count = amount / _SCALE[suffix]
        if count == count.to_integral_value():
            return f"{int(count)}{suffix}"
    return f"{int((amount / _NANO).to_integral_value(rounding=ROUND_CEILING))}n"
