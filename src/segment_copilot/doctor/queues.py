"""Examines what waits for a worker, and for how long; whether any worker lives; which secrets can still be opened."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from segment_copilot.activations.secrets import Secrets
from segment_copilot.doctor.findings import Check, in_words, ok, warning, wrong
from segment_copilot.errors import InvalidInput
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import LIVING

_AT_MOST: Final = 100_000  # rows that are counted: a queue that is longer is long


class Queue(Struct, frozen=True):
    """A queue is rows of a table that wait, the oldest of which says how late the work is."""

    name: str
    says: str
    sql: str
    """Of the rows that wait: `since`, from when on each could have been done. Oldest first, where an index has it so."""
    patience: float
    """Seconds after which the oldest is late; after ten times as many something is wrong."""


QUEUES: Final = (
    Queue(
        "events",
        "events that no block holds yet",
        "SELECT received_at AS since FROM events WHERE block_id IS NULL ORDER BY seq",
        60,
    ),
    Queue(
        "blocks",
        "blocks of events on their way to ClickHouse",
        "SELECT coalesce(failing_since, created_at) AS since FROM blocks WHERE status = 'pending' ORDER BY id",
        60,
    ),
    Queue(
        "identity_links",
        "links of ids on their way to ClickHouse",
        "SELECT updated_at AS since FROM identity_links WHERE status = 'pending' ORDER BY version",
        60,
    ),
    Queue(
        "computations",
        "computations",
        "SELECT created_at AS since FROM computations WHERE status IN ('queued', 'running') ORDER BY id",
        900,
    ),
    Queue(
        "refreshes",
        "segments that are due for a refresh",
        "SELECT next_refresh_at AS since FROM segments WHERE next_refresh_at <= now() ORDER BY next_refresh_at",
        300,
    ),
    Queue(
        "snapshots",
        "snapshots",
        "SELECT created_at AS since FROM snapshots WHERE status IN ('pending', 'running') ORDER BY id",
        900,
    ),
    Queue(
        "exports",
        "exports",
        "SELECT created_at AS since FROM exports WHERE status IN ('pending', 'running') ORDER BY id",
        900,
    ),
    Queue(
        "erasures",
        "erasures of people",
        "SELECT requested_at AS since FROM erasures WHERE status IN ('queued', 'working') ORDER BY id",
        3_600,
    ),
    Queue(
        "deliveries",
        "deliveries to destinations that may be sent",
        """SELECT greatest(created_at, lease_until) AS since FROM deliveries
        WHERE status = 'sending' OR status = 'queued' AND coalesce(lease_until, now()) <= now() ORDER BY id""",
        900,
    ),
    Queue(
        "publications",
        "publications that no webhook was told of",
        "SELECT published_at AS since FROM publications WHERE sequence IS NULL ORDER BY id",
        60,
    ),
    Queue(
        "webhooks",
        "lanes of webhooks that are due",
        "SELECT next_attempt_at AS since FROM webhook_lanes WHERE next_attempt_at <= now() ORDER BY next_attempt_at",
        300,
    ),
    Queue(
        "removals",
        "removals of members that are no longer read",
        "SELECT created_at AS since FROM member_removals ORDER BY id",
        3_600,
    ),
)

_WAITING: Final = """
SELECT count(*) AS depth, coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::float8 AS age
FROM (__ROWS__ LIMIT $1) AS waiting
"""
# How many there are, and whose: ids to ask for, not of one tenant.
_ENDED: Final = """
SELECT 'events' AS name, coalesce(sum(event_count), 0) AS count, NULL::bigint[] AS ids FROM blocks WHERE status = 'failed'
UNION ALL
SELECT 'deliveries', count(*), array_agg(DISTINCT activation_id) FROM deliveries WHERE status = 'dead'
UNION ALL SELECT 'held', count(*), array_agg(DISTINCT activation_id) FROM deliveries WHERE status = 'held'
UNION ALL SELECT 'erasures', count(*), array_agg(id) FROM erasures WHERE status = 'failed'
UNION ALL SELECT 'refreshes', count(*), array_agg(id) FROM segments WHERE refresh_failures > 2
"""
_ENDS: Final = {
    "events": (
        "events were set aside: ClickHouse refuses them",
        "See `segment-copilot events failed`, then `events retry`.",
    ),
    "deliveries": (
        "deliveries are dead, of activations",
        "GET /api/activations/<id>/deliveries/ says why; POST /api/deliveries/<id>/replay/ sends one again.",
    ),
    "held": (
        "deliveries are held because their audience shrank, of activations",
        "POST /api/activations/<id>/sync/ with allow_empty, or raise its max_shrink_percent.",
    ),
    "erasures": (
        "erasures of people failed, with ids",
        "GET /api/erasures/<id>/, and the worker's log, say why; erase the user again.",
    ),
    "refreshes": (
        "segments failed to refresh three times in a row, with ids",
        "GET /api/segments/<id>/ says why (`last_error`).",
    ),
}
_IDS: Final = 5
_SEALED: Final = """
SELECT DISTINCT sealed_with AS key FROM activations WHERE sealed_with IS NOT NULL
UNION SELECT DISTINCT split_part(secret, '.', 2) FROM webhooks
UNION SELECT DISTINCT split_part(previous_secret, '.', 2) FROM webhooks WHERE previous_until > now()
"""


async def examine_queues(postgres: Postgres) -> list[Check]:
    """Return what waits and for how long, whether a worker lives, and what came to a bad end."""
    workers = int(await postgres.fetchval(f"SELECT cardinality({LIVING})"))
    waiting = list[tuple[Queue, int, float]]()
    for queue in QUEUES:
        row = await postgres.fetchrow(_WAITING.replace("__ROWS__", queue.sql), _AT_MOST)
        assert row is not None  # noqa: S101  # an aggregate
        waiting.append((queue, row["depth"], row["age"]))
    late = [check for check in (judge_queue(*one) for one in waiting) if check.verdict != "ok"]
    depth = sum(depth for _, depth, _ in waiting)
    nothing = (
        []
        if late
        else [ok("queues", f"{depth} pieces of work wait, none for too long." if depth else "Nothing waits.")]
    )
    return [judge_workers(workers, depth), *late, *nothing, *await _ended(postgres)]


def judge_workers(workers: int, depth: int) -> Check:
    """Judge the number of workers that live, where *depth* pieces of work wait for them."""
    if workers:
        return ok("workers", f"{workers} {'worker lives' if workers == 1 else 'workers live'}.")
    remedy = "Start `segment-copilot worker`: until then nothing is forwarded, computed, sent or removed."
    if depth:
        return wrong("workers", f"No worker lives, and {depth} pieces of work wait.", remedy)
    return warning("workers", "No worker lives.", remedy)


def judge_queue(queue: Queue, depth: int, age: float) -> Check:
    """Judge a queue by how long its oldest row could have been done."""
    many = f"more than {depth - 1:,}" if depth >= _AT_MOST else f"{depth:,}"
    detail = f"{many} {queue.says} wait, the oldest for {in_words(max(age, 0))}."
    remedy = "Look at the workers' logs, and whether they are enough; docs/operations/doctor.md says what each queue waits for."
    if age >= 10 * queue.patience:
        return wrong(f"queues.{queue.name}", detail, remedy)
    return (
        warning(f"queues.{queue.name}", detail, remedy) if age >= queue.patience else ok(f"queues.{queue.name}", detail)
    )


async def _ended(postgres: Postgres) -> list[Check]:
    checks = list[Check]()
    for row in await postgres.fetch(_ENDED):
        says, remedy = _ENDS[row["name"]]
        ids = ", ".join(map(str, sorted(row["ids"] or ())[:_IDS]))
        if row["count"]:
            checks.append(warning(f"queues.{row['name']}", f"{row['count']} {says}{ids and ' '}{ids}.", remedy))
    return checks


async def examine_secrets(postgres: Postgres, keys: tuple[str, ...]) -> list[Check]:
    """Return which keys are still needed to open what is stored."""
    try:
        known = Secrets(keys).ids
    except InvalidInput:
        return []  # the settings say so themselves
    used = {row["key"] for row in await postgres.fetch(_SEALED)}
    if lost := sorted(used - known):
        detail = (
            f"Secrets are sealed with {', '.join(lost)}, which SECRETS_KEYS does not hold: nothing is sent with them."
        )
        return [wrong("secrets", detail, "Put the key back behind the newest one, or send these secrets again.")]
    return [ok("secrets", "Every secret that is stored can be opened.")] if used else []
