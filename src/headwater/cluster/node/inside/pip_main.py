"""``python -m pip`` in a pod: uv does the work, and what it installs goes to a layer of the pod's own.

The environment is shared and read-only; ``HEADWATER_LAYER`` is a directory that stands before it on ``sys.path``.
Copied into environments as ``pip/__main__.py``; runs under any Python 3 that uv supports.
"""

from __future__ import annotations

import os
import subprocess
import sys

DROPPED = {
    "--no-warn-script-location",
    "--disable-pip-version-check",
    "--user",
    "--no-input",
    "--no-color",
    "--no-python-version-warning",
    "--no-clean",
    "--isolated",
    "--prefer-binary",
    "--compile",
    "--no-compile",
    "--break-system-packages",
    "--use-pep517",
    "--no-use-pep517",
}
DROPPED_WITH_VALUE = {"--progress-bar", "--root-user-action", "--timeout", "--retries", "--use-deprecated", "--log"}
RENAMED = {
    "-U": ["--upgrade"],
    "--no-cache-dir": ["--no-cache"],
    "--pre": ["--prerelease", "allow"],
    "--force-reinstall": ["--reinstall"],
    "-I": ["--reinstall"],
    "--ignore-installed": ["--reinstall"],
    "--trusted-host": ["--allow-insecure-host"],
    "-y": [],
    "--yes": [],
}
VARIABLES = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CONSTRAINT": "UV_CONSTRAINT",
    "PIP_CERT": "SSL_CERT_FILE",
}
SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def translate(arguments: list[str]) -> list[str]:
    """Return pip's arguments as uv understands them."""
    result: list[str] = []
    skip = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if skip:
            skip = False
        elif argument in DROPPED or (equals and name in DROPPED_WITH_VALUE):
            continue
        elif argument in DROPPED_WITH_VALUE:
            skip = True
        elif argument in RENAMED:
            result += RENAMED[argument]
        elif equals and name == "--trusted-host":
            result += ["--allow-insecure-host", value]
        else:
            result.append(argument)
    return result


def environment() -> dict[str, str]:
    """Return the variables for uv: pip's settings under uv's names, the system's certificates."""
    result = dict(os.environ)
    for theirs, ours in VARIABLES.items():
        if theirs in result:
            result.setdefault(ours, result[theirs])
    if "SSL_CERT_FILE" not in result:
        for path in SYSTEM_CERTIFICATES:
            if os.path.exists(path):
                result["SSL_CERT_FILE"] = path
                break
    result.setdefault("UV_LINK_MODE", "copy")
    return result


def install(uv: str, arguments: list[str]) -> int:
    """Install what is missing into the pod's layer."""
    base = [uv, "pip", "install", "--python", sys.executable]
    arguments = translate(arguments)
    variables = environment()
    elsewhere = any(a.split("=")[0] in ("-t", "--target", "--prefix") for a in arguments)
    layer = os.environ.get("HEADWATER_LAYER")
    if elsewhere or not layer:
        return subprocess.call([*base, *arguments], env=variables)
    if not any(a in ("--upgrade", "--reinstall", "-e", "--editable") for a in arguments):
        check = subprocess.run(
            [*base, "--offline", "--dry-run", *[a for a in arguments if a not in ("-q", "--quiet")]],
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if check.returncode == 0 and b"Would make no changes" in check.stderr:
            return 0
    return subprocess.call([*base, "--target", layer, *arguments], env=variables)


def main() -> int:
    """Answer one pip command."""
    arguments = sys.argv[1:]
    uv = os.environ.get("HEADWATER_UV", "uv")
    command = next((a for a in arguments if not a.startswith("-")), "")
    rest = [a for a in arguments if a != command] if command else arguments
    if command == "install":
        return install(uv, rest)
    if command in ("list", "freeze", "show", "check"):
        return subprocess.call([uv, "pip", command, "--python", sys.executable, *translate(rest)], env=environment())
    if command == "uninstall":
        target = ["--target", os.environ["HEADWATER_LAYER"]] if os.environ.get("HEADWATER_LAYER") else []
        return subprocess.call([uv, "pip", command, *target, *translate(rest)], env=environment())
    if any(a in ("-V", "--version") for a in arguments):
        version = f"python {sys.version_info[0]}.{sys.version_info[1]}"
        sys.stdout.write(f"pip 25.0 (answered by uv) from {__file__} ({version})\n")
        return 0
    known = "install, uninstall, list, freeze, show and check"
    sys.stderr.write(
        f"pip {command} is not available here: this environment's pip is answered by uv, which does {known}. "
        "For the real one: pip install pip\n"
    )
    return 1 if command else 0


if __name__ == "__main__":
    sys.exit(main())
