"""The ``Client`` for code that lives in the process of the API server.

It behaves exactly as the client over HTTP, errors included: an object handed in is copied, an object handed out
belongs to the caller. Only the wire is missing.
"""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from headwater.cluster.apiserver.answers import DeleteOptions, WriteOptions
from headwater.cluster.apiserver.core import Api
from headwater.cluster.apiserver.nodes import LogOptions
from headwater.cluster.apiserver.users import PLATFORM, User
from headwater.kube.client import ObjectList, PatchType, Propagation, WatchEvent
from headwater.kube.meta.errors import bad_request, not_found, unavailable
from headwater.kube.meta.objects import Object, annotations_of, name_of, namespace_of
from headwater.kube.meta.resources import PODS, Resource


def _own(value: Any, what: str) -> Any:
    """Copy what a caller hands in, as sending it would."""
    try:
        return orjson.loads(orjson.dumps(value))
    except TypeError as error:
        raise bad_request(f"the {what} cannot be written as JSON: {error}") from error


def _only_container(pod: Object) -> str:
    annotations = annotations_of(pod)
    names = [container["name"] for container in pod["spec"]["containers"]]
    named = annotations.get("kubectl.kubernetes.io/default-container") or (names[0] if len(names) == 1 else "")
    if not named:
        choices = " ".join(names)
        raise bad_request(f"a container name must be specified for pod {name_of(pod)}, choose one of: [{choices}]")
    return named


class LocalClient:
    """Calls the API in this process as one user."""

    def __init__(self, api: Api, user: User = PLATFORM) -> None:
        self._api = api
        self._user = user

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str | None = None
    ) -> Object:
        """Read one object (or a subresource of it, such as ``scale``)."""
        document = await self._api.get(self._user, resource, namespace or "", name, subresource=subresource)
        return document.copy()

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
    ) -> ObjectList:
        """Read a collection; ``namespace=None`` means all namespaces."""
        answer = await self._api.list(
            self._user,
            resource,
            namespace or "",
            label_selector=label_selector,
            field_selector=field_selector,
            limit=limit,
            continue_token=continue_token,
            resource_version=resource_version,
        )
        items = [document.copy() for document in answer.documents]
        return ObjectList(items, str(answer.revision), answer.continue_token)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = False,
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[WatchEvent]:
        """Follow a collection from a revision on. Ends when the time is over; raises 410 when history is gone."""
        items = self._api.watch(
            self._user,
            resource,
            namespace or "",
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            bookmarks=bookmarks,
            timeout_seconds=timeout_seconds,
        )
        async for item in items:
            yield WatchEvent(item.type, item.document.copy())

    async def create(
        self,
        resource: Resource,
        obj: Object,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Create an object; the namespace defaults to the object's own."""
        document = await self._api.create(
            self._user,
            resource,
            namespace or (namespace_of(obj) if resource.namespaced else ""),
            _own(obj, "object"),
            name=name or "",
            subresource=subresource,
            options=WriteOptions(dry_run=dry_run),
        )
        return document.copy()

    async def update(self, resource: Resource, obj: Object, *, subresource: str | None = None) -> Object:
        """Replace an object; a ``metadata.resourceVersion`` in it is a precondition."""
        document = await self._api.update(
            self._user,
            resource,
            namespace_of(obj) if resource.namespaced else "",
            name_of(obj),
            _own(obj, "object"),
            subresource=subresource,
        )
        return document.copy()

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str | None = None,
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        """Change part of an object."""
        if patch_type is PatchType.APPLY and not field_manager:
            field_manager = "headwater"
        document = await self._api.patch(
            self._user,
            resource,
            namespace or "",
            name,
            _own(patch, "patch"),
            patch_type,
            subresource=subresource,
            options=WriteOptions(field_manager=field_manager, force=force),
        )
        return document.copy()

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        """Ask for an object's deletion; answers the object as it then is, or a ``Status``."""
        options = DeleteOptions(
            propagation=propagation.value if propagation else "",
            grace_period_seconds=grace_period_seconds,
            uid=uid or "",
            resource_version=resource_version or "",
        )
        document = await self._api.delete(self._user, resource, namespace or "", name, options=options)
        return document.copy()

    async def delete_collection(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> None:
        """Ask for the deletion of every object that the selectors match."""
        await self._api.delete_collection(
            self._user, resource, namespace or "", label_selector=label_selector, field_selector=field_selector
        )

    async def logs(
        self,
        name: str,
        namespace: str,
        *,
        container: str = "",
        follow: bool = False,
        timestamps: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
    ) -> AsyncIterator[bytes]:
        """Stream a container's log in pieces of whole lines."""
        api = self._api
        api.authorize(self._user, "get", PODS, "log", namespace, name)
        pod = api.peek(PODS, namespace, name)
        if pod is None:
            raise not_found("", PODS.plural, name)
        if api.node is None:
            raise unavailable("no node is running here that could read the log")
        options = LogOptions(follow=follow, timestamps=timestamps, tail_lines=tail_lines, previous=previous)
        async for piece in api.node.logs(pod.copy(), container or _only_container(pod.object), options):
            yield piece

    async def close(self) -> None:
        """Nothing to let go of."""
