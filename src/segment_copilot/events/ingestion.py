"""USE CASE: take events in: those that this returns as accepted are on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import uuid_utils
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.events.declarations import Declarations
from segment_copilot.events.identity_links import link_anonymous, seen_together
from segment_copilot.events.quota import EventQuota, first_day, quota_reached
from segment_copilot.events.validation import EventRejected, ValidEvent, validate
from segment_copilot.events.violations import NewViolation, new_violations, note_violations, trim_violations
from segment_copilot.stores.postgres import Postgres
from segment_copilot.telemetry.metrics import EVENTS_ACCEPTED

# One statement, so that an id is remembered if and only if its event is stored. Keys are inserted in order: two
# requests with the same ids then wait for each other instead of locking each other out; the count comes last, when all
# ids are had.
_STORE = """
WITH incoming AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::bytea[])
    WITH ORDINALITY AS event (event_id, user_id, event_type, occurred_at, payload, key, position)
), unseen AS (
    INSERT INTO event_ids (tenant_id, key, accepted_at)
    SELECT $1::integer, key, $8::timestamptz FROM incoming WHERE key IS NOT NULL ORDER BY key
    ON CONFLICT DO NOTHING RETURNING key
), stored AS (
    INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload, received_at)
    SELECT $1::integer, event_id, user_id, event_type, occurred_at, payload, $8::timestamptz
    FROM incoming WHERE key IS NULL OR key IN (SELECT key FROM unseen) ORDER BY position
    RETURNING event_id
), counted AS (
    INSERT INTO event_counts AS counts (tenant_id, month, slot, accepted)
    SELECT $1::integer, $9::date, pg_backend_pid() % 16, count(*) FROM stored HAVING count(*) > 0
    ON CONFLICT (tenant_id, month, slot) DO UPDATE SET accepted = counts.accepted + excluded.accepted
)
"""
_STATUS = """
WITH open AS (
    SELECT received_at FROM events WHERE tenant_id = $1 AND block_id IS NULL
    UNION ALL
    SELECT updated_at FROM identity_links WHERE tenant_id = $1 AND status = 'pending'
    UNION ALL
    SELECT received_at FROM events
    WHERE tenant_id = $1 AND block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'pending'))
)
SELECT
    (SELECT count(*) FROM open),
    (SELECT coalesce(greatest(0, extract(epoch FROM now() - min(received_at)) * 1000), 0)::bigint FROM open),
    (SELECT coalesce(sum(event_count), 0)::bigint FROM observed_names WHERE tenant_id = $1 AND path = ''),
    (
        SELECT count(*) FROM events
        WHERE tenant_id = $1 AND block_id = ANY (ARRAY(SELECT id FROM blocks WHERE status = 'failed'))
    )
"""


class SkippedEvent(Struct, frozen=True):
    """The event at *index* of a request was not stored. *pointer* is an RFC 6901 pointer into that event."""

    index: int
    pointer: str
    code: str
    detail: str


class AcceptedEvents(Struct, frozen=True):
    """Counts events: *queued* are safe, those seen before included (*stored* are new); the rest were skipped."""

    queued: int
    stored: int
    skipped: tuple[SkippedEvent, ...] = ()


class IngestionStatus(Struct, frozen=True):
    """Where a tenant's events are. With *pending* 0 everything acknowledged can be queried, but for *failed*.

    *pending* counts links of ids, too.

    *failed* events are stored but ClickHouse refuses them: a mistake of ours, since validation should have.
    """

    pending: int
    oldest_pending_ms: int
    forwarded: int
    failed: int


class _Refused(Struct, frozen=True):
    """An event that a strict schema refuses, unless it was accepted before."""

    index: int
    key: bytes | None
    violations: list[NewViolation]

    @property
    def skipped(self) -> SkippedEvent:
        first = self.violations[0].violation
        return SkippedEvent(self.index, pointer=first.pointer, code=first.code, detail=first.detail)


class Ingestion:
    """Takes in events of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, declarations: Declarations | None = None) -> None:
        self._postgres = postgres
        self._declarations = declarations or Declarations(postgres)
        self._quota = EventQuota(postgres)

    async def accept(
        self,
        tenant: Tenant,
        events: Sequence[bytes | msgspec.Raw | object],
        *,
        received_at: datetime,
        idempotency_key: str | None = None,
        user_id: str | None = None,
    ) -> AcceptedEvents:
        """Store *events* (JSON texts or decoded objects); on return they are durable.

        An event that carries an id counts once; the first accepted copy stands. One without gets a time-ordered id, and
        counts every time unless *idempotency_key* says that the request is a repetition: then the same event at the same
        place of the same key counts once. One with a user id and an anonymous id links the two.

        With *user_id* every event is that user's, whoever it names; ids then count among the user's own, so that nobody
        can use up another's.

        One that violates the event schema of its type is noted, and skipped if that schema is strict.

        Raises:
            TooManyRequests: New ones among them would pass the tenant's limit of this month; none was stored.

        """
        declared = await self._declarations.of(tenant)
        keyed: list[tuple[bytes | None, ValidEvent]] = []
        skipped: list[SkippedEvent] = []
        noted: list[NewViolation] = []
        refused: list[_Refused] = []
        for index, event in enumerate(events):
            try:
                valid = validate(event, received_at=received_at, user_id=user_id)
            except EventRejected as rejected:
                skipped.append(
                    SkippedEvent(index, pointer=rejected.pointer, code=rejected.code, detail=rejected.detail)
                )
                continue
            key = _unique_key(valid, idempotency_key, index, event, owner=user_id)
            if (shape := declared.shape_of(valid.event_type)) and (found := shape.violations(_decode(valid.payload))):
                if shape.strict:
                    refused.append(_Refused(index, key, new_violations(valid, shape, found)))
                    continue
                valid = _with_id(valid)
                noted += new_violations(valid, shape, found)
            keyed.append((key, valid))
        safe = await self._remembered(tenant, [one.key for one in refused if one.key is not None])
        refused = [one for one in refused if one.key not in safe]
        noted += [violation for one in refused for violation in one.violations]
        keyed = _first_copies(keyed)
        if tenant.events_per_month is not None:
            await self._keep_to(tenant, tenant.events_per_month, [key for key, _ in keyed], at=received_at)
        stored = await self._store(tenant, keyed, noted, received_at=received_at)
        EVENTS_ACCEPTED.inc(stored)
        skipped = sorted([*skipped, *(one.skipped for one in refused)], key=lambda one: one.index)
        queued = len(events) - len(skipped)
        return AcceptedEvents(queued=queued, stored=stored, skipped=tuple(skipped))

    async def status(self, tenant: Tenant) -> IngestionStatus:
        """Return how far the tenant's events are, as of one snapshot."""
        row = await self._postgres.fetchrow(_STATUS, tenant.id)
        assert row is not None  # noqa: S101  # a SELECT without FROM has a row
        return IngestionStatus(pending=row[0], oldest_pending_ms=row[1], forwarded=row[2], failed=row[3])

    async def _keep_to(self, tenant: Tenant, limit: int, keys: Sequence[bytes | None], *, at: datetime) -> None:
        """Refuse what would pass *limit*. What was accepted before never does: a client may send it until it knows."""
        accepted = await self._quota.accepted(tenant, at=at)
        if accepted + len(keys) <= limit:
            return
        seen = await self._remembered(tenant, [key for key in keys if key is not None])
        new = sum(key not in seen for key in keys)
        if new and accepted + new > limit:
            raise quota_reached(tenant, limit=limit, accepted=accepted, new=new, at=at)

    async def _remembered(self, tenant: Tenant, keys: Sequence[bytes]) -> frozenset[bytes | None]:
        """Return which of *keys* are those of events that were accepted before, by whatever schema there was then."""
        if not keys:
            return frozenset()
        sql = "SELECT key FROM event_ids WHERE tenant_id = $1 AND key = ANY ($2::bytea[])"
        return frozenset(row["key"] for row in await self._postgres.fetch(sql, tenant.id, keys))

    async def _store(
        self,
        tenant: Tenant,
        keyed: Sequence[tuple[bytes | None, ValidEvent]],
        violations: Sequence[NewViolation],
        *,
        received_at: datetime,
    ) -> int:
        """Store in one transaction, with the violations of what is new and of what was refused; return how many are new."""
        if not keyed and not violations:
            return 0
        values = (
            tenant.id,
            [event.event_id or str(uuid_utils.uuid7()) for _, event in keyed],
            [event.user_id for _, event in keyed],
            [event.event_type for _, event in keyed],
            [event.occurred_at for _, event in keyed],
            [event.payload for _, event in keyed],
            [key for key, _ in keyed],
            received_at,
            first_day(received_at, tenant.timezone),
        )
        users = seen_together([(event.user_id, event.anonymous_id) for _, event in keyed])
        if not violations and not users:
            return await self._postgres.fetchval(f"{_STORE} SELECT count(*) FROM stored", *values)
        async with self._postgres.transaction() as transaction:
            rows = await transaction.fetch(f"{_STORE} SELECT event_id FROM stored", *values)
            new = {row["event_id"] for row in rows}
            copies = {id(event) for _, event in keyed}  # of an id that came twice, the first counts
            noted = [
                one
                for one in violations
                if one.outcome == "skipped" or (one.event.event_id in new and id(one.event) in copies)
            ]
            await note_violations(transaction, tenant, noted, received_at=received_at)
            await link_anonymous(transaction, tenant, users)
        await trim_violations(self._postgres, noted)
        return len(rows)


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _with_id(valid: ValidEvent) -> ValidEvent:
    return valid if valid.event_id is not None else msgspec.structs.replace(valid, event_id=str(uuid_utils.uuid7()))


def _unique_key(
    valid: ValidEvent, idempotency_key: str | None, index: int, event: object, *, owner: str | None
) -> bytes | None:
    """Return a hash of what makes the event unique in its tenant, or among its *owner's*; None when nothing does.

    The key of a request covers the event as it was sent, too: a client that reuses one for other events loses none.
    """
    whose = () if owner is None else (b"of", owner.encode("utf-8", "surrogatepass"))
    if valid.event_id is not None:
        return _hash(*whose, b"id", valid.event_id.encode())
    if idempotency_key is None:
        return None
    sent = bytes(event) if isinstance(event, (bytes, msgspec.Raw)) else msgspec.json.encode(event)
    return _hash(*whose, b"request", idempotency_key.encode(), str(index).encode(), sent)


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join(parts)).digest()[:16]


def _first_copies(keyed: Sequence[tuple[bytes | None, ValidEvent]]) -> list[tuple[bytes | None, ValidEvent]]:
    seen: set[bytes] = set()
    first: list[tuple[bytes | None, ValidEvent]] = []
    for key, event in keyed:
        if key is None or key not in seen:
            first.append((key, event))
        if key is not None:
            seen.add(key)
    return first
