"""Keeps files in PostgreSQL, in chunks of one size: the one place that all processes share, whatever runs where."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import Struct

from segment_copilot.errors import Gone
from segment_copilot.stores.leases import Lease, LeaseLost
from segment_copilot.stores.postgres import Postgres

CHUNK_BYTES: Final = 2**20

# The lock makes whoever takes the export away wait for this chunk, and then remove it too; or this find nothing.
_KEEP: Final = """
INSERT INTO export_chunks (export_id, file_id, number, data)
SELECT id, file_id, $3, $4 FROM exports WHERE id = $1 AND file_id = $2 AND status = 'running' FOR SHARE
"""
_READ: Final = """
SELECT data FROM export_chunks JOIN exports ON exports.id = export_id AND exports.file_id = export_chunks.file_id
WHERE tenant_id = $1 AND export_id = $2 AND export_chunks.file_id = $3 AND number = $4
"""


class StoredFile(Struct, frozen=True):
    """A file that is whole: where it is kept, and how many bytes it has."""

    tenant_id: int
    export_id: int
    file_id: UUID
    size: int


class Chunks:
    """Writes the file of one attempt. At most a chunk of it is in memory, beside what is added at once."""

    def __init__(self, postgres: Postgres, lease: Lease) -> None:
        self._postgres = postgres
        self._lease = lease
        self._waiting = bytearray()
        self._digest = sha256()
        self._number = 0
        self.size = 0

    async def add(self, data: bytes) -> None:
        """Go on with *data*; raises LeaseLost once the export is another worker's, or gone."""
        self.size += len(data)
        self._digest.update(data)
        self._waiting += data
        while len(self._waiting) >= CHUNK_BYTES:
            await self._keep(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]

    async def end(self) -> bytes:
        """Keep what is left, and return the SHA-256 of the whole."""
        if self._waiting:
            await self._keep(bytes(self._waiting))
        return self._digest.digest()

    async def _keep(self, data: bytes) -> None:
        if not await self._postgres.execute(_KEEP, self._lease.id, self._lease.key, self._number, data):
            raise LeaseLost("The export was taken away while it was written.")
        self._number += 1


async def read_range(postgres: Postgres, file: StoredFile, start: int, stop: int) -> AsyncGenerator[bytes]:
    """Yield the bytes from *start* up to, not including, *stop*, a chunk at a time; nothing is held in between.

    Raises:
        Gone: The file was removed meanwhile; what was yielded before is only a part.

    """
    for number in range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES)):
        data = await postgres.fetchval(_READ, file.tenant_id, file.export_id, file.file_id, number)
        if data is None:
            raise Gone("The file was removed while it was read.", code="export_expired")
        first = number * CHUNK_BYTES
        yield bytes(data[max(start - first, 0) : stop - first])
