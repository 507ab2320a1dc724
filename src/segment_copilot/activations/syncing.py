"""USE CASE: send what changed: a worker finds activations that are behind their segment, and sends batch after batch.

At least once and in order: one delivery of an activation at a time, and where it has come to is written after each batch
that arrived. Whoever dies in between leaves the batch to be sent again, under the same key. What fails is tried again for
more than a day; what the destination refuses waits for a person, and so does what would empty it.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from msgspec import Struct, structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations import circuits
from segment_copilot.activations.activations import Activations
from segment_copilot.activations.changes_to_send import ChangesToSend, Part, Position, Span
from segment_copilot.activations.connectors import Batch, Config, Connector, Outcome, Refused, TryLater
from segment_copilot.activations.deliveries import FROM_THE_BEGINNING, MAX_REJECTED
from segment_copilot.activations.outgoing import Outgoing, OutgoingFailed, OutgoingRefused
from segment_copilot.audiences.references import no_members
from segment_copilot.errors import Conflict, Gone, InvalidInput, NotFound, SegmentCopilotError, Unavailable
from segment_copilot.language.describe.shares import in_percent, percent
from segment_copilot.stores.leases import LENGTH, MAX_ATTEMPTS, Lease, Leases, Queue
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.presence import Presence
from segment_copilot.telemetry.metrics import DELIVERIES

log = structlog.get_logger()

MAX_FAILURES: Final = 15
"""So often in a row a delivery may fail: the pauses between are a day at least, and then it is dead."""

MIN_LOST: Final = 100
"""Fewer members than this may always leave, unless nobody is left."""

_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(hours=4)
_AWAY_PAUSE: Final = timedelta(seconds=1)  # before our own store that is away is asked again
# What this worker lacks and another may have, while keys or versions are replaced: no fault of the destination.
_LACKED_HERE: Final = frozenset({"secret_unreadable", "unknown_connector"})
_OF_TENANT: Final = 2  # deliveries of one tenant that are sent at once
_MAX_ERROR: Final = 500

_QUEUE: Final = Queue("deliveries", waiting="queued", working="sending", of_tenants=True)
_READY: Final = f"""
NOT EXISTS (SELECT FROM deliveries AS earlier WHERE earlier.activation_id = deliveries.activation_id
    AND earlier.id < deliveries.id AND earlier.status IN ('queued', 'sending', 'held'))
AND EXISTS (SELECT FROM activations WHERE activations.id = deliveries.activation_id AND activations.status <> 'paused'
    AND NOT {circuits.IS_OPEN})
AND {_OF_TENANT} > (SELECT count(*) FROM deliveries AS other
    WHERE other.tenant_id = deliveries.tenant_id AND other.status = 'sending' AND other.id <> deliveries.id
        AND other.lease_until > now())
"""
"""A delivery whose worker died counts no longer once its lease is over: else several would keep one another from being claimed."""
_BEHIND: Final = """
INSERT INTO deliveries (tenant_id, activation_id, is_full)
SELECT tenant_id, id, false FROM activations
WHERE status = 'active' AND connector_type = ANY ($1::text[])
    AND EXISTS (SELECT FROM segments WHERE segments.id = segment_id AND is_active AND published_run IS NOT NULL)
    AND NOT EXISTS (SELECT FROM deliveries WHERE activation_id = activations.id AND status IN ('queued', 'sending', 'held'))
    AND (synced_computation IS NULL OR EXISTS (
        SELECT FROM computations WHERE computations.segment_id = activations.segment_id AND status = 'done'
            AND change_set IS NOT NULL AND entered + left_count > 0 AND computations.id > synced_computation))
FOR UPDATE SKIP LOCKED
"""
_CLAIMED: Final = """
SELECT deliveries.id, deliveries.tenant_id, activation_id, is_full, allow_empty, from_computation, to_computation,
    deliveries.member_count, entered, left_count, position, batches, round, failures, activations.segment_id,
    segments.name AS segment_name, connector_type, config, sealed_with, destination, synced_computation, synced_count,
    max_shrink_percent, slug, timezone
FROM deliveries JOIN activations ON activations.id = activation_id
JOIN segments ON segments.id = activations.segment_id JOIN tenants ON tenants.id = deliveries.tenant_id
WHERE deliveries.id = $1
"""
_BEGUN: Final = f"""
UPDATE deliveries SET {FROM_THE_BEGINNING} WHERE tenant_id = $1 AND id = $2 AND lease_id = $3 AND status = 'sending'
RETURNING round
"""
_DECIDED: Final = """
UPDATE deliveries SET from_computation = $4, to_computation = $5, is_full = $6, member_count = $7, entered = $8,
    left_count = $9 WHERE tenant_id = $1 AND id = $2 AND lease_id = $3
"""
_ARRIVED: Final = """
UPDATE deliveries SET position = $4, batches = batches + 1, sent_count = sent_count + $5,
    rejected_count = rejected_count + $6, failures = 0, attempts = 1, error = NULL
WHERE tenant_id = $1 AND id = $2 AND lease_id = $3 AND status = 'sending'
"""
_REJECTED: Final = f"""
INSERT INTO rejected_users (tenant_id, delivery_id, user_id, reason)
SELECT $1, $2, user_id, reason FROM unnest($3::text[], $4::text[]) AS rejected (user_id, reason)
LIMIT greatest({MAX_REJECTED} - (SELECT count(*) FROM rejected_users WHERE delivery_id = $2), 0)
"""
_SYNCED: Final = """
UPDATE activations SET last_synced_at = $3, last_error = NULL, status = CASE status WHEN 'error' THEN 'active' ELSE status END,
    synced_computation = CASE WHEN config::text = $4 THEN $5 ELSE synced_computation END, synced_count = $6
WHERE tenant_id = $1 AND id = $2
"""
_STOPPED: Final = """
UPDATE activations SET last_error = $3, status = CASE status WHEN 'active' THEN 'error' ELSE status END
WHERE tenant_id = $1 AND id = $2
"""


class SyncPlan(Struct, frozen=True):
    """A sync as it would be now, and what it would send. *held* says why it would wait for somebody to allow it."""

    full: bool
    entered: int
    left: int
    member_count: int
    held: str | None


class _Claim(Struct, frozen=True):
    lease: Lease
    tenant: Tenant
    row: Record

    @property
    def key(self) -> tuple[object, ...]:
        """Tenant, delivery and lease: whoever holds the delivery."""
        return self.tenant.id, self.lease.id, self.lease.key


class Syncing:
    """Sends deliveries of all tenants; its methods are the worker's, but for `plan`."""

    def __init__(
        self,
        postgres: Postgres,
        activations: Activations,
        changes: ChangesToSend,
        outgoing: Outgoing,
        *,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._activations = activations
        self._changes = changes
        self._outgoing = outgoing
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)

    async def plan(self, tenant: Tenant, activation_id: int, *, full: bool, allow_empty: bool = False) -> SyncPlan:
        """Return what a sync would send now, sending nothing.

        Raises:
            NotFound: There is no such activation.
            Conflict: Its segment has no members yet, or its connector is gone.
        """
        activation = await self._activations.get(tenant, activation_id)
        sql = "SELECT * FROM activations WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, activation_id)
        if row is None:
            raise NotFound(f"There is no activation {activation_id}.", code="activation_not_found")
        connector, config = self._activations.open(tenant, row)
        wanted = full or connector.is_full(config)
        span = await self._changes.span(tenant, activation.segment_id, since=row["synced_computation"], is_full=wanted)
        if span is None:
            raise await no_members(self._postgres, tenant, activation.segment_id)
        shrinks = _shrinks(span, row["synced_count"], row["max_shrink_percent"], activation_id)
        held = None if allow_empty else shrinks
        return SyncPlan(span.is_full, span.entered, span.left, span.member_count, held)

    async def notice(self) -> bool:
        """Queue a delivery for each active activation that is behind its segment and has none open; never more at once."""
        await self._postgres.execute(_BEHIND, list(self._activations.connector_types))
        return False

    async def send_next(self) -> bool:
        """Claim a delivery that waits (or whose worker died) and send it; False when there is none."""
        claim = await self._claim()
        if claim is None:
            return False
        async with self._leases.renewed([claim.lease]):
            await self._settle(claim)
        return True

    async def _claim(self) -> _Claim | None:
        leases: list[Lease] = []
        try:
            async with self._postgres.transaction() as transaction:
                leases = await self._leases.claim(transaction, _READY)
                row = await transaction.fetchrow(_CLAIMED, leases[0].id) if leases else None
                if row is not None:
                    await circuits.probe(transaction, row["tenant_id"], row["destination"])
        except BaseException:
            self._leases.forget(leases)
            raise
        if row is None:
            self._leases.forget(leases)
            return None
        return _Claim(leases[0], Tenant(row["tenant_id"], row["slug"], row["timezone"]), row)

    async def _settle(self, claim: _Claim) -> None:
        """Send a delivery, and write down how that ended. If that cannot be written, its lease runs out."""
        if claim.lease.spent:  # perhaps it was not to blame; if it was, it kills a worker once in a while, for a day
            afresh = structs.replace(claim, lease=structs.replace(claim.lease, attempts=0))
            await self._try_later(afresh, f"The worker died {MAX_ATTEMPTS} times on this delivery.", None)
            return
        await self._leases.begin([claim.lease])
        try:
            await self._send(claim)
        except (TryLater, OutgoingFailed) as error:
            await self._try_later(claim, str(error), error.after if isinstance(error, TryLater) else None)
        except Conflict as error:
            if error.code in _LACKED_HERE:
                log.warning("delivery.waits", delivery_id=claim.lease.id, code=error.code)
                await self._try_later(claim, str(error), None, is_theirs=False)
            else:
                await self._stop(claim, "failed", str(error))
        except (Refused, OutgoingRefused, InvalidInput) as error:
            await self._stop(claim, "failed", str(error))
        except Gone:  # the members that were gone through were replaced: their successors are sent from the beginning
            await self._postgres.fetchval(_BEGUN, *claim.key)
            await self._leases.release([claim.lease], pause=timedelta(0))
        except Unavailable as error:
            log.warning("delivery.waits", delivery_id=claim.lease.id, code=error.code)
            await self._leases.release([claim.lease], pause=_AWAY_PAUSE)
        except SegmentCopilotError as error:
            await self._try_later(claim, error.detail, None)
        except Exception as error:  # its message is for the log alone: it may quote what was sent
            log.exception("delivery.stumbled", delivery_id=claim.lease.id)
            detail = f"It met an error that nobody foresaw ({type(error).__name__}); the worker's log has it."
            await self._try_later(claim, detail, None)

    async def _send(self, claim: _Claim) -> None:
        """Send batch after batch, from where it stopped."""
        row = claim.row
        connector, config = self._activations.open(claim.tenant, row)
        begun = await self._begun(claim, is_snapshot=connector.is_full(config))
        if begun is None:
            return
        span, position, number, round_ = begun
        while position is not None:
            part = await self._changes.part(claim.tenant, span, position, limit=connector.batch_size)
            # Of all members there is one batch at least, so that a destination which is a file is told of nobody too.
            if part.entered or part.left or (span.is_full and number == 0 and part.next is None):
                number += 1
                batch = await self._batch(claim, span, part, connector, config, number, round_)
                outcome = await connector.send(batch, config, self._outgoing)
                if not await self._arrived(claim, batch, outcome, part.next):
                    log.warning("delivery.lost", delivery_id=claim.lease.id)
                    return
            position = part.next
        await self._end(claim, span)

    async def _begun(self, claim: _Claim, *, is_snapshot: bool) -> tuple[Span, Position | None, int, int] | None:
        """Return what is to be sent, from where, and how many batches of which round have arrived; None: nothing may be.

        It is decided when a delivery begins, and again where what the destination has is not what it was then.
        """
        row = claim.row
        if row["to_computation"] is not None and row["from_computation"] == row["synced_computation"]:
            span = Span(
                row["segment_id"],
                row["from_computation"] or 0,
                row["to_computation"],
                row["is_full"],
                row["member_count"],
                row["entered"],
                row["left_count"],
            )
            if row["position"] is None:
                return span, self._changes.beginning(span, is_snapshot=is_snapshot), row["batches"], row["round"]
            position = msgspec.json.decode(row["position"], type=Position | None)  # null: the last batch arrived
            return span, position, row["batches"], row["round"]
        round_ = await self._postgres.fetchval(_BEGUN, *claim.key)
        span = await self._changes.span(
            claim.tenant, row["segment_id"], since=row["synced_computation"], is_full=row["is_full"] or is_snapshot
        )
        if span is None:
            raise await no_members(self._postgres, claim.tenant, row["segment_id"])
        since, counts = row["synced_computation"], (span.member_count, span.entered, span.left)
        await self._postgres.execute(_DECIDED, *claim.key, since, span.until, span.is_full, *counts)
        held = _shrinks(span, row["synced_count"], row["max_shrink_percent"], row["activation_id"])
        if held and not row["allow_empty"]:
            await self._stop(claim, "held", held)
            return None
        return span, self._changes.beginning(span, is_snapshot=is_snapshot), 0, round_

    async def _batch(
        self,
        claim: _Claim,
        span: Span,
        part: Part,
        connector: Connector,
        config: Config,
        number: int,
        round_: int,
    ) -> Batch:
        row = claim.row
        traits = connector.traits(config)
        return Batch(
            key=f"delivery-{claim.lease.id}-{round_}-{number}",
            activation_id=row["activation_id"],
            delivery_id=claim.lease.id,
            number=number,
            segment_id=row["segment_id"],
            segment_name=row["segment_name"],
            tenant_slug=claim.tenant.slug,
            sent_at=datetime.now(UTC),
            entered=await self._changes.recipients(claim.tenant, part.entered, traits),
            left=await self._changes.recipients(claim.tenant, part.left, traits),
            is_full=span.is_full,
        )

    async def _arrived(self, claim: _Claim, batch: Batch, outcome: Outcome, then: Position | None) -> bool:
        """Write down that a batch arrived; False when the delivery is not ours any more."""
        at = msgspec.json.encode(then).decode()
        count, rejected = len(batch.entered) + len(batch.left), outcome.rejected
        async with self._postgres.transaction() as transaction:
            if not await transaction.execute(_ARRIVED, *claim.key, at, count - len(rejected), len(rejected)):
                return False
            if rejected:
                kept = rejected[:MAX_REJECTED]
                users, reasons = [one.user_id for one in kept], [one.reason[:_MAX_ERROR] for one in kept]
                await transaction.execute(_REJECTED, claim.tenant.id, claim.lease.id, users, reasons)
            await circuits.note_success(transaction, claim.tenant.id, claim.row["destination"])
        return True

    async def _end(self, claim: _Claim, span: Span) -> None:
        """Write down that all arrived, and that the destination has this state now."""
        row, now = claim.row, datetime.now(UTC)
        async with self._postgres.transaction() as transaction:
            await _lock(transaction, claim)
            if not await self._leases.end(transaction, claim.lease, "done"):
                return
            sql = """
                UPDATE deliveries SET finished_at = $3, position = NULL, error = NULL WHERE tenant_id = $1 AND id = $2"""
            await transaction.execute(sql, claim.tenant.id, claim.lease.id, now)
            args = (row["activation_id"], now, row["config"], span.until, span.member_count)
            await transaction.execute(_SYNCED, claim.tenant.id, *args)
        DELIVERIES.labels("activation", "done").inc()
        log.info("delivery.done", delivery_id=claim.lease.id, entered=span.entered, left=span.left)

    async def _stop(self, claim: _Claim, status: str, error: str) -> None:
        """End a delivery that a person has to look at, and say so in its activation."""
        said = error[:_MAX_ERROR]
        DELIVERIES.labels("activation", status).inc()
        log.warning("delivery.stopped", delivery_id=claim.lease.id, status=status)
        async with self._postgres.transaction() as transaction:
            await _lock(transaction, claim)
            if await self._leases.end(transaction, claim.lease, status, error=said):
                await self._note_end(transaction, claim, is_over=status != "held")
                await transaction.execute(_STOPPED, claim.tenant.id, claim.row["activation_id"], said)

    async def _note_end(self, transaction: Connection, claim: _Claim, *, is_over: bool) -> None:
        sql = "UPDATE deliveries SET finished_at = CASE WHEN $3 THEN now() END WHERE tenant_id = $1 AND id = $2"
        await transaction.execute(sql, claim.tenant.id, claim.lease.id, is_over)

    async def _try_later(self, claim: _Claim, error: str, after: timedelta | None, *, is_theirs: bool = True) -> None:
        """Count a failure, and let the delivery wait: longer each time, and not before the destination said.

        One that is not *theirs* is nothing against the destination: other deliveries to it go on.
        """
        sql = """
            UPDATE deliveries SET failures = failures + 1, error = $4
            WHERE tenant_id = $1 AND id = $2 AND lease_id = $3 RETURNING failures"""
        failures = await self._postgres.fetchval(sql, *claim.key, error[:_MAX_ERROR])
        if failures is None:
            return
        if is_theirs:
            await circuits.note_failure(self._postgres, claim.tenant.id, claim.row["destination"])
        if failures >= MAX_FAILURES:
            tried = f"It failed {failures} times in a row, for more than a day. The last time: {error}"
            await self._stop(claim, "dead", tried)
            return
        pause = max(pause_after(failures, spread=random.random()), after or timedelta(0))  # noqa: S311  # no secret
        DELIVERIES.labels("activation", "retry").inc()
        log.warning("delivery.failed", delivery_id=claim.lease.id, failures=failures, seconds=pause.total_seconds())
        await self._leases.release([claim.lease], pause=pause)


async def _lock(transaction: Connection, claim: _Claim) -> None:
    """Lock the activation before its delivery: in this order all who change both."""
    sql = "SELECT FROM activations WHERE tenant_id = $1 AND id = $2 FOR UPDATE"
    await transaction.execute(sql, claim.tenant.id, claim.row["activation_id"])


def pause_after(failures: int, *, spread: float) -> timedelta:
    """Return how long to wait after so many *failures* in a row; *spread*, from 0 to 1, is where in the jitter."""
    return min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE) * (1 + spread / 4)


def _shrinks(span: Span, before: int | None, most: int, activation_id: int) -> str | None:
    """Return why a span may not be sent without somebody's word: it would empty the audience there, or nearly."""
    if before is None or span.member_count >= before:
        return None
    lost = before - span.member_count
    fewer = percent(lost, before)
    if span.member_count and (fewer <= most or lost < MIN_LOST):
        return None
    return (
        f"The audience would shrink from {before:,} to {span.member_count:,} members, {in_percent(fewer)} fewer. If that is meant, "
        f'POST {{"allow_empty": true}} to /api/activations/{activation_id}/sync/; if not, mend the segment and sync.'
    )
