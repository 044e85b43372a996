"""The verbs on resources, from an HTTP request to a call of ``Api`` and back.

``Api`` authorizes and decides; here stands only what HTTP adds: reading bodies and parameters, choosing the form of
the answer, status codes and warnings.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar, cast

import orjson
from aiohttp import web

from headwater.cluster.apiserver.answers import DocumentList
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.http.answering import answer
from headwater.cluster.apiserver.http.bodies import MAXIMUM, read_object, read_patch, too_large
from headwater.cluster.apiserver.http.lasting import Streams
from headwater.cluster.apiserver.http.negotiation import Form, Wanted, negotiate
from headwater.cluster.apiserver.http.requests import (
    ResourceRequest,
    delete_options,
    flag,
    unknown_resource,
    whole,
    write_options,
)
from headwater.cluster.apiserver.http.tables import Include, partial, table_of
from headwater.cluster.apiserver.http.watching import encoder, error_event, stream_watch
from headwater.cluster.apiserver.list_options import check_list_options
from headwater.cluster.apiserver.registry import Served
from headwater.cluster.apiserver.users import User
from headwater.cluster.store.documents import Document
from headwater.kube.meta.errors import StatusError, bad_request, method_not_allowed
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource

_OBJECT_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.METADATA})
_PLAIN = frozenset({Form.OBJECT})
_LIST_FORMS = frozenset({Form.OBJECT, Form.TABLE, Form.METADATA_LIST, Form.METADATA})
_INCLUDES = ("None", "Metadata", "Object")

_AT_ONCE = 250  # objects

T = TypeVar("T")


class ResourceHandlers:
    """Answers every request for a resource, except the streams of pods."""

    def __init__(self, api: Api, streams: Streams) -> None:
        self._api = api
        self._streams = streams
        self._writes: set[asyncio.Task[Any]] = set()

    async def handle(self, request: web.BaseRequest, user: User, asked: ResourceRequest) -> web.StreamResponse:
        """Answer the request. Raises ``StatusError``."""
        served = self._api.registry.find(asked.group, asked.version, asked.plural)
        if served is None:
            # Whether a kind exists is not told to those who could not read it.
            self._authorize_unknown(user, asked)
            raise unknown_resource()
        if served.resource.namespaced != bool(asked.namespace) and (asked.name or asked.namespace):
            raise unknown_resource()
        answered = asked.verb != "delete" if asked.subresource else asked.verb in served.verbs
        if not asked.verb or not answered:
            self._api.authorize(
                user, asked.verb or "get", served.resource, asked.subresource, asked.namespace, asked.name
            )
            what = f"{asked.plural}/{asked.subresource}" if asked.subresource else asked.plural
            raise method_not_allowed(asked.group, what, asked.verb or request.method)
        match asked.verb:
            case "get":
                return await self._get(request, user, served, asked)
            case "list":
                return await self._list(request, user, served, asked)
            case "watch":
                return await self._watch(request, user, served, asked)
            case "create":
                return await self._create(request, user, served, asked)
            case "update":
                return await self._update(request, user, served, asked)
            case "patch":
                return await self._patch(request, user, served, asked)
            case "delete":
                return await self._delete(request, user, served, asked)
            case _:
                return await self._delete_collection(request, user, served, asked)

    async def settle(self) -> None:
        """Wait for the writes whose callers have left."""
        while self._writes:
            await asyncio.wait(self._writes)

    # --- reading ------------------------------------------------------------------------------------------------

    async def _get(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _OBJECT_FORMS)
        document = await self._api.get(
            user,
            served.resource,
            asked.namespace,
            asked.name,
            subresource=asked.subresource or None,
            resource_version=request.query.get("resourceVersion", ""),
        )
        return await self._one(request, served, document, wanted)

    async def _list(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _LIST_FORMS)
        query = request.query
        if "sendInitialEvents" in query:
            check_list_options(send_initial_events=True)
        found = await self._api.list(
            user,
            served.resource,
            asked.namespace,
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
            limit=whole(query, "limit") or 0,
            continue_token=query.get("continue", ""),
            resource_version=query.get("resourceVersion", ""),
            resource_version_match=query.get("resourceVersionMatch", ""),
        )
        return await self._many(request, served, found, wanted)

    async def _watch(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _LIST_FORMS)
        query = request.query
        initial = flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None
        check_list_options(
            resource_version=query.get("resourceVersion", ""),
            resource_version_match=query.get("resourceVersionMatch", ""),
            send_initial_events=initial,
            watch=True,
        )
        try:
            items = self._api.watch(
                user,
                served.resource,
                asked.namespace,
                resource_version=query.get("resourceVersion", ""),
                label_selector=query.get("labelSelector", ""),
                field_selector=query.get("fieldSelector", ""),
                bookmarks=flag(query, "allowWatchBookmarks"),
                timeout_seconds=whole(query, "timeoutSeconds") or None,
                send_initial_events=initial,
            )
        except StatusError as error:
            if error.code != 410:
                raise
            # As upstream: the watch begins, and its one event says that the history is gone.
            return await answer(request, error_event(error))
        encode = encoder(served, wanted, self._api.clock.now, _include(query))
        return await stream_watch(request, items, encode, Wanted(wanted.form), self._streams)

    # --- writing ------------------------------------------------------------------------------------------------

    async def _create(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        # A kind that is only created and answered has no metadata that a table could be made of.
        wanted = _wanted(request, _PLAIN if served.virtual else _OBJECT_FORMS)
        options = write_options(request.query, request.headers.get("User-Agent", ""))
        obj = read_object(await read_body(request), request.headers.get("Content-Type", ""))
        document = await self._finish(
            self._api.create(
                user,
                served.resource,
                asked.namespace,
                obj,
                name=asked.name,
                subresource=asked.subresource or None,
                options=options,
            )
        )
        return await self._one(request, served, document, wanted, status=201, warnings=options.warnings)

    async def _update(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _OBJECT_FORMS)
        options = write_options(request.query, request.headers.get("User-Agent", ""))
        obj = read_object(await read_body(request), request.headers.get("Content-Type", ""))
        document = await self._finish(
            self._api.update(
                user,
                served.resource,
                asked.namespace,
                asked.name,
                obj,
                subresource=asked.subresource or None,
                options=options,
            )
        )
        return await self._one(request, served, document, wanted, warnings=options.warnings)

    async def _patch(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _OBJECT_FORMS)
        options = write_options(request.query, request.headers.get("User-Agent", ""))
        content_type = request.headers.get("Content-Type", "")
        patch_type, patch = read_patch(await read_body(request), content_type, custom=served.custom)
        document = await self._finish(
            self._api.patch(
                user,
                served.resource,
                asked.namespace,
                asked.name,
                patch,
                patch_type,
                subresource=asked.subresource or None,
                options=options,
            )
        )
        status = 201 if options.created else 200
        return await self._one(request, served, document, wanted, status=status, warnings=options.warnings)

    async def _delete(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _OBJECT_FORMS)
        options = delete_options(request.query, await _optional_body(request))
        warnings: list[str] = []
        document = await self._finish(
            self._api.delete(user, served.resource, asked.namespace, asked.name, options=options, warnings=warnings)
        )
        return await self._one(request, served, document, wanted, warnings=warnings)

    async def _delete_collection(
        self, request: web.BaseRequest, user: User, served: Served, asked: ResourceRequest
    ) -> web.StreamResponse:
        wanted = _wanted(request, _LIST_FORMS)
        options = delete_options(request.query, await _optional_body(request))
        found = await self._finish(
            self._api.delete_collection(
                user,
                served.resource,
                asked.namespace,
                label_selector=request.query.get("labelSelector", ""),
                field_selector=request.query.get("fieldSelector", ""),
                options=options,
            )
        )
        return await self._many(request, served, found, wanted)

    async def _finish(self, write: Coroutine[Any, Any, T]) -> T:
        """Run a write to its end even when the caller leaves: half a write helps nobody."""
        task = asyncio.ensure_future(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    # --- answers ------------------------------------------------------------------------------------------------

    async def _one(
        self,
        request: web.BaseRequest,
        served: Served,
        document: Document,
        wanted: Wanted,
        *,
        status: int = 200,
        warnings: list[str] | None = None,
    ) -> web.Response:
        content = document.value
        if wanted.form is not Form.OBJECT and document.object.get("kind") == served.resource.kind:
            content = orjson.dumps(self._formed(request, served, document, wanted))
        said = [*(warnings or ()), *([served.deprecated] if served.deprecated else ())]
        return await answer(request, content, status=status, wanted=wanted, warnings=said)

    def _formed(self, request: web.BaseRequest, served: Served, document: Document, wanted: Wanted) -> Object:
        obj = document.object
        if wanted.form is not Form.TABLE:
            return partial(obj)
        metadata = {"resourceVersion": obj.get("metadata", {}).get("resourceVersion", "")}
        now, include = self._api.clock.now(), _include(request.query)
        return table_of(served, [obj], now, metadata=metadata, include=include)

    async def _many(
        self, request: web.BaseRequest, served: Served, found: DocumentList, wanted: Wanted
    ) -> web.Response:
        metadata: Object = {"resourceVersion": str(found.revision)}
        if found.continue_token:
            metadata["continue"] = found.continue_token
        if found.remaining is not None and found.continue_token:
            metadata["remainingItemCount"] = found.remaining
        if wanted.form is Form.TABLE:
            now, include = self._api.clock.now(), _include(request.query)

            def rows(objects: list[Object]) -> list[Object]:
                shown: list[Object] = table_of(served, objects, now, metadata={}, include=include, headed=False)["rows"]
                return shown

            head = table_of(served, [], now, metadata=metadata, include=include)
            del head["rows"]
            content = await _written(head, "rows", found, rows)
        elif wanted.form in (Form.METADATA, Form.METADATA_LIST):
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            content = await _written(head, "items", found, lambda objects: [partial(each) for each in objects])
        else:
            content = joined(served.resource, metadata, found)
        return await answer(request, content, wanted=wanted, warnings=[served.deprecated] if served.deprecated else ())

    def _authorize_unknown(self, user: User, asked: ResourceRequest) -> None:
        resource = Resource(asked.group, asked.version, "", asked.plural, bool(asked.namespace))
        verb = asked.verb or "get"
        self._api.authorize(user, verb, resource, asked.subresource, asked.namespace, asked.name)


def joined(resource: Resource, metadata: Object, found: DocumentList) -> bytes:
    """Write a list from its items' own bytes, without decoding them."""
    head = orjson.dumps({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})
    items = b",".join([document.value for document in found.documents])
    return b'%b,"items":[%b]}' % (head[:-1], items)


async def _written(
    head: Object, field: str, found: DocumentList, shape: Callable[[list[Object]], list[Object]]
) -> bytes:
    """Write a list whose items must be decoded, a few hundred at a time, so that others get a word in between."""
    pieces = []
    documents = found.documents
    for start in range(0, len(documents), _AT_ONCE):
        some = documents[start : start + _AT_ONCE]
        # A long list must not push everything else out of the cache of decoded objects.
        objects = [each.copy() for each in some] if len(documents) > _AT_ONCE else [each.object for each in some]
        pieces.append(orjson.dumps(shape(objects))[1:-1])
        if start + _AT_ONCE < len(documents):
            await asyncio.sleep(0)
    return b'%b,"%b":[%b]}' % (orjson.dumps(head)[:-1], field.encode(), b",".join(pieces))


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the request's body. Raises ``StatusError`` 413 for one that is too large."""
    if (request.content_length or 0) > MAXIMUM:
        raise too_large()
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large() from error


async def _optional_body(request: web.BaseRequest) -> Object | None:
    body = await read_body(request)
    return read_object(body, request.headers.get("Content-Type", "")) if body.strip() else None


def _wanted(request: web.BaseRequest, forms: frozenset[Form]) -> Wanted:
    return negotiate(request.headers.get("Accept", ""), forms)


def _include(query: Mapping[str, str]) -> Include:
    include = query.get("includeObject") or "Metadata"
    if include not in _INCLUDES:
        raise bad_request(f"the parameter includeObject={include!r} is none of {', '.join(_INCLUDES)}")
    return cast(Include, include)
