"""The fixtures that every other folder builds on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.migrations import migrate
from segment_copilot.stores.postgres import open_postgres
from tests.support import engines
from tests.support.databases import clickhouse_value, postgres_value, run_clickhouse, run_postgres

pytestmark = pytest.mark.engines

TABLES_OF = """
    SELECT table, name, type, default_kind, default_expression, compression_codec, t.engine_full, t.sorting_key
    FROM system.columns JOIN system.tables AS t USING (database, table)
    WHERE database = currentDatabase() ORDER BY table, position"""


async def test_each_test_gets_databases_of_its_own(database_url, clickhouse_url):
    await run_postgres(database_url, "CREATE TABLE mine (id int)")
    await run_clickhouse(clickhouse_url, "CREATE TABLE mine (id UInt8) ENGINE = Memory")


async def test_nothing_is_left_by_the_test_before(database_url, clickhouse_url):
    await run_postgres(database_url, "CREATE TABLE mine (id int)")
    await run_clickhouse(clickhouse_url, "CREATE TABLE mine (id UInt8) ENGINE = Memory")


async def test_the_databases_are_migrated(postgres, clickhouse, clickhouse_url):
    assert await migrate(postgres, clickhouse) == []
    assert await postgres.fetchval("SELECT count(*) FROM segments") == 0
    assert await clickhouse_value(clickhouse_url, "SELECT count() FROM events") == 0


async def test_the_tables_are_those_that_migrations_make(servers, clickhouse, empty_database_url, empty_clickhouse_url):
    async with open_postgres(empty_database_url) as postgres, open_clickhouse(empty_clickhouse_url) as migrated:
        await migrate(postgres, migrated)
        expected = await migrated.fetch(TABLES_OF, purpose="migrate")

    assert len(expected.rows) > 10
    assert (await clickhouse.fetch(TABLES_OF, purpose="migrate")).rows == expected.rows


async def test_a_module_can_share_databases(module_postgres, module_clickhouse, module_database_url):
    await module_clickhouse.ping()
    mine = await module_postgres.fetchval("SELECT current_database()")
    assert mine == await postgres_value(module_database_url, "SELECT current_database()")


async def test_a_test_of_migrations_gets_empty_databases(empty_database_url, empty_clickhouse_url):
    assert await postgres_value(empty_database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert (
        await clickhouse_value(
            empty_clickhouse_url, "SELECT count() FROM system.tables WHERE database = currentDatabase()"
        )
        == 0
    )


def test_what_a_killed_run_left_in_memory_is_removed_and_what_a_living_one_has_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(engines, "MEMORY", tmp_path)
    with subprocess.Popen(["true"]) as ended:
        pass
    names = [f"{engines.PREFIX}{ended.pid}-left", f"{engines.PREFIX}{os.getpid()}-mine", f"{engines.PREFIX}evals-abc"]
    for name in (*names, "another"):
        (tmp_path / name / "data").mkdir(parents=True)

    engines.memory.__wrapped__()

    assert {path.name for path in tmp_path.iterdir()} == {*names[1:], "another"}


def test_data_lie_in_memory_only_where_it_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "MEMORY", tmp_path)
    monkeypatch.setattr(engines, "ROOM", 0)
    assert engines.memory.__wrapped__() == tmp_path
    monkeypatch.setattr(engines, "ROOM", 2**60)
    assert engines.memory.__wrapped__() is None
    monkeypatch.setattr(engines, "MEMORY", tmp_path / "none")
    assert engines.memory.__wrapped__() is None
