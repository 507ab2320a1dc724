"""Speaks to the shards of a ClickHouse cluster as `ClickHouse` does to one server.

Every user is on one shard, with all rows about them (`placement.py`). So a statement about users is sent whole to each shard,
over a connection of its own, and runs there over the tables that the shard has: members are written where they are found, and
temporary tables stay where they were made. What comes back goes together as the caller says (`merging.py`); a query that
nobody said it of is refused, because half an answer looks like one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from typing import Any, Final, TypeVar

import structlog
from msgspec import Struct

from segment_copilot.errors import Conflict, Unavailable
from segment_copilot.stores.clickhouse import ClickHouse, Result, Session
from segment_copilot.stores.clickhouse_urls import read_url
from segment_copilot.stores.limits import Purpose
from segment_copilot.stores.merging import Merge
from segment_copilot.stores.placement import (
    BUCKETS,
    Placement,
    bucket_of,
    read_placement,
    spread,
    write_placement,
)
from segment_copilot.stores.postgres import Connection, Postgres
from segment_copilot.telemetry.work import note_silent_shards

log = structlog.get_logger()
T = TypeVar("T")

_HOSTS: Final = """
SELECT shard_num, shard_weight, replica_num, host_name, port FROM system.clusters
WHERE cluster = {cluster:String} ORDER BY shard_num, replica_num
"""

_HAS_USERS: Final = "SELECT count() > 0 FROM users"


class Host(Struct, frozen=True):
    """A host is a server of a cluster: a replica of one of its shards."""

    shard: int
    weight: int
    replica: int
    name: str
    port: int

    @property
    def address(self) -> str:
        """Return `name:port`."""
        return f"{self.name}:{self.port}"


class NotOverShards(Conflict):
    """Says that what is asked cannot be answered yet where users are spread over shards."""

    code = "not_over_shards"


class Shard:
    """A shard is the servers that hold some of the users; one of them is asked, and after it failed the next."""

    def __init__(self, hosts: Sequence[Host], options: Mapping[str, Any], *, pool: int, of_one: int = 0) -> None:
        self.hosts = tuple(hosts)
        self._servers = [
            ClickHouse({**options, "host": host.name, "port": host.port}, pool=pool, of_one=of_one) for host in hosts
        ]
        self._asked = 0

    @property
    def number(self) -> int:
        """The shard's number in the cluster, from 1."""
        return self.hosts[0].shard

    @property
    def server(self) -> ClickHouse:
        """The server that is asked now."""
        return self._servers[self._asked]

    @property
    def host(self) -> Host:
        """Return where the server that is asked now is."""
        return self.hosts[self._asked]

    def named(self, error: Exception) -> Exception:
        """Return *error* with the shard's name in it where a server was away; then another replica is asked next."""
        if not isinstance(error, Unavailable) or "shard" in error.context:
            return error
        host = self.host
        self._asked = (self._asked + 1) % len(self._servers)
        log.warning("clickhouse.shard_unavailable", shard=host.shard, address=host.address, error=error.code)
        detail = f"Shard {host.shard} of ClickHouse cannot be asked. {error.detail}"  # where it is, is for the log
        return Unavailable(detail, code=error.code, context={**error.context, "shard": host.shard})

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(server.close() for server in self._servers))


class Cluster(ClickHouse):
    """Several shards. All methods raise what `ClickHouse` raises, with the name of a shard that is away, and NotOverShards."""

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        pool: int,
        name: str,
        postgres: Postgres,
        is_replicated: bool = False,
        of_one: int = 0,
        beside: Cluster | None = None,
    ) -> None:
        super().__init__(options, pool=pool, of_one=of_one)
        self.name = name
        self.is_replicated = is_replicated
        self.placement = Placement(postgres) if beside is None else beside.placement
        self._beside = beside
        self._pool, self._of_one = pool, of_one
        self._shards: dict[int, Shard] = {}
        self._meeting = asyncio.Lock()

    async def hosts(self) -> list[Host]:
        """Ask the server of the URL for the servers of the cluster; raises Unavailable when it knows no such cluster."""
        if self._beside is not None:  # whose user may look
            return await self._beside.hosts()
        found = await super().fetch(_HOSTS, {"cluster": self.name}, purpose="catalog")
        hosts = [Host(*row) for row in found.rows]
        if not hosts:
            detail = f"ClickHouse knows no cluster {self.name}. Name one of its remote_servers in CLICKHOUSE_CLUSTER."
            raise Unavailable(detail, code="unknown_cluster")
        if not self.is_replicated and (second := next((host for host in hosts if host.replica > 1), None)):
            detail = (
                f"Shard {second.shard} of the cluster {self.name} has replicas, and CLICKHOUSE_REPLICATED is not set: "
                "nothing would keep them alike."
            )
            raise Unavailable(detail, code="not_replicated")
        return hosts

    async def all_shards(self) -> list[Shard]:
        """Return the shards that the cluster has, with users or without."""
        async with self._meeting:
            for number, hosts in groupby(await self.hosts(), key=lambda host: host.shard):
                if number not in self._shards:
                    self._shards[number] = Shard(list(hosts), self._options, pool=self._pool, of_one=self._of_one)
            return list(self._shards.values())

    async def shards(self) -> list[Shard]:
        """Return the shards that have users, in the order of their numbers."""
        numbers = sorted(set(await self.placement.shards()))
        if not self._shards.keys() >= set(numbers):
            await self.all_shards()
        if missing := [number for number in numbers if number not in self._shards]:
            detail = f"Shard {missing[0]} has users, and the cluster {self.name} has no such shard any more."
            raise Unavailable(detail, code="shard_missing", context={"shard": missing[0]})
        return [self._shards[number] for number in numbers]

    async def shard_of(self, user_id: str) -> Shard:
        """Return the shard that a user is on."""
        number = (await self.placement.shards())[bucket_of(user_id)]
        return next(shard for shard in await self.shards() if shard.number == number)

    async def fetch(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        *,
        purpose: Purpose,
        query_id: str | None = None,
        merge: Merge | None = None,
        user: str | None = None,
    ) -> Result:
        """Run a query on each shard and return what its rows make together; of one *user*, on theirs."""
        if user is not None:
            shards = [await self.shard_of(user)]
        elif merge is None:
            raise NotOverShards("This cannot be answered yet where users are spread over shards of ClickHouse.")
        else:
            shards = await self.shards()
        given = {**(params or {}), **(merge.params if merge and user is None else {})}
        results = await on_each(
            shards, lambda shard: shard.server.fetch(sql, given, purpose=purpose, query_id=query_id)
        )
        return _together(results, None if user is not None else merge)

    async def execute(
        self, sql: str, params: Mapping[str, object] | None = None, *, purpose: Purpose, query_id: str | None = None
    ) -> None:
        """Run a statement that returns no rows on every shard."""
        await on_each(
            await self.shards(), lambda shard: shard.server.execute(sql, params, purpose=purpose, query_id=query_id)
        )

    @asynccontextmanager
    async def users_stay(self) -> AsyncGenerator[None]:
        """Have no user moved to another shard for as long as the block lasts."""
        async with self.placement.locked(alone=False):
            yield

    @asynccontextmanager
    async def users_move(self) -> AsyncGenerator[None]:
        """Be the only one who writes about users, to move some of them."""
        async with self.placement.locked(alone=True):
            yield

    async def servers(self) -> Sequence[ClickHouse]:
        """Return the server that is asked now of each shard."""
        return [shard.server for shard in await self.shards()]

    async def define(self, sql: str, *, once: bool) -> None:
        """Run a statement of a migration on every shard, with users or without; *once* on the server of the URL alone."""
        if once:
            await super().fetch(sql, purpose="migrate")  # `execute` would ask all
        else:
            await on_each(await self.all_shards(), lambda shard: shard.server.execute(sql, purpose="migrate"))

    @asynccontextmanager
    async def session(self, *, purpose: Purpose, user: str | None = None) -> AsyncGenerator[Session]:
        """Lend a session on each shard; of one *user*, on theirs."""
        async with AsyncExitStack() as stack:
            sessions = list[tuple[Shard, Session]]()
            for shard in await self.shards() if user is None else [await self.shard_of(user)]:
                try:
                    sessions.append((shard, await stack.enter_async_context(shard.server.session(purpose=purpose))))
                except asyncio.CancelledError:
                    note_silent_shards([shard.number])
                    raise
                except Exception as error:
                    raise shard.named(error) from error
            yield sessions[0][1] if user is not None else ShardedSession(sessions, self.placement)

    async def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        *,
        token: str,
        purpose: Purpose = "ingest",
    ) -> int:
        """Insert each row on the shard of its `user_id`; where rows have none, all on every shard."""
        parts = await _parts(await self.shards(), self.placement, columns, rows)
        await on_each(
            list(parts), lambda shard: shard.server.insert(table, columns, parts[shard], token=token, purpose=purpose)
        )
        return len(rows)

    async def ping(self) -> None:
        """Return if every shard answers within two seconds; raise Unavailable with the name of one that does not."""
        await on_each(await self.shards(), lambda shard: shard.server.ping())

    async def close(self) -> None:
        """Close the connections to all shards."""
        await asyncio.gather(super().close(), *(shard.close() for shard in self._shards.values()))


class ShardedSession(Session):
    """A session on each shard, for one task: a temporary table is made on all of them, and each has its users' rows."""

    def __init__(self, sessions: Sequence[tuple[Shard, Session]], placement: Placement) -> None:
        self._sessions = dict(sessions)
        self._placement = placement

    async def fetch(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        *,
        query_id: str | None = None,
        merge: Merge | None = None,
    ) -> Result:
        """Run a query on each shard and return what its rows make together: of no rows, none."""
        given = {**(params or {}), **(merge.params if merge else {})}
        results = await on_each(
            list(self._sessions), lambda shard: self._sessions[shard].fetch(sql, given, query_id=query_id)
        )
        if merge is None and any(result.rows for result in results):
            raise NotOverShards("This cannot be answered yet where users are spread over shards of ClickHouse.")
        return _together(results, merge)

    @property
    def parts(self) -> Sequence[Session]:
        """The sessions on the shards."""
        return list(self._sessions.values())

    async def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        *,
        tenant: int | None = None,
    ) -> None:
        """Insert each row on the shard of its `user_id`; where rows have none, all on every shard."""
        parts = await _parts(list(self._sessions), self._placement, columns, rows, tenant=tenant)
        await on_each(list(parts), lambda shard: self._sessions[shard].insert(table, columns, parts[shard]))


@asynccontextmanager
async def open_cluster(
    url: str,
    *,
    pool: int = 8,
    of_one: int = 0,
    name: str,
    postgres: Postgres,
    is_replicated: bool = False,
    beside: Cluster | None = None,
) -> AsyncGenerator[Cluster]:
    """Open the cluster *name* that the server of *url* knows, each connection when it is first needed.

    User, password and database are those of the URL on every server. Where the user only reads, *beside* is the same cluster,
    opened by one who may look where its servers are. Raises InvalidInput as `open_clickhouse` does.
    """
    cluster = Cluster(
        read_url(url),
        pool=pool,
        name=name,
        postgres=postgres,
        is_replicated=is_replicated,
        of_one=of_one,
        beside=beside,
    )
    try:
        yield cluster
    finally:
        await cluster.close()


async def place_users(connection: Connection, cluster: Cluster) -> None:
    """Give every bucket of users to a shard by the shards' weights, unless it has one; of one server with users, all to it.

    Raises Conflict when several shards have users and nobody wrote down whose.
    """
    if await read_placement(connection) is not None:
        return
    shards = await cluster.all_shards()
    counts = await on_each(shards, lambda shard: shard.server.fetch(_HAS_USERS, purpose="catalog"))
    used = [shard.number for shard, found in zip(shards, counts, strict=True) if found.rows[0][0]]
    if len(used) > 1:
        detail = (
            f"Shards {', '.join(map(str, used))} of ClickHouse have users, and PostgreSQL does not know which has whom. "
            "Restore the table shard_placement, or begin with empty shards."
        )
        raise Conflict(detail, code="placement_unknown")
    weights = {shard.number: shard.host.weight for shard in shards}
    await write_placement(connection, [used[0]] * BUCKETS if used else spread(weights))


async def on_each(shards: Sequence[Shard], do: Callable[[Shard], Awaitable[T]]) -> list[T]:
    """Do something with several shards at once and return what came of it, in their order.

    When it fails for one, the others are stopped, and the error names the shard.
    """

    async def named(shard: Shard) -> T:
        try:
            return await do(shard)
        except Exception as error:
            renamed = shard.named(error)
            if renamed is error:
                raise
            raise renamed from error

    tasks = [asyncio.ensure_future(named(shard)) for shard in shards]
    try:
        return list(await asyncio.gather(*tasks))
    except asyncio.CancelledError:
        silent = [shard.number for shard, task in zip(shards, tasks, strict=True) if task.cancelled()]
        note_silent_shards(silent if len(silent) < len(shards) or len(shards) == 1 else ())
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _together(results: Sequence[Result], merge: Merge | None) -> Result:
    """Return the results of shards as one; those of one shard, or of statements without rows, as they are."""
    first = results[0]
    rows = first.rows if merge is None else merge.together([result.rows for result in results])
    return Result(first.columns, rows, first.query_id, max(result.duration_ms for result in results))


async def _parts(
    shards: Sequence[Shard],
    placement: Placement,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    tenant: int | None = None,
) -> dict[Shard, list[tuple[Any, ...]]]:
    """Return the rows that each shard gets, in their order; a shard that gets none is left out.

    Whose a row is says `user_id`, of the tenant of `tenant_id` or of *tenant*; a row of which both do not say it goes to all.
    """
    if not rows:
        return {}
    if "user_id" not in columns or (tenant is None and "tenant_id" not in columns):
        return {shard: list(rows) for shard in shards}
    user = columns.index("user_id")
    owner = columns.index("tenant_id") if tenant is None else None
    users = [(tenant if owner is None else row[owner], row[user]) for row in rows]
    homes, by_number = await placement.homes(users), {shard.number: shard for shard in shards}
    parts: dict[Shard, list[tuple[Any, ...]]] = {}
    for row, home in zip(rows, homes, strict=True):
        parts.setdefault(by_number[home], []).append(row)
    return parts
