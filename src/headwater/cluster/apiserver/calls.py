"""What those who register a subresource or a virtual kind are called with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headwater.cluster.apiserver.answers import WriteOptions
from headwater.cluster.apiserver.users import User
from headwater.cluster.store.documents import Document
from headwater.kube.meta.objects import Object


@dataclass(frozen=True, slots=True)
class SubresourceCall:
    """A request for a subresource that somebody registered."""

    user: User
    verb: str
    """``get``, ``create`` or ``update``."""
    namespace: str
    name: str
    parent: Document
    """The object that the subresource belongs to."""
    body: Object
    """Empty for ``get``."""
    options: WriteOptions


SubresourceHandler = Callable[[SubresourceCall], Awaitable[Object]]
VirtualHandler = Callable[[User, Object], Awaitable[Object]]
