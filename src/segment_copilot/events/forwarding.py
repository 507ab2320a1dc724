"""Blocks: accepted events on their way from PostgreSQL to ClickHouse, each exactly once.

A block's rows are fixed before it is first tried, and it carries a token under which ClickHouse ignores a second
insert of them; so a block that failed anywhere, or whose worker died, is simply tried again. One that keeps failing is
cut in two until the row that ClickHouse refuses is alone, is marked as failed, and holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from msgspec import Struct

from segment_copilot.errors import Unavailable
from segment_copilot.events.names import ObservedNames, new_names, write_names
from segment_copilot.events.rows import Event, present_events, write_block
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Connection, Postgres, Record

log = structlog.get_logger()

MAX_BLOCK_EVENTS = 50_000
MAX_BLOCK_BYTES = 32 * 2**20  # of payload text
MAX_ATTEMPTS = 3
LEASE = timedelta(seconds=20)
_WRITE_SECONDS = 15  # shorter than the lease: whoever takes a block over is then alone with it

_FORMING_LOCK = 0x5E9_B10C  # one worker at a time collects waiting events; the others go on with their blocks

# A limit in rows and in bytes, but never less than one row.
_FORM = """
WITH waiting AS (
    SELECT seq, octet_length(payload) AS bytes FROM events WHERE block_id IS NULL ORDER BY seq LIMIT $1::int
), taken AS (
    SELECT seq FROM (SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM waiting) AS placed WHERE before < $2::bigint
), block AS (
    INSERT INTO blocks (event_count, attempts, lease_until)
    SELECT count(*), 1, now() + $3::interval FROM taken HAVING count(*) > 0
    RETURNING id, token, attempts
), assigned AS (
    UPDATE events SET block_id = (SELECT id FROM block) WHERE seq IN (SELECT seq FROM taken)
)
SELECT id, token, attempts FROM block
"""
_CLAIM = """
UPDATE blocks SET attempts = attempts + 1, lease_until = now() + $1::interval
WHERE id = (
    SELECT id FROM blocks WHERE status = 'pending' AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, token, attempts
"""
_ROWS = """
SELECT tenant_id, event_id, user_id, event_type, occurred_at, payload, seq FROM events WHERE block_id = $1 ORDER BY seq
"""
_FORWARDED = """
UPDATE blocks SET status = 'forwarded', forwarded_at = now(), lease_until = NULL, error = NULL
WHERE id = $1 AND status = 'pending'
"""


class Block(Struct, frozen=True):
    """A block that is ours until its lease ends. *attempts* counts this one."""

    id: int
    token: UUID
    attempts: int


async def forward_next_block(
    postgres: Postgres, clickhouse: ClickHouse, *, known: ObservedNames, lease: timedelta = LEASE
) -> int:
    """Take one block to ClickHouse; return how many events arrived there, 0 when nothing waits.

    A block whose last worker died or failed comes before events that are in no block yet. *known* is this process's
    memory of the names it has written. Raises what the stores raise, after noting it at the block.
    """
    block = await _claim(postgres, lease) or await _form(postgres, lease)
    if block is None:
        return 0
    if block.attempts > MAX_ATTEMPTS:
        await _isolate(postgres, clickhouse, block)
        return 0
    try:
        return await _forward(postgres, clickhouse, block, known=known)
    except Unavailable:
        await _release(postgres, block)
        raise
    except Exception as error:
        await _note_failure(postgres, block, error)
        raise


async def _claim(postgres: Postgres, lease: timedelta) -> Block | None:
    if not await postgres.fetchval("SELECT EXISTS (SELECT FROM blocks WHERE status = 'pending')"):
        return None
    return _block(await postgres.fetchrow(_CLAIM, lease))


async def _form(postgres: Postgres, lease: timedelta) -> Block | None:
    if not await postgres.fetchval("SELECT EXISTS (SELECT FROM events WHERE block_id IS NULL)"):
        return None
    async with postgres.transaction() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _FORMING_LOCK):
            return None
        return _block(await connection.fetchrow(_FORM, MAX_BLOCK_EVENTS, MAX_BLOCK_BYTES, lease))


def _block(row: Record | None) -> Block | None:
    return None if row is None else Block(row[0], token=row[1], attempts=row[2])


async def _forward(postgres: Postgres, clickhouse: ClickHouse, block: Block, *, known: ObservedNames) -> int:
    events = [_event(row) for row in await postgres.fetch(_ROWS, block.id)]
    async with asyncio.timeout(_WRITE_SECONDS):
        await write_block(clickhouse, events, token=str(block.token))
    new = new_names(events, known=known)
    async with postgres.transaction() as connection:
        if not await connection.execute(_FORWARDED, block.id):
            return 0  # another worker took the block over and was faster
        await write_names(connection, new)
    known.add(new)
    log.info("block.forwarded", block_id=block.id, events=len(events), attempts=block.attempts)
    return len(events)


async def _release(postgres: Postgres, block: Block) -> None:
    """Give the block back: that a store is away is no fault of its rows."""
    await postgres.execute(
        "UPDATE blocks SET attempts = attempts - 1, lease_until = now() + interval '1 second' WHERE id = $1", block.id
    )


async def _note_failure(postgres: Postgres, block: Block, error: Exception) -> None:
    """Keep what failed, without the message: ClickHouse quotes the data in it."""
    reason = f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()
    pause = timedelta(seconds=block.attempts if block.attempts < MAX_ATTEMPTS else 0)  # then it is cut up at once
    sql = "UPDATE blocks SET error = $2, lease_until = now() + $3::interval WHERE id = $1"
    await postgres.execute(sql, block.id, reason, pause)
    log.error("block.failed", block_id=block.id, attempts=block.attempts, reason=reason)


async def _isolate(postgres: Postgres, clickhouse: ClickHouse, block: Block) -> None:
    """Cut a block that keeps failing in two, or give up on its only row.

    The halves get tokens of their own, so whatever part of the block did arrive is looked up first and stays behind.
    """
    rows = await postgres.fetch(_ROWS, block.id)
    events = {row[6]: _event(row) for row in rows}
    present = await present_events(clickhouse, list(events.values()))
    absent = [seq for seq, event in events.items() if (event.tenant_id, event.event_id) not in present]
    async with postgres.transaction() as connection:
        if absent and len(events) == 1:
            await connection.execute("UPDATE blocks SET status = 'failed', lease_until = NULL WHERE id = $1", block.id)
            log.error("event.failed", block_id=block.id, tenant_id=rows[0][0])
            return
        middle = (len(absent) + 1) // 2
        for half in (absent[:middle], absent[middle:]):
            await _move(connection, half)
        arrived = [event for seq, event in events.items() if seq not in set(absent)]
        await write_names(connection, new_names(arrived, known=ObservedNames()))
        await connection.execute("UPDATE blocks SET event_count = $2 WHERE id = $1", block.id, len(arrived))
        await connection.execute(_FORWARDED, block.id)
    log.warning("block.split", block_id=block.id, arrived=len(arrived), absent=len(absent))


async def _move(connection: Connection, seqs: Sequence[int]) -> None:
    """Put these events into a new block, which has one attempt: the reason to split is known."""
    if not seqs:
        return
    block_id = await connection.fetchval(
        "INSERT INTO blocks (event_count, attempts) VALUES ($1, $2) RETURNING id", len(seqs), MAX_ATTEMPTS - 1
    )
    await connection.execute("UPDATE events SET block_id = $1 WHERE seq = ANY ($2::bigint[])", block_id, seqs)


def _event(row: Record) -> Event:
    return Event(row[0], event_id=row[1], user_id=row[2], event_type=row[3], occurred_at=row[4], payload=row[5])


# What is no longer needed goes, in steps of a bounded size.

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


async def clean_up(postgres: Postgres, *, now: datetime, recent: timedelta, remembered: timedelta) -> bool:
    """Delete some events forwarded more than *recent* ago and some ids older than *remembered*; True if more may be left."""
    blocks = await postgres.execute(_DELETE_BLOCKS, now - recent, MAX_BLOCK_EVENTS)
    ids = await postgres.execute(_DELETE_IDS, now - remembered, MAX_BLOCK_EVENTS)
    if blocks or ids:
        log.info("events.cleaned_up", blocks=blocks, ids=ids)
    return bool(blocks or ids)
