"""Starting the small interpreter from which every pod's shim is forked."""

import socket
import subprocess
import sys
from pathlib import Path

from headwater.cluster.node.shim import zygote
from headwater.cluster.node.shim.wire import Channel


def spawn_zygote(log: Path) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start the zygote in a session of its own; return its process and the blocking channel to it."""
    ours, theirs = socket.socketpair()
    with theirs, log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(zygote.__file__).resolve())],
            stdin=theirs.fileno(),
            stdout=errors,
            stderr=errors,
            start_new_session=True,
            cwd="/",
        )
    return process, Channel(ours)
