"""The fixtures that every other folder builds on."""

from __future__ import annotations

import pytest

from segment_copilot.stores.migrations import migrate
from tests.support.databases import clickhouse_value, postgres_value, run_clickhouse, run_postgres

pytestmark = pytest.mark.engines


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
