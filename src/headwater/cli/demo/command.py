"""The ``headwater demo`` command: an environment with the ``kfp`` SDK, then the demo's own script in it."""

import os
import subprocess
import sys
from pathlib import Path

import typer

from headwater.cli.daemon import DaemonError
from headwater.cli.home import Home
from headwater.cli.people import issue_token
from headwater.cluster.node.uv import uv_failure, uv_program, uv_variables

SDK = "kfp==2.17.0"
_TOKEN_HOURS = 2.0


def run_demo(home: Home) -> int:
    """Run the demo on the running platform; return its exit status. Raises ``DaemonError``."""
    state = home.running()
    if state is None:
        raise DaemonError("Headwater is not running; start it with `headwater up`.")
    python = ensure_environment(home.demo / "venv")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KF_"))},
        "KF_PIPELINES_ENDPOINT": state.gateway_url,
        "HEADWATER_TOKEN": issue_token(home, "admin", _TOKEN_HOURS),
        "HEADWATER_DEMO_DIRECTORY": str(home.demo),
        "PYTHONUNBUFFERED": "1",
    }
    script = Path(__file__).with_name("submit.py")
    typer.echo("\nSubmitting a pipeline with the kfp SDK: load, split, train three models, evaluate, pick the best.")
    typer.echo("The first run of all builds the steps' environment (scikit-learn), which takes some seconds more.")
    status = subprocess.run([python, str(script)], env=environment, check=False).returncode
    if status == 0:
        typer.echo("  Sign in with the user and password that the first `headwater up` printed.")
        typer.echo("\nThe platform stays up. Stop it with `headwater down`; look at it with `headwater status`.")
    return status


def ensure_environment(venv: Path) -> Path:
    """Create the SDK's environment unless it is there; return its interpreter. Raises ``DaemonError``."""
    python = venv / "bin" / "python"
    ready = venv / ".ready"
    if ready.exists() and ready.read_text() == SDK:
        return python
    typer.echo(f"\nInstalling {SDK} into {venv} (once)")
    uv = uv_program()
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)],
        [uv, "pip", "install", "--quiet", "--python", str(python), SDK],
    ):
        done = subprocess.run(command, env=uv_variables(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DaemonError(f"The SDK's environment could not be made: {uv_failure(done.stderr)}")
    ready.write_text(SDK)
    return python
