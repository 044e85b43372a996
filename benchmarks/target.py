"""A platform of its own for a measurement: a fresh data directory, free ports, stopped at the end."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from headwater.cli.demo.command import ensure_environment
from headwater.cli.home import Home
from headwater.cli.people import issue_token

HEADWATER = Path(sys.executable).with_name("headwater")


@dataclass(frozen=True)
class Platform:
    """A running platform."""

    home: Home
    gateway_url: str
    token: str

    def sdk(self, script: Path, *arguments: str) -> str:
        """Run a script in an environment that has the ``kfp`` SDK; return what it prints."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            "KF_PIPELINES_ENDPOINT": self.gateway_url,
            "HEADWATER_TOKEN": self.token,
        }
        python = ensure_environment(self.home.demo / "venv")
        # The SDK's local runner installs with pip, which uv leaves out of an environment.
        subprocess.run([find_uv_bin(), "pip", "install", "--quiet", "--python", python, "pip"], check=True)
        environment["PATH"] = f"{python.parent}:{environment['PATH']}"
        done = subprocess.run(
            [python, script, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def platform() -> Iterator[Platform]:
    """Start a platform in a temporary directory and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as directory:
        home = Home.of(Path(directory) / "home")
        ports = ["--gateway-port", str(free_port()), "--api-port", str(free_port())]
        subprocess.run([HEADWATER, "up", "--home", home.path, *ports], check=True, stdout=subprocess.DEVNULL)
        try:
            state = home.running()
            assert state is not None
            yield Platform(home, state.gateway_url, issue_token(home, "admin", 2))
        finally:
            subprocess.run([HEADWATER, "down", "--home", home.path], check=True, stdout=subprocess.DEVNULL)
