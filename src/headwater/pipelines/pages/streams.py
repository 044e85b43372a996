"""What a page follows while it is open: the changes of a run or of a list, and a step's log.

Changes go out as server-sent events, in small pieces, only while somebody watches. A stream ends by itself after a
minute and the browser asks again: this is how a session that is over loses its streams. A log comes from the pod while
it lives, and from the artifact store afterwards; ``skip`` lets a reader go on where it was cut off.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web

from headwater.capability import Context
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.time import format_micro_time
from headwater.pipelines.pages.queries import Progress, list_stamp, run_progress
from headwater.pipelines.records.models import RunRow, TaskRow
from headwater.pipelines.runs.logs import stream_log

_LIFETIME = 60.0
_KEEP_ALIVE = 15.0
_RUN_EVERY = 0.3
_LIST_EVERY = 1.0

Read = Callable[[], Awaitable[Any]]


async def stream_run(context: Context, request: web.Request, run_id: str) -> web.StreamResponse:
    """Send a run's state and its tasks, then only what changes, until the run is over or the stream's time is."""
    known: dict[str, Progress] = {}
    before: str | None = None

    async def news() -> tuple[str, bool] | None:
        nonlocal before
        found = await run_progress(context.database, run_id)
        if found is None:
            return "event: gone\ndata: {}\n\n", True
        state, tasks = found
        changed = [task for task in tasks if known.get(task.path) != task]
        if not changed and state == before:
            return None
        known.update((task.path, task) for task in changed)
        before = state
        data = orjson.dumps({"state": state, "finished": state.finished, "tasks": [_wire(task) for task in changed]})
        return f"event: changes\ndata: {data.decode()}\n\n", state.finished

    return await _follow(context, request, news, _RUN_EVERY)


async def stream_list(context: Context, request: web.Request, namespace: str) -> web.StreamResponse:
    """Say that the namespace's runs have changed, each time they have."""
    before: Any = None

    async def news() -> tuple[str, bool] | None:
        nonlocal before
        stamp = await list_stamp(context.database, namespace)
        if stamp == before:
            return None
        before, first = stamp, before is None
        return (": here\n\n" if first else "event: changed\ndata: {}\n\n"), False

    return await _follow(context, request, news, _LIST_EVERY)


def _wire(task: Progress) -> dict[str, Any]:
    return {
        "path": task.path,
        "parent": task.parent_path,
        "type": task.type,
        "state": task.state,
        "attempt": task.attempt,
        "started": format_micro_time(task.started_at) if task.started_at else None,
        "finished": format_micro_time(task.finished_at) if task.finished_at else None,
    }


async def _follow(
    context: Context, request: web.Request, news: Callable[[], Awaitable[tuple[str, bool] | None]], every: float
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    clock = context.clock
    started = said = clock.monotonic()
    with suppress(ConnectionResetError):
        await response.write(b"retry: 1000\n\n")
        while clock.monotonic() - started < _LIFETIME and not _gone(request):
            found = await news()
            if found is not None:
                await response.write(found[0].encode())
                said = clock.monotonic()
                if found[1]:
                    await response.write(b"event: end\ndata: {}\n\n")
                    break
            elif clock.monotonic() - said > _KEEP_ALIVE:
                await response.write(b": still here\n\n")
                said = clock.monotonic()
            await clock.sleep(every)
    return response


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def send_log(
    context: Context, request: web.Request, run: RunRow, task: TaskRow, *, attempt: int, follow: bool, skip: int
) -> web.StreamResponse:
    """Send a step's log as plain text, from byte ``skip`` on; with ``follow`` until the step is over.

    An answer that is not final carries ``X-Log-State: open``: there will be more, ask again from where this one ended.
    """
    response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
    response.content_type = "text/plain"
    response.charset = "utf-8"
    response.headers["X-Log-State"] = "final" if task.state.finished else "open"
    await response.prepare(request)
    pieces = stream_log(context.client, context.artifacts, run.namespace, task, attempt=attempt, follow=follow)
    with suppress(ConnectionResetError, StatusError, OSError, ValueError, TimeoutError):
        async with asyncio.timeout(_LIFETIME if follow else None):
            async for piece in pieces:
                if skip < len(piece):
                    await response.write(piece[skip:])
                skip = max(0, skip - len(piece))
    return response
