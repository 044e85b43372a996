"""How uv is run: its program, the variables it is given, and what its errors say in one sentence.

uv brings its own list of certificate authorities; a machine behind a company's proxy has another authority in the
system's list, which pip trusts and uv by itself does not. So where the system has a list, uv is told to use it.
"""

import os
import ssl

from uv import find_uv_bin

_DROPPED = ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "UV_PYTHON")


def uv_program() -> str:
    """Return the path of the uv that was installed with Headwater. Raises ``FileNotFoundError``."""
    return find_uv_bin()


def uv_variables() -> dict[str, str]:
    """Return the environment variables to run uv with."""
    variables = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    if ssl.get_default_verify_paths().cafile:
        variables.setdefault("UV_SYSTEM_CERTS", "true")
    return variables


def uv_failure(errors: str) -> str:
    """Return what went wrong from what uv printed: its error and the deepest cause, without hints and progress."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    errors_said = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
    causes = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith(("cause:", "caused by:"))]
    said = errors_said[-1:] + causes[-1:]
    return ": ".join(said) if said else "\n".join(lines[-5:]) or "uv gave no reason"
