"""The store."""


class Store:
    """Objects by bucket and name."""
