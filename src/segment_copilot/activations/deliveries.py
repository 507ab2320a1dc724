"""USE CASE: ask for deliveries of an activation, read what became of them, and have one sent again.

A delivery is a row that a worker sends (`syncing.py`). Those of one activation are sent one at a time, in the order in which
they were asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.activations import Status, activation_not_found
from segment_copilot.audiences.references import no_members
from segment_copilot.errors import Conflict, NotFound
from segment_copilot.lists import Listed, Window
from segment_copilot.stores.pages import BY_ID, Rows
from segment_copilot.stores.postgres import Connection, Postgres, Record

DeliveryStatus = Literal["queued", "sending", "held", "done", "failed", "dead"]

MAX_REJECTED: Final = 100
"""So many of the users that a destination did not take are kept of a delivery, each with the reason."""

_JUDGED: Final = 30  # deliveries that a success rate is of
_COLUMNS: Final = """id, activation_id, status, is_full, member_count, entered, left_count, sent_count, rejected_count, batches,
    begun, error, CASE WHEN status = 'queued' THEN lease_until END AS next_attempt_at, created_at, finished_at"""

AGAIN: Final = """status = 'queued', failures = 0, attempts = 0, lease_id = NULL, lease_until = NULL, holder = NULL,
    error = NULL, finished_at = NULL"""
"""The SET of a delivery that is to be tried at once."""

FROM_THE_BEGINNING: Final = """round = round + 1, from_computation = NULL, to_computation = NULL, position = NULL, member_count = NULL,
    entered = NULL, left_count = NULL, batches = 0, sent_count = 0, rejected_count = 0"""
"""The SET of a delivery of which it is decided anew what to send."""


class Delivery(Struct, frozen=True):
    """A delivery: some members' changes on their way to a destination. *entered* and *left* are what is to be sent.

    *attempts* is how often it was begun; *held* waits for somebody to allow it, *dead* was tried for a day.
    """

    id: int
    activation_id: int
    status: DeliveryStatus
    full: bool
    entered: int | None
    left: int | None
    member_count: int | None
    sent: int
    rejected: int
    attempts: int
    error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


class RejectedUser(Struct, frozen=True):
    """A user whom the destination did not take, and why."""

    user_id: str
    reason: str


class DeliveryStats(Struct, frozen=True):
    """Counts the deliveries of an activation; *success_rate* is a percentage of the last 30 that ended, null without any."""

    deliveries: int
    done: int
    failed: int
    waiting: int
    held: int
    sent: int
    rejected: int
    success_rate: int | None
    last_success_at: datetime | None


class SyncLog(Struct, frozen=True):
    """A delivery that ended, as a line of a log."""

    status: Literal["success", "failed"]
    user_count: int
    error_message: str
    synced_at: datetime


class ActivationStanding(Struct, frozen=True):
    """An activation beside the size of its segment, and how its last deliveries ended, newest first."""

    id: int
    segment_id: int
    segment_name: str
    connector_type: str
    status: Status
    last_synced_at: datetime | None
    last_error: str | None
    member_count: int | None
    logs: tuple[SyncLog, ...] = ()


_STANDINGS: Final = """
SELECT a.id, a.segment_id, s.name AS segment_name, a.connector_type, a.status, a.last_synced_at, a.last_error, s.member_count
FROM activations a JOIN segments s ON s.id = a.segment_id AND s.tenant_id = a.tenant_id
WHERE a.tenant_id = $1
ORDER BY a.id
"""


class Deliveries:
    """Reads and asks for the deliveries of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def request(
        self, tenant: Tenant, activation_id: int, *, full: bool = False, allow_empty: bool = False
    ) -> Delivery:
        """Queue a delivery of what changed, or *full* of all members; one that still waits is tried now instead.

        *allow_empty* lets it empty or sharply shrink what the destination has.

        Raises:
            NotFound: There is no such activation.
            Conflict: It is paused, or its segment has no members yet.
        """
        async with self._postgres.transaction() as transaction:
            await _lock(transaction, tenant, activation_id)
            sql = """
                SELECT id FROM deliveries WHERE tenant_id = $1 AND activation_id = $2 AND status IN ('queued', 'held')
                ORDER BY id DESC LIMIT 1 FOR UPDATE"""  # one that a worker claims meanwhile waits no longer
            waiting = await transaction.fetchval(sql, tenant.id, activation_id)
            if waiting is None:
                sql = f"""
                    INSERT INTO deliveries (tenant_id, activation_id, is_full, allow_empty) VALUES ($1, $2, $3, $4)
                    RETURNING {_COLUMNS}"""
                row = await transaction.fetchrow(sql, tenant.id, activation_id, full, allow_empty)
            else:
                sql = f"""
                    UPDATE deliveries SET {AGAIN}, {FROM_THE_BEGINNING}, is_full = is_full OR $3,
                        allow_empty = allow_empty OR $4
                    WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}"""
                row = await transaction.fetchrow(sql, tenant.id, waiting, full, allow_empty)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _delivery(row)

    async def replay(self, tenant: Tenant, delivery_id: int) -> Delivery:
        """Have a delivery sent again: one that ended in vain goes on where it stopped, one that is done begins again.

        Only the last of its activation: an older one would undo what came after it.

        Raises:
            NotFound: There is no such delivery.
            Conflict: It is not over, it is held, or there is a later one.
        """
        async with self._postgres.transaction() as transaction:
            sql = "SELECT activation_id FROM deliveries WHERE tenant_id = $1 AND id = $2"
            activation_id = await transaction.fetchval(sql, tenant.id, delivery_id)
            if activation_id is None:
                raise _not_found(delivery_id)
            await _lock(transaction, tenant, activation_id)
            sql = """
                SELECT status, (SELECT max(id) FROM deliveries AS other WHERE other.activation_id = $3) AS last
                FROM deliveries WHERE tenant_id = $1 AND id = $2 FOR UPDATE"""
            row = await transaction.fetchrow(sql, tenant.id, delivery_id, activation_id)
            if row is None:
                raise _not_found(delivery_id)
            _check_over(delivery_id, row)
            again = f"{AGAIN}, {FROM_THE_BEGINNING}, is_full = true" if row["status"] == "done" else AGAIN
            sql = f"UPDATE deliveries SET {again} WHERE tenant_id = $1 AND id = $2 RETURNING {_COLUMNS}"
            row = await transaction.fetchrow(sql, tenant.id, delivery_id)
        assert row is not None  # noqa: S101  # RETURNING gives a row
        return _delivery(row)

    async def get(self, tenant: Tenant, delivery_id: int) -> Delivery:
        """Return one delivery; raises NotFound."""
        sql = f"SELECT {_COLUMNS} FROM deliveries WHERE tenant_id = $1 AND id = $2"
        row = await self._postgres.fetchrow(sql, tenant.id, delivery_id)
        if row is None:
            raise _not_found(delivery_id)
        return _delivery(row)

    async def page(
        self, tenant: Tenant, activation_id: int, window: Window, *, status: DeliveryStatus | None = None
    ) -> Listed[Delivery]:
        """Return a page of the deliveries of an activation, newest first; raises NotFound."""
        await self._check_exists(tenant, activation_id)
        conditions = (("tenant_id = {}", tenant.id), ("activation_id = {}", activation_id), ("status = {}", status))
        rows = Rows(_COLUMNS, "deliveries", conditions, {"id": BY_ID})
        return await rows.page(self._postgres, window, "-id", _delivery)

    async def rejected(self, tenant: Tenant, delivery_id: int, window: Window) -> Listed[RejectedUser]:
        """Return a page of the users that the destination did not take, of those that are kept; raises NotFound."""
        await self.get(tenant, delivery_id)
        conditions = (("tenant_id = {}", tenant.id), ("delivery_id = {}", delivery_id))
        rows = Rows("id, user_id, reason", "rejected_users", conditions, {"id": BY_ID})
        return await rows.page(self._postgres, window, "id", lambda row: RejectedUser(row["user_id"], row["reason"]))

    async def stats(self, tenant: Tenant, activation_id: int) -> DeliveryStats:
        """Count the deliveries of an activation by what became of them; raises NotFound."""
        await self._check_exists(tenant, activation_id)
        sql = """
            SELECT count(*) AS deliveries, count(*) FILTER (WHERE status = 'done') AS done,
                count(*) FILTER (WHERE status IN ('failed', 'dead')) AS failed,
                count(*) FILTER (WHERE status IN ('queued', 'sending')) AS waiting,
                count(*) FILTER (WHERE status = 'held') AS held,
                coalesce(sum(sent_count), 0)::bigint AS sent, coalesce(sum(rejected_count), 0)::bigint AS rejected,
                max(finished_at) FILTER (WHERE status = 'done') AS last_success_at
            FROM deliveries WHERE tenant_id = $1 AND activation_id = $2"""
        row = await self._postgres.fetchrow(sql, tenant.id, activation_id)
        assert row is not None  # noqa: S101  # an aggregate is one row
        rate = (await self.logs(tenant, [activation_id])).get(activation_id, ())
        return DeliveryStats(**dict(row), success_rate=success_rate(rate))

    async def standings(self, tenant: Tenant) -> tuple[ActivationStanding, ...]:
        """Return every activation of the tenant beside the size of its segment, oldest first."""
        rows = await self._postgres.fetch(_STANDINGS, tenant.id)
        logs = await self.logs(tenant, [row["id"] for row in rows])
        return tuple(ActivationStanding(**dict(row), logs=logs.get(row["id"], ())) for row in rows)

    async def logs(self, tenant: Tenant, activation_ids: Collection[int]) -> dict[int, tuple[SyncLog, ...]]:
        """Return the last 30 deliveries that ended, of each activation, newest first."""
        sql = """
            SELECT activation_id, status, sent_count, error, finished_at FROM (
                SELECT *, row_number() OVER (PARTITION BY activation_id ORDER BY id DESC) AS number FROM deliveries
                WHERE tenant_id = $1 AND activation_id = ANY ($2::bigint[]) AND status IN ('done', 'failed', 'dead')
            ) AS ended WHERE number <= $3 ORDER BY activation_id, id DESC"""
        found = dict[int, list[SyncLog]]()
        for row in await self._postgres.fetch(sql, tenant.id, list(activation_ids), _JUDGED):
            is_done = row["status"] == "done"
            line = SyncLog(
                "success" if is_done else "failed",
                row["sent_count"],
                "" if is_done else row["error"] or "",
                row["finished_at"],
            )
            found.setdefault(row["activation_id"], []).append(line)
        return {activation_id: tuple(lines) for activation_id, lines in found.items()}

    async def forget(self, tenant_id: int, user_ids: Sequence[str]) -> int:
        """Remove what is kept of these users, and return how much that was. A place in a list of users may name one."""
        async with self._postgres.transaction() as transaction:
            sql = "DELETE FROM rejected_users WHERE tenant_id = $1 AND user_id = ANY ($2::text[])"
            removed = await transaction.execute(sql, tenant_id, list(user_ids))
            sql = "UPDATE deliveries SET position = NULL WHERE tenant_id = $1 AND position IS NOT NULL"
            await transaction.execute(sql, tenant_id)
        return removed

    async def _check_exists(self, tenant: Tenant, activation_id: int) -> None:
        sql = "SELECT EXISTS (SELECT FROM activations WHERE tenant_id = $1 AND id = $2)"
        if not await self._postgres.fetchval(sql, tenant.id, activation_id):
            raise activation_not_found(activation_id)


def success_rate(logs: Sequence[SyncLog]) -> int | None:
    """Return the percentage of deliveries that arrived; None without any."""
    return round(100 * sum(one.status == "success" for one in logs) / len(logs)) if logs else None


async def _lock(transaction: Connection, tenant: Tenant, activation_id: int) -> None:
    """Lock an activation that may be synced."""
    sql = """
        SELECT activations.status, published_run IS NULL AS is_empty, segment_id
        FROM activations JOIN segments ON segments.id = segment_id
        WHERE activations.tenant_id = $1 AND activations.id = $2 FOR UPDATE OF activations"""
    row = await transaction.fetchrow(sql, tenant.id, activation_id)
    if row is None:
        raise activation_not_found(activation_id)
    if row["status"] == "paused":
        detail = f"Activation {activation_id} is paused: set its status to active or inactive first."
        raise Conflict(detail, code="activation_paused")
    if row["is_empty"]:
        raise await no_members(transaction, tenant, row["segment_id"])


def _check_over(delivery_id: int, row: Record) -> None:
    if row["status"] in {"queued", "sending"}:
        raise Conflict(f"Delivery {delivery_id} is not over: it is {row['status']}.", code="delivery_open")
    if row["status"] == "held":
        detail = f"Delivery {delivery_id} is held: ask for a sync with allow_empty to send it."
        raise Conflict(detail, code="delivery_held")
    if row["last"] != delivery_id:
        detail = (
            f"Delivery {delivery_id} was followed by delivery {row['last']}, which it would undo. "
            "Replay that one, or ask for a sync with full."
        )
        raise Conflict(detail, code="delivery_superseded")


def _delivery(row: Record) -> Delivery:
    return Delivery(
        id=row["id"],
        activation_id=row["activation_id"],
        status=row["status"],
        full=row["is_full"],
        entered=row["entered"],
        left=row["left_count"],
        member_count=row["member_count"],
        sent=row["sent_count"],
        rejected=row["rejected_count"],
        attempts=row["begun"],
        error=row["error"],
        next_attempt_at=row["next_attempt_at"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _not_found(delivery_id: int) -> NotFound:
    return NotFound(f"There is no delivery {delivery_id}.", code="delivery_not_found")
