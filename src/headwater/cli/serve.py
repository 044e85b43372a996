"""The platform's process: holds the lock, runs the platform until it is told to stop, and says when it is ready.

Run as ``python -m headwater.cli.serve HOME GATEWAY_PORT API_PORT READY_FD`` by ``headwater up``. What it has to
tell its starter, the first login included, goes through the descriptor and nowhere else; what it has to tell the
operator goes to the log.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from headwater import __version__
from headwater.cli.daemon import FirstLogin
from headwater.cli.home import Home, Ports, Running
from headwater.kube.meta.time import SystemClock, format_time

log = logging.getLogger("headwater")


class StartError(Exception):
    """The platform cannot start; the message is one sentence for the user."""


async def serve(home: Home, ports: Ports, announce: Callable[[FirstLogin | None], None]) -> None:
    """Run the platform until SIGTERM or SIGINT. Raises ``StartError``."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    from headwater.cli.platform import Platform

    clock = SystemClock()
    platform = Platform(home, ports, clock)
    starting = asyncio.ensure_future(platform.start())
    told_to_stop = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((starting, told_to_stop), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        ready = await starting
    except asyncio.CancelledError:
        raise StartError("It was told to stop before it was ready.") from None
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise StartError(sentence) from error
    try:
        home.write_ports(ports)
        home.write_running(
            Running(
                pid=os.getpid(),
                version=__version__,
                gateway_url=ready.gateway_url,
                api_url=ready.api_url,
                kubeconfig=str(home.kubeconfig),
                isolation=ready.tier.name,
                isolation_reason=ready.tier.reason,
                started_at=format_time(clock.now()),
            )
        )
        log.info("ready: %s, %s, pods are %s", ready.gateway_url, ready.api_url, ready.tier.name)
        announce(ready.login)
        await told_to_stop
        log.info("stopping")
    finally:
        await platform.stop()
        log.info("stopped")


def _sentence(error: Exception) -> str | None:
    """Say an error that the user can mend in one sentence; None for one that is a bug."""
    from headwater.cluster.pki import PkiError
    from headwater.cluster.store.errors import StoreError
    from headwater.database import DatabaseTooNew

    if isinstance(error, StoreError | PkiError | DatabaseTooNew):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}."
    return None


def _run(home: Home, ports: Ports, announce: Callable[[FirstLogin | None], None]) -> None:
    """Take the lock and serve on a fast event loop. Raises ``StartError``."""
    if home.lock() is None:
        raise StartError(f"Another Headwater is running on {home.path}.")
    # Environments are read by pods' own users. What is secret is created with a mode of its own, and the data
    # directory is closed to others as a whole.
    os.umask(0o022)
    import uvloop

    uvloop.run(serve(home, ports, announce))


def serve_in_foreground(home: Home, ports: Ports, announce: Callable[[FirstLogin | None], None]) -> int:
    """Serve in this process, logging to standard error; return the exit status."""
    _log_to_stderr()
    try:
        _run(home, ports, announce)
    except StartError as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 1
    return 0


def _log_to_stderr() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


def main(arguments: list[str]) -> int:
    """Serve as a background process, telling the starter through a pipe; return the exit status."""
    path, gateway_port, api_port, descriptor = arguments
    os.set_inheritable(int(descriptor), False)
    _log_to_stderr()

    def tell(message: dict[str, object]) -> None:
        # The starter may have been killed; the platform goes on without it.
        with contextlib.suppress(BrokenPipeError, OSError), os.fdopen(int(descriptor), "w") as pipe:
            pipe.write(json.dumps(message) + "\n")

    def announce(login: FirstLogin | None) -> None:
        tell({"login": {"user": login.user, "password": login.password} if login else None})

    try:
        _run(Home(Path(path)), Ports(int(gateway_port), int(api_port)), announce)
    except StartError as error:
        log.error("%s", error)
        tell({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
