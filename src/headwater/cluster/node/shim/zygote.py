"""A small, warm interpreter that forks a pod's shim in a millisecond instead of starting Python for it.

Run as a script with ``-I -S`` by the node agent. Reads ``{"directory": …}`` with one descriptor, the shim's first
connection, from its standard input, a socket. When the agent ends it only waits for its shims, so that each is
collected by its parent, also where process 1 collects nothing.
"""

import gc
import os
import signal
import socket
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Fork shims until the agent closes the socket."""
    from headwater.cluster.node.shim import main as shim
    from headwater.cluster.node.shim import syscalls as linux
    from headwater.cluster.node.shim.wire import Channel

    linux.set_name("headwater-zyg")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the shims' ends are nobody's business here
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=os.dup(0)))
    gc.collect()
    gc.disable()  # a collection in a shim would touch, and so copy, every page that it shares with this process
    gc.freeze()
    while True:
        messages = channel.receive()
        if messages is None:
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    os._exit(0)
        for message in messages:
            (fd,) = channel.take_fds(message)
            if os.fork() == 0:
                channel.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                shim.main(message["directory"], socket.socket(fileno=fd))
            os.close(fd)


if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/headwater/", 1)[0])
    main()
