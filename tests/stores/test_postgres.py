"""The pool, transactions, notifications, and each of the driver's errors in our words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
import structlog
import uuid_utils

from segment_copilot.embedded import Engines
from segment_copilot.errors import InvalidInput, QueryTimeout, Unavailable
from segment_copilot.stores import postgres as module
from segment_copilot.stores.postgres import Postgres, open_postgres
from segment_copilot.stores.postgres_errors import ForeignKeyViolation, UniqueViolation
from tests.support.proxies import eventually, run_proxy

SCHEMA = """
CREATE TABLE parent (id bigint CONSTRAINT parent_key PRIMARY KEY, name text CONSTRAINT parent_name_key UNIQUE);
CREATE TABLE child (parent bigint CONSTRAINT child_parent_fkey REFERENCES parent, run uuid, at timestamptz, body json);
"""
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
async def tables(postgres: Postgres) -> AsyncGenerator[None]:
    await postgres.execute(SCHEMA)
    yield
    await postgres.execute("DROP TABLE child; DROP TABLE parent")


@pytest.fixture
async def postgres_of_one(module_database_url: str) -> AsyncGenerator[Postgres]:
    """A pool whose every user has the same connection."""
    async with open_postgres(module_database_url, pool=1) as postgres:
        yield postgres


async def count(postgres: Postgres) -> int:
    return await postgres.fetchval("SELECT count(*) FROM parent")


async def test_a_row_comes_back_in_our_types(postgres: Postgres) -> None:
    run = uuid4()
    await postgres.execute("INSERT INTO parent VALUES (1, 'a')")
    await postgres.execute("INSERT INTO child VALUES (1, $1, $2, '{\"a\":  1}')", run, NOON)
    row = await postgres.fetchrow("SELECT * FROM child")
    assert row is not None
    assert dict(row) == {"parent": 1, "run": run, "at": NOON, "body": '{"a":  1}'}
    assert type(row["run"]) is UUID
    assert row["at"].tzinfo is not None
    assert row[0] == 1


async def test_any_kind_of_uuid_goes_in(postgres: Postgres) -> None:
    run = uuid_utils.uuid7()
    assert await postgres.fetchval("SELECT $1::uuid", run) == UUID(str(run))
    assert await postgres.fetchval("SELECT $1::uuid", str(run)) == UUID(str(run))
    assert await postgres.fetchval("SELECT $1::uuid[]", [UUID(int=1)]) == [UUID(int=1)]


async def test_a_row_that_is_not_there_is_none(postgres: Postgres) -> None:
    assert await postgres.fetchrow("SELECT * FROM parent") is None
    assert await postgres.fetchval("SELECT id FROM parent") is None
    assert await postgres.fetch("SELECT * FROM parent") == []


async def test_execute_counts_rows(postgres: Postgres) -> None:
    assert await postgres.execute("INSERT INTO parent SELECT n, n FROM generate_series(1, 5) n") == 5
    assert await postgres.execute("UPDATE parent SET name = name || '!' WHERE id > $1", 3) == 2
    assert await postgres.execute("DELETE FROM parent WHERE id = 99") == 0
    assert await postgres.execute("SET application_name = 'x'") == 0


async def test_many_rows_go_in_by_executemany_and_by_copy(postgres: Postgres) -> None:
    await postgres.executemany("INSERT INTO parent VALUES ($1, $2)", [(1, "a"), (2, "b")])
    await postgres.copy("parent", columns=["id", "name"], rows=((number, None) for number in range(10, 1000)))
    assert await count(postgres) == 992


async def test_a_copy_that_fails_stores_nothing(postgres: Postgres) -> None:
    with pytest.raises(UniqueViolation):
        await postgres.copy("parent", columns=["id", "name"], rows=[(1, "a"), (1, "b")])
    with pytest.raises(InvalidInput):
        await postgres.copy("parent", columns=["id", "name"], rows=[(1, "a"), (2, "\x00")])
    assert await count(postgres) == 0


async def test_a_transaction_commits_at_its_end(postgres: Postgres) -> None:
    async with postgres.transaction() as connection:
        await connection.execute("INSERT INTO parent VALUES (1, 'a')")
        assert await count(postgres) == 0
    assert await count(postgres) == 1


async def test_a_transaction_rolls_back_on_an_exception(postgres: Postgres) -> None:
    async def fail() -> None:
        async with postgres.transaction() as connection:
            await connection.execute("INSERT INTO parent VALUES (1, 'a')")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await count(postgres) == 0


async def test_an_inner_transaction_is_a_savepoint(postgres: Postgres) -> None:
    async with postgres.transaction() as connection:
        await connection.execute("INSERT INTO parent VALUES (1, 'a')")
        with pytest.raises(UniqueViolation):
            async with connection.transaction():
                await connection.execute("INSERT INTO parent VALUES (1, 'b')")
        await connection.execute("INSERT INTO parent VALUES (2, 'c')")
    assert await count(postgres) == 2


async def test_a_cancelled_transaction_rolls_back_and_ends_its_query(postgres: Postgres) -> None:
    async def sleep() -> None:
        async with postgres.transaction() as connection:
            await connection.execute("INSERT INTO parent VALUES (1, 'a')")
            await connection.execute("SELECT pg_sleep(20)")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sleep(), 0.2)
    assert await count(postgres) == 0

    async def gone() -> bool:
        return not await postgres.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(20)'")

    await eventually(gone)


# Errors


@pytest.mark.parametrize(("values", "constraint"), [("(1, 'b')", "parent_key"), ("(2, 'a')", "parent_name_key")])
async def test_a_unique_violation_names_its_constraint(postgres: Postgres, values: str, constraint: str) -> None:
    await postgres.execute("INSERT INTO parent VALUES (1, 'a')")
    with pytest.raises(UniqueViolation) as caught:
        await postgres.execute(f"INSERT INTO parent VALUES {values}")
    assert caught.value.constraint == constraint


async def test_a_foreign_key_violation_names_its_constraint(postgres: Postgres) -> None:
    with pytest.raises(ForeignKeyViolation) as caught:
        await postgres.execute("INSERT INTO child (parent) VALUES (1)")
    assert caught.value.constraint == "child_parent_fkey"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", "a\x00b"),
        ("text", "\ud800"),
        ("bigint", 2**63),
        ("integer", -(2**31) - 1),
        ("uuid", "no uuid"),
        ("json", "{"),
    ],
)
async def test_a_value_that_cannot_be_held_is_invalid_input(postgres: Postgres, type_: str, value: object) -> None:
    with pytest.raises(InvalidInput):
        await postgres.fetchval(f"SELECT $1::{type_}", value)


async def test_an_argument_of_the_wrong_type_is_our_mistake(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.DataError):
        await postgres.fetchval("SELECT $1::text", 5)


async def test_wrong_sql_is_our_mistake(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await postgres.fetchval("SELECT 1 / 0")
    with pytest.raises(asyncpg.UndefinedColumnError):
        await postgres.fetch("SELECT no_such_column FROM tenants")


async def test_a_missing_table_is_a_store_that_was_not_migrated(postgres: Postgres) -> None:
    with pytest.raises(Unavailable, match="segment-copilot migrate"):
        await postgres.fetch("SELECT * FROM no_such_table")


async def test_a_statement_past_its_time_is_a_timeout(postgres: Postgres) -> None:
    async with postgres.connection(seconds=0.1) as connection:
        with pytest.raises(QueryTimeout):
            await connection.execute("SELECT pg_sleep(5)")
    assert await postgres.fetchval("SHOW statement_timeout") == "30s"


async def test_a_lock_held_too_long_is_unavailable(postgres: Postgres) -> None:
    await postgres.execute("INSERT INTO parent VALUES (1, 'a')")
    async with postgres.transaction() as holder, postgres.transaction() as other:
        await holder.execute("UPDATE parent SET name = 'b'")
        await other.execute("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(Unavailable):
            await other.execute("UPDATE parent SET name = 'c'")


async def test_a_pool_in_full_use_is_unavailable(module_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ACQUIRE_SECONDS", 0.2)
    async with open_postgres(module_database_url, pool=1) as postgres:
        async with postgres.connection():
            with pytest.raises(Unavailable):
                await postgres.fetchval("SELECT 1")
        assert await postgres.fetchval("SELECT 1") == 1


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        async with open_postgres("postgresql://app:app@127.0.0.1:1/db"):
            pass


@pytest.mark.parametrize("url", ["", "postgres", "mysql://app@host/db", "postgresql://app@host:port/db"])
async def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="PostgreSQL URL"):
        async with open_postgres(url):
            pass


# A server that goes, freezes, comes back


async def test_a_read_survives_a_restart_and_a_write_is_never_repeated(own_engines: Engines) -> None:
    server = own_engines.postgres
    assert server is not None
    async with open_postgres(own_engines.database_url, pool=3) as postgres:
        await postgres.execute("CREATE TABLE seen (id int)")
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(postgres.fetchval("SELECT pg_sleep(0.05)"))
        await asyncio.to_thread(server.kill)
        with pytest.raises(Unavailable):
            await postgres.ping()
        await asyncio.to_thread(server.restart)
        assert await postgres.fetchval("SELECT 1") == 1
        with suppress(Unavailable):
            await postgres.execute("INSERT INTO seen VALUES (1)")
        assert await postgres.fetchval("SELECT count(*) FROM seen") <= 1


async def test_a_read_whose_connection_is_cut_is_tried_again(postgres: Postgres) -> None:
    asking = asyncio.create_task(postgres.fetchval("SELECT 7 FROM pg_sleep(0.3)"))
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'SELECT 7%' AND state = 'active'"

    async def done() -> bool:
        return await postgres.fetchval(cut) > 0

    await eventually(done)
    assert await asking == 7


async def test_a_read_whose_connection_says_goodbye_before_it_is_tried_again(postgres: Postgres) -> None:
    for _ in range(20):
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user AND datname = current_database()"
        _, answers = await asyncio.gather(
            postgres.fetch(cut),
            asyncio.gather(*(postgres.fetchval("SELECT 8") for _ in range(5)), return_exceptions=True),
        )
        # A second loss in a row is not hidden. What is never seen is an error that is not ours.
        assert all(answer == 8 or isinstance(answer, Unavailable) for answer in answers)


async def test_a_connection_that_ends_between_two_statements_of_a_block_is_unavailable(postgres: Postgres) -> None:
    async with postgres.connection() as connection:
        number = await connection.fetchval("SELECT pg_backend_pid()")
        await postgres.fetchval("SELECT pg_terminate_backend($1)", number)

        async def noticed() -> bool:
            with suppress(Unavailable):
                await connection.fetchval("SELECT 1")
                return False
            return True

        await eventually(noticed)
        with pytest.raises(Unavailable):  # its place in the pool is another's by now
            await connection.execute("SELECT 1")


@pytest.mark.parametrize("method", ["execute", "fetchval"])
async def test_a_write_whose_connection_is_cut_is_not_tried_again(postgres: Postgres, method: str) -> None:
    sql = "INSERT INTO parent SELECT 1, 'a' FROM pg_sleep(0.3) RETURNING id"
    writing = asyncio.create_task(getattr(postgres, method)(sql))
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active'"
    )

    async def done() -> bool:
        return await postgres.fetchval(cut) > 0

    await eventually(done)
    with pytest.raises(Unavailable):
        await writing
    assert await count(postgres) == 0


async def test_a_transaction_whose_connection_is_cut_is_unavailable_and_nothing_else(module_database_url: str) -> None:
    """The pool takes such a connection back by itself, and refuses every further word about it."""
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as behind:

        async def cut() -> None:
            async with behind.transaction() as connection:
                asking = asyncio.create_task(connection.fetchval("SELECT pg_sleep(60)"))
                await asyncio.sleep(0)
                proxy.hang_up()
                await asking

        with pytest.raises(Unavailable):
            await cut()
        assert await behind.fetchval("SELECT 1") == 1


async def test_a_beginning_that_is_cancelled_leaves_no_open_transaction_in_the_pool(
    module_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver logs one that it finds in a connection it is given back as a mistake of ours."""
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as behind:
        assert await behind.fetchval("SELECT 1") == 1
        proxy.silence()
        asyncio.get_running_loop().call_later(0.4, proxy.speak)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), behind.transaction():
                pytest.fail("it did not begin")
        assert await behind.fetchval("SELECT 1") == 1

    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_frozen_server_does_not_hold_up_a_cancellation(module_database_url: str) -> None:
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as postgres:
        await postgres.ping()
        proxy.silence()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), postgres.transaction() as connection:
                await connection.execute("SELECT 1")
        assert time.monotonic() - started < 3
        proxy.speak()
        assert await postgres.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("step", ["begin", "commit"])
async def test_a_server_that_falls_silent_holds_up_no_step_of_a_transaction(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A host that vanished sends no goodbye: who waits for its answer waits for a limit, or for ever."""
    monkeypatch.setattr(module, "_STATEMENT_SECONDS", 3)
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0)
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as postgres:

        async def transact() -> None:
            if step == "begin":
                proxy.swallow()
            async with postgres.transaction():
                proxy.swallow()

        with pytest.raises(Unavailable, match="does not answer"):
            await asyncio.wait_for(transact(), 60)
        proxy.speak()
        assert await postgres.fetchval("SELECT 1") == 1


async def test_a_server_that_falls_silent_does_not_hold_up_who_begins_to_listen(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.5)
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as postgres:
        proxy.stall_answers_to(b"LISTEN", arrived=False)
        with structlog.testing.capture_logs() as lines:
            async with postgres.listen("work") as woken, asyncio.timeout(60):

                async def given_up() -> bool:
                    return "postgres.session_lost" in [line["event"] for line in lines]

                await eventually(given_up, seconds=30)
                assert not woken.is_set()
                proxy.speak()
                await woken.wait()


async def test_a_frozen_server_does_not_hold_up_the_end(module_database_url: str) -> None:
    async with run_proxy(module_database_url) as (proxy, url):
        started = time.monotonic()
        async with open_postgres(url) as postgres:
            await postgres.ping()
            proxy.silence()
        assert time.monotonic() - started < 4


# Notifications


async def test_a_listener_wakes_on_notify_and_only_on_its_channel(postgres: Postgres) -> None:
    async with postgres.listen("work") as woken, asyncio.timeout(10):
        await woken.wait()  # listening has begun
        woken.clear()
        await postgres.execute("SELECT pg_notify('other', '')")
        await postgres.execute("SELECT pg_notify('work', '')")
        await woken.wait()


async def test_a_listener_that_lost_its_connection_wakes_and_listens_again(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECONNECT_SECONDS", 0.01)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    with structlog.testing.capture_logs() as lines:
        async with postgres.listen("work") as woken, asyncio.timeout(10):
            await woken.wait()
            woken.clear()
            assert await postgres.fetchval(cut) == 1
            await woken.wait()
            woken.clear()
            await postgres.execute("SELECT pg_notify('work', '')")
            await woken.wait()
    assert "postgres.session_lost" in [line["event"] for line in lines]


async def test_a_listener_notices_a_server_that_fell_silent(
    module_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LISTENER_CHECK_SECONDS", 0.05)
    monkeypatch.setattr(module, "_SILENCE_SECONDS", 0.1)
    async with run_proxy(module_database_url) as (proxy, url), open_postgres(url) as postgres:
        with structlog.testing.capture_logs() as lines:
            async with postgres.listen("work") as woken, asyncio.timeout(10):
                await woken.wait()
                woken.clear()
                proxy.silence()

                async def noticed() -> bool:
                    return "postgres.session_lost" in [line["event"] for line in lines]

                await eventually(noticed)
                proxy.speak()
                await woken.wait()


async def test_a_connection_is_cleaned_for_its_next_user_unless_it_only_read(postgres_of_one: Postgres):
    """What was set in a session is gone with its user, whatever was read before and after."""
    asked = "SELECT current_setting('application_name'), pg_backend_pid()"
    before = await postgres_of_one.fetchrow(asked)
    async with postgres_of_one.connection() as connection:
        await connection.execute("SET application_name = 'somebody else'")
        assert await connection.fetchval("SELECT current_setting('application_name')") == "somebody else"

    after = await postgres_of_one.fetchrow(asked)
    assert before
    assert after
    assert tuple(after.values()) == tuple(before.values())
    async with postgres_of_one.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock(77)")
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77"
    assert await postgres_of_one.fetchval(held) == 0
