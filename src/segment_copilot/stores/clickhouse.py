"""Speaks to ClickHouse over its native protocol: a pool, limits by purpose, and one way to run a query.

The only file that knows the driver. It uses asynch's protocol connection and leaves its pool, cursor and reconnecting
aside: with a server that froze they wait on a socket while a cancellation is pending, and hide it behind an error of
their own. Here a connection carries one query at a time and is dropped, not repaired, after anything but a clean end.

Three things end a query: its result, an error the server sent (`max_execution_time` among them), or we stop waiting:
the task was cancelled, or the server was silent past its own limit. In the last case the socket is cut at once and the
query is killed by its id over a fresh connection, in the background, so that nobody waits for a frozen server.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any
from uuid import uuid4

import structlog
from asynch.errors import Error as DriverError
from asynch.errors import NetworkError, OperationalError, ServerException
from asynch.proto.block import ColumnOrientedBlock
from asynch.proto.connection import Connection as Protocol
from asynch.proto.protocol import ServerPacket
from asynch.proto.result import QueryInfo
from msgspec import Struct

from segment_copilot.errors import QueryTimeout, Unavailable
from segment_copilot.stores.aside import Aside
from segment_copilot.stores.clickhouse_settings import INSERT_SETTINGS, settings_of
from segment_copilot.stores.clickhouse_urls import CONNECT_SECONDS, read_url
from segment_copilot.stores.columns import check_column
from segment_copilot.stores.idle import Idle
from segment_copilot.stores.instants import read_instants_exactly
from segment_copilot.stores.limits import LIMITS, LONG, Purpose
from segment_copilot.stores.literals import identifier, lower
from segment_copilot.stores.merging import Merge
from segment_copilot.stores.refusals import ClickHouseError, refusal
from segment_copilot.stores.turns import FairTurns, PlanningTurns, Turn
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import POOL_TIMEOUTS, WAIT_SECONDS, count_query
from segment_copilot.telemetry.pools import PoolState, unwatch_pool, watch_pool

log = structlog.get_logger()
logging.getLogger("asynch").setLevel(logging.WARNING)  # at DEBUG it writes every query with its values
read_instants_exactly()

_ACQUIRE_SECONDS = 2.0  # for a connection of the pool to become free
_QUEUE_SECONDS = 5.0  # for a tenant's turn, of queries that people wait for
_GRACE_SECONDS = (
    4.0  # past a query's own limit, after which the server counts as frozen: members are answered within ten seconds
)
_KILL_SECONDS = 5.0
_GONE_SECONDS = 30.0  # from the kill of a long query to its end: nothing looks for a kill while it is planned
_BEGIN_SECONDS = 0.3  # from sending a query to the moment when the server can kill it
_FRESH_SECONDS = 5.0  # a connection unused for longer is asked for a sign of life first

_CONNECTION_ERRORS = (OSError, EOFError, NetworkError, OperationalError)


class Result(Struct, frozen=True):
    """The rows of a query, whole."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    query_id: str
    duration_ms: float


_Turns = Callable[[str, Mapping[str, object] | None, Purpose], AbstractAsyncContextManager[Turn]]


class _Connection:
    """One socket to the server. After any exception out of its methods it must be cut."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._protocol: Any = Protocol(**options)  # its attributes are not in the driver's stubs
        self._used_at = 0.0

    async def open(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._protocol.connect()

    def cut(self) -> None:
        """Close without waiting for the peer: a polite close waits until everything written has been read."""
        if self._protocol.writer is not None:
            self._protocol.writer.writer.transport.abort()
        self._protocol.reset_state()

    def is_lost(self) -> bool:
        """Return whether the peer is known to have gone."""
        reader = self._protocol.reader
        return reader is None or reader.reader.at_eof() or reader.reader.exception() is not None

    async def is_usable(self) -> bool:
        await asyncio.sleep(0)  # let the loop see a close that already arrived
        if self.is_lost():
            return False
        if time.monotonic() - self._used_at < _FRESH_SECONDS:
            return True
        try:
            return await self._protocol.ping()
        except DriverError:
            return False

    async def run(
        self, text: str, *, query_id: str, settings: Mapping[str, Any], turn: Turn | None = None
    ) -> tuple[tuple[str, ...], list[Any]]:
        """Run *text* and return column names and rows; end *turn* when it is planned."""
        await self._send(text, query_id=query_id, settings=settings)
        columns: tuple[str, ...] = ()
        rows: list[Any] = []
        while packet := await self._protocol.receive_packet():
            if turn:
                turn.end()
            if packet is not True and packet.type == ServerPacket.DATA:
                columns = columns or tuple(name for name, _ in packet.block.columns_with_types)
                rows.extend(packet.block.get_rows())
        self._used_at = time.monotonic()
        return columns, rows

    async def insert(
        self, text: str, rows: Sequence[tuple[Any, ...]], *, query_id: str, settings: Mapping[str, Any]
    ) -> None:
        """Send *rows* as one block: the server stores all of it or nothing."""
        await self._send(text, query_id=query_id, settings=settings)
        header = (await self._protocol.receive_sample_block()).columns_with_types
        columns = [list(column) for column in zip(*rows, strict=True)]
        for (name, type_), values in zip(header, columns, strict=True):
            check_column(name, type_, values)
        await self._protocol.send_block(ColumnOrientedBlock(columns_with_types=header, data=columns))
        await self._protocol.send_block(ColumnOrientedBlock())  # the end of the data
        while await self._protocol.receive_packet():  # to the end: an error may come behind a progress report
            pass
        self._used_at = time.monotonic()

    async def _send(self, text: str, *, query_id: str, settings: Mapping[str, Any]) -> None:
        self._protocol.make_query_settings(settings)
        self._protocol.last_query = QueryInfo(self._protocol.reader)
        await self._protocol.send_query(text, query_id=query_id)
        await self._protocol.send_external_tables(None)


class Session:
    """A session of the server for one task: its temporary tables stand before others of the same name."""

    def __init__(
        self, connection: _Connection, purpose: Purpose, query_id: str, turn: _Turns, *, database: str
    ) -> None:
        self._database, self._connection = database, connection
        self._purpose: Purpose = purpose
        self._query_id = query_id
        self._turn = turn

    async def fetch(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        *,
        query_id: str | None = None,
        merge: Merge | None = None,  # noqa: ARG002  # of a cluster
    ) -> Result:
        """Run a query and return all its rows, like `ClickHouse.fetch`; one with an id of its own is not killed with us."""
        started, text = time.perf_counter(), lower(sql, params or {})
        settings = settings_of(self._purpose, size=len(sql))
        query_id = query_id or self._query_id
        async with self._turn(sql, params, self._purpose) as turn:
            with tracing.query(self._purpose, query_id, self._database):
                settings |= _traced()
                columns, rows = await self._connection.run(text, query_id=query_id, settings=settings, turn=turn)
        duration_ms = _log_query(self._purpose, query_id, started=started, rows=len(rows))
        return Result(columns, rows, query_id, duration_ms)

    @property
    def parts(self) -> Sequence[Session]:
        """The sessions that this one is made of: in a cluster one on each shard."""
        return (self,)

    async def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        *,
        tenant: int | None = None,  # noqa: ARG002  # of a cluster
    ) -> None:
        """Insert *rows* as one block, like `ClickHouse.insert`; *tenant* says whose users they are, where no column does."""
        if rows:
            settings, text = settings_of(self._purpose) | INSERT_SETTINGS, _insert_into(table, columns)
            await self._connection.insert(text, rows, query_id=self._query_id, settings=settings)


class ClickHouse:
    """One server, or `cluster.Cluster` in its place. Safe for many tasks at once; each query takes a connection of the pool.

    All methods raise Unavailable (no free connection within two seconds, no turn of a long query within the seconds of
    its purpose, or the server gone), QueryTimeout and QueryTooExpensive (a limit of the purpose), and ClickHouseError for
    anything else the server refuses. A query's parameter `tenant` says whose it is.
    """

    def __init__(self, options: Mapping[str, Any], *, pool: int, of_one: int = 0) -> None:
        self._options = options
        self._free = FairTurns(pool, of_one=of_one or pool, late="Every ClickHouse connection is busy.")
        self._idle = Idle[_Connection]()
        self._kills: set[asyncio.Task[None]] = set()
        self._turns = PlanningTurns()
        self.aside = Aside()  # for whoever writes long queries, too: there is one thread for all of it
        self._name = "clickhouse_read" if of_one else "clickhouse"
        watch_pool(self, self._name, _looking(self._free, self._idle, pool))

    @property
    def database(self) -> str:
        """The name of the database that tables are in."""
        return self._options["database"]

    async def fetch(
        self,
        sql: str,
        params: Mapping[str, object] | None = None,
        *,
        purpose: Purpose,
        query_id: str | None = None,
        merge: Merge | None = None,  # noqa: ARG002  # of a cluster
        user: str | None = None,  # noqa: ARG002  # of a cluster
    ) -> Result:
        """Run a query and return all its rows. *params* fill the typed placeholders of *sql* (see literals).

        In a cluster *merge* says how the rows of its shards go together, or *user* of whom alone is asked: their shard is.
        """
        tenant = (params or {}).get("tenant")
        text = await self.aside.do(tenant, lambda: lower(sql, params or {}), is_long=len(sql) >= LONG)
        query_id = query_id or uuid4().hex
        started = time.perf_counter()
        with tracing.query(purpose, query_id, self.database):
            async with (
                self._turn(sql, params, purpose) as turn,
                self._query(purpose, query_id, turn, tenant) as connection,
            ):
                whose = {} if tenant is None else {"quota_key": f"tenant {tenant}"}
                settings = settings_of(purpose, size=len(sql)) | whose | _traced()
                columns, rows = await connection.run(text, query_id=query_id, settings=settings, turn=turn)
        duration_ms = _log_query(purpose, query_id, started=started, rows=len(rows))
        return Result(columns, rows, query_id, duration_ms)

    async def execute(
        self, sql: str, params: Mapping[str, object] | None = None, *, purpose: Purpose, query_id: str | None = None
    ) -> None:
        """Run a statement that returns no rows, in a cluster on every shard: DDL, INSERT … SELECT of what each has."""
        await self.fetch(sql, params, purpose=purpose, query_id=query_id)

    def users_stay(self) -> AbstractAsyncContextManager[None]:
        """Have no user moved to another shard for as long as the block lasts; who writes about users needs that."""
        return nullcontext()

    async def servers(self) -> Sequence[ClickHouse]:
        """Return the servers that have users: this one, or in a cluster one of each shard."""
        return (self,)

    async def define(self, sql: str, *, once: bool) -> None:  # noqa: ARG002  # of a cluster
        """Run a statement of a migration; in a cluster on every shard, unless *once* says that it is for all as it stands."""
        await self.execute(sql, purpose="migrate")

    @asynccontextmanager
    async def session(
        self,
        *,
        purpose: Purpose,
        user: str | None = None,  # noqa: ARG002  # of a cluster
    ) -> AsyncGenerator[Session]:
        """Lend a session of its own: a temporary table of one query is there for the next, and gone at the end.

        The purpose's limit of time holds for everything in it together. *user* says of whom alone it is, as in `fetch`.
        """
        query_id = uuid4().hex
        async with self._slot():
            connection = await self._connected(purpose)
            try:
                async with self._guarded(connection, purpose, query_id), _in_time(purpose):
                    yield Session(connection, purpose, query_id, self._turn, database=self.database)
            finally:
                connection.cut()  # and with it the session

    async def script(self, statements: Iterable[tuple[str, Mapping[str, object]]], *, purpose: Purpose) -> None:
        """Run statements one after another in a session of their own; the first that fails ends the script."""
        async with self.session(purpose=purpose) as session:
            for sql, params in statements:
                await session.fetch(sql, params)

    async def insert(
        self,
        table: str,
        columns: Sequence[str],
        rows: Sequence[tuple[Any, ...]],
        *,
        token: str,
        purpose: Purpose = "ingest",
    ) -> int:
        """Insert *rows* as one block and return their number.

        A second insert of the same rows with the same *token* changes nothing (the table needs a deduplication
        window), so an insert that failed may be tried again. Values have the Python type of their column: str, int,
        float, bool, UUID, aware datetime; anything else is a TypeError or ValueError. A block of 100,000 rows is good.
        """
        if not rows:
            return 0
        query_id, text = uuid4().hex, _insert_into(table, columns)
        settings = settings_of(purpose) | INSERT_SETTINGS | {"insert_deduplication_token": token}
        started = time.perf_counter()
        with tracing.query(purpose, query_id, self.database):
            async with self._query(purpose, query_id) as connection:
                await connection.insert(text, rows, query_id=query_id, settings=settings | _traced())
        _log_query(purpose, query_id, started=started, rows=len(rows))
        return len(rows)

    async def ping(self) -> None:
        """Return if the server answers within two seconds; raise Unavailable otherwise."""
        try:
            async with asyncio.timeout(2):
                await self.fetch("SELECT 1", purpose="catalog")
        except TimeoutError:
            raise Unavailable("ClickHouse does not answer.") from None

    async def close(self) -> None:
        """Wait for kills under way (five seconds at most) and close the idle connections."""
        unwatch_pool(self)
        await asyncio.sleep(0)  # tasks cancelled together with ours begin their kills now
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                while self._kills:
                    await asyncio.wait(self._kills)
        for task in self._kills:  # they are sent, and wait for nothing but the end of what they kill
            task.cancel()
        await asyncio.gather(*self._kills, return_exceptions=True)
        self._idle.drop()
        await asyncio.sleep(0)  # a cut socket is closed in the loop's next round

    def _turn(
        self, sql: str, params: Mapping[str, object] | None, purpose: Purpose
    ) -> AbstractAsyncContextManager[Turn]:
        return self._turns.turn((params or {}).get("tenant"), size=len(sql), seconds=LIMITS[purpose].seconds)

    @asynccontextmanager
    async def _query(
        self, purpose: Purpose, query_id: str, turn: Turn | None = None, tenant: object = None
    ) -> AsyncGenerator[_Connection]:
        """Lend a connection for one query, with the deadline, the error mapping and the kill around it."""
        async with self._slot(tenant if LIMITS[purpose].is_awaited else None):
            connection = await self._connected(purpose)
            async with self._guarded(connection, purpose, query_id, turn):
                yield connection
            self._idle.put(connection)

    @asynccontextmanager
    async def _guarded(
        self, connection: _Connection, purpose: Purpose, query_id: str, turn: Turn | None = None
    ) -> AsyncGenerator[None]:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(LIMITS[purpose].seconds + _GRACE_SECONDS):
                yield
        except BaseException as error:  # noqa: BLE001 - a cancelled query has to end on the server too
            lost = connection.is_lost()
            connection.cut()
            if not isinstance(error, ServerException):
                self._kill(query_id, turn)
            failure = _translate(error, lost=lost)
            log.info("clickhouse.query", query_id=query_id, purpose=purpose, error=type(failure).__name__)
            count_query("clickhouse", purpose, time.perf_counter() - started, type(failure).__name__)
            raise failure from (None if failure is error else error)

    @asynccontextmanager
    async def _slot(self, tenant: object = None) -> AsyncGenerator[None]:
        started = time.perf_counter()
        try:
            turn = await self._free.next(tenant, _ACQUIRE_SECONDS if tenant is None else _QUEUE_SECONDS)
        except Unavailable:
            POOL_TIMEOUTS.labels(self._name).inc()
            raise
        WAIT_SECONDS.labels(self._name).observe(time.perf_counter() - started)
        try:
            yield
        finally:
            turn.end()

    async def _connected(self, purpose: Purpose) -> _Connection:
        while self._idle:
            connection = self._idle.take()
            try:
                if await connection.is_usable():
                    return connection
            except BaseException:
                connection.cut()
                raise
            connection.cut()
            self._idle.drop()  # used less lately than this one, so no better: asking each would take seconds
        started, connection = time.perf_counter(), _Connection(self._options)
        try:
            await connection.open()
        except BaseException as error:  # noqa: BLE001 - the socket is cut whatever happened
            connection.cut()
            failure = _translate(error, lost=True)
            count_query("clickhouse", purpose, time.perf_counter() - started, type(failure).__name__)
            raise failure from (None if failure is error else error)
        return connection

    def _kill(self, query_id: str, turn: Turn | None) -> None:
        """Kill a query in the background; a turn that it still has ends when the server is rid of it."""
        turn = turn or Turn()
        turn.keep()
        task = asyncio.get_running_loop().create_task(self._kill_now(query_id, turn))
        self._kills.add(task)
        task.add_done_callback(self._kills.discard)

    async def _kill_now(self, query_id: str, turn: Turn) -> None:
        how = "SYNC" if turn.is_held else "ASYNC"  # sync: answered when the query has ended
        text = lower(f"KILL QUERY WHERE query_id = {{query_id:String}} {how}", {"query_id": query_id})
        connection = _Connection(self._options)
        try:
            async with asyncio.timeout(_GONE_SECONDS if turn.is_held else _KILL_SECONDS):
                await connection.open()
                _, rows = await connection.run(text, query_id=uuid4().hex, settings={})
                if turn.is_held and not rows:  # sent a moment ago, and perhaps not begun
                    await asyncio.sleep(_BEGIN_SECONDS)
                    _, rows = await connection.run(text, query_id=uuid4().hex, settings={})
        except (*_CONNECTION_ERRORS, DriverError) as error:
            log.warning("clickhouse.kill_failed", query_id=query_id, error=type(error).__name__)
        else:
            log.info("clickhouse.kill", query_id=query_id, found=bool(rows))
        finally:
            connection.cut()
            turn.end()


@asynccontextmanager
async def _in_time(purpose: Purpose) -> AsyncGenerator[None]:
    """Hold several queries to the one limit of time; raises QueryTimeout."""
    limit = asyncio.timeout(LIMITS[purpose].seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise QueryTimeout("The queries were stopped at their time limit.") from None
        raise


@asynccontextmanager
async def open_clickhouse(url: str, *, pool: int = 8, of_one: int = 0) -> AsyncGenerator[ClickHouse]:
    """Open *pool* connections to `clickhouse://user:password@host:port/database`, each when it is first needed.

    Of the queries that people wait for, *of_one* tenant has so many at once (0: as many as there are).

    `clickhouses://` speaks TLS. `?compression=lz4` compresses; other parameters are the driver's, or server settings.
    Raises InvalidInput when *url* is none of this.
    """
    clickhouse = ClickHouse(read_url(url), pool=pool, of_one=of_one)
    try:
        yield clickhouse
    finally:
        await clickhouse.close()


def _insert_into(table: str, columns: Sequence[str]) -> str:
    names = ", ".join(identifier(column) for column in columns)
    return f"INSERT INTO {identifier(table)} ({names}) VALUES"


def _translate(error: BaseException, *, lost: bool) -> BaseException:
    """Return our error for the driver's. *lost*: the peer had gone when it was raised, so what was read may be cut short."""
    if not isinstance(error, Exception):
        return error  # a cancellation stays one
    if isinstance(error, ServerException):
        return refusal(error.code or 0, str(error).partition("\n")[2])
    if lost or isinstance(error, _CONNECTION_ERRORS):
        return Unavailable("ClickHouse does not answer.")
    if isinstance(error, (DriverError, struct.error)):
        return ClickHouseError(str(error))
    return error


def _log_query(purpose: Purpose, query_id: str, *, started: float, rows: int) -> float:
    seconds = time.perf_counter() - started
    duration_ms = round(seconds * 1000, 2)
    count_query("clickhouse", purpose, seconds)
    log.info("clickhouse.query", query_id=query_id, purpose=purpose, duration_ms=duration_ms, rows=rows)
    return duration_ms


def _traced() -> dict[str, Any]:
    """Return what the driver sends so that the server's own spans belong to ours."""
    return {} if (parent := tracing.traceparent()) is None else {"opentelemetry_traceparent": parent}


def _looking(free: FairTurns, idle: Idle[_Connection], pool: int) -> Callable[[], PoolState]:
    return lambda: PoolState(used=pool - free.free, idle=len(idle), most=pool, waiting=free.waiting)
