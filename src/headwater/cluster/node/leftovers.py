"""Ending the pods that outlived a control plane which was killed and is not coming back.

Shims live on without an agent, on purpose; when the platform is stopped for good, somebody has to tell them. This
needs neither an event loop nor the API: the pods' directories say who there is.
"""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from headwater.cluster.node.layout import Layout
from headwater.cluster.node.runtime import connect
from headwater.cluster.node.shim import records
from headwater.cluster.node.shim.wire import Channel

GRACE = 5.0
"""Seconds that a container has to end after SIGTERM."""
_MARGIN = 5.0


def stop_left_pods(home: Path) -> int:
    """Stop every pod whose shim still runs below the platform's home; return how many there were."""
    left = []
    layout = Layout(home)
    for path in sorted(layout.pods.iterdir()) if layout.pods.is_dir() else ():
        directory = layout.pod(path.name)
        with contextlib.suppress(OSError):
            channel = Channel(connect(directory))
            channel.send({"type": "stop", "grace": GRACE})
            channel.send({"type": "quit"})
            left.append((directory, channel))
    deadline = time.monotonic() + GRACE + _MARGIN
    for directory, channel in left:
        if not _ended(channel.sock, deadline):
            with contextlib.suppress(OSError, ValueError, KeyError):
                os.kill(int(records.read_json(str(directory.state))["pid"]), signal.SIGKILL)
        channel.close()
    return len(left)


def _ended(sock: socket.socket, deadline: float) -> bool:
    """Read until the shim closes its end; tell whether it did in time."""
    while (seconds := deadline - time.monotonic()) > 0:
        sock.settimeout(seconds)
        try:
            if not sock.recv(65536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False
