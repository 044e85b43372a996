"""Pipeline specs, each stored once under the hash of its content, and the few that were read last kept decoded."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, exists, select

from headwater.pipelines.records.rows import compress, decompress, spec_document, spec_hash
from headwater.pipelines.records.tables import runs, specs, versions

_KEPT = 32


class Specs:
    """Reads and writes spec documents inside a caller's transaction."""

    def __init__(self) -> None:
        self._decoded: dict[str, Mapping[str, Any]] = {}

    def put(
        self, connection: Connection, pipeline_spec: Mapping[str, Any], platform_spec: Mapping[str, Any] | None
    ) -> str:
        """Store the specs unless they are there; return their hash."""
        document = spec_document(pipeline_spec, platform_spec)
        key = spec_hash(document)
        if connection.execute(select(specs.c.spec_hash).where(specs.c.spec_hash == key)).first() is None:
            connection.execute(specs.insert().values(spec_hash=key, body=compress(document)))
        return key

    def documents(self, connection: Connection, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the stored documents as JSON, by hash; unknown hashes are absent."""
        wanted = sorted({key for key in keys if key})
        if not wanted:
            return {}
        found = connection.execute(select(specs.c.spec_hash, specs.c.body).where(specs.c.spec_hash.in_(wanted)))
        return {key: decompress(body) for key, body in found}

    def load(self, connection: Connection, key: str) -> Mapping[str, Any] | None:
        """Return one decoded document. It is shared: treat it as read-only."""
        document = self._decoded.pop(key, None)
        if document is None:
            found = self.documents(connection, [key]).get(key)
            document = orjson.loads(found) if found is not None else None
        if document is not None:
            self._decoded[key] = document
            for oldest in list(self._decoded)[:-_KEPT]:
                self._decoded.pop(oldest, None)
        return document

    def sweep(self, connection: Connection, keys: Iterable[str]) -> None:
        """Forget those of the specs that no run and no version uses any more."""
        used = exists().where(runs.c.spec_hash == specs.c.spec_hash)
        published = exists().where(versions.c.spec_hash == specs.c.spec_hash)
        connection.execute(specs.delete().where(specs.c.spec_hash.in_(list(set(keys))), ~used, ~published))
