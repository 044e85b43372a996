"""The one place where the verbs of the Kubernetes API happen.

The HTTP layer and the in-process client both call ``Api``; it knows nothing of HTTP. Every call is put to the
authorizer first. A single object comes back as a ``Document``: its ``value`` is the JSON to send, its ``object``
the decoded form to look at, its ``copy()`` the caller's own. Every method raises ``StatusError``.
"""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from headwater.cluster.apiserver import reading, subresources
from headwater.cluster.apiserver.admission import Admission
from headwater.cluster.apiserver.answers import DeleteOptions, DocumentList, Warnings, WatchItem, WriteOptions
from headwater.cluster.apiserver.calls import SubresourceCall, SubresourceHandler, VirtualHandler
from headwater.cluster.apiserver.conversion import present
from headwater.cluster.apiserver.definitions import Definitions
from headwater.cluster.apiserver.kinds import builtin_kinds
from headwater.cluster.apiserver.metadata import check_body, random_uids
from headwater.cluster.apiserver.nodes import NodeAccess
from headwater.cluster.apiserver.ownership import applied, check_config, check_manager
from headwater.cluster.apiserver.patching import apply_patch, check_patch
from headwater.cluster.apiserver.registry import VIRTUAL_VERBS, Registry, Served
from headwater.cluster.apiserver.schemas import decode
from headwater.cluster.apiserver.selection import Selection, selected_name
from headwater.cluster.apiserver.upkeep import Upkeep
from headwater.cluster.apiserver.users import Authorizer, MastersOnly, User
from headwater.cluster.apiserver.writing import Writing
from headwater.cluster.store.buckets import Change
from headwater.cluster.store.documents import Document
from headwater.cluster.store.store import Store
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import (
    StatusError,
    bad_request,
    forbidden,
    method_not_allowed,
    not_implemented,
)
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import NAMESPACES, PODS, Resource
from headwater.kube.meta.time import Clock, SystemClock
from headwater.kube.patch.apply import Writer

__all__ = ["Api", "SubresourceCall", "SubresourceHandler", "VirtualHandler"]


class Api:
    """The verbs on every served kind."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        new_uid: Callable[[], str] | None = None,
    ) -> None:
        self.store = store
        self.clock = clock or SystemClock()
        self.registry = Registry()
        self.registry.add(*builtin_kinds())
        self.authorizer: Authorizer = MastersOnly()
        """Set by the composition root, before ``start``."""
        self.node: NodeAccess | None = None
        """Serves logs and exec; set by the composition root."""
        rng = rng or random.Random()  # noqa: S311 - names, not secrets
        self._subresources: dict[tuple[str, str], SubresourceHandler] = {}
        self._virtual: dict[str, VirtualHandler] = {}
        self._admission = Admission(store, self.registry, rng, lambda: self.authorizer)
        self._writing = Writing(
            store,
            self.registry,
            self._admission,
            self.clock,
            rng,
            new_uid or random_uids(),
        )
        self._definitions = Definitions(store, self.registry)
        self._upkeep = Upkeep(self, self._definitions)

    async def start(self) -> None:
        """Make the system's namespaces and start upkeep. Custom resources are served from the beginning."""
        await self._upkeep.start()

    async def stop(self) -> None:
        """End upkeep. The store, which ends the watches, is closed by whoever opened it."""
        await self._upkeep.stop()
        await self._admission.close()

    # --- what other parts of the server need, without authorization --------------------------------------------

    def served(self, resource: Resource) -> Served:
        """Return a served kind. Raises ``StatusError`` 404."""
        served = self.registry.find(resource.group, resource.version, resource.plural)
        if served is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        return served

    def authorize(
        self,
        user: User,
        verb: str,
        resource: Resource,
        subresource: str | None = None,
        namespace: str = "",
        name: str = "",
    ) -> None:
        """Raise ``StatusError`` 403, naming who, what and where, unless the caller may do this."""
        reason = self.authorizer.authorize(user, verb, resource, subresource, namespace, name)
        if reason is None:
            return
        what = f"{resource.plural}/{subresource}" if subresource else resource.plural
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{user.name}" cannot {verb} resource "{what}" in API group "{resource.group}" {where}'
        raise forbidden(resource.group, resource.plural, name, f"{why}: {reason}" if reason else why)

    def peek(self, resource: Resource, namespace: str, name: str) -> Document | None:
        """Return the committed state of an object, or ``None``."""
        served = self.served(resource)
        document = self.store.get(served.bucket, reading.key_of(served, namespace, name))
        return None if document is None else present(served, document)

    def peek_all(self, resource: Resource, namespace: str = "") -> list[Document]:
        """Return every committed object of a kind (in a namespace)."""
        served = self.served(resource)
        prefix = f"{namespace}/" if namespace else ""
        return [present(served, document) for _, document in self.store.scan(served.bucket, prefix)]

    def subscribe(self, resource: Resource, callback: Callable[[Document | None, Document | None], None]) -> None:
        """Call ``callback(old, new)`` for each committed change of a kind, before its writer is answered.

        ``old`` is ``None`` for a creation, ``new`` for a removal. It runs on the event loop and must be quick.
        """

        def tell(change: Change) -> None:
            callback(change.previous, change.current)

        self.store.subscribe(self.served(resource).bucket, tell)

    def register_subresource(self, resource: Resource, name: str, handler: SubresourceHandler) -> None:
        """Let ``handler`` answer ``get``, ``create`` and ``update`` of a subresource (``token``)."""
        self._subresources[(resource.group_resource, name)] = handler

    def register_virtual(self, resource: Resource, handler: VirtualHandler) -> None:
        """Serve a kind that is only created and answered (``TokenReview``); ``handler(user, object)``.

        A namespaced kind's namespace is in the object's metadata.
        """
        self._virtual[resource.group_resource] = handler
        self.registry.add(
            Served(resource, "", verbs=VIRTUAL_VERBS, singular=resource.kind.lower(), has_generation=False)
        )

    # --- reading ------------------------------------------------------------------------------------------------

    async def get(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        subresource: str | None = None,
        resource_version: str = "",
    ) -> Document:
        """Read one object, or its ``status`` or ``scale``."""
        served = self._allow(user, "get", resource, subresource, namespace, name)
        if resource_version:
            reading.check_revision(self.store, resource_version)
        document = present(served, reading.find(self.store, served, namespace, name))
        if subresource in (None, "status", "ephemeralcontainers"):
            return document
        if subresource == "scale":
            return Document.of(subresources.scale_of(served, document.object), document.revision)
        call = SubresourceCall(user, "get", namespace, name, document, {}, WriteOptions())
        return await self._call(served, subresource, call)

    async def list(
        self,
        user: User,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        resource_version_match: str = "",
    ) -> DocumentList:
        """Read a collection in the order of namespace and name; an empty namespace means all."""
        served = self._allow(user, "list", resource, None, namespace, selected_name(field_selector))
        return reading.list_documents(
            self.store,
            served,
            namespace if served.resource.namespaced else "",
            Selection.parse(served, label_selector, field_selector),
            limit=limit,
            continue_token=continue_token,
            resource_version=resource_version,
            resource_version_match=resource_version_match,
        )

    def watch(
        self,
        user: User,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = False,
        timeout_seconds: float | None = None,
        send_initial_events: bool | None = None,
    ) -> AsyncIterator[WatchItem]:
        """Follow a collection. The errors of the request itself are raised here, not at the first item."""
        served = self._allow(user, "watch", resource, None, namespace, selected_name(field_selector))
        selection = Selection.parse(served, label_selector, field_selector)
        initial, watch = reading.begin_watch(
            self.store,
            served,
            namespace if served.resource.namespaced else "",
            selection,
            resource_version=resource_version,
            send_initial_events=send_initial_events,
        )
        return reading.follow(
            self.store,
            self.registry,
            served,
            selection,
            initial,
            watch,
            bookmarks=bookmarks,
            timeout_seconds=timeout_seconds,
            mark_initial_end=bool(send_initial_events) and bookmarks,
        )

    # --- writing ------------------------------------------------------------------------------------------------
    # The object or patch handed in belongs to the call from then on.

    async def create(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        obj: Object,
        *,
        name: str = "",
        subresource: str | None = None,
        options: WriteOptions | None = None,
    ) -> Document:
        """Create an object; with ``name`` and ``subresource``, post to a subresource (``binding``, ``token``)."""
        options = options or WriteOptions()
        options.user = user
        served = self._allow(user, "create", resource, subresource, namespace, name)
        self._check_home(served, namespace)
        check_manager(options, "CreateOptions")
        if subresource is not None:
            return await self._create_subresource(user, served, namespace, name, subresource, obj, options)
        if served.deprecated:
            options.warnings.append(served.deprecated)
        if served.virtual:
            handler = self._virtual[served.resource.group_resource]
            return Document.of(await handler(user, decode(served, check_body(served, obj, namespace), options)))
        return await self._writing.create(served, namespace, obj, options)

    async def update(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object,
        *,
        subresource: str | None = None,
        options: WriteOptions | None = None,
    ) -> Document:
        """Replace an object, or its ``status`` or ``scale``."""
        options = options or WriteOptions()
        options.user = user
        served = self._allow(user, "update", resource, subresource, namespace, name)
        self._check_home(served, namespace)
        check_manager(options, "UpdateOptions")
        if not name:
            raise bad_request("the object has no name")
        if served.deprecated:
            options.warnings.append(served.deprecated)
        if subresource is not None and subresource != "status":
            return await self._update_subresource(user, served, namespace, name, subresource, obj, options)
        return await self._writing.change(
            served,
            namespace,
            name,
            lambda _: _own_metadata(obj),
            options,
            part="status" if subresource == "status" else "object",
            needs_revision=served.custom,
        )

    async def patch(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        patch_type: PatchType,
        *,
        subresource: str | None = None,
        options: WriteOptions | None = None,
    ) -> Document:
        """Change part of an object; ``patch`` is the decoded body."""
        options = options or WriteOptions()
        options.user = user
        served = self._allow(user, "patch", resource, subresource, namespace, name)
        self._check_home(served, namespace)
        check_manager(options, "PatchOptions", patch_type)
        check_patch(served, patch, patch_type)
        if patch_type is PatchType.APPLY and subresource in (None, "status", "scale"):
            return await self._apply(user, served, namespace, name, patch, subresource or "", options)
        if subresource == "scale":
            scale = subresources.SCALE

            def rescale(current: Document) -> Object:
                wanted = apply_patch(scale, subresources.scale_of(served, current.object), patch, patch_type)
                return subresources.apply_scale(served, current.copy(), wanted)

            document = await self._writing.change(served, namespace, name, rescale, options, subresource="scale")
            return Document.of(subresources.scale_of(served, document.object), document.revision)
        if served.resource == PODS and subresource == "ephemeralcontainers":
            return await self._add_ephemeral(
                served,
                namespace,
                name,
                lambda current: apply_patch(served.resource, current.copy(), patch, patch_type),
                options,
            )
        if subresource not in (None, "status"):
            raise method_not_allowed(resource.group, f"{resource.plural}/{subresource}", "patch")
        return await self._writing.change(
            served,
            namespace,
            name,
            lambda current: apply_patch(served.resource, current.copy(), patch, patch_type),
            options,
            part="status" if subresource == "status" else "object",
        )

    async def delete(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        options: DeleteOptions | None = None,
        warnings: Warnings | None = None,
    ) -> Document:
        """Ask for a deletion; answers the object while it lingers, and a ``Status`` once it is gone."""
        served = self._allow(user, "delete", resource, None, namespace, name)
        self._check_home(served, namespace)
        warnings = warnings if warnings is not None else []
        return await self._writing.delete(
            served, namespace, name, replace(options or DeleteOptions(), user=user), warnings
        )

    async def delete_collection(
        self,
        user: User,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        options: DeleteOptions | None = None,
    ) -> DocumentList:
        """Ask for the deletion of all that the selectors match; answers them as they were."""
        served = self._allow(user, "deletecollection", resource, None, namespace, selected_name(field_selector))
        self._check_home(served, namespace)
        selection = Selection.parse(served, label_selector, field_selector)
        return await self._writing.delete_all(
            served, namespace, selection, replace(options or DeleteOptions(), user=user)
        )

    # --- parts --------------------------------------------------------------------------------------------------

    def _allow(
        self, user: User, verb: str, resource: Resource, subresource: str | None, namespace: str, name: str
    ) -> Served:
        """Authorize a request, then find the kind and check that it has the verb and the subresource."""
        self.authorize(user, verb, resource, subresource, namespace if resource.namespaced else "", name)
        served = self.served(resource)
        if subresource is not None:
            registered = (served.resource.group_resource, subresource) in self._subresources
            if subresource not in served.resource.subresources and not registered:
                raise StatusError(404, "NotFound", "the server could not find the requested resource")
        elif verb not in served.verbs:
            raise method_not_allowed(resource.group, resource.plural, verb)
        return served

    @staticmethod
    def _check_home(served: Served, namespace: str) -> None:
        if served.resource.namespaced and not namespace:
            raise bad_request(f"an empty namespace may not be used to change {served.resource.group_resource}")

    async def _apply(
        self,
        user: User,
        served: Served,
        namespace: str,
        name: str,
        config: Any,
        subresource: str,
        options: WriteOptions,
    ) -> Document:
        """Apply a configuration on the server: to the object, its status or its scale."""
        resource = served.resource
        if subresource == "scale":
            wanted = check_config(subresources.SCALE, config)
            config = subresources.apply_scale(served, {"metadata": dict(wanted["metadata"])}, wanted)
        else:
            config = check_config(resource, config)

        where = f"{namespace}/{name}"

        def change(live: Document | None, writer: Writer) -> Object:
            return applied(
                served, None if live is None else live.object, config, writer, name=where, force=options.force
            )

        document = await self._writing.apply(
            served,
            namespace,
            name,
            change,
            options,
            subresource=subresource,
            allow_create=lambda: self.authorize(user, "create", resource, None, namespace, name),
        )
        if subresource == "scale":
            return Document.of(subresources.scale_of(served, document.object), document.revision)
        return document

    async def _call(self, served: Served, subresource: str, call: SubresourceCall) -> Document:
        handler = self._subresources.get((served.resource.group_resource, subresource))
        if handler is None:
            raise not_implemented(f"{served.resource.plural}/{subresource} is not built yet")
        return Document.of(await handler(call))

    async def _create_subresource(
        self,
        user: User,
        served: Served,
        namespace: str,
        name: str,
        subresource: str,
        body: Object,
        options: WriteOptions,
    ) -> Document:
        if served.resource == PODS and subresource == "binding":
            await self._writing.change(
                served,
                namespace,
                name,
                lambda current: subresources.bind(current.copy(), body, self.clock.now()),
                options,
                part="all",
                subresource="binding",
            )
            return Document.of(subresources.created(PODS, name))
        if served.resource == PODS and subresource == "eviction":
            delete = replace(subresources.eviction_options(body, options.dry_run), user=user)
            await self._writing.delete(served, namespace, name, delete, options.warnings)
            return Document.of(subresources.created(PODS, name))
        parent = present(served, reading.find(self.store, served, namespace, name))
        call = SubresourceCall(user, "create", namespace, name, parent, body, options)
        return await self._call(served, subresource, call)

    async def _update_subresource(
        self,
        user: User,
        served: Served,
        namespace: str,
        name: str,
        subresource: str,
        body: Object,
        options: WriteOptions,
    ) -> Document:
        if subresource == "scale":
            document = await self._writing.change(
                served,
                namespace,
                name,
                lambda current: subresources.apply_scale(served, current.copy(), body),
                options,
                subresource="scale",
            )
            return Document.of(subresources.scale_of(served, document.object), document.revision)
        if served.resource == NAMESPACES and subresource == "finalize":
            return await self._writing.change(
                served,
                namespace,
                name,
                lambda current: subresources.finalize(current.copy(), body),
                options,
                part="all",
                subresource="finalize",
            )
        if served.resource == PODS and subresource == "ephemeralcontainers":
            return await self._add_ephemeral(served, namespace, name, lambda _: body, options)
        parent = present(served, reading.find(self.store, served, namespace, name))
        call = SubresourceCall(user, "update", namespace, name, parent, body, options)
        return await self._call(served, subresource, call)

    async def _add_ephemeral(
        self,
        served: Served,
        namespace: str,
        name: str,
        wanted: Callable[[Document], Object],
        options: WriteOptions,
    ) -> Document:
        added: list[str] = []

        def add(current: Document) -> Object:
            pod, added[:] = subresources.add_ephemeral(current.copy(), wanted(current))
            return pod

        document = await self._writing.change(served, namespace, name, add, options, part="all")
        options.warnings += [
            f"the ephemeral container {each} is stored, but not started: this node does not run ephemeral "
            "containers yet; use kubectl exec in a container of the pod"
            for each in added
        ]
        return document


def _own_metadata(obj: Object) -> Object:
    """Copy what a write changes in place, so that it can be decided anew from the same body."""
    if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
        return {**obj, "metadata": dict(obj["metadata"])}
    return obj
