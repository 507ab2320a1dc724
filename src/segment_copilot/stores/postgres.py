"""PostgreSQL: a pool, transactions, notifications, and the driver's errors in our words.

The only file that knows asyncpg. Every method raises Unavailable when the server is gone, busy or read-only,
QueryTimeout when a statement passes 30 seconds, InvalidInput for a value PostgreSQL cannot hold (a NUL in a text, a
lone surrogate, a number out of range), UniqueViolation and ForeignKeyViolation; anything else is asyncpg's and our bug.

JSON columns come back as text, UUIDs as `uuid.UUID`, instants as aware UTC datetimes.
"""
# asyncpg has neither stubs nor complete annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import datetime
from time import perf_counter
from typing import Any, NoReturn, Protocol, cast

import asyncpg
import structlog

from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.stores.confinement import whose
from segment_copilot.stores.lending import Busy, Lending
from segment_copilot.stores.pooled import TELL_IN_TRANSACTION, open_pool
from segment_copilot.stores.postgres_errors import OUR_ERRORS, TROUBLE, ConnectionLost, Statement
from segment_copilot.telemetry.metrics import count_query
from segment_copilot.telemetry.pools import unwatch_pool, watch_pool

log = structlog.get_logger()

_AGAIN_SECONDS = (0.02, 0.07)  # until a SELECT whose connection was lost is tried once more
_STATEMENT_SECONDS = 30
_ACQUIRE_SECONDS = 2.0  # for a connection of the pool to become free, be it a new one
_START_SECONDS = 20.0  # for the first connection of a process: nobody waits for an answer yet
_RELEASE_SECONDS = 1.0  # for a connection to be cleaned for its next user; after that it is closed
_SILENCE_SECONDS = 5.0  # past the statement's own limit, after which the server counts as frozen
_LISTENER_CHECK_SECONDS = 30.0
_RECONNECT_SECONDS = 1.0

_SERVER_SETTINGS = {
    "application_name": "segment-copilot",
    "timezone": "UTC",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
}


class Record(Protocol):
    """A row: `row["name"]`, `row[0]`, `dict(row)`."""

    def __getitem__(self, key: str | int, /) -> Any: ...
    def keys(self) -> Iterable[str]: ...  # noqa: D102 - as a dict's
    def values(self) -> Iterable[Any]: ...  # noqa: D102 - as a dict's


class Connection:
    """One connection of the pool, for one task."""

    def __init__(self, raw: Any, *, seconds: float) -> None:
        self._raw = raw
        self._timeout = seconds + _SILENCE_SECONDS

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        """Run *sql* and return all rows."""
        with Statement(sql):
            return await self._raw.fetch(sql, *args, timeout=self._timeout)

    async def fetchrow(self, sql: str, *args: object) -> Record | None:
        """Run *sql* and return the first row, or None."""
        with Statement(sql):
            return await self._raw.fetchrow(sql, *args, timeout=self._timeout)

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Run *sql* and return the first column of the first row, or None."""
        with Statement(sql):
            return await self._raw.fetchval(sql, *args, timeout=self._timeout)

    async def now(self) -> datetime:
        """Return the instant by the database's clock: what processes plan by has to be of one clock, whatever theirs say."""
        return await self.fetchval("SELECT clock_timestamp()")

    async def execute(self, sql: str, *args: object) -> int:
        """Run *sql* (several statements when there are no *args*); return how many rows the last one touched."""
        with Statement(sql):
            status: str = await self._raw.execute(sql, *args, timeout=self._timeout)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def note_clean(self) -> None:
        """Say that nothing of the session was set, locked or opened, and nothing will be."""
        self._raw.note_clean()

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run *sql* once per row, all or none."""
        with Statement(sql):
            await self._raw.executemany(sql, rows, timeout=self._timeout)

    async def copy(self, table: str, *, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert *rows* by COPY, all or none: the fast way for many. Where the server confines us it takes no COPY."""
        if self._raw.is_confined:
            places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
            await self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)
            return
        with Statement(f"COPY INTO {table}"):
            await self._raw.copy_records_to_table(table, columns=columns, records=rows, timeout=self._timeout)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Commit at the end, roll back on any exception. Inside another transaction: a savepoint."""
        transaction = self._raw.transaction()
        try:
            with OUR_ERRORS:
                await transaction.start()
        except BaseException:  # it may have begun: no connection is given back with a transaction open
            self._end()
            raise
        try:
            yield
        except BaseException:
            await self._roll_back(transaction)
            raise
        with OUR_ERRORS:
            await transaction.commit()

    async def _roll_back(self, transaction: Any) -> None:
        """Never hides the exception on its way out: where the server does not answer, the connection ends instead."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await transaction.rollback()
        except TROUBLE:
            self._end()

    def _end(self) -> None:
        """End the connection without a word to the server."""
        with suppress(*TROUBLE):  # one that was cut is the pool's again by now
            self._raw.terminate()


class Postgres:
    """A database. Its read and write methods each take a connection; use `transaction` for several statements.

    A SELECT whose connection was lost is tried once more, because after a restart of the server each idle connection
    fails once. Nothing else is: the lost statement may have been done.
    """

    def __init__(self, lending: Lending, url: str) -> None:
        self._lending = lending
        self._url = url

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        """Run *sql* and return all rows."""
        return await self._once_more("fetch", sql, args)

    async def fetchrow(self, sql: str, *args: object) -> Record | None:
        """Run *sql* and return the first row, or None."""
        return await self._once_more("fetchrow", sql, args)

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Run *sql* and return the first column of the first row, or None."""
        return await self._once_more("fetchval", sql, args)

    async def now(self) -> datetime:
        """Return the instant by the database's clock: what processes plan by has to be of one clock, whatever theirs say."""
        return await self.fetchval("SELECT clock_timestamp()")

    async def _once_more(self, method: str, sql: str, args: Sequence[object]) -> Any:
        """Return what *method* of the driver gives; where its connection was lost and *sql* only reads, of another connection.

        A library for it costs a tenth of a small request, each time, for what nearly never happens.
        """
        only_reads = sql.lstrip()[:6].upper() == "SELECT"
        try:
            return await self._ask(method, sql, args, only_reads=only_reads)
        except ConnectionLost:
            if not only_reads:
                raise
        await asyncio.sleep(random.uniform(*_AGAIN_SECONDS))  # noqa: S311  # not all at once
        return await self._ask(method, sql, args, only_reads=only_reads)

    async def _ask(self, method: str, sql: str, args: Sequence[object], *, only_reads: bool) -> Any:
        """Do one statement: what `connection` does, without what each of its layers costs a small request."""
        raw = await self._acquire()
        try:
            if raw.is_confined and raw.is_behind_pooler:
                async with _told(Connection(raw, seconds=_STATEMENT_SECONDS)) as connection:
                    return await getattr(connection, method)(sql, *args)
            with Statement(sql):
                found = await getattr(raw, method)(sql, *args, timeout=_STATEMENT_SECONDS + _SILENCE_SECONDS)
            if only_reads:
                raw.note_clean()
            return found
        finally:
            await self._release(raw)

    async def _acquire(self) -> Any:
        """Return a connection of the pool. That none could be opened counts as a statement that failed: the server is away."""
        started = perf_counter()
        try:
            with OUR_ERRORS:
                raw = await self._lending.take(_ACQUIRE_SECONDS)
        except Busy:
            raise
        except Unavailable as error:
            count_query("postgresql", "statement", perf_counter() - started, type(error).__name__)
            raise
        if raw.is_confined and not raw.is_behind_pooler:
            try:
                with OUR_ERRORS:
                    await raw.tell(whose(), timeout=_SILENCE_SECONDS)
            except BaseException:
                await self._release(raw)
                raise
        return raw

    async def _release(self, raw: Any) -> None:
        """Give it back. What the caller came for is done, or its exception is on the way out: trouble only ends a connection."""
        with suppress(*TROUBLE):
            await self._lending.give(raw, _RELEASE_SECONDS)

    async def execute(self, sql: str, *args: object) -> int:
        """Run *sql* (several statements when there are no *args*); return how many rows the last one touched."""
        async with self.connection() as connection:
            return await connection.execute(sql, *args)

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run *sql* once per row, all or none."""
        async with self.connection() as connection:
            await connection.executemany(sql, rows)

    async def copy(self, table: str, *, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert *rows* by COPY, all or none: the fast way for many."""
        async with self.connection() as connection:
            await connection.copy(table, columns=columns, rows=rows)

    @asynccontextmanager
    async def connection(self, *, seconds: float = _STATEMENT_SECONDS) -> AsyncGenerator[Connection]:
        """Lend a connection to this task alone; each statement may take *seconds*."""
        raw = await self._acquire()
        try:
            connection = Connection(raw, seconds=seconds)
            async with _told(connection) if raw.is_confined and raw.is_behind_pooler else nullcontext():
                if seconds != _STATEMENT_SECONDS:
                    await connection.execute(f"SET statement_timeout = {int(seconds * 1000)}")  # reset when given back
                yield connection
        finally:
            await self._release(raw)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """Lend a connection in a transaction: committed at the end, rolled back on any exception."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncGenerator[asyncio.Event]:
        """Yield an event that is set on every NOTIFY of *channel*; the reader clears it.

        It is also set when listening begins, and again after each reconnect, because what was sent before is lost:
        clear it, look for work, then wait. It has a connection of its own, outside the pool.
        """
        woken = asyncio.Event()
        task = asyncio.create_task(self._again(f"channel {channel}", lambda: self._listen_once(channel, woken)))
        try:
            yield woken
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def ping(self) -> None:
        """Return if the server answers within two seconds and takes writes; raise Unavailable otherwise."""
        try:
            async with asyncio.timeout(2):
                read_only = await self.fetchval("SELECT current_setting('transaction_read_only')")
        except TimeoutError:
            raise Unavailable("PostgreSQL does not answer.") from None
        if read_only == "on":
            raise Unavailable("PostgreSQL is read-only.")

    @asynccontextmanager
    async def hold_lock(self, group: int, number: int) -> AsyncGenerator[asyncio.Event]:
        """Hold an advisory lock in a session of its own, outside the pool, so that it ends with this process.

        The event that it yields is set while the lock is held: not before the first connection, nor after a lost one
        until there is another. It waits for neither.
        """
        held = asyncio.Event()
        task = asyncio.create_task(self._again(f"lock {number}", lambda: self._hold_once(group, number, held)))
        try:
            yield held
        finally:
            held.clear()
            task.cancel()
            await asyncio.wait([task])

    async def _again(self, session: str, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await once()
            except TROUBLE as error:
                log.warning("postgres.session_lost", session=session, error=type(error).__name__)
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self, channel: str, woken: asyncio.Event) -> None:
        async with self._session() as (raw, lost):
            await raw.add_listener(channel, _ignoring_arguments(woken))
            woken.set()
            await _until_lost(raw, lost)

    async def _hold_once(self, group: int, number: int, held: asyncio.Event) -> None:
        async with self._session() as (raw, lost):
            # The server may not know yet that our session before this one is gone.
            if not await raw.fetchval("SELECT pg_try_advisory_lock($1, $2)", group, number, timeout=_SILENCE_SECONDS):
                raise ConnectionResetError
            held.set()
            try:
                await _until_lost(raw, lost)
            finally:
                held.clear()

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[tuple[Any, asyncio.Event]]:
        """Open a connection outside the pool, and an event that is set when it is lost."""
        raw: Any = await asyncpg.connect(
            self._url,
            timeout=cast("int", _SILENCE_SECONDS),  # asyncpg's annotation: it takes a fraction too
            command_timeout=_SILENCE_SECONDS,
            server_settings=_SERVER_SETTINGS,
        )
        lost = asyncio.Event()
        try:
            raw.add_termination_listener(_ignoring_arguments(lost))
            yield raw, lost
        finally:
            raw.terminate()


@asynccontextmanager
async def _told(connection: Connection) -> AsyncGenerator[Connection]:
    """Begin a transaction, and tell it alone whose rows it may see."""
    async with connection.transaction():
        await connection.execute(TELL_IN_TRANSACTION, whose())
        yield connection


async def _until_lost(raw: Any, lost: asyncio.Event) -> NoReturn:
    """Wait until the connection is lost, and raise then."""
    while not lost.is_set():
        try:
            async with asyncio.timeout(_LISTENER_CHECK_SECONDS):
                await lost.wait()
        except TimeoutError:
            await raw.execute("SELECT 1", timeout=_SILENCE_SECONDS)  # a dead peer sends no goodbye
    raise ConnectionResetError


@asynccontextmanager
async def open_postgres(url: str, *, pool: int = 10) -> AsyncGenerator[Postgres]:
    """Open the database at `postgresql://user:password@host:port/database`, over at most *pool* connections.

    Raises Unavailable when it cannot be reached, InvalidInput when *url* is none of this.
    """
    try:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError(url.partition(":")[0])  # noqa: TRY301 - asyncpg would connect to whatever is local
        with OUR_ERRORS:
            async with asyncio.timeout(_START_SECONDS):
                raw_pool = await open_pool(
                    url,
                    size=pool,
                    # What has no limit of its own: BEGIN, COMMIT, what cleans a connection.
                    seconds=_STATEMENT_SECONDS + _SILENCE_SECONDS,
                    settings=_SERVER_SETTINGS | {"statement_timeout": f"{_STATEMENT_SECONDS}s"},
                )
    except (ValueError, asyncpg.ClientConfigurationError) as error:
        raise InvalidInput("The PostgreSQL URL is not postgresql://user:password@host:port/database.") from error
    lending = Lending(raw_pool, size=pool)
    watch_pool(lending, "postgres", lending.state)
    try:
        yield Postgres(lending, url)
    finally:
        unwatch_pool(lending)
        await lending.close()
        await _close(raw_pool)


async def _close(pool: Any) -> None:
    """Close politely if that takes no longer than two seconds: a frozen server must not hold up our end."""
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except TROUBLE:
        pool.terminate()


def _ignoring_arguments(event: asyncio.Event) -> Callable[..., None]:
    return lambda *_: event.set()
