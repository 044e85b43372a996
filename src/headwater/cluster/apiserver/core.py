"""The one place where the verbs of the Kubernetes API happen.

The HTTP layer and the in-process client both call ``Api``; it knows nothing of HTTP. Every call is put to the
authorizer first. A single object comes back as a ``Document``: its ``value`` is the JSON to send, its ``object``
the decoded form to look at, its ``copy()`` the caller's own. Every method raises ``StatusError``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from headwater.cluster.apiserver.answers import DeleteOptions, DocumentList, WatchItem, WriteOptions
from headwater.cluster.apiserver.registry import Registry
from headwater.cluster.apiserver.users import Authorizer, MastersOnly, User
from headwater.cluster.store import Store
from headwater.cluster.store.documents import Document
from headwater.kube.client import PatchType
from headwater.kube.meta.errors import not_implemented
from headwater.kube.meta.objects import Object
from headwater.kube.meta.resources import Resource
from headwater.kube.meta.time import Clock, SystemClock


class SubresourceCall:
    """A request for a subresource that somebody registered."""

    __slots__ = ("body", "name", "namespace", "options", "parent", "user", "verb")

    def __init__(
        self,
        user: User,
        verb: str,
        namespace: str,
        name: str,
        parent: Document,
        body: Object,
        options: WriteOptions,
    ) -> None:
        self.user = user
        self.verb = verb
        """``get``, ``create``, ``update``."""
        self.namespace = namespace
        self.name = name
        self.parent = parent
        """The object that the subresource belongs to."""
        self.body = body
        self.options = options


SubresourceHandler = Callable[[SubresourceCall], Awaitable[Object]]
VirtualHandler = Callable[[User, Object], Awaitable[Object]]


class Api:
    """The verbs on every served kind."""

    def __init__(self, store: Store, *, clock: Clock | None = None, new_uid: Callable[[], str] | None = None) -> None:
        self.store = store
        self.registry = Registry()
        self.authorizer: Authorizer = MastersOnly()
        """Set by the composition root, before ``start``."""
        self.node: Any = None
        """The ``NodeAccess`` that serves logs and exec; set by the composition root."""
        self.clock = clock or SystemClock()

    async def start(self) -> None:
        """Serve the custom resource definitions in the store, make the system's namespaces, start upkeep."""

    async def stop(self) -> None:
        """End upkeep and every watch. The store is closed by whoever opened it."""

    # --- what other parts of the server need, without authorization --------------------------------------------

    def peek(self, resource: Resource, namespace: str, name: str) -> Document | None:
        """Return the committed state of an object, or ``None``."""
        raise not_implemented("soon")

    def peek_all(self, resource: Resource, namespace: str = "") -> list[Document]:
        """Return every committed object of a kind (in a namespace)."""
        raise not_implemented("soon")

    def subscribe(self, resource: Resource, callback: Callable[[Document | None, Document | None], None]) -> None:
        """Call ``callback(old, new)`` for each committed change of a kind, before its writer is answered.

        ``old`` is ``None`` for a creation, ``new`` for a removal. It runs on the event loop and must be quick.
        """
        raise not_implemented("soon")

    def register_subresource(self, resource: Resource, name: str, handler: SubresourceHandler) -> None:
        """Let ``handler`` answer ``get``, ``create`` and ``update`` of a subresource (``token``)."""
        raise not_implemented("soon")

    def register_virtual(self, resource: Resource, handler: VirtualHandler) -> None:
        """Serve a kind that is only created and answered (``TokenReview``); ``handler(user, object)``.

        A namespaced kind's namespace is in the object's metadata.
        """
        raise not_implemented("soon")

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
        raise not_implemented("soon")

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
        raise not_implemented("soon")

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
        send_initial_events: bool = False,
    ) -> AsyncIterator[WatchItem]:
        """Follow a collection. The errors of the request itself are raised here, not at the first item."""
        raise not_implemented("soon")

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
        raise not_implemented("soon")

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
        raise not_implemented("soon")

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
        raise not_implemented("soon")

    async def delete(
        self,
        user: User,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        options: DeleteOptions | None = None,
        warnings: list[str] | None = None,
    ) -> Document:
        """Ask for a deletion; answers the object while it lingers, and a ``Status`` once it is gone."""
        raise not_implemented("soon")

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
        raise not_implemented("soon")
