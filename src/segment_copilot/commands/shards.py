"""`shards …` shows which users the shards of a ClickHouse cluster have, and gives each its share."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from segment_copilot.commands.options import AsJson
from segment_copilot.commands.printing import print_json, print_rows
from segment_copilot.errors import InvalidInput
from segment_copilot.settings import read_settings
from segment_copilot.stores.cluster import Cluster, open_cluster
from segment_copilot.stores.moving import rebalance
from segment_copilot.stores.placement import BUCKETS
from segment_copilot.stores.postgres import Postgres, open_postgres

T = TypeVar("T")

cli = typer.Typer(no_args_is_help=True, help="Shards of a ClickHouse cluster: who is where.")


@cli.command("list")
def list_shards(*, as_json: AsJson = False) -> None:
    """Show every shard and its share of the users.

    Every user is in one of 1024 buckets, and a shard has so many of them.
    """

    async def look(cluster: Cluster, _: Postgres) -> list[tuple[int, str, int, int]]:
        placement = Counter(await cluster.placement.shards())
        return [
            (shard.number, shard.host.address, shard.host.weight, placement[shard.number])
            for shard in await cluster.all_shards()
        ]

    rows = asyncio.run(_with_cluster(look))
    names = ("shard", "address", "weight", "buckets")
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        print_rows(names, rows)


@cli.command("rebalance")
def rebalance_shards() -> None:
    """Move users so that every shard has its share.

    The weights in remote_servers say how large it is. Stop all workers before; events wait until they run again.

    A shard of weight 0 is emptied. What was cut short is carried on by the next call.
    """

    async def move(cluster: Cluster, postgres: Postgres) -> int:
        return await rebalance(cluster, postgres, progress=typer.echo)

    moved = asyncio.run(_with_cluster(move))
    typer.echo(f"{moved:,} users moved. Every shard has its share of the {BUCKETS} buckets; start the workers.")


async def _with_cluster(do: Callable[[Cluster, Postgres], Awaitable[T]]) -> T:
    settings = read_settings(os.environ)
    if not (settings.database_url and settings.clickhouse_url and settings.clickhouse_cluster):
        detail = "Set DATABASE_URL, CLICKHOUSE_URL and CLICKHOUSE_CLUSTER to those of the service."
        raise InvalidInput(detail, code="invalid_settings")
    async with (
        open_postgres(settings.database_url, pool=4) as postgres,
        open_cluster(
            settings.clickhouse_url,
            name=settings.clickhouse_cluster,
            postgres=postgres,
            is_replicated=settings.clickhouse_replicated,
        ) as cluster,
    ):
        return await do(cluster, postgres)
