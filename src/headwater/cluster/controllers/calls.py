"""Ways to call the API that every controller needs: what is gone is gone, and many calls go side by side."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from headwater.kube.client import Client
from headwater.kube.meta.errors import StatusError
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource

T = TypeVar("T")

AT_ONCE = 32


async def get_or_none(client: Client, resource: Resource, name: str, namespace: str = "") -> Object | None:
    """Read an object; None if it does not exist. Raises ``StatusError`` for any other refusal."""
    try:
        return await client.get(resource, name, namespace or None)
    except StatusError as error:
        if error.code == 404:
            return None
        raise


async def unless_gone(call: Awaitable[T]) -> T | None:
    """Await a call about an object; None if the object is gone or has been replaced by another of its name."""
    try:
        return await call
    except StatusError as error:
        if error.code == 404 or (error.code == 409 and "uid" in error.message.lower()):
            return None
        raise


async def each(items: Iterable[T], act: Callable[[T], Awaitable[object]]) -> None:
    """Act on every item, many at a time; afterwards raise the first error, if there was one."""
    queue = [*items]
    first: BaseException | None = None
    for start in range(0, len(queue), AT_ONCE):
        results = await asyncio.gather(*(act(item) for item in queue[start : start + AT_ONCE]), return_exceptions=True)
        first = first or next((result for result in results if isinstance(result, BaseException)), None)
    if first is not None:
        raise first


def is_terminating_namespace(error: StatusError) -> bool:
    """Tell whether a creation was refused because its namespace is being deleted, or is gone."""
    if error.code == 404 and error.details.get("kind") == "namespaces":
        return True
    causes = error.details.get("causes") or ()
    return error.code == 403 and (
        any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
        or "because it is being terminated" in error.message
    )
