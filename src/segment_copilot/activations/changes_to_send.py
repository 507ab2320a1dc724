"""Says who is to be sent: the net changes of a segment since the state that a destination has, or all its members.

Changes are read from the log (`audiences/changes.py`). Somebody who entered and left again in between is not sent: what
counts is that a destination which had one state comes to have the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.connectors import Recipient
from segment_copilot.audiences.members import Members
from segment_copilot.events.identity_links import PERSON_KEY, with_links
from segment_copilot.language.paths import parse_path
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.merging import ALIKE, ROWS, grouped, ordered
from segment_copilot.stores.postgres import Postgres, Record

_TOGETHER: Final = 1_000
"""So many computations' changes are taken together at most; more are more deliveries, or more parts of one."""

_LATEST: Final = """
SELECT coalesce(max(id) FILTER (WHERE change_set IS NOT NULL), max(id)) AS id FROM computations
WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done'
"""
_PUBLISHED_AT: Final = """
SELECT finished_at FROM computations WHERE tenant_id = $1 AND id = $2 AND change_set IS NOT NULL
"""
_SETS: Final = f"""
SELECT id, change_set, member_count FROM computations
WHERE tenant_id = $1 AND segment_id = $2 AND status = 'done' AND change_set IS NOT NULL AND entered + left_count > 0
    AND id > $3 AND id <= $4
ORDER BY id LIMIT {_TOGETHER}
"""
_NET: Final = """
SELECT user_key AS key, argMax(user_id, computation_id) AS id, argMax(has_entered, computation_id) AS is_in
FROM membership_changes
WHERE tenant_id = {tenant:UInt32} AND segment_id = {segment:UInt64}
    AND computation_id IN {computations:Array(UInt64)} AND change_set IN {change_sets:Array(UUID)}
    AND user_key > {after:UInt64}
GROUP BY user_key HAVING argMin(has_entered, computation_id) = is_in
"""
_KEYS: Final = "SELECT arrayJoin({users:Array(String)}) AS user, sipHash64(user)"
_VALUES: Final = f"""
SELECT {PERSON_KEY} AS person, argMax(ifNull(toJSONString(value.{{path:Identifier}}), ''), version) AS text
FROM {with_links("traits_current")}
WHERE tenant_id = {{tenant:UInt32}} AND property = {{property:String}} AND stored.user_key IN (
  SELECT arrayJoin({{keys:Array(UInt64)}}) UNION ALL
  SELECT alias_key FROM identity_links FINAL
  WHERE tenant_id = {{tenant:UInt32}} AND person_key IN {{keys:Array(UInt64)}})
GROUP BY person HAVING text != ''
"""


class Span(Struct, frozen=True):
    """A span of a segment's history that is to be sent: the changes after *since* up to *until*; *is_full*: all members too."""

    segment_id: int
    since: int
    """A computation; 0 is the state of nobody."""
    until: int
    is_full: bool
    member_count: int
    entered: int
    left: int


class Position(Struct, frozen=True):
    """A place in a span: of changes, those after *since* by the users' keys; of members, a cursor."""

    part: Literal["changes", "members"]
    since: int = 0
    after: int = 0
    cursor: str | None = None


class Part(Struct, frozen=True):
    """Some users who are to be sent, and where the next come; None after the last."""

    entered: tuple[str, ...]
    left: tuple[str, ...]
    next: Position | None


class ChangesToSend:
    """Reads who is to be sent, of all tenants; every method takes the tenant."""

    def __init__(self, postgres: Postgres, clickhouse: ClickHouse, members: Members) -> None:
        self._postgres = postgres
        self._clickhouse = clickhouse
        self._members = members

    async def span(self, tenant: Tenant, segment_id: int, *, since: int | None, is_full: bool) -> Span | None:
        """Return what is to be sent to a destination that has the state *since* (None: none); None: there is no state yet."""
        latest = await self._postgres.fetchval(_LATEST, tenant.id, segment_id)
        if latest is None:
            return None
        begun, whole = since or 0, is_full or since is None
        if whole:
            at_latest = await self._published_at(tenant, latest)
            count = (await self._members.page(tenant, segment_id, limit=1, as_of=at_latest)).count
            left = 0
            at = begun
            while since is not None and at < latest:
                counted, at = await self._count(tenant, segment_id, at, latest)
                left += counted.get(False, 0)
            return Span(segment_id, begun, latest, True, count, count, left)
        sets = await self._sets(tenant, segment_id, begun, latest)
        until = sets[-1]["id"] if len(sets) == _TOGETHER else latest
        counted, _ = await self._count(tenant, segment_id, begun, until)
        sql = "SELECT member_count FROM computations WHERE tenant_id = $1 AND id = $2"
        count = await self._postgres.fetchval(sql, tenant.id, until)
        return Span(segment_id, begun, until, False, count or 0, counted.get(True, 0), counted.get(False, 0))

    def beginning(self, span: Span, *, is_snapshot: bool) -> Position:
        """Return where a span begins: with those who left, so that whoever came back is sent as entered at last.

        Of a snapshot, who left is whoever is not among the members.
        """
        is_of_members = is_snapshot or (span.is_full and not span.since)
        return Position("members") if is_of_members else Position("changes", since=span.since)

    async def part(self, tenant: Tenant, span: Span, position: Position, *, limit: int) -> Part:
        """Return the next users, at most *limit*.

        Raises:
            Gone: The members were replaced meanwhile: begin again.
        """
        if position.part == "members":
            # Those of the span's end, whatever is published meanwhile: what follows is sent as changes since that.
            page = await self._members.page(
                tenant,
                span.segment_id,
                limit=limit,
                cursor=position.cursor,
                as_of=await self._published_at(tenant, span.until),
            )
            then = Position("members", cursor=page.cursor) if page.cursor else None
            return Part(tuple(one.user_id for one in page.members), (), then)
        sets = await self._sets(tenant, span.segment_id, position.since, span.until)
        rows = await self._net(tenant, span.segment_id, sets, position.after, limit, only_left=span.is_full)
        if len(rows) == limit:
            then = Position("changes", since=position.since, after=rows[-1][0])
        elif len(sets) == _TOGETHER and span.is_full:
            then = Position("changes", since=sets[-1]["id"])
        else:
            then = Position("members") if span.is_full else None
        entered = tuple(user_id for _, user_id, is_in in rows if is_in)
        return Part(entered, tuple(user_id for _, user_id, is_in in rows if not is_in), then)

    async def recipients(self, tenant: Tenant, user_ids: Sequence[str], traits: Sequence[str]) -> tuple[Recipient, ...]:
        """Return users with the newest values of the *traits* that they have."""
        if not traits or not user_ids:
            return tuple(Recipient(user_id) for user_id in user_ids)
        rows = (await self._clickhouse.fetch(_KEYS, {"users": list(user_ids)}, purpose="transfer", merge=ALIKE)).rows
        keys: dict[str, int] = dict(rows)
        columns = {path: await self._values(tenant, path, list(keys.values())) for path in traits}
        return tuple(
            Recipient(
                user_id, {path: column[keys[user_id]] for path, column in columns.items() if keys[user_id] in column}
            )
            for user_id in user_ids
        )

    async def _values(self, tenant: Tenant, path: str, keys: list[int]) -> dict[int, Any]:
        name, *inside = parse_path(path)
        steps = ".".join(("v", *(step.replace(".", "%2E") for step in inside)))
        params = {"tenant": tenant.id, "property": name, "path": steps, "keys": keys}
        rows = (await self._clickhouse.fetch(_VALUES, params, purpose="transfer", merge=ROWS)).rows
        return {key: msgspec.json.decode(text) for key, text in rows}

    async def _published_at(self, tenant: Tenant, computation_id: int) -> datetime | None:
        return await self._postgres.fetchval(_PUBLISHED_AT, tenant.id, computation_id)

    async def _sets(self, tenant: Tenant, segment_id: int, since: int, until: int) -> list[Record]:
        return list(await self._postgres.fetch(_SETS, tenant.id, segment_id, since, until))

    async def _count(self, tenant: Tenant, segment_id: int, since: int, until: int) -> tuple[dict[bool, int], int]:
        """Count net changes by whether they entered, of so many computations as are taken together; and where those end."""
        sets = await self._sets(tenant, segment_id, since, until)
        if not sets:
            return {}, until
        sql = f"SELECT is_in, count() FROM ({_NET}) GROUP BY is_in"
        params = _params(tenant, segment_id, sets, 0)
        rows = (await self._clickhouse.fetch(sql, params, purpose="transfer", merge=grouped(1, "add"))).rows
        return {bool(is_in): count for is_in, count in rows}, sets[-1]["id"] if len(sets) == _TOGETHER else until

    async def _net(
        self, tenant: Tenant, segment_id: int, sets: Sequence[Record], after: int, limit: int, *, only_left: bool
    ) -> list[tuple[Any, ...]]:
        if not sets:
            return []
        sql = f"{_NET}{' AND NOT is_in' if only_left else ''} ORDER BY user_key LIMIT {{limit:UInt32}}"
        params = _params(tenant, segment_id, sets, after) | {"limit": limit}
        return (await self._clickhouse.fetch(sql, params, purpose="transfer", merge=ordered(0, limit=limit))).rows


def _params(tenant: Tenant, segment_id: int, sets: Sequence[Record], after: int) -> dict[str, Any]:
    return {
        "tenant": tenant.id,
        "segment": segment_id,
        "computations": [row["id"] for row in sets],
        "change_sets": [row["change_set"] for row in sets],
        "after": after,
    }
