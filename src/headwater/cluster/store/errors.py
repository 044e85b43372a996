# ruff: noqa: N818 - these names say what is the case, as Kubernetes names its reasons
"""How the store says no. The API turns the ones about a single write into a Kubernetes ``Status``."""


class StoreError(Exception):
    """The store cannot be opened or cannot do what was asked; the message is for a person."""


class StoreTooNew(StoreError):
    """The data directory was written by a newer version of Headwater."""


class StoreBusy(StoreError):
    """Another process has the data directory open."""


class StoreDamaged(StoreError):
    """The file is not a store of this program."""


class WriteRefused(StoreError):
    """The disk did not take a write (it is full, or failing). Nothing was changed; later writes may succeed."""


class StoreClosed(StoreError):
    """The store is closed or closing."""


class RevisionMismatch(StoreError):
    """The object is not at the revision that the write was based on (0: it was not expected to exist)."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"expected revision {expected}, found {actual}")
        self.expected = expected
        self.actual = actual


class HistoryGone(StoreError):
    """The changes since that revision are no longer kept."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest
