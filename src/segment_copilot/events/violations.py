"""USE CASE: keep what did not conform to an event schema: how often, and the newest of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.events.declarations import no_schema
from segment_copilot.events.shapes import Shape, Violation, ViolationCode
from segment_copilot.events.validation import ValidEvent
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows
from segment_copilot.stores.postgres import Connection, Postgres, Record

MAX_KEPT: Final = 1_000
"""Violations of one schema that can be read; all of them are counted."""

_MAX_OF_BATCH: Final = 50  # of one schema: a batch that is wrong throughout says the same 5,000 times

Outcome = Literal["queued", "skipped"]
"""What became of the event: taken all the same, or refused by a strict schema."""

# Locked, so that a schema that is being deleted is not written to; one that is gone is passed over.
_LIVING: Final = "SELECT id FROM event_schemas WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR KEY SHARE"
_KEEP: Final = """
INSERT INTO schema_violations
    (tenant_id, schema_id, event_id, user_id, pointer, code, detail, outcome, occurred_at, received_at)
SELECT $1, schema_id, event_id, user_id, pointer, code, detail, outcome, occurred_at, $10 FROM unnest(
    $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[]
) WITH ORDINALITY AS violation (schema_id, event_id, user_id, pointer, code, detail, outcome, occurred_at, position)
ORDER BY position
"""
_TRIM: Final = f"""
DELETE FROM schema_violations WHERE id IN (
    SELECT id FROM schema_violations WHERE schema_id = $1
        AND id <= (SELECT id FROM schema_violations WHERE schema_id = $1 ORDER BY id DESC OFFSET {MAX_KEPT} LIMIT 1)
    FOR UPDATE SKIP LOCKED
)
"""
_COUNT: Final = """
INSERT INTO schema_violation_counts (tenant_id, schema_id, code, outcome, count)
SELECT $1, schema_id, code, outcome, count
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[]) AS added (schema_id, code, outcome, count)
ORDER BY schema_id, code, outcome -- so that two batches wait for each other instead of locking each other out
ON CONFLICT (schema_id, code, outcome) DO UPDATE SET count = schema_violation_counts.count + excluded.count
"""


class NewViolation(Struct, frozen=True):
    """A violation of the schema *schema_id*, in an event that was just judged."""

    schema_id: int
    event: ValidEvent
    outcome: Outcome
    violation: Violation


class KeptViolation(Struct, frozen=True):
    """Tells what one event had wrong. *pointer* is RFC 6901 into the event; *event_id* is null where a refused one had none."""

    id: int
    event_id: str | None
    user_id: Annotated[str, Meta(examples=["ada@example.com"])]
    pointer: Annotated[str, Meta(examples=["/payload/total"])]
    code: ViolationCode
    detail: Annotated[str, Meta(examples=["total is a string; the event schema declares it as a number."])]
    outcome: Outcome
    occurred_at: datetime
    received_at: datetime


class ViolationCount(Struct, frozen=True):
    """Counts how often something was wrong, in events that were taken and in those that were refused."""

    code: ViolationCode
    queued: int
    skipped: int


class ViolationPage(Struct, frozen=True):
    """A page of the kept violations, and how many there ever were of each code."""

    kept: Listed[KeptViolation]
    counts: tuple[ViolationCount, ...]


class Violations:
    """Reads the violations of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def list(self, tenant: Tenant, schema_id: int, window: Window = FIRST_PAGE) -> ViolationPage:
        """Return the violations of one schema, the newest first; raises NotFound when the tenant has no such schema."""
        sql = "SELECT id FROM event_schemas WHERE tenant_id = $1 AND id = $2"
        if await self._postgres.fetchval(sql, tenant.id, schema_id) is None:
            raise no_schema(schema_id)
        conditions = (("tenant_id = {}", tenant.id), ("schema_id = {}", schema_id))
        rows = Rows(", ".join(KeptViolation.__struct_fields__), "schema_violations", conditions, {"id": BY_ID})
        kept = await rows.page(self._postgres, window, "-id", _kept)
        sql = """
            SELECT code, coalesce(sum(count) FILTER (WHERE outcome = 'queued'), 0)::bigint,
                coalesce(sum(count) FILTER (WHERE outcome = 'skipped'), 0)::bigint
            FROM schema_violation_counts WHERE tenant_id = $1 AND schema_id = $2 GROUP BY code ORDER BY code"""
        counts = await self._postgres.fetch(sql, tenant.id, schema_id)
        return ViolationPage(kept, tuple(ViolationCount(*row.values()) for row in counts))


def _kept(row: Record) -> KeptViolation:
    return KeptViolation(**{name: row[name] for name in KeptViolation.__struct_fields__})


def new_violations(event: ValidEvent, shape: Shape, found: Iterable[Violation]) -> list[NewViolation]:
    """Return what *event* has wrong by *shape*, to be noted."""
    outcome: Outcome = "skipped" if shape.strict else "queued"
    return [NewViolation(shape.schema_id, event, outcome, one) for one in found]


async def note_violations(
    transaction: Connection, tenant: Tenant, found: Sequence[NewViolation], *, received_at: datetime
) -> None:
    """Count *found*, and keep the last of them, in the transaction that stores their events."""
    wanted = sorted({one.schema_id for one in found})
    living = {row["id"] for row in await transaction.fetch(_LIVING, tenant.id, wanted)}
    found = [one for one in found if one.schema_id in living]
    if not found:
        return
    kept = list(_last_of_each(found))
    await transaction.execute(
        _KEEP,
        tenant.id,
        [one.schema_id for one in kept],
        [one.event.event_id for one in kept],
        [one.event.user_id for one in kept],
        [one.violation.pointer for one in kept],
        [one.violation.code for one in kept],
        [one.violation.detail for one in kept],
        [one.outcome for one in kept],
        [one.event.occurred_at for one in kept],
        received_at,
    )
    counts = Counter((one.schema_id, one.violation.code, one.outcome) for one in found)
    await transaction.execute(  # last: whoever counts of the same schemas waits until this transaction ends
        _COUNT,
        tenant.id,
        [schema_id for schema_id, _, _ in counts],
        [code for _, code, _ in counts],
        [outcome for _, _, outcome in counts],
        list(counts.values()),
    )


async def trim_violations(postgres: Postgres, found: Iterable[NewViolation]) -> None:
    """Delete all but the newest of the schemas that *found* are of; after their transaction, which nobody is to wait for.

    Raises nothing: the events are stored, and their sender is to hear of that. The next batch trims again.
    """
    with suppress(SegmentCopilotError):
        for schema_id in sorted({one.schema_id for one in found}):
            await postgres.execute(_TRIM, schema_id)


def _last_of_each(found: Iterable[NewViolation]) -> Iterable[NewViolation]:
    """Return the last violations of each schema, in their order."""
    by_schema = dict[int, list[NewViolation]]()
    for one in found:
        by_schema.setdefault(one.schema_id, []).append(one)
    for of_schema in by_schema.values():
        yield from of_schema[-_MAX_OF_BATCH:]
