"""Writes and publishes the next members of live segments, from those before and what was found of those who were asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.claims import Claim
from segment_copilot.audiences.computations import Computations
from segment_copilot.audiences.user_numbers import UserNumbers
from segment_copilot.stores.clickhouse import Session
from segment_copilot.stores.merging import DISTINCT, SUMS

_UNNUMBERED: Final = """
SELECT count() FROM shared_members WHERE user_id NOT IN (
    SELECT user_id FROM user_numbers WHERE tenant_id = {tenant:UInt32} AND user_id IN (SELECT user_id FROM shared_members))
"""
_TOUCHED: Final = """
CREATE TEMPORARY TABLE touched_numbers ENGINE = Memory AS
SELECT groupBitmapState(number) AS numbers FROM user_numbers
WHERE tenant_id = {tenant:UInt32} AND user_key IN (SELECT user_key FROM touched_persons)
"""
_NEXT: Final = """
CREATE TEMPORARY TABLE live_next ENGINE = Memory AS
SELECT segment_id, before, {next} AS next
FROM (
    SELECT segment_id, groupBitmapMergeStateIf(members, is_found) AS found,
        groupBitmapMergeStateIf(members, NOT is_found) AS before
    FROM (
        SELECT segment_id, true AS is_found, groupBitmapState(number) AS members
        FROM shared_members INNER JOIN (
            SELECT user_id, number FROM user_numbers
            WHERE tenant_id = {{tenant:UInt32}} AND user_id IN (SELECT user_id FROM shared_members)
        ) AS numbers USING (user_id)
        GROUP BY segment_id
        UNION ALL
        SELECT segment_id, false AS is_found, members FROM segment_states
        WHERE tenant_id = {{tenant:UInt32}} AND segment_id IN {{segments:Array(UInt64)}} AND run_id IN {{runs:Array(UUID)}}
    )
    GROUP BY segment_id)
"""
_NEXT_OF: Final = {
    "all": _NEXT.format(next="found"),
    "touched": _NEXT.format(next="bitmapOr(bitmapAndnot(before, (SELECT numbers FROM touched_numbers)), found)"),
}
_CHANGED: Final = "SELECT segment_id FROM live_next WHERE bitmapXorCardinality(before, next) > 0"
_WRITE: Final = """
INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT {tenant:UInt32}, segment_id, {runs:Array(UUID)}[indexOf({segments:Array(UInt64)}, segment_id)], next
FROM live_next WHERE segment_id IN {segments:Array(UInt64)}
"""


class LiveStates:
    """Publishes what `shared_members`, a temporary table of a session, says of many segments."""

    def __init__(self, computations: Computations, numbers: UserNumbers) -> None:
        self._computations = computations
        self._numbers = numbers

    async def publish(
        self,
        session: Session,
        tenant: Tenant,
        *,
        before: Mapping[int, UUID | None],
        versions: Mapping[int, int],
        as_of: datetime,
        of: Literal["touched", "all"],
    ) -> dict[int, UUID]:
        """Publish what follows for segments with the members of *before*, if all or those in `touched_persons` were asked.

        Returns the runs that are published now and hold what was found; a segment that was published by somebody else
        meanwhile, has another version, or is gone, is not among them.
        """
        params = {"tenant": tenant.id}
        if (await session.fetch(_UNNUMBERED, params, merge=SUMS)).rows[0][0]:
            await self._numbers.give(tenant)
        if of == "touched":
            await session.fetch(_TOUCHED, params)
        stored = [run for run in before.values() if run is not None]
        await session.fetch(_NEXT_OF[of], {**params, "segments": list(before), "runs": stored})
        moved = {segment_id for (segment_id,) in (await session.fetch(_CHANGED, merge=DISTINCT)).rows}
        changed = {one: versions[one] for one, run in before.items() if one in moved or run is None}
        runs = {one: run for one, run in before.items() if one not in changed and run is not None}
        async with self._computations.held(tenant, changed, as_of=as_of) as claims:
            if claims:
                await self._write(session, tenant, claims)
                found = await self._computations.compare(claims, before)
                for one in claims:
                    if await self._computations.publish(one, found[one.id], before[one.segment_id]):
                        runs[one.segment_id] = one.run_id
        return runs

    async def _write(self, session: Session, tenant: Tenant, claims: Sequence[Claim]) -> None:
        params = {"segments": [one.segment_id for one in claims], "runs": [one.run_id for one in claims]}
        await session.fetch(_WRITE, {"tenant": tenant.id, **params})
