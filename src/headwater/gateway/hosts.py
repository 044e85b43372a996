"""By which names the gateway may be called.

A page of another site can make its own name resolve to this machine and then talk to the gateway as if it were that
site (DNS rebinding). It cannot choose the ``Host`` that the browser sends, so a name that is not known is refused.
"""

import ipaddress
from collections.abc import Collection


def is_known(host: str, names: Collection[str] = ()) -> bool:
    """Tell whether a ``Host`` header names this machine: an address, ``localhost``, or one of ``names``.

    ``names`` are lower-case host names without port; one that begins with a dot stands for everything below it.
    A request without the header comes from no browser and is let through.
    """
    name = host.strip().lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    name = name.removesuffix(".")
    if not name or name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    if any(known.startswith(".") and name.endswith(known) for known in names):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
