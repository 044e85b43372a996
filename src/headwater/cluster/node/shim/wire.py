"""Messages between the agent, a pod's shim and a container's init: one JSON object a line, with descriptors.

A message that carries file descriptors says how many in its ``fds`` field; they travel as ``SCM_RIGHTS`` beside
its first byte and are handed out in the order of the messages.
"""

import array
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

Message = dict[str, Any]

LIMIT = 4 * 1024 * 1024
"""The longest message, and the most that may wait to be sent, in bytes."""

_MOST_FDS = 8


class Channel:
    """One end of a stream socket. Sending blocks unless the socket does not; receiving takes what is there."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fds: list[int] = []
        self._received = b""
        self._unsent = b""

    def fileno(self) -> int:
        """Return the socket's descriptor, to poll on."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the socket and every descriptor that nobody has taken."""
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send the message; on a non-blocking socket what does not fit waits for ``flush``. Raises ``OSError``."""
        if fds:
            message = {**message, "fds": len(fds)}
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if self._unsent:
            self._unsent += data
        elif fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sent = self.sock.sendmsg([data], [rights])
            self._unsent = data[sent:]
        else:
            self._unsent = data
        self.flush()
        if len(self._unsent) > LIMIT:
            raise OSError("the other side does not read")

    def flush(self) -> bool:
        """Send what waits; return True when nothing is left. Raises ``OSError``."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def receive(self) -> Iterator[Message] | None:
        """Return the messages that one read completes, or None when the other side has closed."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 65536, _MOST_FDS)
            for fd in fds:  # recv_fds of Python 3.11 does not hand its flags on
                os.set_inheritable(fd, False)
        except BlockingIOError:
            return iter(())
        except OSError:
            return None
        self.fds += fds
        if not data:
            return None
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > LIMIT:
            return None
        return (json.loads(line) for line in lines)

    def take_fds(self, message: Message) -> list[int]:
        """Return the descriptors that came with the message; they belong to the caller now."""
        count = min(int(message.get("fds", 0)), len(self.fds))
        taken, self.fds = self.fds[:count], self.fds[count:]
        return taken
