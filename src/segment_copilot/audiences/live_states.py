"""Writes and publishes the next members of live segments, from those before and who entered and left since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import structlog

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.computations import Computations
from segment_copilot.stores.clickhouse import Session

log = structlog.get_logger()

_BEFORE: Final = """
CREATE TEMPORARY TABLE live_before ENGINE = Memory AS
SELECT segment_id, user_key, user_id FROM (
    SELECT segment_id, arrayJoin(bitmapToArray(bitmapAnd(groupBitmapMergeState(members), (
        SELECT groupBitmapState(number) FROM user_numbers WHERE __WHOSE__)))) AS number
    FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
    GROUP BY segment_id
) AS before INNER JOIN (SELECT number, user_key, user_id FROM user_numbers WHERE __WHOSE__) AS users USING (number)
"""
_WHOSE: Final = {
    "all": "tenant_id = {tenant:UInt32}",
    "touched": "tenant_id = {tenant:UInt32} AND user_key IN (SELECT user_key FROM touched_persons)",
}
_CHANGES: Final = """
CREATE TEMPORARY TABLE live_changes ENGINE = Memory AS
SELECT segment_id, user_key, user_id, true AS has_entered FROM shared_members
WHERE (segment_id, user_key) NOT IN (SELECT segment_id, user_key FROM live_before)
UNION ALL
SELECT segment_id, user_key, user_id, false AS has_entered FROM live_before
WHERE (segment_id, user_key) NOT IN (SELECT segment_id, user_key FROM shared_members)
"""
_CHANGED: Final = "SELECT DISTINCT segment_id FROM live_changes"
_WRITE: Final = """
INSERT INTO segment_states (tenant_id, segment_id, run_id, members)
SELECT {tenant:UInt32}, changed.segment_id, {runs:Array(UUID)}[indexOf({segments:Array(UInt64)}, changed.segment_id)],
    bitmapOr(bitmapAndnot(before.members, changed.gone), changed.entered)
FROM (
    SELECT segment_id, groupBitmapStateIf(number, has_entered) AS entered, groupBitmapStateIf(number, NOT has_entered) AS gone
    FROM live_changes
    INNER JOIN (SELECT user_key, number FROM user_numbers WHERE tenant_id = {tenant:UInt32}) AS users USING (user_key)
    WHERE segment_id IN {segments:Array(UInt64)} GROUP BY segment_id
) AS changed LEFT JOIN (
    SELECT segment_id, groupBitmapMergeState(members) AS members FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {befores:Array(UUID)}
    GROUP BY segment_id
) AS before USING (segment_id)
"""


class LiveStates:
    """Publishes what `shared_members`, a temporary table of a session, says of many segments."""

    def __init__(self, computations: Computations) -> None:
        self._computations = computations

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
        """Publish the changes of those *before*, by segment, among all users or those in `touched_persons`.

        Returns the runs that are published now and hold what was found; a segment that was published by somebody else
        meanwhile, has another version, or is gone, is not among them.
        """
        params = {
            "tenant": tenant.id,
            "segments": list(before),
            "runs": [run for run in before.values() if run is not None],
        }
        await session.fetch(_BEFORE.replace("__WHOSE__", _WHOSE[of]), params)
        await session.fetch(_CHANGES)
        moved = {segment for (segment,) in (await session.fetch(_CHANGED)).rows}
        changed = [segment for segment, run in before.items() if segment in moved or run is None]
        runs = {segment: run for segment, run in before.items() if segment not in changed and run is not None}
        async with self._computations.held(
            tenant, {segment: versions[segment] for segment in changed}, as_of=as_of
        ) as claims:
            if not claims:
                return runs
            written = {
                "tenant": tenant.id,
                "segments": [claim.segment_id for claim in claims],
                "runs": [claim.run_id for claim in claims],
                "befores": params["runs"],
            }
            await session.fetch(_WRITE, written)
            found = await self._computations.compare(claims, before)
            for claim in claims:
                if await self._computations.publish(claim, found[claim.id], before[claim.segment_id]):
                    runs[claim.segment_id] = claim.run_id
        return runs
