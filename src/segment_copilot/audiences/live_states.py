"""Writes and publishes the next members of live segments, from those before and who entered and left since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid4

import structlog

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.changes import Comparison
from segment_copilot.audiences.computations import Computations
from segment_copilot.stores.clickhouse import Session

log = structlog.get_logger()

_BEFORE: Final = """
CREATE TEMPORARY TABLE live_before ENGINE = Memory AS
SELECT segment_id, user_key, user_id FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
"""
_OF_TOUCHED: Final = "AND user_key IN (SELECT user_key FROM touched_persons)"
_CHANGES: Final = """
CREATE TEMPORARY TABLE live_changes ENGINE = Memory AS
SELECT segment_id, user_key, user_id, true AS has_entered FROM shared_members
WHERE (segment_id, user_key) NOT IN (SELECT segment_id, user_key FROM live_before)
UNION ALL
SELECT segment_id, user_key, user_id, false AS has_entered FROM live_before
WHERE (segment_id, user_key) NOT IN (SELECT segment_id, user_key FROM shared_members)
"""
_COUNTS: Final = """
SELECT segment_id, countIf(has_entered), countIf(NOT has_entered) FROM live_changes GROUP BY segment_id
"""
_WRITE: Final = """
INSERT INTO memberships (tenant_id, segment_id, run_id, user_id, user_key)
SELECT tenant_id, segment_id, {run:UUID}, user_id, user_key FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {before:UUID}
    AND user_key NOT IN (SELECT user_key FROM live_changes WHERE segment_id = {segment:UInt64})
UNION ALL
SELECT {tenant:UInt32}, segment_id, {run:UUID}, user_id, user_key FROM live_changes
WHERE segment_id = {segment:UInt64} AND has_entered
"""
_LOG: Final = """
INSERT INTO membership_changes (tenant_id, segment_id, computation_id, change_set, user_id, user_key, has_entered)
SELECT {tenant:UInt32}, segment_id, {computation:UInt64}, {change_set:UUID}, user_id, user_key, has_entered
FROM live_changes WHERE segment_id = {segment:UInt64}
"""
_MEMBERS: Final = """
SELECT count() FROM memberships
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64} AND run_id = {run:UUID}
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
        await session.fetch(f"{_BEFORE}{_OF_TOUCHED if of == 'touched' else ''}", params)
        await session.fetch(_CHANGES)
        counts = {segment: (entered, left) for segment, entered, left in (await session.fetch(_COUNTS)).rows}
        changed = [segment for segment, run in before.items() if segment in counts or run is None]
        runs = {segment: run for segment, run in before.items() if segment not in changed and run is not None}
        async with self._computations.held(
            tenant, {segment: versions[segment] for segment in changed}, as_of=as_of
        ) as claims:
            for claim in claims:
                segment_id = claim.segment_id
                change_set = uuid4()
                of_segment = {"tenant": tenant.id, "segment": segment_id}
                run = {**of_segment, "run": claim.run_id}
                await session.fetch(_WRITE, {**run, "before": before[segment_id] or UUID(int=0)})
                logged = {**of_segment, "computation": claim.id, "change_set": change_set}
                await session.fetch(_LOG, logged)
                ((members,),) = (await session.fetch(_MEMBERS, run)).rows
                found = Comparison(change_set, members, *counts.get(segment_id, (0, 0)))
                if await self._computations.publish(claim, found, before[segment_id]):
                    runs[segment_id] = claim.run_id
        return runs
