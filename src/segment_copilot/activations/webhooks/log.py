"""USE CASE: see what became of deliveries, and have them sent again: one, or all that did not arrive since an instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import uuid4

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.outgoing import Outgoing
from segment_copilot.activations.webhooks.attempts import KEPT_ANSWER, attempt
from segment_copilot.activations.webhooks.bodies import Event, Piece, body, message_id, pieces
from segment_copilot.activations.webhooks.endpoints import Webhooks, not_found
from segment_copilot.activations.webhooks.queue import enqueue
from segment_copilot.audiences.publications import KEPT, Publication, Publications
from segment_copilot.errors import Conflict, Finding, InvalidInput, NotFound
from segment_copilot.lists import FIRST_PAGE, Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Connection, Postgres, Record

Status = Literal["queued", "failed", "done", "dead"]
Order = Literal["id", "-id", "created_at", "-created_at"]

MAX_RECOVERED: Final = 20_000
"""Deliveries that one recovery queues."""

_SORTINGS: Final = {"id": BY_ID, "created_at": Sorting("created_at", datetime, "timestamptz")}
_COLUMNS: Final = """id, webhook_id, event, segment_id, segment_name, publication_id, place, part, parts, status, attempts,
    status_code, error, next_attempt_at, created_at, finished_at"""
_LISTED: Final = """(
    SELECT delivery.*, segment_id, segment_name FROM webhook_deliveries AS delivery
    JOIN publications ON publications.id = publication_id) AS listed"""
_AGAIN: Final = """
UPDATE webhook_deliveries AS delivery SET status = 'queued', attempts = 0, next_attempt_at = NULL, finished_at = NULL
"""
_NOW: Final = "UPDATE webhook_lanes SET next_attempt_at = $2 WHERE id = ANY ($1::bigint[])"
_FORGET: Final = f"""
UPDATE webhook_attempts SET answer = '' FROM webhook_deliveries AS delivery
WHERE delivery.id = delivery_id AND delivery.tenant_id = $1 AND answer <> '' AND (
    length(answer) = {KEPT_ANSWER} OR EXISTS (SELECT FROM unnest($2::text[]) AS one (id) WHERE strpos(answer, one.id) > 0))
"""  # one that was cut off may end within an id


class DeliveryAttempt(Struct, frozen=True):
    """A request that was made, and what came back: a status and how its body began, or why nothing came."""

    at: datetime
    status_code: int | None
    error: str | None
    answer: str
    duration_ms: int


class WebhookDelivery(Struct, frozen=True):
    """One request to an endpoint: queued until its first attempt, failed until its next one, in the end done or dead.

    *attempts* are those since it was queued last; status code and error are of the newest.
    """

    id: int
    webhook_id: int
    message_id: str
    event: str
    segment_id: int
    segment_name: str
    part: int
    parts: int
    status: Status
    attempts: int
    status_code: int | None
    error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class LoggedDelivery(WebhookDelivery, frozen=True):
    """A delivery with every attempt at it, oldest first."""

    log: tuple[DeliveryAttempt, ...]


class Recovery(Struct, frozen=True):
    """Says how many deliveries were queued, and of publications since when: older ones are not kept."""

    queued: int
    since: datetime


class TestResult(Struct, frozen=True):
    """Says what came back from a test."""

    delivered: bool
    event: Event
    status_code: int | None
    error: str | None
    answer: str
    duration_ms: int


class WebhookDeliveries:
    """Reads the log of deliveries of all tenants' endpoints, and queues them anew; every method takes the tenant."""

    def __init__(self, postgres: Postgres, webhooks: Webhooks, publications: Publications, outgoing: Outgoing) -> None:
        self._postgres = postgres
        self._webhooks = webhooks
        self._publications = publications
        self._outgoing = outgoing

    async def page(  # filters
        self,
        tenant: Tenant,
        webhook_id: int,
        window: Window = FIRST_PAGE,
        *,
        order: Order = "-id",
        status: Status | None = None,
        event: Event | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Listed[WebhookDelivery]:
        """Return one page of an endpoint's deliveries; NotFound when the tenant has no such endpoint."""
        await self._webhooks.get(tenant, webhook_id)
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("webhook_id = {}", webhook_id),
            ("status = {}", status),
            ("event = {}", event),
            ("created_at >= {}", created_after),
            ("created_at < {}", created_before),
        )
        return await Rows(_COLUMNS, _LISTED, conditions, _SORTINGS).page(self._postgres, window, order, _delivery)

    async def get(self, tenant: Tenant, webhook_id: int, delivery_id: int) -> LoggedDelivery:
        """Return a delivery with its attempts; NotFound when that endpoint of the tenant has none of this id."""
        found = await self._find(self._postgres, tenant, webhook_id, delivery_id)
        sql = """
            SELECT at, status_code, error, answer, duration_ms FROM webhook_attempts WHERE delivery_id = $1 ORDER BY id"""
        rows = await self._postgres.fetch(sql, delivery_id)
        log = tuple(DeliveryAttempt(*row.values()) for row in rows)
        return LoggedDelivery(**msgspec.structs.asdict(found), log=log)

    async def replay(
        self, tenant: Tenant, webhook_id: int, delivery_id: int, *, now: datetime | None = None
    ) -> WebhookDelivery:
        """Queue a delivery once more, whatever became of it, under the id that it had.

        Raises:
            NotFound: That endpoint of the tenant has none of this id.
            Conflict: The endpoint is switched off.
        """
        async with self._postgres.transaction() as transaction:
            await self._hold(transaction, tenant, webhook_id)
            await self._find(transaction, tenant, webhook_id, delivery_id)
            lane = await transaction.fetchval(f"{_AGAIN} WHERE id = $1 RETURNING lane_id", delivery_id)
            await transaction.execute(_NOW, [lane], now or await transaction.now())
            return await self._find(transaction, tenant, webhook_id, delivery_id)

    async def recover(
        self,
        tenant: Tenant,
        webhook_id: int,
        *,
        since: datetime,
        until: datetime | None = None,
        now: datetime | None = None,
    ) -> Recovery:
        """Queue what was published since an instant and did not arrive: what is dead, and what was never queued.

        The second is what was published while the endpoint was switched off, or before it was registered, or of events
        that it did not want then. What waits for its next attempt gets it now.

        Raises:
            NotFound: The tenant has no such endpoint.
            Conflict: It is switched off.
            InvalidInput: More than 20,000 would be sent.
        """
        now = now or await self._postgres.now()
        since = max(since, now - KEPT)
        async with self._postgres.transaction() as transaction:
            events = await self._hold(transaction, tenant, webhook_id)
            found = await self._publications.since(tenant, since, connection=transaction)
            told = [one for one in found if until is None or one.published_at < until]
            wanted = [(webhook_id, one, piece) for one in told for piece in pieces(one, events)]
            if len(wanted) > MAX_RECOVERED:
                raise _wrong(
                    f"That would send {len(wanted):,} requests; at most {MAX_RECOVERED:,} go at once. Give a later instant, or `until`."
                )
            sql = f"""
                {_AGAIN} FROM publications
                WHERE publications.id = publication_id AND webhook_id = $1 AND delivery.status = 'dead'
                    AND publication_id = ANY ($2::bigint[]) AND event = ANY ($3::text[])"""
            again = await transaction.execute(sql, webhook_id, [one.id for one in told], events)
            fresh = await enqueue(transaction, wanted, now=now)
            sql = """
                SELECT DISTINCT lane_id FROM webhook_deliveries
                WHERE webhook_id = $1 AND status IN ('queued', 'failed')"""
            lanes = [row["lane_id"] for row in await transaction.fetch(sql, webhook_id)]
            await transaction.execute(_NOW, lanes, now)
        return Recovery(again + fresh, since)

    async def test(
        self, tenant: Tenant, webhook_id: int, *, event: Event | None = None, now: datetime | None = None
    ) -> TestResult:
        """Send an endpoint a made-up event at once, signed as all are, and say what came back; it is not logged.

        Raises:
            NotFound: The tenant has no such endpoint.
        """
        now = now or datetime.now(UTC)
        endpoint = await self._webhooks.get(tenant, webhook_id)
        event = event or endpoint.events[0]
        sql = "SELECT secret, previous_secret, previous_until FROM webhooks WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, webhook_id)
        if row is None:
            raise not_found(webhook_id)
        made = await attempt(
            self._outgoing,
            endpoint.url,
            _example(tenant, event, now),
            message_id=f"msg_test_{uuid4().hex}",
            secrets=self._webhooks.open_secrets(tenant.id, row, now=now),
            now=now,
            timeout=_TEST_TIMEOUT,
        )
        return TestResult(made.is_good, event, made.status_code, made.error, made.answer, made.duration_ms)

    async def forget(self, tenant_id: int, user_ids: Sequence[str]) -> int:
        """Wipe the answers of endpoints that may name one of these users, and return how many."""
        return await self._postgres.execute(_FORGET, tenant_id, list(user_ids)) if user_ids else 0

    async def _hold(self, transaction: Connection, tenant: Tenant, webhook_id: int) -> list[str]:
        """Hold an endpoint that is switched on, and return its events."""
        sql = "SELECT events, is_active FROM webhooks WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE"
        row = await transaction.fetchrow(sql, tenant.id, webhook_id)
        if row is None:
            raise not_found(webhook_id)
        if not row["is_active"]:
            detail = f"The webhook {webhook_id} is switched off. Set is_active to true first."
            raise Conflict(detail, code="webhook_inactive")
        return list(row["events"])

    async def _find(
        self, connection: Connection | Postgres, tenant: Tenant, webhook_id: int, delivery_id: int
    ) -> WebhookDelivery:
        sql = f"SELECT {_COLUMNS} FROM {_LISTED} WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3"
        row = await connection.fetchrow(sql, tenant.id, webhook_id, delivery_id)
        if row is None:
            raise NotFound(f"The webhook has no delivery {delivery_id}.", code="delivery_not_found")
        return _delivery(row)


_TEST_TIMEOUT: Final = timedelta(seconds=5)  # somebody waits for it


def _example(tenant: Tenant, event: Event, now: datetime) -> bytes:
    failed = '{"code": "query_timeout", "detail": "An example of why a computation fails."}'
    publication = Publication(
        id=0,
        tenant_id=tenant.id,
        segment_id=1,
        segment_name="Example",
        computation_id=1,
        change_set=None,
        entered=2,
        left=2,
        member_count=2,
        computed_at=now,
        published_at=now,
        error=failed if event == "computation.failed" else None,
    )
    made = body(publication, Piece(event, 0), tenant_slug=tenant.slug, user_ids=("user_1", "user_2"))
    return msgspec.json.encode({**msgspec.to_builtins(made), "test": True})


def _wrong(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="invalid_since", findings=[Finding("/since", "invalid_since", detail)])


def _delivery(row: Record) -> WebhookDelivery:
    piece = Piece(row["event"], row["place"], row["part"], row["parts"])
    return WebhookDelivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        message_id=message_id(row["publication_id"], piece),
        event=row["event"],
        segment_id=row["segment_id"],
        segment_name=row["segment_name"],
        part=row["part"],
        parts=row["parts"],
        status=row["status"],
        attempts=row["attempts"],
        status_code=row["status_code"],
        error=row["error"],
        next_attempt_at=row["next_attempt_at"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )
