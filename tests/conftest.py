"""A platform started as a user starts it, and an environment that has the SDK."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A test's time says something of the machine that it runs on, not of the code.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

HEADWATER = Path(sys.executable).with_name("headwater")


@dataclass(frozen=True)
class Platform:
    """A data directory, its ports, and the commands a person would type."""

    home: Path
    gateway_port: int
    api_port: int
    environment: dict[str, str]

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    def run(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        """Run ``headwater`` on this data directory."""
        done = subprocess.run(
            [HEADWATER, *arguments, "--home", self.home],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=300,
            **options,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"headwater {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done

    def up(self) -> str:
        return self.run("up", "--gateway-port", str(self.gateway_port), "--api-port", str(self.api_port)).stdout

    def status(self) -> dict:
        return json.loads(self.run("status", "--output", "json", check=False).stdout)

    def token(self) -> str:
        return self.run("token").stdout.strip()

    def sdk_environment(self) -> dict[str, str]:
        """Return what a script with the SDK is given: where the gateway is, and a token for it."""
        return {
            **{name: value for name, value in self.environment.items() if not name.startswith("PYTHON")},
            "HOME": str(self.home.parent),
            "KF_PIPELINES_ENDPOINT": self.gateway_url,
            "HEADWATER_TOKEN": self.token(),
        }

    def kubectl(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        """Run the stock kubectl as the administrator; a machine without it skips the test here."""
        if shutil.which("kubectl") is None:
            pytest.skip("kubectl is not on this machine")
        environment = {**self.environment, "KUBECONFIG": str(self.home / "kubeconfig"), "HOME": str(self.home.parent)}
        done = subprocess.run(
            ["kubectl", *arguments], capture_output=True, text=True, env=environment, timeout=120, **options
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)} exited {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def processes(self) -> list[int]:
        """Return the processes of this machine that have to do with the data directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.home).encode() in command:
                    found.append(int(entry.name))
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def new_platform(directory: Path) -> Platform:
    environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return Platform(directory / "home", free_port(), free_port(), environment)


@pytest.fixture
def platform_in() -> Callable[[Path], Platform]:
    """Makes platforms in directories of a test's choice, for the test to start and stop."""
    return new_platform


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Platform]:
    """A platform that has never been started."""
    platform = new_platform(tmp_path)
    yield platform
    if platform.home.exists():
        platform.run("down", check=False)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running platform, shared by the stories that leave it as they found it."""
    platform = new_platform(tmp_path_factory.mktemp("platform"))
    platform.up()
    yield platform
    platform.run("down")


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the ``kfp`` SDK, apart from the platform's own."""
    from headwater.cli.demo.command import ensure_environment

    return ensure_environment(tmp_path_factory.mktemp("sdk") / "venv")
