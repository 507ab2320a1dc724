"""Examines what waits for a worker, and for how long; whether any worker lives; what came to a bad end."""

from __future__ import annotations

from typing import Final

from segment_copilot.doctor.findings import Check, in_words, ok, warning, wrong
from segment_copilot.stores.backlog import AT_MOST, BACKLOGS, Backlog, waiting
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import LIVING

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


async def examine_queues(postgres: Postgres) -> list[Check]:
    """Return what waits and for how long, whether a worker lives, and what came to a bad end."""
    workers = int(await postgres.fetchval(f"SELECT cardinality({LIVING})"))
    found = list(zip(BACKLOGS, await waiting(postgres), strict=True))
    judged = [judge_queue(queue, one.depth, one.age) for queue, one in found]
    late = [check for check in judged if check.verdict != "ok"]
    depth = sum(one.depth for _, one in found)
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


def judge_queue(queue: Backlog, depth: int, age: float) -> Check:
    """Judge a queue by how long its oldest row could have been done."""
    many = f"more than {depth - 1:,}" if depth >= AT_MOST else f"{depth:,}"
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
