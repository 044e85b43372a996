"""Get, list and watch on the store, once a request has been authorized.

Resource versions mean what they mean in Kubernetes: none is the latest, ``0`` is any, a number is "not older than"
unless the request says ``Exact``. Nothing is read that is not committed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from headwater.cluster.apiserver.answers import DocumentList, WatchItem
from headwater.cluster.apiserver.conversion import present
from headwater.cluster.apiserver.list_options import check_list_options
from headwater.cluster.apiserver.registry import Registry, Served
from headwater.cluster.apiserver.selection import LATEST, Selection, read_continue, read_revision, write_continue
from headwater.cluster.store.buckets import Watch
from headwater.cluster.store.documents import Document
from headwater.cluster.store.errors import HistoryGone, StoreClosed
from headwater.cluster.store.store import Store
from headwater.kube.meta.errors import StatusError, bad_request, expired, not_found, unavailable
from headwater.kube.meta.objects import Object

_BOOKMARK_SECONDS = 60.0
_PAGES_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


def key_of(served: Served, namespace: str, name: str) -> str:
    """Return the name of an object in its bucket."""
    return f"{namespace}/{name}" if served.resource.namespaced else name


def find(store: Store, served: Served, namespace: str, name: str) -> Document:
    """Return an object as it is stored. Raises ``StatusError`` 404."""
    document = store.get(served.bucket, key_of(served, namespace, name))
    if document is None:
        raise not_found(served.resource.group, served.resource.plural, name)
    return document


def check_revision(store: Store, text: str) -> int:
    """Return a resource version that a read may name. Raises ``StatusError`` 400, or 504 when it lies ahead."""
    revision = read_revision(text)
    if revision > store.revision:
        message = f"Too large resource version: {revision}, current: {store.revision}"
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
    return revision


def list_documents(
    store: Store,
    served: Served,
    namespace: str,
    selection: Selection,
    *,
    limit: int = 0,
    continue_token: str = "",
    resource_version: str = "",
    resource_version_match: str = "",
) -> DocumentList:
    """Return a collection or a page of it. Raises ``StatusError`` 400, 410 or 504."""
    revision, after = store.revision, ""
    check_list_options(
        resource_version=resource_version,
        resource_version_match=resource_version_match,
        continue_token=continue_token,
    )
    if limit < 0:
        raise bad_request("limit must not be negative")
    if continue_token:
        if resource_version and resource_version != "0":
            raise bad_request("specifying resource version is not allowed when using continue")
        asked, after = read_continue(continue_token)
        if asked != LATEST:
            revision = check_revision(store, str(asked))
    elif resource_version:
        asked = check_revision(store, resource_version)
        # A limit with a revision and no word on how to match it means that revision, for the sake of old clients.
        if asked and (resource_version_match == "Exact" or (limit and not resource_version_match)):
            revision = asked
    try:
        return _page(store, served, namespace, selection, limit, revision, after)
    except HistoryGone as error:
        if continue_token:
            gone = expired(_PAGES_TOO_OLD)
            gone.continue_token = write_continue(LATEST, after)
            raise gone from error
        raise expired(str(error)) from error


def _page(
    store: Store, served: Served, namespace: str, selection: Selection, limit: int, revision: int, after: str
) -> DocumentList:
    prefix = f"{namespace}/" if namespace else ""
    everything = selection.everything
    found: list[Document] = []
    last = ""
    names = _candidates(store, served, namespace, selection, prefix, after, revision)
    for name, document in names:
        if not everything and not selection.matches(document):
            continue
        if limit and len(found) == limit:
            remaining = 1 + sum(1 for _ in names) if everything else None
            return DocumentList(found, revision, write_continue(revision, last), remaining)
        found.append(present(served, document))
        last = name
    return DocumentList(found, revision)


def _candidates(
    store: Store, served: Served, namespace: str, selection: Selection, prefix: str, after: str, revision: int
) -> Iterator[tuple[str, Document]]:
    only = selection.name
    if only and revision == store.revision and (namespace or not served.resource.namespaced):
        name = key_of(served, namespace, only)
        document = store.get(served.bucket, name)
        return iter([(name, document)] if document is not None and name > after else [])
    return store.scan(served.bucket, prefix, after=after, revision=revision)


def begin_watch(
    store: Store,
    served: Served,
    namespace: str,
    selection: Selection,
    *,
    resource_version: str,
    send_initial_events: bool | None,
) -> tuple[list[Document] | None, Watch]:
    """Return what a watcher is told first (``None``: nothing), and its place in the log.

    Raises ``StatusError`` 400, 410 or 503.
    """
    prefix = f"{namespace}/" if namespace else ""
    asked = read_revision(resource_version) if resource_version else 0
    try:
        if send_initial_events is False and asked == 0:
            return None, store.watch(served.bucket, prefix)
        if asked == 0 or send_initial_events:
            if asked > store.revision:
                check_revision(store, resource_version)
            initial = _page(store, served, namespace, selection, 0, store.revision, "").documents
            return initial, store.watch(served.bucket, prefix)
        if asked > store.revision:
            # Not waited for: after a restore from a backup such a client must read everything anew.
            raise expired(f"too large resource version: {asked}, current: {store.revision}")
        return None, store.watch(served.bucket, prefix, revision=asked)
    except HistoryGone as error:
        raise expired(str(error)) from error
    except StoreClosed as error:
        raise unavailable("the server is stopping") from error


async def follow(
    store: Store,
    registry: Registry,
    served: Served,
    selection: Selection,
    initial: list[Document] | None,
    watch: Watch,
    *,
    bookmarks: bool,
    timeout_seconds: float | None,
    mark_initial_end: bool,
) -> AsyncIterator[WatchItem]:
    """Yield changes until the time is over, the kind is gone or the store closes.

    Raises ``StatusError`` 410 when the caller was too slow for the kept history.
    """
    documents = initial or []
    for index, document in enumerate(documents, 1):
        yield WatchItem("ADDED", document, mark_initial_end or index < len(documents))
    if mark_initial_end:
        yield _bookmark(served, watch.revision, initial_end=True)
    resource = served.resource
    ends = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    next_bookmark = time.monotonic() + _BOOKMARK_SECONDS
    while True:
        try:
            changes = watch.read(store.revision)
        except HistoryGone as error:
            raise expired(str(error)) from error
        items = [item for item in map(selection.see, changes) if item is not None]
        for index, item in enumerate(items, 1):
            yield WatchItem(item.type, present(served, item.document), index < len(items))
        if changes:
            # Let others run: a busy bucket must not keep this task from ever waiting.
            await asyncio.sleep(0)
            continue
        now = time.monotonic()
        if watch.ended or registry.find(resource.group, resource.version, resource.plural) is None:
            return
        if ends is not None and now >= ends:
            if bookmarks:
                yield _bookmark(served, watch.revision)
            return
        if bookmarks and now >= next_bookmark:
            yield _bookmark(served, watch.revision)
            next_bookmark = now + _BOOKMARK_SECONDS
            continue
        waits = [moment - now for moment in (ends, next_bookmark if bookmarks else None) if moment is not None]
        await watch.wait(min(waits) if waits else None)


def _bookmark(served: Served, revision: int, *, initial_end: bool = False) -> WatchItem:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj = {"apiVersion": served.resource.api_version, "kind": served.resource.kind, "metadata": metadata}
    return WatchItem("BOOKMARK", Document.of(obj, revision))
