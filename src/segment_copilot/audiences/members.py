"""USE CASE: read who is in a segment, as its last computation published it, and how many there were before."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.errors import Finding, Gone, InvalidInput
from segment_copilot.events.analytics import DayCount
from segment_copilot.language.lengths import to_instant
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.postgres import Postgres, Record


class Member(Struct, frozen=True):
    """A user in a segment, since which computation."""

    user_id: str
    computed_at: datetime


class MemberPage(Struct, frozen=True):
    """A page of members by user id; *cursor* continues it and stays on the same computation."""

    count: int
    members: tuple[Member, ...]
    cursor: str | None


class SegmentOfUser(Struct, frozen=True):
    """A segment that a user is in."""

    segment_id: int
    segment_name: str
    member_count: int
    computed_at: datetime


class _Cursor(Struct, frozen=True, array_like=True):
    run_id: UUID
    last: str


class _State(Struct, frozen=True):
    """Holds what one run found, and when."""

    run_id: UUID
    as_of: datetime
    member_count: int


_SIGNATURE_BYTES: Final = 16
_STATE: Final = """
SELECT published_run, previous_run, as_of, computations.member_count
FROM segments LEFT JOIN computations
    ON computations.tenant_id = segments.tenant_id AND segment_id = segments.id
    AND run_id = coalesce($3::uuid, published_run) AND computations.status = 'done'
WHERE segments.tenant_id = $1 AND segments.id = $2
"""
_IDS: Final = """
SELECT user_id FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID} AND user_id > {last:String}
ORDER BY user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""


class Members:
    """Reads the members of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, secrets: Secrets) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._secrets = secrets
        self._secret: bytes | None = None

    async def page(
        self, tenant: Tenant, segment_id: int, *, limit: int = 100, offset: int = 0, cursor: str | None = None
    ) -> MemberPage:
        """Return a page of the published members, by user id. A *cursor* stays on the run it began with.

        Raises:
            InvalidInput: *cursor* is none of this segment's.
            Gone: The run it began with was removed, because two others were published since.

        """
        begun = await self._read_cursor(tenant, segment_id, cursor) if cursor else None
        while True:
            state = await self._state(tenant, segment_id, begun.run_id if begun else None)
            if state is None:
                return MemberPage(0, (), None)
            last = begun.last if begun else ""
            ids = await self._ids(tenant, segment_id, state.run_id, last=last, limit=limit + 1, offset=offset)
            # A run is removed only after it can no longer be read, so what was read before this is whole.
            if await self._is_kept(tenant, segment_id, state.run_id):
                break
        members = tuple(Member(user_id, state.as_of) for user_id in ids[:limit])
        more = None
        if len(ids) > limit:
            more = await self._write_cursor(tenant, segment_id, _Cursor(state.run_id, ids[limit - 1]))
        return MemberPage(state.member_count, members, more)

    async def _state(self, tenant: Tenant, segment_id: int, run_id: UUID | None) -> _State | None:
        """Return what *run_id* found (default: the published run), or None when nothing was published yet."""
        row = await self._postgres.fetchrow(_STATE, tenant.id, segment_id, run_id)
        if row is None:
            raise not_found(segment_id)
        if run_id is not None and run_id not in {row["published_run"], row["previous_run"]}:
            detail = "The members that this cursor goes through were replaced twice since; start again without it."
            raise Gone(detail, code="cursor_expired")
        wanted = run_id or row["published_run"]
        return _State(wanted, row["as_of"], row["member_count"]) if wanted else None

    async def _ids(
        self, tenant: Tenant, segment_id: int, run_id: UUID, *, last: str, limit: int, offset: int
    ) -> list[str]:
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "run": run_id,
            "last": last,
            "limit": limit,
            "offset": offset,
        }
        return [user_id for (user_id,) in (await self._clickhouse.fetch(_IDS, params, purpose="members")).rows]

    async def _is_kept(self, tenant: Tenant, segment_id: int, run_id: UUID) -> bool:
        sql = """
            SELECT EXISTS (SELECT FROM segments
                WHERE tenant_id = $1 AND id = $2 AND $3::uuid IN (published_run, previous_run))"""
        return await self._postgres.fetchval(sql, tenant.id, segment_id, run_id)

    async def _write_cursor(self, tenant: Tenant, segment_id: int, cursor: _Cursor) -> str:
        """Sign for its tenant and segment, so that no other cursor passes for one."""
        text = msgspec.json.encode(cursor)
        return base64.urlsafe_b64encode(await self._signature(tenant, segment_id, text) + text).decode().rstrip("=")

    async def _read_cursor(self, tenant: Tenant, segment_id: int, written: str) -> _Cursor:
        try:
            signed = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        except ValueError:  # binascii.Error is one, and so is text beyond ASCII
            raise _bad_cursor() from None
        signature, text = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, await self._signature(tenant, segment_id, text)):
            raise _bad_cursor()
        return msgspec.json.decode(text, type=_Cursor)

    async def _signature(self, tenant: Tenant, segment_id: int, text: bytes) -> bytes:
        if self._secret is None:
            self._secret = await self._secrets.get_or_create("cursors")
        signed = f"{tenant.id}/{segment_id}/".encode() + text
        return hmac.digest(self._secret, signed, "sha256")[:_SIGNATURE_BYTES]

    async def segments_of_user(self, tenant: Tenant, user_id: str) -> tuple[SegmentOfUser, ...]:
        """Return the segments whose published members include the user."""
        sql = """
            SELECT id, name, published_run, member_count, last_computed_at FROM segments
            WHERE tenant_id = $1 AND published_run IS NOT NULL AND is_active ORDER BY id"""
        published = {row["published_run"]: row for row in await self._postgres.fetch(sql, tenant.id)}
        if not published:
            return ()
        query = """
            SELECT run_id FROM memberships
            WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
              AND user_id = {user:String}"""
        segments = [row["id"] for row in published.values()]
        params = {"tenant": tenant.id, "segments": segments, "runs": list(published), "user": user_id}
        result = await self._clickhouse.fetch(query, params, purpose="members")
        found = sorted((published[run_id] for (run_id,) in result.rows), key=_id)
        return tuple(
            SegmentOfUser(row["id"], row["name"], row["member_count"], row["last_computed_at"]) for row in found
        )

    async def trend(self, tenant: Tenant, segment_id: int, *, days: int, as_of: datetime) -> tuple[DayCount, ...]:
        """Count members at the last computation of each local day, for the *days* up to *as_of*; some may be absent."""
        zone = ZoneInfo(tenant.timezone)
        today = as_of.astimezone(zone).date()
        first = today - timedelta(days=days - 1)
        start = to_instant(datetime(first.year, first.month, first.day), zone)  # noqa: DTZ001  # a wall time
        sql = """
            SELECT as_of, member_count FROM computations
            WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done' AND as_of >= $3 AND as_of <= $4
            ORDER BY as_of, id"""
        rows = await self._postgres.fetch(sql, tenant.id, segment_id, start, as_of)
        last: Mapping[date, int] = {row["as_of"].astimezone(zone).date(): row["member_count"] for row in rows}
        return tuple(DayCount(day, count) for day, count in last.items())


def _id(row: Record) -> int:
    return row["id"]


def _bad_cursor() -> InvalidInput:
    finding = Finding("/cursor", "bad_cursor", "This cursor was not made here; start again without one.")
    return InvalidInput(finding.detail, code=finding.code, findings=[finding])
