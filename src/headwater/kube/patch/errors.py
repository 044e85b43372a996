"""The error that a patch ends in which does not fit the document, or is none."""


class PatchError(ValueError):
    """A patch that cannot be understood or applied; the message says where and why."""
