"""Examines the shards of a cluster: whether each answers, has all tables, and which of the users it has."""

from __future__ import annotations

from collections import Counter
from typing import Final

from segment_copilot.doctor.findings import Check, ok, warning, wrong
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import Settings
from segment_copilot.stores.cluster import Cluster, Shard, on_each, open_cluster
from segment_copilot.stores.migrations import tables
from segment_copilot.stores.placement import BUCKETS, read_placement, spread
from segment_copilot.stores.postgres import Postgres

_STATE: Final = """
SELECT version(), (SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()),
    if((SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'users') = 0, 0, 1)
"""
_USERS: Final = "SELECT uniq(tenant_id, user_key) FROM users"


async def examine_cluster(settings: Settings, postgres: Postgres, *, pool: int) -> list[Check]:
    """Return what is to say of the cluster that the settings name; nothing where they name none."""
    if not settings.clickhouse_cluster:
        return []
    async with open_cluster(
        settings.clickhouse_url,
        pool=pool,
        name=settings.clickhouse_cluster,
        postgres=postgres,
        is_replicated=settings.clickhouse_replicated,
    ) as cluster:
        try:
            shards = await cluster.all_shards()
        except SegmentCopilotError as error:
            return [wrong("clickhouse.cluster", error.detail, "Correct remote_servers, or the setting.")]
        placement = Counter(await read_placement(postgres) or ())
        checks = [await _shard(shard, placement) for shard in shards]
        return [*checks, *_placed(cluster, shards, placement)]


async def _shard(shard: Shard, placement: Counter[int]) -> Check:
    name, where = f"clickhouse.shard.{shard.number}", f"Shard {shard.number} ({shard.host.address})"
    try:
        ((version, there, has_users),) = (
            await on_each([shard], lambda one: one.server.fetch(_STATE, purpose="catalog"))
        )[0].rows
        users = (await shard.server.fetch(_USERS, purpose="catalog")).rows[0][0] if has_users else 0
    except SegmentCopilotError as error:
        remedy = "Start it, or let this machine reach it with the user and the password of CLICKHOUSE_URL."
        return wrong(name, f"{where}: {error.detail}", remedy)
    if gone := sorted(set(tables("clickhouse")) - set(there)):
        detail = f"{where} lacks {gone[0]}" + (f" and {len(gone) - 1} more tables." if len(gone) > 1 else ".")
        return wrong(name, detail, "Run `segment-copilot migrate`.")
    share = f"{placement[shard.number]} of {BUCKETS} buckets"
    return ok(name, f"{where}: ClickHouse {version}, {users:,} users, {share}, weight {shard.host.weight}.")


def _placed(cluster: Cluster, shards: list[Shard], placement: Counter[int]) -> list[Check]:
    """Judge whether the shards have the shares that their weights say."""
    if not placement:
        remedy = "Run `segment-copilot migrate`."
        return [wrong("clickhouse.placement", "Nobody has said which shard has which users.", remedy)]
    if missing := sorted(placement.keys() - {shard.number for shard in shards}):
        detail = f"Shard {missing[0]} has users, and the cluster {cluster.name} has no such shard."
        return [wrong("clickhouse.placement", detail, "Give it back its place and number among remote_servers.")]
    weights = {shard.number: shard.host.weight for shard in shards}
    if any(weights.values()) and Counter(spread(weights)) != placement:
        detail = "The shards do not have the shares of users that their weights say."
        return [warning("clickhouse.placement", detail, "Stop the workers and run `segment-copilot shards rebalance`.")]
    return [ok("clickhouse.placement", "Every shard has the share of users that its weight says.")]
