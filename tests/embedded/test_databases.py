"""The fixtures that every other folder builds on."""

from __future__ import annotations

import asyncpg

from engine_fixtures import run_clickhouse, run_postgres


async def test_each_test_gets_databases_of_its_own(database_url, clickhouse_url):
    await run_postgres(database_url, "CREATE TABLE mine (id int)")
    await run_clickhouse(clickhouse_url, "CREATE TABLE mine (id UInt8) ENGINE = Memory")


async def test_nothing_is_left_by_the_test_before(database_url, clickhouse_url):
    await run_postgres(database_url, "CREATE TABLE mine (id int)")
    await run_clickhouse(clickhouse_url, "CREATE TABLE mine (id UInt8) ENGINE = Memory")


async def test_a_module_can_share_databases(module_database_url, module_clickhouse_url):
    connection = await asyncpg.connect(module_database_url)
    assert (await connection.fetchval("SELECT current_database()")).startswith("segment_copilot_test_")
    await connection.close()
    await run_clickhouse(module_clickhouse_url, "CREATE TABLE shared (id UInt8) ENGINE = Memory")
