"""Blocks: accepted events on their way from PostgreSQL to ClickHouse, each exactly once.

A block's rows are fixed before it is first tried, and it carries a token under which ClickHouse ignores a second
insert of them; so a block that failed anywhere, or whose worker died, is simply tried again, for as long as it takes.
ClickHouse remembers the tokens of the last thousand inserts, so before each further try it is asked what has arrived.
One whose rows ClickHouse refuses is cut in two until the row at fault is alone. Only that row, refused by itself, is
set aside as failed: it is kept with the reason, holds up nobody, and may be tried again (`failed_events.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct

from segment_copilot.errors import Unavailable
from segment_copilot.events.names import ObservedNames, find_new_names, write_names
from segment_copilot.events.rows import Event, present_events, write_block
from segment_copilot.events.trait_changes import note_trait_changes
from segment_copilot.stores.clickhouse import ClickHouse, ClickHouseError
from segment_copilot.stores.columns import UnfitValue
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.presence import Presence
from segment_copilot.telemetry.metrics import EVENTS_FORWARDED

log = structlog.get_logger()

MAX_BLOCK_EVENTS = 50_000
MAX_BLOCK_BYTES = 32 * 2**20  # of payload text

_QUEUE = Queue("blocks", waiting="pending", working="pending")
_PAUSE = timedelta(seconds=1)  # before a block that failed is tried again
_FORMING_LOCK = 0x5E9_B10C  # one worker at a time collects waiting events; the others go on with their blocks

# A limit in rows and in bytes, but never less than one row.
# Events of somebody who is being forgotten wait until that is done.
_FORM = """
WITH waiting AS (
    SELECT seq, octet_length(payload) AS bytes FROM events
    WHERE block_id IS NULL AND (tenant_id, user_id) NOT IN (
        SELECT tenant_id, unnest(ids) FROM erasures WHERE status IN ('queued', 'working'))
    ORDER BY seq LIMIT $1::int
), taken AS (
    SELECT seq FROM (SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM waiting) AS placed WHERE before < $2::bigint
), block AS (
    INSERT INTO blocks (event_count) SELECT count(*) FROM taken HAVING count(*) > 0 RETURNING id
), assigned AS (
    UPDATE events SET block_id = (SELECT id FROM block) WHERE seq IN (SELECT seq FROM taken)
)
SELECT id FROM block
"""
_ROWS = """
SELECT tenant_id, event_id, user_id, event_type, occurred_at, payload, seq FROM events WHERE block_id = $1 ORDER BY seq
"""
_FAILING = """
UPDATE blocks SET failing_since = coalesce(failing_since, now()), error = $2 WHERE id = $1 AND status = 'pending'
"""
_OTHERS_GOT_THROUGH = """
SELECT EXISTS (
    SELECT FROM blocks WHERE status = 'forwarded' AND forwarded_at > (SELECT failing_since FROM blocks WHERE id = $1))
"""

_BLOCKS_OF = """
SELECT id, lease_id IS NOT NULL AND lease_until > clock_timestamp() AS is_held FROM blocks
WHERE status = 'pending'
    AND id IN (SELECT block_id FROM events WHERE tenant_id = $1 AND user_id = ANY ($2::text[]) AND block_id IS NOT NULL)
FOR UPDATE
"""
_TAKE = """
WITH taken AS (
    DELETE FROM events WHERE tenant_id = $1 AND user_id = ANY ($2::text[]) RETURNING block_id
), smaller AS (
    UPDATE blocks SET event_count = event_count - number
    FROM (SELECT block_id, count(*) AS number FROM taken GROUP BY block_id) AS fewer WHERE id = block_id
)
SELECT count(*) FROM taken
"""
_DELETE_EMPTY = (
    "DELETE FROM blocks WHERE event_count = 0 AND NOT EXISTS (SELECT FROM events WHERE block_id = blocks.id)"
)

_DELETE_BLOCKS = """
WITH old AS (
    SELECT id FROM (
        SELECT id, sum(event_count) OVER (ORDER BY forwarded_at, id) - event_count AS before FROM (
            SELECT id, event_count, forwarded_at FROM blocks WHERE status = 'forwarded' AND forwarded_at < $1
            ORDER BY forwarded_at, id LIMIT 1000
        ) AS oldest
    ) AS placed WHERE before < $2::int
), deleted AS (
    DELETE FROM events WHERE block_id IN (SELECT id FROM old)
)
DELETE FROM blocks WHERE id IN (SELECT id FROM old)
"""
_DELETE_IDS = """
DELETE FROM event_ids WHERE ctid = ANY (ARRAY(SELECT ctid FROM event_ids WHERE accepted_at < $1 LIMIT $2::int))
"""


class Block(Struct, frozen=True):
    """A block is a batch of events that this worker alone forwards while its lease holds."""

    lease: Lease
    token: UUID

    @property
    def id(self) -> int:
        """The id of the block's row."""
        return self.lease.id


class Forwarding:
    """Forwards events in blocks. It belongs to the worker and takes no tenant: a block holds events of many."""

    def __init__(
        self,
        postgres: Postgres,
        clickhouse: ClickHouse,
        *,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)
        self._known = ObservedNames()  # the names that this process has written

    async def forward_next(self) -> int:
        """Take one block to ClickHouse; return how many events arrived there, 0 when nothing waits.

        A block whose last worker died or failed comes before events that are in no block yet. Raises what the stores
        raise, after noting it at the block; rows that ClickHouse refuses are no error here.
        """
        while True:
            block = await self._claim()
            if block is None and await self._form():
                block = await self._claim()
            if block is None:
                return 0
            async with self._leases.renewed([block.lease]), self._clickhouse.users_stay():
                forwarded = await self._attempt(block)
            if forwarded is not None:
                return forwarded

    async def _claim(self) -> Block | None:
        for lease in await self._leases.claim(self._postgres):
            try:
                return Block(lease, await self._postgres.fetchval("SELECT token FROM blocks WHERE id = $1", lease.id))
            except BaseException:
                self._leases.forget([lease])
                raise
        return None

    async def _form(self) -> bool:
        """Fix waiting events into a block, for whoever claims it; False when there are none, or another worker does it."""
        if not await self._postgres.fetchval("SELECT EXISTS (SELECT FROM events WHERE block_id IS NULL)"):
            return False
        async with self._postgres.transaction() as transaction:
            if not await transaction.fetchval("SELECT pg_try_advisory_xact_lock($1)", _FORMING_LOCK):
                return False
            return await transaction.fetchval(_FORM, MAX_BLOCK_EVENTS, MAX_BLOCK_BYTES) is not None

    async def _attempt(self, block: Block) -> int | None:
        """Return how many events arrived; None if the block was cut, or set aside: its halves, or others, come next."""
        try:
            if block.lease.spent and await self._cut(block):  # each of its workers died: perhaps it is too large
                return None
            await self._leases.begin([block.lease])
            return await self._forward(block)
        except Exception as error:
            if await self._blamed(block, error):
                return None
            raise

    async def _forward(self, block: Block) -> int:
        events = [_event(row) for row in await self._postgres.fetch(_ROWS, block.id)]
        present = await present_events(self._clickhouse, events) if block.lease.begun else set[tuple[int, str]]()
        await write_block(self._clickhouse, events, token=str(block.token), present=present)
        new = find_new_names(events, known=self._known)
        async with self._postgres.transaction() as transaction:
            if not await self._end_forwarded(transaction, block):
                return 0  # another worker took the block over and was faster
            await write_names(transaction, new)
            await note_trait_changes(transaction, events)
        self._known.add(new)
        EVENTS_FORWARDED.inc(len(events))
        log.info("block.forwarded", block_id=block.id, events=len(events), attempts=block.lease.attempts + 1)
        return len(events)

    async def _end_forwarded(self, transaction: Connection, block: Block) -> bool:
        sql = """
            UPDATE blocks SET forwarded_at = now(), forwarded_by = pg_current_xact_id(), failing_since = NULL, error = NULL
            WHERE id = $1"""
        return await self._leases.end(transaction, block.lease, "forwarded") and bool(
            await transaction.execute(sql, block.id)
        )

    async def _blamed(self, block: Block, error: Exception) -> bool:
        """Say whose fault *error* is. True: its rows', and they were dealt with; else the block waits for the store.

        An error that tells of neither is the store's, unless others got through since the block first failed. What is
        kept of it is without the message: ClickHouse quotes the data in it.
        """
        reason = f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()
        try:
            if _refuses_rows(error):
                return await self._cut(block) or await self._set_aside(block, reason)
            its_own = not isinstance(error, Unavailable)
            its_own = its_own and await self._postgres.fetchval(_OTHERS_GOT_THROUGH, block.id)
            if its_own and await self._cut(block):
                return True
        except Exception as trouble:  # noqa: BLE001  # the store is gone by now: all of it is tried again
            log.warning("block.left_whole", block_id=block.id, error=type(trouble).__name__)
        await self._leases.release([block.lease], pause=_PAUSE)
        await self._postgres.execute(_FAILING, block.id, reason)
        log.warning("block.waits", block_id=block.id, reason=reason)
        return False

    async def _set_aside(self, block: Block, reason: str) -> bool:
        """Mark the one row of the block, which ClickHouse refused by itself, as failed."""
        await self._leases.end(self._postgres, block.lease, "failed", error=reason)
        log.error("event.failed", block_id=block.id, reason=reason)
        return True

    async def _cut(self, block: Block) -> bool:
        """Cut a block in two; False if it has only one row that is still to come.

        The halves get tokens of their own, so whatever part of the block did arrive is looked up first and stays behind.
        """
        rows = await self._postgres.fetch(_ROWS, block.id)
        events = {row[6]: _event(row) for row in rows}
        present = await present_events(self._clickhouse, list(events.values()))
        absent = [seq for seq, event in events.items() if (event.tenant_id, event.event_id) not in present]
        if absent and len(events) == 1:
            return False
        failing_since = await self._postgres.fetchval("SELECT failing_since FROM blocks WHERE id = $1", block.id)
        arrived = [event for seq, event in events.items() if seq not in set(absent)]
        async with self._postgres.transaction() as transaction:
            if not await self._end_forwarded(transaction, block):
                return True  # another worker took the block over and was faster
            middle = (len(absent) + 1) // 2
            for half in (absent[:middle], absent[middle:]):
                await _move(transaction, half, failing_since=failing_since)
            await write_names(transaction, find_new_names(arrived, known=ObservedNames()))
            await note_trait_changes(transaction, arrived)
            await transaction.execute("UPDATE blocks SET event_count = $2 WHERE id = $1", block.id, len(arrived))
        log.warning("block.split", block_id=block.id, arrived=len(arrived), absent=len(absent))
        return True

    async def clean_up(self, *, now: datetime, recent: timedelta, remembered: timedelta) -> bool:
        """Delete what is no longer needed, in a step of a bounded size; True if more may be left.

        That is: some events forwarded more than *recent* ago, and some ids older than *remembered*.
        """
        blocks = await self._postgres.execute(_DELETE_BLOCKS, now - recent, MAX_BLOCK_EVENTS)
        ids = await self._postgres.execute(_DELETE_IDS, now - remembered, MAX_BLOCK_EVENTS)
        if blocks or ids:
            log.info("events.cleaned_up", blocks=blocks, ids=ids)
        return bool(blocks or ids)


async def take_events_of(transaction: Connection, tenant_id: int, user_ids: Sequence[str]) -> int | None:
    """Remove all events of some users, wherever they are on their way, and return how many; None while a worker holds one.

    None is being formed into a block meanwhile. A block keeps its token with fewer rows: whether it arrived before, or
    arrives now, is as true of the others as it was.
    """
    await transaction.execute("SELECT pg_advisory_xact_lock($1)", _FORMING_LOCK)
    blocks = await transaction.fetch(_BLOCKS_OF, tenant_id, user_ids)
    if any(block["is_held"] for block in blocks):
        return None
    taken: int = await transaction.fetchval(_TAKE, tenant_id, user_ids)
    await transaction.execute(_DELETE_EMPTY)
    return taken


async def _move(transaction: Connection, seqs: Sequence[int], *, failing_since: datetime | None) -> None:
    """Put these events into a new block, which goes on as the old one did."""
    if not seqs:
        return
    sql = "INSERT INTO blocks (event_count, failing_since) VALUES ($1, $2) RETURNING id"
    block_id = await transaction.fetchval(sql, len(seqs), failing_since)
    await transaction.execute("UPDATE events SET block_id = $1 WHERE seq = ANY ($2::bigint[])", block_id, seqs)


def _refuses_rows(error: Exception) -> bool:
    """Return whether *error* says that some row of the block cannot be stored as it is."""
    return isinstance(error, (UnfitValue, msgspec.DecodeError)) or (
        isinstance(error, ClickHouseError) and error.refuses_rows
    )


def _event(row: Record) -> Event:
    return Event(row[0], event_id=row[1], user_id=row[2], event_type=row[3], occurred_at=row[4], payload=row[5])
