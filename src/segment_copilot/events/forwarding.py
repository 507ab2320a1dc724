"""Blocks: accepted events on their way from PostgreSQL to ClickHouse, each exactly once.

A block's rows are fixed before it is first tried, and it carries a token under which ClickHouse ignores a second
insert of them; so a block that failed anywhere, or whose worker died, is simply tried again. One that keeps failing is
cut in two until the row that ClickHouse refuses is alone, is marked as failed, and holds up nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from msgspec import Struct

from segment_copilot.errors import Unavailable
from segment_copilot.events.names import ObservedNames, find_new_names, write_names
from segment_copilot.events.rows import Event, present_events, write_block
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.leases import LENGTH, MAX_ATTEMPTS, Lease, Leases, Queue
from segment_copilot.stores.postgres import Connection, Postgres, Record

log = structlog.get_logger()

MAX_BLOCK_EVENTS = 50_000
MAX_BLOCK_BYTES = 32 * 2**20  # of payload text

_QUEUE = Queue("blocks", waiting="pending", working="pending")
_WAIT_FOR_STORE = timedelta(seconds=1)
_FORMING_LOCK = 0x5E9_B10C  # one worker at a time collects waiting events; the others go on with their blocks

# A limit in rows and in bytes, but never less than one row.
_FORM = """
WITH waiting AS (
    SELECT seq, octet_length(payload) AS bytes FROM events WHERE block_id IS NULL ORDER BY seq LIMIT $1::int
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

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, *, lease: timedelta = LENGTH) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._leases = Leases(postgres, _QUEUE, length=lease)
        self._known = ObservedNames()  # the names that this process has written

    async def forward_next(self) -> int:
        """Take one block to ClickHouse; return how many events arrived there, 0 when nothing waits.

        A block whose last worker died or failed comes before events that are in no block yet. Raises what the stores
        raise, after noting it at the block.
        """
        block = await self._claim()
        if block is None and await self._form():
            block = await self._claim()
        if block is None:
            return 0
        async with self._leases.renewed([block.lease]):
            return await self._attempt(block)

    async def _claim(self) -> Block | None:
        for lease in await self._leases.claim(self._postgres):
            return Block(lease, await self._postgres.fetchval("SELECT token FROM blocks WHERE id = $1", lease.id))
        return None

    async def _form(self) -> bool:
        """Fix waiting events into a block, for whoever claims it; False when there are none, or another worker does it."""
        if not await self._postgres.fetchval("SELECT EXISTS (SELECT FROM events WHERE block_id IS NULL)"):
            return False
        async with self._postgres.transaction() as transaction:
            if not await transaction.fetchval("SELECT pg_try_advisory_xact_lock($1)", _FORMING_LOCK):
                return False
            return await transaction.fetchval(_FORM, MAX_BLOCK_EVENTS, MAX_BLOCK_BYTES) is not None

    async def _attempt(self, block: Block) -> int:
        try:
            if block.lease.spent:
                await self._isolate(block)
                return 0
            await self._leases.begin([block.lease])
            return await self._forward(block)
        except Unavailable:
            await self._leases.release([block.lease], pause=_WAIT_FOR_STORE)
            raise
        except Exception as error:
            await self._note_failure(block, error)
            raise

    async def _forward(self, block: Block) -> int:
        events = [_event(row) for row in await self._postgres.fetch(_ROWS, block.id)]
        await write_block(self._clickhouse, events, token=str(block.token))
        new = find_new_names(events, known=self._known)
        async with self._postgres.transaction() as transaction:
            if not await self._end_forwarded(transaction, block):
                return 0  # another worker took the block over and was faster
            await write_names(transaction, new)
        self._known.add(new)
        log.info("block.forwarded", block_id=block.id, events=len(events), attempts=block.lease.attempts + 1)
        return len(events)

    async def _end_forwarded(self, transaction: Connection, block: Block) -> bool:
        sql = "UPDATE blocks SET forwarded_at = now(), error = NULL WHERE id = $1"
        return await self._leases.end(transaction, block.lease, "forwarded") and bool(
            await transaction.execute(sql, block.id)
        )

    async def _note_failure(self, block: Block, error: Exception) -> None:
        """Keep what failed, without the message: ClickHouse quotes the data in it."""
        reason = f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()
        attempts = block.lease.attempts + 1
        pause = timedelta(
            seconds=0 if attempts == MAX_ATTEMPTS else min(attempts, MAX_ATTEMPTS)
        )  # 0: it is cut up at once
        await self._leases.fail(self._postgres, block.lease, reason, pause=pause)
        log.error("block.failed", block_id=block.id, attempts=attempts, reason=reason)

    async def _isolate(self, block: Block) -> None:
        """Cut a block that keeps failing in two, or give up on its only row.

        The halves get tokens of their own, so whatever part of the block did arrive is looked up first and stays behind.
        """
        rows = await self._postgres.fetch(_ROWS, block.id)
        events = {row[6]: _event(row) for row in rows}
        present = await present_events(self._clickhouse, list(events.values()))
        absent = [seq for seq, event in events.items() if (event.tenant_id, event.event_id) not in present]
        async with self._postgres.transaction() as transaction:
            if absent and len(events) == 1:
                await self._leases.end(transaction, block.lease, "failed")
                log.error("event.failed", block_id=block.id, tenant_id=rows[0][0])
                return
            if not await self._end_forwarded(transaction, block):
                return  # another worker took the block over and was faster
            middle = (len(absent) + 1) // 2
            for half in (absent[:middle], absent[middle:]):
                await _move(transaction, half)
            arrived = [event for seq, event in events.items() if seq not in set(absent)]
            await write_names(transaction, find_new_names(arrived, known=ObservedNames()))
            await transaction.execute("UPDATE blocks SET event_count = $2 WHERE id = $1", block.id, len(arrived))
        log.warning("block.split", block_id=block.id, arrived=len(arrived), absent=len(absent))

    async def clean_up(self, *, now: datetime, recent: timedelta, remembered: timedelta) -> bool:
        """Delete what is no longer needed, in a step of a bounded size; True if more may be left.

        That is: some events forwarded more than *recent* ago, and some ids older than *remembered*.
        """
        blocks = await self._postgres.execute(_DELETE_BLOCKS, now - recent, MAX_BLOCK_EVENTS)
        ids = await self._postgres.execute(_DELETE_IDS, now - remembered, MAX_BLOCK_EVENTS)
        if blocks or ids:
            log.info("events.cleaned_up", blocks=blocks, ids=ids)
        return bool(blocks or ids)


async def _move(transaction: Connection, seqs: Sequence[int]) -> None:
    """Put these events into a new block, which has one attempt: the reason to split is known."""
    if not seqs:
        return
    block_id = await transaction.fetchval(
        "INSERT INTO blocks (event_count, attempts) VALUES ($1, $2) RETURNING id", len(seqs), MAX_ATTEMPTS - 1
    )
    await transaction.execute("UPDATE events SET block_id = $1 WHERE seq = ANY ($2::bigint[])", block_id, seqs)


def _event(row: Record) -> Event:
    return Event(row[0], event_id=row[1], user_id=row[2], event_type=row[3], occurred_at=row[4], payload=row[5])
