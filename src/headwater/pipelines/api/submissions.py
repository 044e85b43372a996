"""What people hand in: compiled pipelines as structs, YAML, JSON, or archives of them.

A submission is read and checked in a thread, since a large one takes longer than the event loop may be held up, and
within bounds: an archive or a YAML alias that unfolds to something enormous is refused.
"""

import asyncio
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headwater.pipelines.api.wire import MAX_BODY, bad_request
from headwater.pipelines.spec.documents import Documents, read_documents, split
from headwater.pipelines.spec.loading import check_run_parameters, load
from headwater.pipelines.spec.tree import Pipeline

_MAX_NODES = 1_000_000


@dataclass(frozen=True, slots=True)
class Submission:
    """A checked pipeline with the documents it came from."""

    documents: Documents
    pipeline: Pipeline


async def from_struct(value: Any) -> Submission:
    """Check a pipeline that came inside a request. Raises ``SpecError``, ``ApiError``."""
    return await asyncio.to_thread(lambda: _checked(split(value)))


async def from_upload(data: bytes, filename: str) -> Submission:
    """Read and check an uploaded file: YAML, JSON, zip or tar.gz. Raises ``SpecError``, ``ApiError``."""
    return await asyncio.to_thread(lambda: _checked(read_documents(unpack(data, filename))))


async def run_parameters(pipeline: Pipeline, given: Mapping[str, Any]) -> None:
    """Check a run's parameters against the pipeline. Raises ``SpecError``."""
    await asyncio.to_thread(check_run_parameters, pipeline, given)


def _checked(documents: Documents) -> Submission:
    _within_bounds(documents)
    return Submission(documents, load(documents.spec, documents.platform))


def _within_bounds(documents: Documents) -> None:
    """Refuse a document that is small to send and enormous to walk, as YAML's aliases allow."""
    left = _MAX_NODES
    waiting: list[Any] = [documents.spec, documents.platform]
    while waiting:
        value = waiting.pop()
        children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        left -= len(children)
        if left < 0:
            raise bad_request(f"The pipeline has more than {_MAX_NODES:,} values.")
        waiting.extend(children)


def unpack(data: bytes, filename: str = "") -> bytes:
    """Return the pipeline's text: the file itself, or the one in the archive. Raises ``ApiError``."""
    try:
        if data[:4] == b"PK\x03\x04":
            return _from_zip(data)
        if data[:2] == b"\x1f\x8b":
            return _from_tar(data)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise bad_request(f"{filename or 'The file'} cannot be unpacked: {error}.") from None
    return data


def _from_zip(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = _choose([info.filename for info in archive.infolist() if not info.is_dir()])
        with archive.open(name) as file:
            return _bounded(file.read(MAX_BODY + 1), name)


def _from_tar(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        name = _choose([member.name for member in archive if member.isfile()])
        file = archive.extractfile(name)
        assert file is not None
        return _bounded(file.read(MAX_BODY + 1), name)


def _choose(names: list[str]) -> str:
    found = [name for name in names if name.endswith((".yaml", ".yml", ".json"))]
    for name in found:
        if name.rpartition("/")[2] == "pipeline.yaml":
            return name
    if len(found) != 1:
        raise bad_request(
            f"The archive must hold pipeline.yaml or one YAML or JSON file; it has {len(found)}: "
            f"{', '.join(sorted(found)[:5]) or 'none'}."
        )
    return found[0]


def _bounded(text: bytes, name: str) -> bytes:
    if len(text) > MAX_BODY:
        raise bad_request(f"{name} in the archive is larger than {MAX_BODY >> 20} MiB.")
    return text
