"""Times and durations as a person reads them at a glance; the exact ones stand in the element's title.

The same rules are in ``static/times.js``, which keeps them going while the page is open.
"""

from datetime import UTC, datetime

from markupsafe import Markup

from headwater.kube.meta.time import format_micro_time


def ago(moment: datetime, now: datetime) -> str:
    """Say how long ago a moment was (or how far ahead): ``12 s ago``, ``5 min ago``, ``3 h ago``, ``2 d ago``."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 5:
        return "just now"
    text = coarse(abs(seconds))
    return f"{text} ago" if seconds > 0 else f"in {text}"


def coarse(seconds: float) -> str:
    """Say a length of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def lasted(seconds: float) -> str:
    """Say how long something took, to about three digits: ``0.13 s``, ``4.2 s``, ``1 min 05 s``, ``3 d 4 h``."""
    if seconds < 0:
        seconds = 0.0
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def exact(moment: datetime) -> str:
    """Write a moment in full, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def time_element(moment: datetime | None, now: datetime) -> Markup:
    """Return a ``<time>`` that says how long ago, with the exact time on hover; a dash for None."""
    if moment is None:
        return Markup('<span class="none">–</span>')
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        format_micro_time(moment), exact(moment), ago(moment, now)
    )


def duration_element(start: datetime | None, end: datetime | None, now: datetime) -> Markup:
    """Return how long something took; with ``end`` None it is still going on and counts in the page."""
    if start is None:
        return Markup('<span class="none">–</span>')
    title = f"{exact(start)} – {exact(end) if end else 'now'}"
    text = lasted(((end or now) - start).total_seconds())
    if end is not None:
        return Markup('<span class="num" title="{}">{}</span>').format(title, text)
    return Markup('<span class="num" title="{}" data-since="{}">{}</span>').format(
        title, format_micro_time(start), text
    )
