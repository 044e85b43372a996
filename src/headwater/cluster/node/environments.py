"""Python environments by content: built once by uv, published by one rename, shared read-only by every pod.

A request is an interpreter and the pip lines to satisfy. The first time, uv installs them into a fresh virtual
environment beside the others; its key is a hash of the interpreter and of what is then installed, so that two
requests with the same outcome share one. Packages that would have to be built from source are not built here, with
the platform's rights, but by the pip line itself, inside the pod.
"""

import asyncio
import hashlib
import json
import logging
import os
import platform
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from headwater.cluster.node.pip_lines import PipLine, for_uv
from headwater.cluster.node.pythons import prefix_of
from headwater.cluster.node.uv import uv_failure, uv_program, uv_variables
from headwater.cluster.node.volumes import remove_tree

log = logging.getLogger(__name__)

UNIT, RECORD = "\x1f", "\x1e"
"""Separators between the arguments of a pip line, and between lines, in ``HEADWATER_SATISFIED``."""

_READABLE = ("sh", "-c", 'umask 022 && exec "$@"', "sh")
"""Runs what follows so that its files can be read by every pod's user."""
_COMPILED_AT_ONCE = 800
_FORMAT = 1
_LAYER_HOOK = (
    "import os, sys; p = os.environ.get('HEADWATER_LAYER'); p and os.path.isdir(p) and "
    "(sys.path.insert(next((i for i, q in enumerate(sys.path) if q.endswith('site-packages')), len(sys.path)), p))\n"
)


class BuildError(Exception):
    """Packages that could not be installed; the message is uv's."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A published environment."""

    path: Path
    interpreter: Path
    satisfied: tuple[PipLine, ...]
    """The pip lines whose packages it holds."""

    @property
    def front(self) -> Path:
        """The directory that must stand first on ``PATH``: it answers the satisfied lines."""
        return self.path / "front"

    @property
    def bin(self) -> Path:
        """The directory of the environment's programs."""
        return self.path / "bin"

    @property
    def prefix(self) -> Path:
        """The base interpreter's own files, which the environment needs."""
        return prefix_of(self.interpreter)

    def variables(self) -> dict[str, str]:
        """Return what the answering of pip lines needs in a container's environment."""
        if not self.satisfied:
            return {}
        lines = RECORD.join(UNIT.join(("-m", "pip", "install", *line)) for line in self.satisfied)
        return {"HEADWATER_SATISFIED": f"{RECORD}{lines}{RECORD}"}


class Environments:
    """Finds environments, and builds the ones that are missing."""

    def __init__(self, root: Path, uv: str | None = None) -> None:
        self.root = root
        self._uv = uv
        self._known: dict[str, Environment] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._background: set[asyncio.Task[None]] = set()

    @property
    def uv(self) -> str:
        """The path of uv. Raises ``BuildError`` when it is not installed."""
        if self._uv is None:
            try:
                self._uv = uv_program()
            except FileNotFoundError:
                raise BuildError("uv is not installed beside Headwater: pip install --force-reinstall uv") from None
        return self._uv

    def find(self, interpreter: Path, lines: Sequence[PipLine]) -> Environment | None:
        """Return the environment that satisfies the lines if it exists already."""
        request = _request(interpreter, lines)
        known = self._known.get(request)
        if known is None:
            try:
                key = json.loads((self.root / "index" / f"{request}.json").read_text())["key"]
            except (OSError, ValueError, KeyError):
                return None
            known = Environment(self.root / key, interpreter, tuple(lines))
            self._known[request] = known
        if (known.path / "front").is_dir():
            return known
        del self._known[request]
        return None

    async def build(self, interpreter: Path, lines: Sequence[PipLine]) -> Environment:
        """Return the environment that satisfies the lines, building it if need be. Raises ``BuildError``."""
        request = _request(interpreter, lines)
        async with self._locks.setdefault(request, asyncio.Lock()):
            found = self.find(interpreter, lines)
            if found is not None:
                return found
            try:
                key = await self._build(interpreter, lines)
                await asyncio.to_thread(_publish_index, self.root / "index" / f"{request}.json", key)
            except OSError as error:
                raise BuildError(f"the environment could not be written: {error.strerror or error}") from error
            result = self.find(interpreter, lines)
            if result is None:
                raise BuildError("the environment vanished while it was being published")
            return result

    async def close(self) -> None:
        """Stop what still goes on in the background."""
        for task in [*self._background]:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _build(self, interpreter: Path, lines: Sequence[PipLine]) -> str:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.root / f".building-{secrets.token_hex(6)}"
        try:
            await self._run(
                "venv", "--quiet", "--relocatable", "--no-project", "--python", str(interpreter), str(draft)
            )
            python = str(draft / "bin" / "python")
            for line in lines:
                if arguments := for_uv(line):
                    await self._run("pip", "install", "--quiet", "--no-build", "--python", python, *arguments)
            lock = (await self._run("pip", "freeze", "--python", python)) if lines else ""
            key = _key(interpreter, lock)
            final = self.root / key
            if final.is_dir():
                return key
            await asyncio.to_thread(_furnish, draft)
            (draft / "lock.txt").write_text(lock)
            sources = await asyncio.to_thread(lambda: sum(1 for _ in draft.glob("lib/**/*.py")))
            if sources <= _COMPILED_AT_ONCE:
                await self._compile(draft)
            draft.rename(final)
            if sources > _COMPILED_AT_ONCE:
                task = asyncio.create_task(self._compile(final), name=f"compile {key}")
                self._background.add(task)
                task.add_done_callback(self._background.discard)
            return key
        finally:
            await asyncio.to_thread(remove_tree, draft)

    async def _compile(self, environment: Path) -> None:
        """Byte-compile, with little weight: pods cannot write into an environment."""
        arguments = ("-I", "-S", "-m", "compileall", "-q", "-j", "1", str(environment / "lib"))
        process = await asyncio.create_subprocess_exec(
            *_READABLE,
            *("nice", str(environment / "bin" / "python"), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": os.defpath},
        )
        try:
            await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise

    async def _run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *_READABLE,
            self.uv,
            *arguments,
            "--no-config",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=uv_variables(),
            cwd="/",
        )
        try:
            output, errors = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise BuildError(uv_failure(errors.decode(errors="replace")))
        return output.decode()


def _request(interpreter: Path, lines: Sequence[PipLine]) -> str:
    status = interpreter.stat()
    facts = [_FORMAT, str(interpreter), status.st_size, status.st_mtime_ns, [list(line) for line in lines]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _key(interpreter: Path, lock: str) -> str:
    status = interpreter.stat()
    facts = [_FORMAT, str(interpreter), status.st_size, status.st_mtime_ns, platform.machine(), lock]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _furnish(environment: Path) -> None:
    """Put in what makes pip work without being there."""
    site = next(environment.glob("lib/python3*/site-packages"))
    inside = resources.files("headwater.cluster.node.inside")
    if not (site / "pip").exists():
        (site / "pip").mkdir()
        (site / "pip" / "__init__.py").write_text('"""Answered by uv: see __main__.py."""\n\n__version__ = "25.0"\n')
        (site / "pip" / "__main__.py").write_text((inside / "pip_main.py").read_text())
    (site / "headwater_layer.pth").write_text(_LAYER_HOOK)
    launcher = (inside / "launch.sh").read_text().replace("@UNIT@", UNIT).replace("@RECORD@", RECORD)
    front = environment / "front"
    front.mkdir()
    names = {"python", "python3", "pip", "pip3", *(p.name for p in environment.glob("bin/python3.*"))}
    for name in names:
        (front / name).write_text(launcher)
        (front / name).chmod(0o755)


def _publish_index(path: Path, key: str) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    temporary.write_text(json.dumps({"key": key}))
    temporary.rename(path)
