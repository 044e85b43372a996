"""The object store as a directory on this machine: ``minio://bucket/key`` lies at ``<root>/minio/bucket/key``.

Pods write below this directory, as other users, so nothing found there is trusted: no URI may name a place outside, and
no symbolic link is followed, neither by a read nor where a path is handed out to be mounted. A write goes through a
staging file and a rename, so that an object is there whole and on disk, or not at all.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import stat
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from headwater.artifacts import Entry

SCHEMES = ("minio", "s3", "gs", "oci")
_CHUNK = 1 << 20
_STAGING = ".staging"


class DirectoryStore:
    """An ``ArtifactStore`` below one directory, which is created when it is missing."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        (self.root / _STAGING).mkdir(mode=0o700, exist_ok=True)

    async def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """Return an object's bytes, at most ``limit`` of them. Raises ``FileNotFoundError``, ``IsADirectoryError``."""
        return await asyncio.to_thread(self._read, uri, limit)

    async def stream(self, uri: str) -> AsyncIterator[bytes]:
        """Yield an object's bytes in chunks of at most 1 MiB. Raises as ``read`` does, before the first chunk."""
        descriptor = await asyncio.to_thread(self._open_file, uri)
        try:
            while chunk := await asyncio.to_thread(os.read, descriptor, _CHUNK):
                yield chunk
        finally:
            os.close(descriptor)

    async def write(self, uri: str, data: bytes) -> None:
        """Store an object durably: it is there whole, or not at all."""
        await asyncio.to_thread(self._write, uri, data)

    async def entries(self, uri: str) -> list[Entry]:
        """List the object at the URI, or everything below it as a folder, by name; empty if there is nothing."""
        return await asyncio.to_thread(lambda: list(self._entries(uri)))

    async def delete(self, uri: str) -> None:
        """Remove the object, or everything below it. Removing nothing is no error."""
        await asyncio.to_thread(self._delete, uri)

    def local_path(self, uri: str) -> Path:
        """Return where the artifact lies on this machine, existing or not.

        Raises ``ValueError`` for a URI that points out of the store, also by way of a symbolic link.
        """
        path = self.root
        for part in self._parts(uri):
            path = path / part
            if path.is_symlink():
                raise ValueError(f"{uri}: {path} is a symbolic link, and the store follows none")
        return path

    def make_folder(self, uri: str, *, mode: int | None = None, sealed: bool = False) -> Path:
        """Make the folder at the URI, with its parents, and return where it lies. Raises ``OSError``.

        It is walked step by step, so that no link is followed even if one appears meanwhile. With ``sealed`` every
        parent must be this process's own: nobody else can then move the folder or put a link in its place. Raises
        ``ValueError`` for a URI that points out of the store, leads through a link, or is not sealed.
        """
        parts = self._parts(uri)
        held = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts:
                if sealed and os.fstat(held).st_uid != os.geteuid():
                    raise ValueError(f"{uri} lies in a folder that steps write to; nothing else can be kept below it")
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=held)
                found = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held)
                os.close(held)
                held = found
            if mode is not None:
                os.fchmod(held, mode)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise ValueError(f"{uri} leads through something that is not a folder") from None
            raise
        finally:
            os.close(held)
        return self.root.joinpath(*parts)

    def _parts(self, uri: str) -> list[str]:
        scheme, separator, rest = uri.partition("://")
        if not separator or scheme not in SCHEMES:
            known = ", ".join(f"{name}://" for name in SCHEMES)
            raise ValueError(f"{uri!r}: this store holds URIs that begin with {known}")
        parts = [part for part in rest.split("/") if part]
        if not parts or rest.startswith("/"):
            raise ValueError(f"{uri!r} names no bucket")
        for part in parts:
            if part in (".", "..") or "\0" in part:
                raise ValueError(f"{uri!r} points out of the store: {part!r} is not allowed in it")
        return [scheme, *parts]

    def _open(self, uri: str) -> int:
        """Open what lies at the URI, step by step so that no link is followed even if one appears meanwhile."""
        held = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in self._parts(uri):
                found = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
                os.close(held)
                held = found
        except FileNotFoundError:
            os.close(held)
            raise FileNotFoundError(f"{uri} is not in the artifact store") from None
        except OSError as error:
            os.close(held)
            if error.errno == errno.ELOOP:
                raise OSError(f"{uri} leads through a symbolic link, and the store follows none") from None
            raise
        except ValueError:
            os.close(held)
            raise
        return held

    def _open_file(self, uri: str) -> int:
        descriptor = self._open(uri)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return descriptor
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{uri} is a folder, not a single object")
        raise OSError(f"{uri} is not a regular file")

    def _read(self, uri: str, limit: int | None) -> bytes:
        with os.fdopen(self._open_file(uri), "rb") as file:
            return file.read(-1 if limit is None else limit)

    def _write(self, uri: str, data: bytes) -> None:
        target = self.local_path(uri)
        if len(target.relative_to(self.root).parts) < 3:
            raise ValueError(f"{uri!r} names a bucket, not an object in it")
        staged = self.root / _STAGING / uuid.uuid4().hex
        try:
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _make_directories(target.parent)
            staged.replace(target)
            _sync(target.parent)
        finally:
            staged.unlink(missing_ok=True)

    def _entries(self, uri: str) -> Iterator[Entry]:
        try:
            descriptor = self._open(uri)
        except (FileNotFoundError, NotADirectoryError):
            return
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                yield Entry(uri, status.st_size)
                return
            found = []
            for folder, folders, files, handle in os.fwalk(".", dir_fd=descriptor, follow_symlinks=False):
                folders.sort()
                for name in files:
                    here = os.stat(name, dir_fd=handle, follow_symlinks=False)
                    if stat.S_ISREG(here.st_mode):
                        found.append((os.path.normpath(os.path.join(folder, name)), here.st_size))
        except RecursionError:
            raise OSError(errno.ENAMETOOLONG, f"{uri} holds folders that are nested too deeply") from None
        finally:
            os.close(descriptor)
        yield from (Entry(f"{uri.rstrip('/')}/{name}", size) for name, size in sorted(found))

    def _delete(self, uri: str) -> None:
        path = self.local_path(uri)
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            _sync(path.parent)
        except (FileNotFoundError, NotADirectoryError):
            pass


def _make_directories(path: Path) -> None:
    """Make the directory with its parents, and see to it that they outlive a power cut."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    path.mkdir(exist_ok=True)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
