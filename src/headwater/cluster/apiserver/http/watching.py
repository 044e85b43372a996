"""A watch as a stream of JSON lines, each event as an object, as a table of one row, or as metadata only."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

import orjson
from aiohttp import web

from headwater.cluster.apiserver.answers import WatchItem
from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.http.negotiation import Form, Wanted
from headwater.cluster.apiserver.http.tables import Include, partial, table_of
from headwater.cluster.apiserver.registry import Served
from headwater.kube.meta.errors import StatusError

_TOGETHER = 32 * 1024

Encoder = Callable[[WatchItem], bytes]


async def stream_watch(
    request: web.BaseRequest, items: AsyncIterator[WatchItem], encode: Encoder, wanted: Wanted, streams: Streams
) -> web.StreamResponse:
    """Send each change as a line, until the watch ends or the caller leaves.

    An error in the middle is sent as an ERROR event, since the status line has long been sent.
    """
    response = web.StreamResponse(headers={"Content-Type": wanted.content_type, "Cache-Control": "no-cache, private"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    lines: list[bytes] = []
    size = 0
    try:
        with streams.open():
            async for item in items:
                line = b'{"type":"%b","object":%b}\n' % (item.type.encode(), encode(item))
                lines.append(line)
                size += len(line)
                # What was committed together is sent together: each write costs a record of TLS.
                if item.more and size < _TOGETHER:
                    continue
                await response.write(b"".join(lines) if len(lines) > 1 else line)
                lines, size = [], 0
    except StatusError as error:
        await response.write(b"".join(lines) + error_event(error))
    await response.write_eof()
    return response


def error_event(error: StatusError) -> bytes:
    """Write an error as a watch event."""
    return orjson.dumps({"type": "ERROR", "object": error.status}, option=orjson.OPT_APPEND_NEWLINE)


def encoder(served: Served, wanted: Wanted, now: Callable[[], datetime], include: Include) -> Encoder:
    """Return how an event's object is written in the form that was agreed on."""
    if wanted.form is Form.TABLE:
        headed = True

        def as_table(item: WatchItem) -> bytes:
            nonlocal headed
            obj = item.document.object
            metadata = {"resourceVersion": obj.get("metadata", {}).get("resourceVersion", "")}
            table = table_of(served, [obj], now(), metadata=metadata, include=include, headed=headed)
            headed = False
            return orjson.dumps(table)

        return as_table
    if wanted.form in (Form.METADATA, Form.METADATA_LIST):
        return lambda item: orjson.dumps(partial(item.document.object))
    return lambda item: item.document.value
