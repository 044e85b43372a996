"""Fetch the scripts that the dashboard and its tests carry from npm, at pinned versions, with licences and hashes.

``python tools/vendor.py`` writes the folders anew (needs ``npm``, which checks each package against the registry's
integrity hash). ``python tools/vendor.py --check`` holds what is committed against each folder's ``vendor.json`` and
needs nothing. A file that differs from the package's says so in ``vendor.json``.
"""

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parents[1]
TARGET = _HERE / "src/headwater/dashboard/static/vendor"
TESTS = _HERE / "tests/dashboard/vendor"
"""What only the tests need; it is not part of the package."""
MANIFEST = "vendor.json"


def without_source_map(text: str) -> str:
    """Drop the pointer to a source map that is not carried."""
    return re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text)


def with_global_vega(text: str) -> str:
    """Take the functions of vega-util from the global ``vega``, which has them: a browser knows no bare imports."""
    changed = re.sub(r"^import (\{[^}]*\}) from 'vega-util';", r"const \1 = globalThis.vega;", without_source_map(text))
    if "globalThis.vega" not in changed:
        raise SystemExit("vega-interpreter imports something else than vega-util now: look at it")
    return changed


@dataclass(frozen=True)
class Script:
    """One file of one package."""

    package: str
    version: str
    path: str
    name: str
    change: Callable[[str], str] | None = None
    reason: str = ""
    target: Path = TARGET


SCRIPTS = (
    Script("htmx.org", "2.0.11", "dist/htmx.min.js", "htmx.js"),
    Script("vega", "6.4.0", "build/vega.min.js", "vega.js"),
    Script("vega-lite", "6.4.3", "build/vega-lite.min.js", "vega-lite.js", without_source_map, "no source map"),
    Script(
        "vega-interpreter",
        "2.3.2",
        "build/vega-interpreter.js",
        "vega-interpreter.js",
        with_global_vega,
        "vega-util is taken from the global vega; no source map",
    ),
    Script("axe-core", "4.14.1", "axe.min.js", "axe.js", target=TESTS),
)


def fetch(target: Path) -> None:
    """Write a folder's scripts, their licences and the manifest."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    manifest: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for script in _scripts_of(target):
            command = ["npm", "pack", "--silent", f"{script.package}@{script.version}", "--pack-destination", scratch]
            tarball = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
            with tarfile.open(Path(scratch) / tarball) as archive:
                text = _member(archive, script.path)
                licence = _member(archive, "LICENSE")
                about = json.loads(_member(archive, "package.json"))
            data = (script.change(text) if script.change else text).encode()
            (target / script.name).write_bytes(data)
            (target / f"{script.name}.LICENSE.txt").write_text(licence)
            manifest[script.name] = {
                "package": script.package,
                "version": script.version,
                "licence": about["license"],
                "path": script.path,
                "sha256": hashlib.sha256(data).hexdigest(),
                **({"changed": script.reason} if script.reason else {}),
            }
    (target / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    sys.stdout.write(f"{len(manifest)} scripts in {target}\n")


def check(target: Path) -> list[str]:
    """Return what differs from a folder's manifest, one sentence each."""
    manifest = json.loads((target / MANIFEST).read_text())
    there = {(name, about["package"], about["version"]) for name, about in manifest.items()}
    wanted = {(script.name, script.package, script.version) for script in _scripts_of(target)}
    wrong = [f"{name} ({package} {version}) is not in {MANIFEST}" for name, package, version in wanted - there]
    for name, about in manifest.items():
        file = target / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != about["sha256"]:
            wrong.append(f"{name} is not the file that {MANIFEST} describes")
        if not (target / f"{name}.LICENSE.txt").is_file():
            wrong.append(f"the licence of {name} is missing")
    known = {MANIFEST, *manifest, *(f"{name}.LICENSE.txt" for name in manifest)}
    wrong += [f"{file.name} is not in {MANIFEST}" for file in target.iterdir() if file.name not in known]
    return wrong


def _scripts_of(target: Path) -> list[Script]:
    return [script for script in SCRIPTS if script.target == target]


def _member(archive: tarfile.TarFile, path: str) -> str:
    file = archive.extractfile(f"package/{path}")
    if file is None:
        raise SystemExit(f"{archive.name} has no {path}")
    return file.read().decode()


def main() -> int:
    """Fetch, or check."""
    if sys.argv[1:] == ["--check"]:
        wrong = [*check(TARGET), *check(TESTS)]
        sys.stdout.writelines(f"{line}\n" for line in wrong)
        return 1 if wrong else 0
    if sys.argv[1:]:
        sys.stdout.write("usage: python tools/vendor.py [--check]\n")
        return 2
    fetch(TARGET)
    fetch(TESTS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
