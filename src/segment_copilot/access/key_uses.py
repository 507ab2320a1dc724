"""USE CASE: count the requests of each key by hour and address, and let the tenant see where its keys are used.

Each process counts for itself and adds what it counted every few seconds: a request is no write. What a process
counted last is lost with it when it is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated, Final, Literal

import anyio
import structlog
from msgspec import Meta, Struct

from segment_copilot.access.keys import Caller
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import QueryTimeout, Unavailable
from segment_copilot.lists import Listed, Window
from segment_copilot.stores.confinement import every_tenant
from segment_copilot.stores.pages import BY_ID, Rows, Sorting
from segment_copilot.stores.postgres import Postgres, Record

log = structlog.get_logger()

Order = Literal["id", "-id", "hour", "-hour", "requests", "-requests", "last_at", "-last_at"]

ADD_SECONDS: Final = 5.0
"""So late at most a request is counted."""

_MOST: Final = 10_000  # places that a process tells apart between two additions; of a key beyond them, none
_ELSEWHERE: Final = ""
_CLEANED: Final = 10_000  # rows that one step deletes
_END_SECONDS: Final = 2.0
_SORTINGS: Final = {
    "id": BY_ID,
    "hour": Sorting("hour", datetime, "timestamptz"),
    "requests": Sorting("requests"),
    "last_at": Sorting("last_at", datetime, "timestamptz"),
}
_ADD: Final = """
INSERT INTO key_uses (tenant_id, key_id, hour, address, requests, refused, last_at)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[])
    AS added (tenant_id, key_id, hour, address, requests, refused, last_at)
WHERE EXISTS (SELECT FROM tenants WHERE tenants.id = added.tenant_id)
ORDER BY tenant_id, key_id, hour, address -- so that two processes wait for each other instead of locking each other out
ON CONFLICT ON CONSTRAINT key_uses_key DO UPDATE SET requests = key_uses.requests + excluded.requests,
    refused = key_uses.refused + excluded.refused, last_at = greatest(key_uses.last_at, excluded.last_at)
"""


class KeyUse(Struct, frozen=True):
    """Tells how often a key was used in an hour, from one address. *refused* of them were answered 403 or 429."""

    id: int
    key_id: int
    hour: Annotated[datetime, Meta(description="Its beginning")]
    address: Annotated[
        str,
        Meta(
            description="Where the requests came from; empty: sessions, and what came from too many places to tell apart"
        ),
    ]
    requests: int
    refused: int
    last_at: datetime


class OnlyUses(Struct, frozen=True):
    """Says which uses are asked for; None leaves a condition out."""

    key_id: int | None = None
    address: str | None = None
    after: datetime | None = None
    before: datetime | None = None


class _Counted(Struct):
    requests: int
    refused: int
    last_at: datetime


class KeyUses:
    """Counts the uses of all keys, and reads those of a tenant's."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._counted: dict[tuple[int, int, datetime, str], _Counted] = {}

    def note(self, caller: Caller, address: str, *, refused: bool, now: datetime) -> None:
        """Count one request. Of sessions the address is left out: it is that of a person's browser, not of a key's holder."""
        if caller.key_id is None:
            return
        tenant, key_id, address = caller.tenant, caller.key_id, _ELSEWHERE if caller.session else address
        hour = now.replace(minute=0, second=0, microsecond=0)
        place = (tenant.id, key_id, hour, address)
        if place not in self._counted and len(self._counted) >= _MOST:
            place = (tenant.id, key_id, hour, _ELSEWHERE)
        counted = self._counted.setdefault(place, _Counted(0, 0, now))
        counted.requests += 1
        counted.refused += refused
        counted.last_at = now

    async def add(self) -> None:
        """Add what was counted to what is kept; what cannot be added waits for the next time."""
        counted, self._counted = self._counted, {}
        if not counted:
            return
        try:
            with every_tenant():
                await self._postgres.execute(
                    _ADD,
                    *(list(column) for column in zip(*counted, strict=True)),
                    [one.requests for one in counted.values()],
                    [one.refused for one in counted.values()],
                    [one.last_at for one in counted.values()],
                )
        except BaseException:
            self._take_back(counted)
            raise

    def _take_back(self, counted: dict[tuple[int, int, datetime, str], _Counted]) -> None:
        for place, one in counted.items():
            since = self._counted.setdefault(place, _Counted(0, 0, one.last_at))
            since.requests += one.requests
            since.refused += one.refused

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Add every few seconds, and at the end."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            with anyio.CancelScope(shield=True), suppress(Unavailable, QueryTimeout, TimeoutError):
                async with asyncio.timeout(_END_SECONDS):
                    await self.add()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(ADD_SECONDS)
            try:
                await self.add()
            except Exception as error:  # noqa: BLE001  # the edge: it is tried again
                log.warning("key_uses.not_added", error=type(error).__name__)

    async def page(
        self, tenant: Tenant, window: Window, *, order: Order = "-hour", only: OnlyUses | None = None
    ) -> Listed[KeyUse]:
        """Return one page of the uses of the tenant's keys."""
        only = only or OnlyUses()
        conditions = (
            ("tenant_id = {}", tenant.id),
            ("key_id = {}", only.key_id),
            ("address = {}", only.address),
            ("hour >= {}", only.after),
            ("hour < {}", only.before),
        )
        rows = Rows(", ".join(KeyUse.__struct_fields__), "key_uses", conditions, _SORTINGS)
        return await rows.page(self._postgres, window, order, _use)

    async def clean_up(self, *, before: datetime) -> bool:
        """Forget what is older, of all tenants; return whether there may be more."""
        sql = f"DELETE FROM key_uses WHERE id IN (SELECT id FROM key_uses WHERE hour < $1 LIMIT {_CLEANED})"
        return await self._postgres.execute(sql, before) == _CLEANED


def _use(row: Record) -> KeyUse:
    return KeyUse(**{name: row[name] for name in KeyUse.__struct_fields__})
