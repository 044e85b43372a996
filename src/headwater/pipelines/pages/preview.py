"""Looking into an artifact: what kind of thing its first bytes are, and what of it a page can show.

Pure, but for reading the first bytes. What a user made is never trusted: HTML is shown in a sandboxed frame under a
policy without network and without this site's origin; everything unknown is only offered for download.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.artifacts import ArtifactStore, Entry

READ = 64 * 1024
"""How much of an artifact a preview reads, in bytes."""
_TABLE_ROWS = 12
_TABLE_COLUMNS = 12
_TEXT_SHOWN = 6000
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; frame-ancestors 'self'"
)
"""The Content-Security-Policy of an HTML artifact: it may compute, but reach nothing and be nobody."""
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a page shows of an artifact."""

    kind: str
    """``table``, ``image``, ``html``, ``text``, ``folder``, ``binary``, ``empty`` or ``missing``."""
    size: int = 0
    content_type: str = "application/octet-stream"
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    cut: bool = False
    """Whether there is more than is shown."""
    entries: Sequence[Entry] = ()


async def look(store: ArtifactStore, uri: str, artifact_type: str) -> Preview:
    """Read the beginning of an artifact and say what to show of it."""
    try:
        entries = await store.entries(uri)
    except (ValueError, OSError):  # nothing there, or a link or a device, which the store does not follow
        return Preview("missing")
    if not entries:
        return Preview("missing")
    if len(entries) > 1 or entries[0].uri.rstrip("/") != uri.rstrip("/"):
        return Preview("folder", sum(entry.size for entry in entries), entries=entries[:50], cut=len(entries) > 50)
    size = entries[0].size
    return preview_of(await store.read(uri, limit=READ), size, artifact_type)


def preview_of(data: bytes, size: int, artifact_type: str) -> Preview:
    """Say what to show of an object, from its first bytes, its size and the artifact's type."""
    if not size:
        return Preview("empty")
    for magic, content_type in _IMAGES:
        if data.startswith(magic):
            return Preview("image", size, content_type)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Preview("image", size, "image/webp")
    text = _text(data, whole=size <= len(data))
    if text is None:
        return Preview("binary", size)
    if artifact_type == "system.HTML" or text.lstrip()[:15].lower().startswith(("<!doctype html", "<html")):
        return Preview("html", size, "text/html")
    table = _table(text, whole=size <= len(data))
    if table is not None:
        header, rows, cut = table
        return Preview("table", size, "text/plain", header=header, rows=rows, cut=cut)
    shown = _indented(text) if size <= len(data) else text
    return Preview(
        "text", size, "text/plain", text=shown[:_TEXT_SHOWN], cut=len(shown) > _TEXT_SHOWN or size > len(data)
    )


def _text(data: bytes, *, whole: bool) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if whole or error.start < len(data) - 4:
            return None
        return data[: error.start].decode()


def _table(text: str, *, whole: bool) -> tuple[list[str], list[list[str]], bool] | None:
    """Read text as a table when every complete line has the same number of columns, more than one."""
    lines = text.splitlines()
    if not whole:
        lines = lines[:-1]
    if len(lines) < 2 or text.lstrip()[:1] in ("{", "["):
        return None
    delimiter = max(",\t;", key=lines[0].count)
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines[:200])), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    width = len(rows[0])
    if width < 2 or any(len(row) != width for row in rows):
        return None
    cut = len(rows) > _TABLE_ROWS + 1 or width > _TABLE_COLUMNS or not whole
    return rows[0][:_TABLE_COLUMNS], [row[:_TABLE_COLUMNS] for row in rows[1 : _TABLE_ROWS + 1]], cut


def _indented(text: str) -> str:
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
