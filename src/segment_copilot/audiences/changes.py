"""USE CASE: the log of who entered a segment and who left it, state after state.

A computation compares what it wrote with the members there are and writes the differences to ClickHouse, under an id of
their own: as two bitmaps, from which older states are read, and as rows, which are the log. The transaction that publishes the members names the set too: what is not named there is never
read. So the members of one state and the changes after it are the members of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID, uuid4

from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.references import not_found
from segment_copilot.lists import FIRST_PAGE, Listed, Window, read_cursor, write_cursor
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import grouped, ordered
from segment_copilot.stores.postgres import Postgres, Record

_COMPARE: Final = """
INSERT INTO segment_deltas (tenant_id, segment_id, computation_id, change_set, entered, gone)
SELECT {tenant:UInt32}, segment_id, {computations:Array(UInt64)}[place], {change_sets:Array(UUID)}[place],
    bitmapAndnot(after, before), bitmapAndnot(before, after)
FROM (
    SELECT segment_id, indexOf({segments:Array(UInt64)}, segment_id) AS place,
        groupBitmapMergeStateIf(members, has({runs:Array(UUID)}, run_id)) AS after,
        groupBitmapMergeStateIf(members, has({befores:Array(UUID)}, run_id)) AS before
    FROM segment_states
    WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)}
        AND (has({runs:Array(UUID)}, run_id) OR has({befores:Array(UUID)}, run_id))
    GROUP BY segment_id)
WHERE bitmapXorCardinality(after, before) > 0
"""
_SIZES: Final = """
SELECT run_id, bitmapCardinality(groupBitmapMergeState(members)) FROM segment_states
WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND run_id IN {runs:Array(UUID)}
GROUP BY run_id
"""
_OF_SETS: Final = """segment_deltas
WHERE tenant_id = {tenant:UInt32} AND segment_id IN {segments:Array(UInt64)} AND change_set IN {change_sets:Array(UUID)}"""
_DIFFERENCES: Final = f"SELECT change_set, bitmapCardinality(entered), bitmapCardinality(gone) FROM {_OF_SETS}"
_WRITE: Final = f"""
INSERT INTO membership_changes (tenant_id, segment_id, computation_id, change_set, user_id, user_key, has_entered)
SELECT {{tenant:UInt32}}, segment_id, computation_id, change_set, user_id, user_key, has_entered
FROM (
    SELECT segment_id, computation_id, change_set, arrayJoin(bitmapToArray(entered)) AS number, true AS has_entered
    FROM {_OF_SETS}
    UNION ALL
    SELECT segment_id, computation_id, change_set, arrayJoin(bitmapToArray(gone)) AS number, false AS has_entered
    FROM {_OF_SETS}
) AS moved INNER JOIN (
    SELECT number, user_id, user_key FROM user_numbers WHERE tenant_id = {{tenant:UInt32}} AND bitmapContains((
        SELECT bitmapOr(groupBitmapOrState(entered), groupBitmapOrState(gone)) FROM {_OF_SETS}), number)
) AS users USING (number)
"""
_PUBLISHED: Final = """
SELECT id, change_set, finished_at, entered + left_count AS size FROM computations
WHERE tenant_id = $1 AND segment_id = $2 AND change_set IS NOT NULL AND entered + left_count > 0
    AND finished_at >= coalesce($3, finished_at)
ORDER BY id
"""
_READ: Final = """
SELECT computation_id, user_id, has_entered FROM membership_changes
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64}
    AND computation_id IN {computations:Array(UInt64)} AND change_set IN {change_sets:Array(UUID)}
    AND (computation_id != {begun:UInt64} OR user_id > {last:String})
ORDER BY computation_id, change_set, user_id LIMIT {limit:UInt32} OFFSET {offset:UInt64}
"""


class Compared(Struct, frozen=True):
    """Tells what a computation wrote for a segment, and the run of the members before (None: there are none)."""

    segment_id: int
    computation_id: int
    run_id: UUID
    before: UUID | None


class Comparison(Struct, frozen=True):
    """A comparison of what a computation wrote with the state before: its set of changes, and how many of each."""

    change_set: UUID
    member_count: int
    entered: int
    left: int


class MembershipChange(Struct, frozen=True):
    """A user who entered a segment or left it, when that was published, and by which computation."""

    user_id: str
    change: Literal["entered", "left"]
    at: datetime
    computation_id: int


class _Cursor(Struct, frozen=True, array_like=True):
    computation_id: int
    last: str


class MembershipChanges:
    """Writes and reads the changes of all tenants' segments; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse

    async def write(self, tenant: Tenant, compared: Sequence[Compared]) -> dict[int, Comparison]:
        """Write how the states of several segments differ from those before, by computation; nobody sees it by this.

        Each segment is there once.
        """
        sets = {one.computation_id: uuid4() for one in compared}
        params = {
            "tenant": tenant.id,
            "segments": [one.segment_id for one in compared],
            "change_sets": list(sets.values()),
        }
        runs = [one.run_id for one in compared]
        befores = {"befores": [one.before for one in compared if one.before is not None]}
        await self._clickhouse.execute(
            _COMPARE, {**params, **befores, "runs": runs, "computations": list(sets)}, purpose="compute"
        )
        found = (
            await self._clickhouse.fetch(_DIFFERENCES, params, purpose="compute", merge=grouped(1, "add", "add"))
        ).rows
        if found:
            await self._clickhouse.execute(_WRITE, params, purpose="compute")
        sized = {"tenant": tenant.id, "segments": params["segments"], "runs": runs}
        sizes = dict((await self._clickhouse.fetch(_SIZES, sized, purpose="compute", merge=grouped(1, "add"))).rows)
        differences = {change_set: (entered, left) for change_set, entered, left in found}
        return {
            one.computation_id: Comparison(change_set, sizes.get(one.run_id, 0), *differences.get(change_set, (0, 0)))
            for one, change_set in zip(compared, sets.values(), strict=True)
        }

    async def page(
        self, tenant: Tenant, segment_id: int, window: Window = FIRST_PAGE, *, since: datetime | None = None
    ) -> Listed[MembershipChange]:
        """Return a page of the changes published at *since* or later (default: all), in the order of their publication.

        Those of one publication are in the order of user ids.

        Raises:
            NotFound: There is no such segment.
            InvalidInput: The cursor is none of this segment's changes.
        """
        cursor, limit = window.cursor, window.limit
        begun: _Cursor | None = read_cursor(_listed(tenant, segment_id), cursor, _Cursor) if cursor else None
        published = await self._postgres.fetch(_PUBLISHED, tenant.id, segment_id, since)
        if not published:
            await self._check_exists(tenant, segment_id)
        first = begun.computation_id if begun else 0
        wanted, skipped = _wanted([row for row in published if row["id"] >= first], begun, limit + 1, window.offset)
        found = await self._read(tenant, segment_id, wanted, begun or _Cursor(0, ""), limit=limit + 1, offset=skipped)
        more = None
        if len(found) > limit:
            last = found[limit - 1]
            more = write_cursor(_listed(tenant, segment_id), _Cursor(last.computation_id, last.user_id))
        return Listed(tuple(found[:limit]), sum(row["size"] for row in published), more)

    async def _read(
        self, tenant: Tenant, segment_id: int, wanted: Sequence[Record], begun: _Cursor, *, limit: int, offset: int
    ) -> list[MembershipChange]:
        if not wanted:
            return []
        params = {
            "tenant": tenant.id,
            "segment": segment_id,
            "computations": [row["id"] for row in wanted],
            "change_sets": [row["change_set"] for row in wanted],
            "begun": begun.computation_id,
            "last": begun.last,
            "limit": limit,
            "offset": offset,
        }
        pages = ordered(0, 1, limit=limit, offset=offset)
        rows = (await self._clickhouse.fetch(_READ, params, purpose="members", merge=pages)).rows
        at = {row["id"]: row["finished_at"] for row in wanted}
        return [
            MembershipChange(user_id, "entered" if has_entered else "left", at[computation_id], computation_id)
            for computation_id, user_id, has_entered in rows
        ]

    async def _check_exists(self, tenant: Tenant, segment_id: int) -> None:
        sql = "SELECT EXISTS (SELECT FROM segments WHERE tenant_id = $1 AND id = $2)"
        if not await self._postgres.fetchval(sql, tenant.id, segment_id):
            raise not_found(segment_id)


def _wanted(published: Sequence[Record], begun: _Cursor | None, limit: int, offset: int) -> tuple[list[Record], int]:
    """Return the sets that *limit* changes after *offset* lie in, and how many of theirs to pass over.

    Of the set in which a reader begins, none may be left.
    """
    wanted, before = list[Record](), 0
    for row in published:
        if before >= offset + limit:
            break
        is_begun = begun is not None and row["id"] == begun.computation_id
        if not wanted and not is_begun and before + row["size"] <= offset:
            before += row["size"]
            continue
        if not wanted:
            offset, before = offset - before, 0
        wanted.append(row)
        before += 0 if is_begun else row["size"]
    return wanted, offset


def _listed(tenant: Tenant, segment_id: int) -> object:
    return ["changes", tenant.id, segment_id]
