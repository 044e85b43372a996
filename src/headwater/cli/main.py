"""The ``headwater`` command.

Each command is thin: it finds the data directory, asks the module that knows, and prints. A problem that the
user can mend is one sentence on standard error and exit status 1; a traceback here is a bug.
"""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from headwater import __version__
from headwater.cli import daemon
from headwater.cli.home import DEFAULT_API_PORT, DEFAULT_GATEWAY_PORT, Home, Ports, Running

app = typer.Typer(
    name="headwater",
    help="A machine-learning platform on this machine: pipelines, artifacts and a Kubernetes API, with no cluster.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

user_app = typer.Typer(help="Look after the people who may sign in.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(user_app, name="user")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The data directory [default: $HEADWATER_HOME or ~/.headwater].", show_default=False),
]


class Output(Enum):
    """How ``status`` prints."""

    TEXT = "text"
    JSON = "json"


NOT_RUNNING = 3
"""The exit status that ``status`` commands of services use for a service that is not running (LSB)."""


@contextmanager
def one_sentence() -> Iterator[None]:
    """Print a problem that the user can mend as one sentence, and exit with 1."""
    try:
        yield
    except daemon.DaemonError as error:
        fail(str(error))
    except PermissionError as error:
        fail(f"This user may not write to {error.filename}; choose another directory with --home.")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        fail(f"{error.strerror or error}{where}.")


def fail(message: str, status: int = 1) -> NoReturn:
    """Print one sentence on standard error and exit."""
    typer.echo(f"headwater: {message}", err=True)
    raise typer.Exit(status)


def require_running(home: Home) -> Running:
    """Return the running platform, or exit with the command that starts it."""
    state = home.running()
    if state is None:
        fail("Headwater is not running; start it with `headwater up`.", NOT_RUNNING)
    return state


@app.command()
def up(
    home: HomeOption = None,
    gateway_port: Annotated[
        int | None,
        typer.Option(
            help=f"Port of the dashboard and the APIs [default: the last one used, at first {DEFAULT_GATEWAY_PORT}].",
            show_default=False,
        ),
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(
            help=f"Port of the Kubernetes API [default: the last one used, at first {DEFAULT_API_PORT}].",
            show_default=False,
        ),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay in this terminal until Ctrl-C.")] = False,
) -> None:
    """Start the platform; returns when it is ready."""
    place = Home.of(home)
    with one_sentence():
        place.create()
        if place.owner() is not None:
            state = _wait_ready(place)
            typer.echo(f"Headwater is already running (pid {state.pid}): {state.gateway_url}")
            return
        last = place.ports()
        ports = Ports(gateway_port or last.gateway, api_port or last.api)
        if ports.gateway == ports.api:
            fail("The gateway and the Kubernetes API need two different ports.")
        daemon.check_port(ports.gateway, "--gateway-port")
        daemon.check_port(ports.api, "--api-port")
        if foreground:
            from headwater.cli.serve import serve_in_foreground

            raise typer.Exit(serve_in_foreground(place, ports, announce=lambda login: _announce(place, login)))
        login = daemon.start(place, ports)
        _announce(place, login)


def _wait_ready(home: Home) -> Running:
    deadline = time.monotonic() + daemon.START_TIMEOUT
    while time.monotonic() < deadline:
        state = home.running()
        if state is not None:
            return state
        if home.owner() is None:
            break
        time.sleep(0.05)
    raise daemon.DaemonError(f"Another process holds {home.path} but does not become ready; its log is {home.log}.")


def _announce(home: Home, login: daemon.FirstLogin | None) -> None:
    state = require_running(home)
    typer.echo("Headwater is ready.\n")
    typer.echo(f"  Dashboard    {state.gateway_url}")
    if login is not None:
        typer.echo(f"  User         {login.user}")
        typer.echo(f"  Password     {login.password}    (shown this once; keep it)")
    typer.echo(f"  Kubernetes   export KUBECONFIG={shlex.quote(state.kubeconfig)}")
    typer.echo("  SDK token    headwater token")
    if state.isolation != "sandboxed":
        typer.echo(f"\n  Pods are not isolated from one another: {state.isolation_reason}")


@app.command()
def down(home: HomeOption = None) -> None:
    """Stop the platform and every process it started."""
    place = Home.of(home)
    with one_sentence():
        was_running = daemon.stop(place)
        left = _stop_left_pods(place)
    if was_running:
        typer.echo("Headwater has stopped.")
    elif left:
        typer.echo(f"Headwater was not running; stopped what an earlier one had left ({left} pods).")
    else:
        typer.echo("Headwater is not running.")


def _stop_left_pods(home: Home) -> int:
    from headwater.cluster.node.leftovers import stop_left_pods

    return stop_left_pods(home.path)


@app.command()
def status(
    home: HomeOption = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
) -> None:
    """Say whether the platform runs, where, and what it costs. Exits with 3 when it does not run."""
    place = Home.of(home)
    with one_sentence():
        state = place.running()
    if state is None:
        starting = place.owner() is not None
        if output is Output.JSON:
            typer.echo(json.dumps({"running": False, "starting": starting, "home": str(place.path)}))
        else:
            typer.echo("Headwater is starting." if starting else "Headwater is not running.")
        raise typer.Exit(NOT_RUNNING)
    memory = daemon.resident_bytes(state.pid)
    if output is Output.JSON:
        report = {
            "running": True,
            "pid": state.pid,
            "version": state.version,
            "home": str(place.path),
            "gatewayURL": state.gateway_url,
            "apiURL": state.api_url,
            "kubeconfig": state.kubeconfig,
            "memoryBytes": memory,
            "isolation": state.isolation,
            "isolationReason": state.isolation_reason,
            "startedAt": state.started_at,
        }
        typer.echo(json.dumps(report, indent=2))
        return
    typer.echo(f"Headwater {state.version} is running (pid {state.pid}, since {state.started_at}).\n")
    typer.echo(f"  Dashboard    {state.gateway_url}")
    typer.echo(f"  Kubernetes   {state.api_url}")
    typer.echo(f"  Kubeconfig   {state.kubeconfig}")
    typer.echo(f"  Data         {place.path}")
    if memory is not None:
        typer.echo(f"  Memory       {memory / 2**20:.0f} MiB")
    reason = f" ({state.isolation_reason})" if state.isolation_reason else ""
    typer.echo(f"  Isolation    {state.isolation}{reason}")


@app.command()
def doctor(home: HomeOption = None) -> None:
    """Check what this machine offers, and say what is missing and how to mend it."""
    from headwater.cli.doctor import examine

    findings = examine(Home.of(home))
    for finding in findings:
        typer.echo(f"{finding.verdict.value:<5} {finding.subject}: {finding.text}")
        if finding.remedy:
            typer.echo(f"      → {finding.remedy}")
    if any(finding.is_fatal for finding in findings):
        raise typer.Exit(1)


@app.command()
def kubeconfig(
    home: HomeOption = None,
    path: Annotated[bool, typer.Option("--path", help="Print where the file lies instead of what is in it.")] = False,
) -> None:
    """Print the kubeconfig: what kubectl needs to reach the platform, as its administrator."""
    place = Home.of(home)
    with one_sentence():
        if not place.kubeconfig.exists():
            fail("There is no kubeconfig yet; `headwater up` writes it.")
        typer.echo(str(place.kubeconfig) if path else place.kubeconfig.read_text(), nl=path)


@app.command()
def token(
    home: HomeOption = None,
    user: Annotated[str, typer.Option(help="Whose token.")] = "admin",
    hours: Annotated[float, typer.Option(min=0.01, help="How long it is valid.")] = 24.0,
) -> None:
    """Print a new bearer token, as for kfp.Client(existing_token=…)."""
    place = Home.of(home)
    with one_sentence():
        _require_users(place)
        from headwater.cli.people import issue_token
        from headwater.gateway.users import UserError

        try:
            typer.echo(issue_token(place, user, hours))
        except UserError as error:
            fail(f"{error}.")


@user_app.command("list")
def list_users(home: HomeOption = None) -> None:
    """Print who may sign in."""
    place = Home.of(home)
    with one_sentence():
        _require_users(place)
        from headwater.cli import people

        for user in people.list_users(place):
            typer.echo(f"{user.name}{'    (disabled)' if user.disabled else ''}")


@user_app.command()
def passwd(
    name: Annotated[str, typer.Argument(help="Whose password.")] = "admin",
    home: HomeOption = None,
) -> None:
    """Generate a new password for a user, print it, and end the user's sessions."""
    place = Home.of(home)
    with one_sentence():
        _require_users(place)
        from headwater.cli import people
        from headwater.gateway.users import UserError

        try:
            typer.echo(people.reset_password(place, name))
        except UserError as error:
            fail(f"{error}.")


def _require_users(home: Home) -> None:
    if not home.database.exists():
        fail("There are no users yet; `headwater up` creates the first.")


@app.command()
def logs(
    home: HomeOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to print.")] = 100,
) -> None:
    """Print the platform's own log."""
    place = Home.of(home)
    with one_sentence():
        if not place.log.exists():
            fail("There is no log yet; `headwater up` starts one.")
        from headwater.cli.tail import tail

        try:
            for piece in tail(place.log, lines, follow=follow):
                sys.stdout.write(piece)
                sys.stdout.flush()
        except (KeyboardInterrupt, BrokenPipeError):
            raise typer.Exit(0) from None


@app.command()
def reset(
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete everything the platform keeps. Asks first."""
    place = Home.of(home)
    if not place.path.exists():
        typer.echo(f"There is nothing at {place.path}.")
        return
    if not (place.store.exists() or place.database.exists() or place.log.exists()):
        fail(f"{place.path} does not look like a data directory of Headwater; not touched.")
    if not yes:
        typer.confirm(f"Delete everything in {place.path}: objects, runs, artifacts, users?", abort=True)
    with one_sentence():
        daemon.stop(place)
        _stop_left_pods(place)
        shutil.rmtree(place.path)
    typer.echo(f"Deleted {place.path}.")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(f"headwater {__version__} (Python {sys.version.split()[0]})")


@app.command()
def demo(home: HomeOption = None) -> None:
    """Run a real pipeline on real data; start first if need be."""
    from headwater.cli.demo.command import run_demo

    with one_sentence():
        place = Home.of(home)
        if place.running() is None:
            up(home=home)
        raise typer.Exit(run_demo(place))


def main() -> None:
    """Run the command line."""
    app(prog_name="headwater")


if __name__ == "__main__":
    main()
