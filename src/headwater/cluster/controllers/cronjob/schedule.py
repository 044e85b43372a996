"""Cron schedules: which minute comes next, in which time zone.

Follows the standard parser that Kubernetes uses: five fields, lists, ranges and steps, names of months and days, and
``@hourly`` and its like. When both the day of the month and the day of the week are restricted, either suffices. A
time that a change to summer time skips does not happen; one that winter time repeats happens twice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_HORIZON = timedelta(days=5 * 366)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed schedule: the minutes, hours, days and months at which it strikes."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    """Whether the day of the month is not restricted."""
    any_weekday: bool
    every: timedelta | None = None
    """The fixed delay of ``@every``, which knows no minutes."""

    def next_after(self, moment: datetime, zone: tzinfo = UTC) -> datetime | None:
        """Return the first time after ``moment``, in UTC; None if there is none within five years."""
        if self.every is not None:
            return moment.astimezone(UTC).replace(microsecond=0) + self.every
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = at + _HORIZON
        while at < end:
            local = at.astimezone(zone)
            if local.month not in self.months:
                year, month = (local.year, local.month + 1) if local.month < 12 else (local.year + 1, 1)
                at = max(datetime(year, month, 1, tzinfo=zone).astimezone(UTC), at + timedelta(minutes=1))
            elif not self._on(local):
                day = local.replace(hour=0, minute=0, tzinfo=None, fold=0) + timedelta(days=1)
                at = max(day.replace(tzinfo=zone).astimezone(UTC), at + timedelta(minutes=1))
            elif local.hour not in self.hours:
                at += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _on(self, local: datetime) -> bool:
        day = local.day in self.days
        weekday = local.isoweekday() % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday


def parse(text: str) -> Schedule:
    """Read a schedule. Raises ``ValueError`` naming the field that is wrong."""
    text = text.strip()
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise ValueError("a schedule must not name a time zone: use spec.timeZone")
    if text.startswith("@every "):
        return Schedule(*(frozenset[int](),) * 5, True, True, every=_duration(text.removeprefix("@every ").strip()))
    if text.startswith("@"):
        if text not in _SHORTHANDS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _SHORTHANDS[text]
    fields = text.split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text!r}")
    minute, hour, day, month, weekday = fields
    weekdays = _field("day of week", weekday, 0, 7, _DAYS)
    return Schedule(
        _field("minute", minute, 0, 59),
        _field("hour", hour, 0, 23),
        _field("day of month", day, 1, 31),
        _field("month", month, 1, 12, _MONTHS),
        frozenset(number % 7 for number in weekdays),
        _is_any(day),
        _is_any(weekday),
    )


def _is_any(text: str) -> bool:
    return any(part in ("*", "?", "*/1", "?/1") for part in text.split(","))


def _field(what: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        if slash and not (step_text.isascii() and step_text.isdigit() and int(step_text)):
            raise ValueError(f"{what}: {part!r}: a step must be a positive number")
        step = int(step_text) if slash else 1
        if span in ("*", "?"):
            first, last = low, high if high != 7 else 6
        else:
            begin, dash, end = span.partition("-")
            first = _number(what, begin, low, names)
            last = _number(what, end, low, names) if dash else high if slash else first
        if not low <= first <= last <= high:
            raise ValueError(f"{what}: {part!r} is not within {low}-{high}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(what: str, text: str, low: int, names: tuple[str, ...]) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    if text.lower() in names:
        return names.index(text.lower()) + (1 if low == 1 else 0)
    raise ValueError(f"{what}: {text!r} is not a number" + (" or a name" if names else ""))


def _duration(text: str) -> timedelta:
    if not re.fullmatch(rf"({_DURATION.pattern})+", text):
        raise ValueError(f"@every: {text!r} is not a duration such as 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return timedelta(seconds=max(1, int(seconds)))
