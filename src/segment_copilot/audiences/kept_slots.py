"""Keeps the sets of users that a refresh of many segments has asked for, so that the next one goes on from them.

A set is a row of ClickHouse's `kept_slots` that never changes. PostgreSQL says what it is the answer to: a slot, as of an
instant, and what had been seen of arrivals by then. What is kept belongs to one tenant, is bounded in number, and goes when it
is of no more use. While a person of the tenant is being erased, nothing is kept and nothing kept is read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from segment_copilot import compiler
from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import Asked, Kept
from segment_copilot.events.arrivals import Mark
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import Lease
from segment_copilot.stores.postgres import Postgres

MOST: Final = 4_000
"""So many sets are kept of a tenant: those of the latest instants."""

UNUSED: Final = timedelta(hours=1)
"""So long after it was begun, a set that nothing names may still be on its way."""

_VERSION: Final = version("segment-copilot").encode()
_TOGETHER: Final = 1_000  # sets that are removed by one statement

_NO_ERASURE: Final = "NOT EXISTS (SELECT FROM erasures WHERE tenant_id = $1 AND status IN ('queued', 'working'))"
_READ: Final = f"""
SELECT question, set_id, place, as_of, seen FROM kept_slots WHERE tenant_id = $1 AND as_of <= $2 AND {_NO_ERASURE}
"""
_BEGIN: Final = "INSERT INTO slot_sets (set_id, tenant_id) VALUES ($1, $2)"
_KEEP: Final = f"""
INSERT INTO kept_slots (tenant_id, question, set_id, place, as_of, seen)
SELECT $1, question, set_id, place, $2, $3 FROM unnest($4::bytea[], $5::uuid[], $6::int[]) AS new (question, set_id, place)
WHERE {_NO_ERASURE} AND EXISTS (SELECT FROM computations WHERE id = $7 AND run_id = $8 AND status = 'running')
ON CONFLICT (tenant_id, question) DO UPDATE
    SET set_id = excluded.set_id, place = excluded.place, as_of = excluded.as_of, seen = excluded.seen
"""
_FORGET: Final = """
DELETE FROM kept_slots WHERE tenant_id = $1 AND (question = ANY ($2::bytea[]) OR question = ANY (ARRAY(
    SELECT question FROM kept_slots WHERE tenant_id = $1 AND question <> ALL ($2::bytea[])
    ORDER BY as_of DESC, question OFFSET $3)))
"""
_OUTDATED: Final = "DELETE FROM kept_slots WHERE (seen->>'at')::timestamptz < now() - $1::interval"
_UNUSED: Final = """
SELECT set_id, tenant_id FROM slot_sets WHERE begun_at < now() - $1::interval
    AND NOT EXISTS (SELECT FROM kept_slots WHERE kept_slots.set_id = slot_sets.set_id)
ORDER BY begun_at LIMIT $2
"""
_REMOVE: Final = """
ALTER TABLE kept_slots DELETE WHERE tenant_id IN {tenants:Array(UInt32)} AND set_id IN {sets:Array(UUID)}
SETTINGS mutations_sync = 1
"""
_REMOVED: Final = "DELETE FROM slot_sets WHERE set_id = ANY ($1::uuid[])"


class KeptSlot(Struct, frozen=True):
    """A set that is kept: where it stands, as of when, and what had been seen of arrivals by then."""

    question: bytes
    kept: Kept
    as_of: datetime
    seen: Mark


def question_of(as_of: datetime, slot: Asked) -> bytes:
    """Return what is asked, as a hash; another version of this program may ask it otherwise."""
    return compiler.question_at(as_of, slot) + _VERSION


class KeptSlots:
    """Keeps sets for all tenants; a caller's methods take the tenant, the worker's none."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, *, recent: timedelta) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._recent = recent / 2  # after that, nobody can say what has arrived since

    async def read(self, tenant: Tenant, *, as_of: datetime) -> dict[bytes, KeptSlot]:
        """Return what is kept as of no later than an instant, by question."""
        rows = await self._postgres.fetch(_READ, tenant.id, as_of)
        marks = {text: msgspec.json.decode(text, type=Mark) for text in {row["seen"] for row in rows}}
        return {
            row["question"]: KeptSlot(
                row["question"], Kept(row["set_id"], row["place"]), row["as_of"], marks[row["seen"]]
            )
            for row in rows
        }

    async def begin(self, tenant: Tenant) -> UUID:
        """Return the id of a new set: whatever becomes of who writes it, it will be used or removed."""
        set_id = uuid4()
        await self._postgres.execute(_BEGIN, set_id, tenant.id)
        return set_id

    async def keep(
        self, tenant: Tenant, found: Mapping[Asked, Kept], *, as_of: datetime, seen: Mark, lease: Lease
    ) -> None:
        """Keep what a computation that this worker still holds has found; nothing, if another one has it by now."""
        questions = [question_of(as_of, slot) for slot in found]
        sets, places = [one.set_id for one in found.values()], [one.place for one in found.values()]
        mark = msgspec.json.encode(seen).decode()
        await self._postgres.execute(_KEEP, tenant.id, as_of, mark, questions, sets, places, lease.id, lease.key)

    async def forget(self, tenant: Tenant, questions: Collection[bytes] = ()) -> None:
        """Forget these, from which others went on, and what is more than is kept of a tenant."""
        await self._postgres.execute(_FORGET, tenant.id, list(questions), MOST)

    async def remove_unused(self) -> bool:
        """Remove, of all tenants, what nothing names any more; True if there may be more of it."""
        await self._postgres.execute(_OUTDATED, self._recent)
        rows = await self._postgres.fetch(_UNUSED, UNUSED, _TOGETHER)
        sets: Sequence[UUID] = [row["set_id"] for row in rows]
        if sets:
            params = {"tenants": sorted({row["tenant_id"] for row in rows}), "sets": sets}
            await self._clickhouse.execute(_REMOVE, params, purpose="compute")
            await self._postgres.execute(_REMOVED, sets)
        return len(rows) == _TOGETHER
