"""What the verbs answer, in a form that both the HTTP layer and the in-process client can hand on cheaply."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.cluster.apiserver.users import ANONYMOUS, User
from headwater.cluster.store.documents import Document

Warnings: TypeAlias = list[str]
"""Sentences for the caller, which HTTP sends as ``Warning`` headers; the call that is given the list fills it."""

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class DocumentList:
    """A collection, or a page of it, as of one revision."""

    documents: list[Document]
    revision: int
    continue_token: str = ""
    remaining: int | None = None
    """``metadata.remainingItemCount``: how many follow this page, where it is known."""


@dataclass(frozen=True, slots=True)
class WatchItem:
    """One change as a watcher with its selectors sees it."""

    type: EventType
    document: Document
    more: bool = False
    """Whether another follows at once, so that whoever writes them may write several together."""


@dataclass(slots=True)
class WriteOptions:
    """The options that writes share."""

    dry_run: bool = False
    field_validation: Literal["Strict", "Warn", "Ignore"] = "Warn"
    field_manager: str = ""
    """Who the caller says it is; server-side apply must be told."""
    agent: str = "headwater"
    """What the caller is taken for otherwise: over HTTP the first part of its ``User-Agent``."""
    force: bool = False
    """For server-side apply: take over what others own."""
    created: bool = False
    """Set by an apply that found nothing and made the object."""
    warnings: Warnings = field(default_factory=list)
    user: User = ANONYMOUS
    """Who asks, for admission; ``Api`` sets it."""


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a delete may ask for."""

    propagation: str = ""
    """``Foreground``, ``Background``, ``Orphan``, or empty for the kind's default."""
    grace_period_seconds: int | None = None
    uid: str = ""
    """Precondition."""
    resource_version: str = ""
    """Precondition."""
    dry_run: bool = False
    user: User = ANONYMOUS
    """Who asks, for admission; ``Api`` sets it."""
