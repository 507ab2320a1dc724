"""Finds and removes what ClickHouse has of a person: every row under any of their ids, and the files it stood in.

A mutation keeps its text on disk, so it never holds an id: whom it is about stands in the table `erasing`, which is
emptied afterwards. Files that a mutation has replaced would lie around for minutes, in case the new ones are lost with
the power: the new ones are synced to disk, and the old ones deleted at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from segment_copilot.events.names import samples_in
from segment_copilot.language.catalog import Scalar
from segment_copilot.language.paths import parse_path
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import DISTINCT, SUMS, grouped, ordered

# Every table that has rows of users, whatever rooms add: it says whose they are in these two columns.
_TABLES: Final = """
SELECT table FROM system.columns
WHERE database = currentDatabase() AND name IN ('tenant_id', 'user_key')
    AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')
GROUP BY table HAVING count() = 2 ORDER BY table
"""
# Tables that have users in sets of their numbers (user_numbers), in these columns. They are first: which numbers were theirs
# is known for as long as the other rows are there, and numbers that nobody has are no one's.
_SETS: Final = {"segment_states": ("members",), "segment_deltas": ("entered", "gone"), "kept_slots": ("users",)}
_HIDDEN: Final = """
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND table = {table:String} AND active AND has_lightweight_delete
"""
_UNDER_WAY: Final = """
SELECT count() FROM system.mutations
WHERE database = currentDatabase() AND NOT is_done AND position(command, {marked:String}) > 0
"""
_REPLACED: Final = """
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND NOT active AND table IN {tables:Array(String)}
    AND toUnixTimestamp(remove_time) <= {until:UInt64}
"""
_SYNCED: Final = "min_rows_to_fsync_after_merge = 1, fsync_part_directory = 1"
_AS_BEFORE: Final = "min_rows_to_fsync_after_merge, fsync_part_directory"

_PAGE: Final = 2_000  # events: a person may have a million of them, of up to 64 KiB
_BEFORE_ALL: Final = (0, datetime(1900, 1, 1, tzinfo=UTC), "")


class Traces:
    """The rows of the person of one erasure, for the worker that carries it out."""

    def __init__(self, clickhouse: ClickHouse, *, erasure_id: int, tenant_id: int) -> None:
        self._clickhouse = clickhouse
        self._erasure_id = erasure_id
        self._tenant = {"tenant": tenant_id}
        self._marked = f"(SELECT user_key FROM erasing WHERE erasure_id = {erasure_id})"
        self._theirs = f"tenant_id = {tenant_id} AND user_key IN {self._marked}"
        self._of_tenant = f"tenant_id = {tenant_id}"
        # Their numbers, and those that belong to nobody: who wrote a state had read the numbers before.
        self._others = f"""(
            SELECT groupBitmapState(number) FROM user_numbers
            WHERE tenant_id = {tenant_id} AND user_key NOT IN {self._marked})"""
        self._links = f"tenant_id = {tenant_id} AND (alias_key IN {self._marked} OR person_key IN {self._marked})"

    async def mark(self, ids: Sequence[str]) -> None:
        """Say whose rows are to go; the same may be said again."""
        rows = [(self._erasure_id, user_id) for user_id in ids]
        await self._clickhouse.insert("erasing", ("erasure_id", "user_id"), rows, token=uuid4().hex)

    async def tables(self) -> list[str]:
        """Return the tables that may have rows of theirs."""
        return [*_SETS, *await self._column(_TABLES), "identity_links"]

    async def count(self, table: str) -> int:
        """Return how many rows of theirs a table has."""
        return await self._number(f"SELECT count() FROM {table} WHERE {self._condition(table)}")

    async def is_mutating(self) -> bool:
        """Return whether the server still works on what was asked of it before."""
        return bool(await self._number(_UNDER_WAY, {"marked": f"erasure_id = {self._erasure_id})"}))

    async def remove(self, table: str) -> None:
        """Remove the rows of theirs from a table, those that are hidden already among them."""
        await self._execute(f"ALTER TABLE {table} MODIFY SETTING {_SYNCED}")
        if await self._number(_HIDDEN, {"table": table}):
            await self._execute(f"ALTER TABLE {table} APPLY DELETED MASK SETTINGS mutations_sync = 2")
        if await self.count(table):
            condition = self._condition(table)
            change = "DELETE"
            if table in _SETS:
                change = "UPDATE " + ", ".join(f"{one} = bitmapAnd({one}, {self._others})" for one in _SETS[table])
            await self._execute(f"ALTER TABLE {table} {change} WHERE {condition} SETTINGS mutations_sync = 2")

    async def now(self) -> int:
        """Return the server's time in seconds, rounded up: whatever was replaced was replaced before."""
        found = await self._clickhouse.fetch(
            "SELECT toUnixTimestamp(now())", purpose="compute", merge=grouped(0, "max")
        )
        return 1 + int(found.rows[0][0])

    async def is_replaced_kept(self, tables: Sequence[str], until: int) -> bool:
        """Have files that were replaced up to then deleted; return whether some are still there."""
        for table in tables:  # dropping a partition clears such files away, also where there is no such partition
            await self._execute(f"ALTER TABLE {table} DROP PARTITION ID 'none'")
        return bool(await self._number(_REPLACED, {"tables": list(tables), "until": until}))

    async def settle(self, tables: Sequence[str]) -> None:
        """Let tables write as they did before."""
        for table in tables:
            await self._execute(f"ALTER TABLE {table} RESET SETTING {_AS_BEFORE}")

    async def unmark(self) -> None:
        """Forget whose rows were to go."""
        await self._execute(f"ALTER TABLE erasing DROP PARTITION {self._erasure_id}")

    async def event_types(self) -> list[str]:
        """Return of which types they have events."""
        return await self._column(f"SELECT DISTINCT event_type FROM events WHERE {self._theirs} ORDER BY event_type")

    async def samples(self, event_type: str, shown: Mapping[str, Sequence[Scalar]]) -> dict[str, list[Scalar]]:
        """Return, by path, which of the values that a catalog shows of an event type are among theirs."""
        wanted = {path: {_unlike(value): value for value in values} for path, values in shown.items()}
        found: dict[str, dict[object, Scalar]] = {}
        async for payload in self._payloads(event_type):
            for stored, value in samples_in(payload):
                path = stored.replace("%2E", "\\.")
                if (one := _unlike(value)) in wanted.get(path, ()):
                    found.setdefault(path, {})[one] = wanted[path][one]
        return {path: list(values.values()) for path, values in found.items()}

    async def _payloads(self, event_type: str) -> AsyncIterator[str]:
        """Yield what their events of a type hold, a page at a time, in the order in which the table is sorted."""
        sql = f"""
            SELECT user_key, occurred_at, event_id, toJSONString(payload) FROM events
            WHERE {self._theirs} AND event_type = {{type:String}} AND user_key >= {{key:UInt64}}
                AND (user_key, occurred_at, event_id) > ({{key:UInt64}}, {{at:DateTime64(6, 'UTC')}}, {{id:String}})
            ORDER BY user_key, occurred_at, event_id LIMIT {_PAGE}"""
        key, at, event_id = _BEFORE_ALL
        while True:
            params = {"type": event_type, "key": key, "at": at, "id": event_id}
            pages = ordered(0, 1, 2, limit=_PAGE)
            rows = (await self._clickhouse.fetch(sql, params, purpose="compute", merge=pages)).rows
            for row in rows:
                yield row[3]
            if len(rows) < _PAGE:
                return
            key, at, event_id, _ = rows[-1]

    async def others_have(self, event_type: str, path: str, texts: Sequence[str]) -> set[str]:
        """Return those of the values, given as JSON texts, that somebody else has under the path as well."""
        sql = f"""
            SELECT DISTINCT value FROM (
                SELECT arrayJoin(if(startsWith(document, '['), JSONExtractArrayRaw(document), [document])) AS value
                FROM (
                    SELECT ifNull(toJSONString(payload.{{path:Identifier}}), '') AS document FROM events
                    WHERE tenant_id = {{tenant:UInt32}} AND event_type = {{type:String}}
                        AND user_key NOT IN {self._marked}))
            WHERE value IN {{values:Array(String)}}"""
        steps = ".".join(step.replace(".", "%2E") for step in parse_path(path))
        params = {**self._tenant, "type": event_type, "path": steps, "values": list(texts)}
        return set(await self._column(sql, params))

    async def member_counts(self) -> dict[UUID, int]:
        """Return how many members each run of the tenant has."""
        sql = """
            SELECT run_id, bitmapCardinality(groupBitmapMergeState(members)) FROM segment_states
            WHERE tenant_id = {tenant:UInt32} GROUP BY run_id"""
        rows = (await self._clickhouse.fetch(sql, self._tenant, purpose="compute", merge=grouped(1, "add"))).rows
        return {run_id: int(count) for run_id, count in rows}

    async def event_counts(self) -> dict[str, int]:
        """Return how many events of theirs there are of each type."""
        sql = f"SELECT event_type, count() FROM events WHERE {self._theirs} GROUP BY event_type"
        rows = (await self._clickhouse.fetch(sql, purpose="compute", merge=grouped(1, "add"))).rows
        return {event_type: int(count) for event_type, count in rows}

    async def publications(self) -> set[int]:
        """Return the computations whose changes name them."""
        return {
            int(one)
            for one in await self._column(
                f"SELECT DISTINCT computation_id FROM membership_changes WHERE {self._theirs}"
            )
        }

    async def change_counts(self, computations: Sequence[int]) -> dict[UUID, tuple[int, int]]:
        """Return how many have entered and left by each set of changes that these computations wrote."""
        sql = """
            SELECT change_set, countIf(has_entered), countIf(NOT has_entered) FROM membership_changes
            WHERE tenant_id = {tenant:UInt32} AND computation_id IN {computations:Array(UInt64)} GROUP BY change_set"""
        params = {**self._tenant, "computations": list(computations)}
        merge = grouped(1, "add", "add")
        rows = (await self._clickhouse.fetch(sql, params, purpose="compute", merge=merge)).rows
        return {change_set: (int(entered), int(left)) for change_set, entered, left in rows}

    def _condition(self, table: str) -> str:
        if table in _SETS:
            has_more = " OR ".join(f"bitmapAndnotCardinality({one}, {self._others}) > 0" for one in _SETS[table])
            return f"{self._of_tenant} AND ({has_more})"
        return self._links if table == "identity_links" else self._theirs

    async def _execute(self, sql: str) -> None:
        await self._clickhouse.execute(sql, purpose="migrate")

    async def _number(self, sql: str, params: dict[str, Any] | None = None) -> int:
        return int((await self._clickhouse.fetch(sql, params, purpose="compute", merge=SUMS)).rows[0][0])

    async def _column(self, sql: str, params: dict[str, Any] | None = None) -> list[str]:
        rows = (await self._clickhouse.fetch(sql, params, purpose="compute", merge=DISTINCT)).rows
        return [str(row[0]) for row in rows]


def _unlike(value: Scalar) -> object:
    """Return what tells values apart: true is not 1, while 1 is 1.0, which ClickHouse gives back as 1."""
    return (type(value) is bool, value)
