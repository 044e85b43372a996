"""Where the embedded cluster keeps its objects: revisions, watches and durability, on SQLite."""

from headwater.cluster.store.documents import Document
from headwater.cluster.store.store import Store

__all__ = ["Document", "Store"]
