"""Finds the states of a segment that were published: the newest, a reader's, and the one of an instant.

A state that was published stays readable for `HISTORY_DAYS` after it was replaced, whatever was published since.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from segment_copilot.audiences.references import not_found
from segment_copilot.audiences.states import KEPT, State
from segment_copilot.errors import Finding, Gone, InvalidInput
from segment_copilot.stores.postgres import Postgres, Record

# The published one and the one before it are stored whole; from any other on, the differences are undone. Those of which
# none is known, from before there were any, can only be read while they are stored.
_STATE: Final = """
SELECT published_run, wanted.run_id, wanted.as_of, wanted.member_count, wanted.finished_at,
    wanted.run_id IN (published_run, previous_run) AS is_stored,
    ARRAY(SELECT change_set {later} AND entered + left_count > 0 ORDER BY id) AS undone,
    (SELECT min(finished_at) {later}) AS replaced_at
FROM segments LEFT JOIN LATERAL (
    SELECT id, run_id, as_of, member_count, finished_at FROM computations
    WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done' AND {wanted}
    ORDER BY id DESC LIMIT 1
) AS wanted ON true
WHERE segments.tenant_id = $1 AND segments.id = $2
"""
_LATER: Final = """FROM computations AS later
    WHERE later.segment_id = segments.id AND later.id > wanted.id AND later.change_set IS NOT NULL"""
_NEWEST: Final = _STATE.format(later=_LATER, wanted="run_id = published_run")
_OF_RUN: Final = _STATE.format(
    later=_LATER, wanted="run_id = $3 AND (change_set IS NOT NULL OR run_id IN (published_run, previous_run))"
)
_AT: Final = _STATE.format(
    later=_LATER, wanted="finished_at <= $3 AND (change_set IS NOT NULL OR run_id = published_run)"
)
_IS_THERE: Final = """
SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2 AND $3::uuid IN (published_run, previous_run))
"""


class Kept(Struct, frozen=True):
    """A published state: the run that found it, of which instant, how many members it had, and since when it was read."""

    state: State
    run_id: UUID
    as_of: datetime
    member_count: int
    published_at: datetime


class KeptStates:
    """Finds the states of all tenants' segments; every method takes the tenant's id."""

    def __init__(self, postgres: Postgres, *, kept: timedelta = KEPT) -> None:
        self._postgres = postgres
        self._kept = kept

    async def newest(self, tenant_id: int, segment_id: int) -> Kept | None:
        """Return the published state, None where there is none yet; raises NotFound when there is no such segment."""
        return self._read(tenant_id, segment_id, await self._postgres.fetchrow(_NEWEST, tenant_id, segment_id))

    async def of_run(self, tenant_id: int, segment_id: int, run_id: UUID) -> Kept | None:
        """Return the state that a run has published, None where it is kept no more; raises NotFound."""
        return self._read(tenant_id, segment_id, await self._postgres.fetchrow(_OF_RUN, tenant_id, segment_id, run_id))

    async def at(self, tenant_id: int, segment_id: int, instant: datetime, *, now: datetime | None = None) -> Kept:
        """Return the state that was published at an instant.

        Raises:
            NotFound: There is no such segment.
            InvalidInput: The instant is still to come, or before anything was published.
            Gone: It is longer ago than states are kept.
        """
        now = now or datetime.now(UTC)
        if instant > now:
            raise _bad_instant(
                "still_to_come", "Members are read as of an instant that has passed; this one is to come."
            )
        row = await self._postgres.fetchrow(_AT, tenant_id, segment_id, instant)
        found = self._read(tenant_id, segment_id, row)
        if instant < now - self._kept or (found is None and row is not None and row["run_id"] is not None):
            detail = f"Members are kept for {self._kept.days} days after they were replaced; ask for a later as_of."
            raise Gone(detail, code="history_expired")
        if found is None:
            detail = f"Segment {segment_id} had published no members then; ask for a later as_of, or for none."
            raise _bad_instant("not_computed_then", detail)
        return found

    async def is_there(self, state: State) -> bool:
        """Return whether what was read of a state until now was whole: nothing goes while it may be read."""
        return await self._postgres.fetchval(_IS_THERE, state.tenant_id, state.segment_id, state.run_id)

    def _read(self, tenant_id: int, segment_id: int, row: Record | None) -> Kept | None:
        if row is None:
            raise not_found(segment_id)
        if row["run_id"] is None:
            return None
        if row["is_stored"]:
            state = State(tenant_id, segment_id, row["run_id"])
        elif row["replaced_at"] < datetime.now(UTC) - self._kept:
            return None
        else:
            state = State(tenant_id, segment_id, row["published_run"], tuple(row["undone"]))
        return Kept(state, row["run_id"], row["as_of"], row["member_count"], row["finished_at"])


def _bad_instant(code: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, findings=[Finding("", code, detail)])
