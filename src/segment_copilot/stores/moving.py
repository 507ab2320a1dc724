"""Moves users to the shard where they belong, with every row about them.

Another shard was given their bucket, or their id turned out to be somebody else's. Rows are read on one shard and written on the other by this process, so that servers need no rights to reach one another.
What is there already is not written again, and what was written is then deleted where it was: a move that was cut short is
carried on by the next. Between the two a user is on both shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, LiteralString
from uuid import uuid4

import structlog
from msgspec import Struct

from segment_copilot.errors import Conflict
from segment_copilot.stores.clickhouse import ClickHouse
from segment_copilot.stores.cluster import Cluster, Shard
from segment_copilot.stores.placement import BUCKETS, key_of, steps_to, write_placement
from segment_copilot.stores.postgres import Postgres
from segment_copilot.stores.presence import LIVING

log = structlog.get_logger()

_TOGETHER: Final = 2_000  # users
_BUCKETS_A_STEP: Final = 64
_PAGE: Final = 20_000  # rows, of up to 64 KiB


class _Rows(Struct, frozen=True):
    """Names a table with rows of users: what tells its rows apart, and what else they have."""

    table: LiteralString
    key: tuple[LiteralString, ...]
    more: tuple[LiteralString, ...] = ()
    json: tuple[LiteralString, LiteralString] | None = None
    """A column of JSON, and the one that its text is written to."""


ROWS_OF_USERS: Final = (
    _Rows("users", ("tenant_id", "user_key", "user_id", "first_seen", "last_seen")),
    _Rows("traits", ("tenant_id", "property", "user_key", "occurred_at", "event_id"), json=("value", "value_text")),
    _Rows(
        "traits_current",
        ("tenant_id", "property", "user_key", "version"),
        ("occurred_at", "is_exact"),
        json=("value", "value_text"),
    ),
    _Rows("user_numbers", ("tenant_id", "user_id", "user_key", "number")),
    _Rows("membership_changes", ("tenant_id", "segment_id", "computation_id", "change_set", "user_id", "user_key", "has_entered")),
    _Rows("snapshot_members", ("tenant_id", "snapshot_id", "run_id", "user_id", "user_key")),
    _Rows("events", ("tenant_id", "event_type", "user_key", "occurred_at", "event_id"), json=("payload", "payload_text")),
)  # fmt: skip
"""Every table with columns `tenant_id` and `user_key`."""


class _Sets(Struct, frozen=True):
    """Names a table with sets of users' numbers: what tells its rows apart, and the columns with sets."""

    table: LiteralString
    key: tuple[LiteralString, ...]
    types: tuple[LiteralString, ...]
    sets: tuple[LiteralString, ...]


SETS_OF_USERS: Final = (
    _Sets("segment_states", ("segment_id", "run_id"), ("UInt64", "UUID"), ("members",)),
    _Sets(
        "segment_deltas",
        ("segment_id", "computation_id", "change_set"),
        ("UInt64", "UInt64", "UUID"),
        ("entered", "gone"),
    ),
    _Sets("kept_slots", ("set_id", "place"), ("UUID", "UInt16"), ("users",)),
)
"""Every table with a bitmap of numbers."""

_THEIRS: Final = "tenant_id = {tenant:UInt32} AND user_key IN {keys:Array(UInt64)}"
_NUMBERS: Final = f"(SELECT groupBitmapState(number) FROM user_numbers WHERE {_THEIRS})"
# Who is here, and in which bucket: a person's ids are all in the bucket of the person.
_STRAYS: Final = f"""
SELECT tenant_id, user_key, bucket FROM (
    SELECT DISTINCT tenant_id, user_key, if(person_key = 0, user_key, person_key) % {BUCKETS} AS bucket
    FROM (SELECT tenant_id, user_key FROM users UNION ALL SELECT tenant_id, user_key FROM user_numbers) AS stored
    LEFT ANY JOIN (SELECT tenant_id, alias_key, person_key FROM identity_links FINAL) AS links
        ON stored.tenant_id = links.tenant_id AND stored.user_key = links.alias_key)
WHERE {{placement:Array(UInt16)}}[bucket + 1] != {{shard:UInt16}}
"""

_HERE: Final = f"""
SELECT user_key FROM users WHERE {_THEIRS} UNION DISTINCT SELECT user_key FROM user_numbers WHERE {_THEIRS}
"""


async def settle(cluster: Cluster) -> int:
    """Move everybody who is not on their shard to it; return how many that were. Nobody may write about them meanwhile."""
    placement: list[int] = list(await cluster.placement.shards())
    shards = {shard.number: shard for shard in await cluster.all_shards()}
    moved = 0
    for shard in shards.values():
        params = {"placement": placement, "shard": shard.number}
        rows: list[tuple[int, int, int]] = (await shard.server.fetch(_STRAYS, params, purpose="migrate")).rows
        strays: dict[tuple[int, int], list[int]] = {}
        for tenant, key, bucket in rows:
            strays.setdefault((tenant, placement[bucket]), []).append(key)
        for (tenant, number), keys in strays.items():
            await move(tenant, keys, source=shard, target=shards[number])
        moved += len(rows)
    return moved


async def rebalance(cluster: Cluster, postgres: Postgres, *, progress: Callable[[str], None]) -> int:
    """Give every shard the share of users that its weight in the cluster says, and move them; return how many moved.

    What an earlier one left half done is done first. No worker may run: who writes members meanwhile would count users twice.
    A preview that is asked while a step is under way may do so.

    Raises:
        Conflict: A worker runs.
    """
    if workers := await postgres.fetchval(f"SELECT cardinality({LIVING})"):
        detail = (
            f"{workers} worker{'s' if workers > 1 else ''} of this deployment runs. Stop all of them; events wait "
            "until they run again."
        )
        raise Conflict(detail, code="workers_run")
    weights = {shard.number: shard.host.weight for shard in await cluster.all_shards()}
    if not any(weights.values()):
        raise Conflict("Every shard of the cluster has the weight 0; somebody has to have the users.", code="no_weight")
    async with cluster.users_move():
        moved = await settle(cluster)
        steps = steps_to(await cluster.placement.shards(), weights, at_once=_BUCKETS_A_STEP)
    for number, step in enumerate(steps, 1):
        async with cluster.users_move():
            await write_placement(postgres, step)
            cluster.placement.forget()
            moved += await settle(cluster)
        progress(f"step {number} of {len(steps)}: {moved:,} users moved")
    return moved


async def bring_home(cluster: Cluster, users: Sequence[tuple[int, str]]) -> None:
    """Move some users, given as tenants' ids and their own, to the shard of the person whom PostgreSQL says they are."""
    homes = await cluster.placement.homes(users)
    shards = {shard.number: shard for shard in await cluster.shards()}
    wanted: dict[tuple[int, int], list[int]] = {}
    for (tenant, user_id), home in zip(users, homes, strict=True):
        wanted.setdefault((tenant, home), []).append(key_of(user_id))
    for (tenant, home), keys in wanted.items():
        params = {"tenant": tenant, "keys": keys}
        for shard in shards.values():
            if shard.number != home:
                found = await shard.server.fetch(_HERE, params, purpose="migrate")
                await move(tenant, [key for (key,) in found.rows], source=shard, target=shards[home])


async def move(tenant: int, keys: Sequence[int], *, source: Shard, target: Shard) -> None:
    """Move some users of a tenant, by their keys, from one shard to another."""
    if not keys:
        return
    for start in range(0, len(keys), _TOGETHER):
        params = {"tenant": tenant, "keys": list(keys[start : start + _TOGETHER])}
        await _copy_sets(params, source.server, target.server)  # first, while their numbers are there
        for one in ROWS_OF_USERS:
            await _copy_rows(one, params, source.server, target.server)
        await _delete(params, source.server)
    log.info("shards.moved", tenant_id=tenant, users=len(keys), source=source.number, target=target.number)


async def _copy_rows(rows: _Rows, params: dict[str, Any], source: ClickHouse, target: ClickHouse) -> None:
    """Write the rows of some users that the target does not have."""
    columns = [*rows.key, *rows.more, *([f"toJSONString({rows.json[0]})"] if rows.json else [])]
    key = ", ".join(rows.key)
    there = await target.fetch(f"SELECT {key} FROM {rows.table} WHERE {_THEIRS}", params, purpose="migrate")
    known = set(there.rows)
    sql = f"""
        SELECT {", ".join(columns)} FROM {rows.table} WHERE {_THEIRS}
        SETTINGS json_type_escape_dots_in_keys = 1"""
    found = (await source.fetch(sql, params, purpose="migrate")).rows
    missing = [row for row in found if row[: len(rows.key)] not in known]
    written = (*rows.key, *rows.more, *([rows.json[1]] if rows.json else []))
    for start in range(0, len(missing), _PAGE):
        await target.insert(rows.table, written, missing[start : start + _PAGE], token=uuid4().hex, purpose="migrate")


async def _copy_sets(params: dict[str, Any], source: ClickHouse, target: ClickHouse) -> None:
    """Write the sets that some users are in, with them alone in it, as far as the target does not have them."""
    for one in SETS_OF_USERS:
        key = ", ".join(one.key)
        for place, column in enumerate(one.sets):
            sql = f"""
                SELECT {key}, arrayJoin(bitmapToArray(bitmapAnd({column}, {_NUMBERS}))) AS number
                FROM {one.table} WHERE tenant_id = {{tenant:UInt32}}"""
            found = (await source.fetch(sql, params, purpose="migrate")).rows
            if not found:
                continue
            await _write_set(one, place, found, params["tenant"], target)


async def _write_set(one: _Sets, place: int, found: Iterable[tuple[Any, ...]], tenant: int, target: ClickHouse) -> None:
    key, column = ", ".join(one.key), one.sets[place]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(one.key, one.types, strict=True))
    sets = ", ".join(
        "groupBitmapState(number)" if name == column else "groupBitmapStateIf(number, false)" for name in one.sets
    )
    async with target.session(purpose="migrate") as session:
        await session.fetch(f"CREATE TEMPORARY TABLE moved ({columns}, number UInt32) ENGINE = Memory")
        await session.insert("moved", (*one.key, "number"), list(found))
        await session.fetch(
            f"""
            INSERT INTO {one.table} (tenant_id, {key}, {", ".join(one.sets)})
            SELECT {{tenant:UInt32}}, {key}, {sets} FROM moved WHERE ({key}, number) NOT IN (
                SELECT {key}, arrayJoin(bitmapToArray({column})) FROM {one.table}
                WHERE tenant_id = {{tenant:UInt32}} AND ({key}) IN (SELECT {key} FROM moved))
            GROUP BY {key}""",
            {"tenant": tenant},
        )


async def _delete(params: dict[str, Any], source: ClickHouse) -> None:
    """Delete what the source has of some users: from sets first, because their numbers say which bits are theirs."""
    for one in SETS_OF_USERS:
        changes = ", ".join(f"{column} = bitmapAndnot({column}, {_NUMBERS})" for column in one.sets)
        has_some = " OR ".join(f"bitmapAndCardinality({column}, {_NUMBERS}) > 0" for column in one.sets)
        where = f"tenant_id = {{tenant:UInt32}} AND ({has_some})"
        ((count,),) = (
            await source.fetch(f"SELECT count() FROM {one.table} WHERE {where}", params, purpose="migrate")
        ).rows
        if count:
            sql = f"ALTER TABLE {one.table} UPDATE {changes} WHERE {where} SETTINGS mutations_sync = 1"
            await source.execute(sql, params, purpose="migrate")
    for rows in reversed(ROWS_OF_USERS):  # those by which strays are found last
        ((count,),) = (
            await source.fetch(f"SELECT count() FROM {rows.table} WHERE {_THEIRS}", params, purpose="migrate")
        ).rows
        if count:
            await source.execute(f"DELETE FROM {rows.table} WHERE {_THEIRS}", params, purpose="migrate")
