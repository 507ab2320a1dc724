"""USE CASE: tell endpoints what was published: at least once, and in order for each endpoint and segment.

Publications become deliveries (`fan_out`). Those of one endpoint and one segment are a lane, which a worker leases whole:
so they go out one after another, and what fails holds its own lane alone. A delivery is done when its answer is written
down; a worker that dies before leaves it to the next one, and a receiver knows the repetition by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
import structlog
from msgspec import Struct

from segment_copilot.activations.outgoing import TIMEOUT, Outgoing
from segment_copilot.activations.webhooks.attempts import Attempt, attempt, wait_after
from segment_copilot.activations.webhooks.bodies import Body, Event, Piece, body, message_id, pieces
from segment_copilot.activations.webhooks.endpoints import Webhooks, end_open
from segment_copilot.audiences.publications import Publication, Publications, read_publication
from segment_copilot.errors import Conflict, SegmentCopilotError, Unavailable
from segment_copilot.stores.leases import LENGTH, Lease, Leases, Queue
from segment_copilot.stores.postgres import Connection, Postgres, Record
from segment_copilot.stores.presence import Presence
from segment_copilot.telemetry.metrics import DELIVERIES

log = structlog.get_logger()

DISABLED_AFTER: Final = timedelta(days=5)
"""So long an endpoint may fail without one good answer; at half of it a notice says so."""

_QUEUE: Final = Queue("webhook_lanes", waiting="waiting", working="sending")
_AT_ONCE: Final = 32  # lanes that one worker sends from
_OF_ONE: Final = 4  # lanes of one endpoint at once; one that fails is asked by one alone
_SLICE: Final = 50  # deliveries of a lane, before others have their turn
_LOOK: Final = 0.2  # seconds between two looks for lanes, while some are under way
_PAUSE: Final = timedelta(seconds=5)
_AWAY_PAUSE: Final = timedelta(seconds=1)

_DUE: Final = f"""
next_attempt_at <= $1 AND webhook_lanes.id > $2 AND (
    SELECT count(*) FROM webhook_lanes AS busy
    WHERE busy.webhook_id = webhook_lanes.webhook_id AND busy.id <> webhook_lanes.id AND busy.status = 'sending'
        AND busy.lease_until > now()
) < (SELECT CASE WHEN failing_since IS NULL THEN {_OF_ONE} ELSE 1 END FROM webhooks WHERE webhooks.id = webhook_id AND is_active)
"""
_LANES: Final = """
INSERT INTO webhook_lanes (webhook_id, segment_id, next_attempt_at)
SELECT webhook_id, segment_id, $3 FROM unnest($1::bigint[], $2::bigint[]) AS wanted (webhook_id, segment_id)
ORDER BY webhook_id, segment_id
ON CONFLICT (webhook_id, segment_id) DO UPDATE
    SET next_attempt_at = coalesce(webhook_lanes.next_attempt_at, excluded.next_attempt_at)
"""
_DELIVERIES: Final = """
INSERT INTO webhook_deliveries (tenant_id, webhook_id, lane_id, publication_id, sequence, place, event, part, parts)
SELECT tenant_id, wanted.webhook_id, lanes.id, publication_id, sequence, place, event, part, parts
FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::int[], $9::int[])
    AS wanted (tenant_id, webhook_id, segment_id, publication_id, sequence, place, event, part, parts)
JOIN webhook_lanes AS lanes ON lanes.webhook_id = wanted.webhook_id AND lanes.segment_id = wanted.segment_id
ORDER BY sequence, place
ON CONFLICT (webhook_id, publication_id, place) DO NOTHING
"""
_NEXT: Final = """
SELECT delivery.id AS delivery_id, delivery.attempts, place, event, part, parts, url, secret, previous_secret,
    previous_until, slug, publications.*, EXISTS (SELECT FROM segments WHERE segments.id = publications.segment_id) AS is_there
FROM webhook_deliveries AS delivery
JOIN webhooks ON webhooks.id = delivery.webhook_id AND is_active
JOIN publications ON publications.id = delivery.publication_id
JOIN tenants ON tenants.id = delivery.tenant_id
WHERE lane_id = $1 AND delivery.status IN ('queued', 'failed')
ORDER BY delivery.sequence, place LIMIT 1
"""
_SETTLED: Final = """
UPDATE webhook_deliveries SET status = $2, attempts = attempts + 1, status_code = $3, error = $4, next_attempt_at = $5,
    finished_at = CASE WHEN $2 IN ('done', 'dead') THEN $6::timestamptz END
WHERE id = $1
"""
_ATTEMPT: Final = """
INSERT INTO webhook_attempts (delivery_id, at, status_code, error, answer, duration_ms) VALUES ($1, $2, $3, $4, $5, $6)
"""
_STILL_OURS: Final = """
SELECT webhooks.id, failing_since, notice, is_active FROM webhooks
JOIN webhook_lanes ON webhook_lanes.webhook_id = webhooks.id
WHERE webhook_lanes.id = $1 AND lease_id = $2 FOR NO KEY UPDATE OF webhooks
"""
_RESTING: Final = """
UPDATE webhook_lanes SET next_attempt_at = CASE WHEN EXISTS (
    SELECT FROM webhook_deliveries WHERE lane_id = $1 AND status IN ('queued', 'failed')) THEN next_attempt_at END
WHERE id = $1
"""


class _Delivery(Struct, frozen=True):
    id: int
    attempts: int
    piece: Piece
    publication: Publication
    tenant_slug: str
    url: str
    secrets: Sequence[str]
    is_lost: bool
    """Its users are in a log that is gone with its segment."""


class WebhookQueue:
    """Sends what is due to the endpoints of all tenants; it is the workers' alone."""

    def __init__(
        self,
        postgres: Postgres,
        webhooks: Webhooks,
        publications: Publications,
        outgoing: Outgoing,
        *,
        timeout: timedelta = TIMEOUT,
        lease: timedelta = LENGTH,
        presence: Presence | None = None,
    ) -> None:
        self._postgres = postgres
        self._webhooks = webhooks
        self._publications = publications
        self._outgoing = outgoing
        self._timeout = timeout
        self._leases = Leases(postgres, _QUEUE, length=lease, presence=presence)
        self._last = 0  # lane that was claimed: the next one begins behind it, so that each has its turn

    async def fan_out(self, *, now: datetime | None = None) -> bool:
        """Make deliveries of what was published since; True when there was something."""
        async with self._postgres.transaction() as transaction:
            fresh = await self._publications.number(transaction)
            if not fresh:
                return False
            sql = """
                SELECT id, tenant_id, events FROM webhooks WHERE tenant_id = ANY ($1::int[]) AND is_active
                ORDER BY id FOR KEY SHARE"""
            webhooks = await transaction.fetch(sql, list({one.tenant_id for one in fresh}))
            wanted = [
                (webhook["id"], one, piece)
                for one in fresh
                for webhook in webhooks
                if webhook["tenant_id"] == one.tenant_id
                for piece in pieces(one, webhook["events"])
            ]
            await enqueue(transaction, wanted, now=now or await transaction.now())
        return True

    async def deliver_due(self, *, now: datetime | None = None) -> bool:
        """Send from every lane that is due, many side by side, until none is; True when there was one.

        *now* is the store's clock, read again and again, unless it is given.
        """
        under_way = set[asyncio.Task[None]]()
        found = False
        try:
            while True:
                leases = await self._claim(now or await self._postgres.now()) if len(under_way) < _AT_ONCE else []
                if not (leases or under_way):
                    return found
                found = True
                under_way |= {asyncio.create_task(self._send_lane(lease, now)) for lease in leases}
                if not leases:
                    _, under_way = await asyncio.wait(under_way, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in under_way:
                task.cancel()
            if under_way:
                await asyncio.wait(under_way)

    async def _claim(self, now: datetime) -> list[Lease]:
        """Claim the next lane that is due, after the one before, or again from the first."""
        leases = await self._leases.claim(self._postgres, _DUE, now, self._last)
        if not leases and self._last:
            leases = await self._leases.claim(self._postgres, _DUE, now, 0)
        self._last = leases[-1].id if leases else 0
        return leases

    async def _send_lane(self, lease: Lease, now: datetime | None) -> None:
        """Send a lane's deliveries one after another, until one fails, none is left, or it had its turn."""
        try:
            async with self._leases.renewed([lease]):
                pause = timedelta(0)
                try:
                    for _ in range(_SLICE):
                        at = now or await self._postgres.now()
                        delivery = await self._next(lease, at)
                        if delivery is None or not await self._send(lease, delivery, at):
                            break
                    await self._rest(lease)
                except Unavailable as error:
                    log.warning("webhook.waits", lane_id=lease.id, code=error.code)
                    pause = _AWAY_PAUSE
                except Conflict as error:  # this worker lacks the key of a secret, perhaps not for long
                    log.warning("webhook.waits", lane_id=lease.id, code=error.code)
                    pause = _PAUSE
                except Exception:
                    log.exception("webhook.stumbled", lane_id=lease.id)
                    pause = _PAUSE
                await self._leases.release([lease], pause=pause)
        except SegmentCopilotError as error:  # it is claimed again
            log.warning("webhook.left", lane_id=lease.id, code=error.code)

    async def _next(self, lease: Lease, now: datetime) -> _Delivery | None:
        row = await self._postgres.fetchrow(_NEXT, lease.id)
        if row is None:
            return None
        piece = Piece(cast("Event", row["event"]), row["place"], row["part"], row["parts"])
        return _Delivery(
            id=row["delivery_id"],
            attempts=row["attempts"],
            piece=piece,
            publication=read_publication(row),
            tenant_slug=row["slug"],
            url=row["url"],
            secrets=self._webhooks.open_secrets(row["tenant_id"], row, now=now),
            is_lost=piece.change is not None and not row["is_there"],
        )

    async def _send(self, lease: Lease, delivery: _Delivery, now: datetime) -> bool:
        """Send one, and write down what came of it; True when the next one may follow at once."""
        if delivery.is_lost:
            made = Attempt(now, 0, error="The segment was deleted, and with it the log of who entered and left.")
            return await self._settle(lease, delivery, made, now)
        told = await make_body(self._publications, delivery.publication, delivery.piece, delivery.tenant_slug)
        made = await attempt(
            self._outgoing,
            delivery.url,
            msgspec.json.encode(told),
            message_id=message_id(delivery.publication.id, delivery.piece),
            secrets=delivery.secrets,
            now=now,
            timeout=self._timeout,
        )
        return await self._settle(lease, delivery, made, now)

    async def _settle(self, lease: Lease, delivery: _Delivery, made: Attempt, now: datetime) -> bool:
        async with self._postgres.transaction() as transaction:
            # First the endpoint, then its lane and deliveries: in this order all who change them.
            webhook = await transaction.fetchrow(_STILL_OURS, lease.id, lease.key)
            if webhook is None:
                return False  # deleted, or another worker's
            wait = None if delivery.is_lost or made.is_good else wait_after(delivery.attempts + 1, made)
            status = "done" if made.is_good else "dead" if wait is None else "failed"
            until = now + wait if wait else None
            await transaction.execute(_SETTLED, delivery.id, status, made.status_code, made.error, until, now)
            if not delivery.is_lost:
                found = (made.status_code, made.error, made.answer, made.duration_ms)
                await transaction.execute(_ATTEMPT, delivery.id, made.at, *found)
                await _judge(transaction, webhook, made, now)
            if until:
                sql = "UPDATE webhook_lanes SET next_attempt_at = $2 WHERE id = $1 AND next_attempt_at IS NOT NULL"
                await transaction.execute(sql, lease.id, until)
        DELIVERIES.labels("webhook", status).inc()
        if not made.is_good:
            log.info(
                "webhook.failed", webhook_id=webhook["id"], delivery_id=delivery.id, status=status, error=made.error
            )
        return until is None

    async def _rest(self, lease: Lease) -> None:
        """Say when the lane is due again, or that nothing waits in it."""
        async with self._postgres.transaction() as transaction:
            await transaction.execute("SELECT FROM webhook_lanes WHERE id = $1 FOR UPDATE", lease.id)
            await transaction.execute(_RESTING, lease.id)


async def _judge(transaction: Connection, webhook: Record, made: Attempt, now: datetime) -> None:
    """Remember since when an endpoint fails; warn of it at half of the time after which it is switched off."""
    webhook_id, since = webhook["id"], webhook["failing_since"]
    if made.is_good:
        if since is not None:
            sql = "UPDATE webhooks SET failing_since = NULL, notice = NULL WHERE id = $1"
            await transaction.execute(sql, webhook_id)
        return
    reason = notice = None
    if made.is_gone:
        reason = "It answered 410: it wants no more."
    elif since is not None and now - since >= DISABLED_AFTER:
        reason = f"It failed for {DISABLED_AFTER.days} days, at last so: {made.error}"
    elif since is not None and now - since >= DISABLED_AFTER / 2 and webhook["notice"] is None:
        ends = since + DISABLED_AFTER
        notice = f"It has failed since {since:%Y-%m-%dT%H:%M:%SZ}; if that goes on, it is switched off at {ends:%Y-%m-%dT%H:%M:%SZ}."
        log.warning("webhook.failing", webhook_id=webhook_id, since=since.isoformat(), disabled_at=ends.isoformat())
    sql = """
        UPDATE webhooks SET failing_since = coalesce(failing_since, $2), notice = coalesce($3, notice),
            is_active = is_active AND $4::text IS NULL, disabled_reason = coalesce($4, disabled_reason),
            disabled_at = CASE WHEN $4 IS NULL THEN disabled_at ELSE $2 END
        WHERE id = $1"""
    await transaction.execute(sql, webhook_id, now, notice, reason)
    if reason:
        log.warning("webhook.disabled", webhook_id=webhook_id, reason=reason)
        await end_open(transaction, webhook_id, f"The webhook was switched off. {reason}")


async def enqueue(transaction: Connection, wanted: Sequence[tuple[int, Publication, Piece]], *, now: datetime) -> int:
    """Queue deliveries, each for an endpoint, and return how many; those that there are already stay as they are."""
    if not wanted:
        return 0
    lanes = sorted({(webhook_id, publication.segment_id) for webhook_id, publication, _ in wanted})
    await transaction.execute(_LANES, [one for one, _ in lanes], [one for _, one in lanes], now)
    rows: list[tuple[Any, ...]] = [
        (
            one.tenant_id,
            webhook_id,
            one.segment_id,
            one.id,
            one.sequence,
            piece.place,
            piece.event,
            piece.part,
            piece.parts,
        )
        for webhook_id, one, piece in wanted
    ]
    return await transaction.execute(_DELIVERIES, *(list(column) for column in zip(*rows, strict=True)))


async def make_body(publications: Publications, publication: Publication, piece: Piece, tenant_slug: str) -> Body:
    """Return the body of one delivery, whose users are read now: those who were erased meanwhile are not in it."""
    users: Sequence[str] = ()
    if change := piece.change:
        users = await publications.users(publication, change, part=piece.part, parts=piece.parts)
    return body(publication, piece, tenant_slug=tenant_slug, user_ids=users)
