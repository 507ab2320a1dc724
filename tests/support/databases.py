"""A fresh, migrated database in each engine for every test, or for a module where that is slow."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asynch
import asyncpg
import pytest
from msgspec import Struct

from segment_copilot.stores import migrations
from segment_copilot.stores.clickhouse import ClickHouse, open_clickhouse
from segment_copilot.stores.cluster import open_cluster
from segment_copilot.stores.merging import ALIKE
from segment_copilot.stores.postgres import Postgres, open_postgres
from tests.support.engines import TEST_CLUSTER, Servers


def with_database(url: str, name: str) -> str:
    """*url* with another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def new_name() -> str:
    """A database name that no other test or session has."""
    return f"segment_copilot_test_{uuid4().hex[:12]}"


async def run_postgres(url: str, *statements: str) -> None:
    """Run *statements* outside any transaction."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def drop_database(url: str, name: str) -> None:
    """Drop *name*, whoever is connected."""
    try:
        await run_postgres(url, f"DROP DATABASE {name} WITH (FORCE)")
    except asyncpg.InsufficientPrivilegeError:  # autovacuum is at work in it, which only a plain drop may send away
        await run_postgres(url, f"DROP DATABASE {name}")


async def postgres_value(url: str, sql: str) -> Any:
    """The first column of the first row of *sql*."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def run_clickhouse(url: str, *statements: str) -> None:
    """Run *statements*, none of which returns rows."""
    async with asynch.Connection(dsn=url) as connection, connection.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)


async def clickhouse_value(url: str, sql: str) -> Any:
    """The first column of the first row of *sql*."""
    async with asynch.Connection(dsn=url) as connection, connection.cursor() as cursor:
        await cursor.execute(sql)
        row = await cursor.fetchone()
        return None if row is None else row[0]


@contextlib.asynccontextmanager
async def postgres_database(url: str, *, template: str) -> AsyncGenerator[str]:
    """A copy of *template* under a new name; dropped afterwards."""
    name = new_name()
    await run_postgres(url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield with_database(url, name)
    finally:
        await drop_database(url, name)


@contextlib.asynccontextmanager
async def clickhouse_database(url: str, *other_shards: str) -> AsyncGenerator[str]:
    """A database with a new name on one server, or on each shard; dropped afterwards."""
    name = new_name()
    for one in (url, *other_shards):
        await run_clickhouse(one, f"CREATE DATABASE {name}")
    try:
        yield with_database(url, name)
    finally:
        for one in (url, *other_shards):
            await run_clickhouse(one, f"DROP DATABASE {name}")


class Template(Struct, frozen=True):
    """A migrated database in each engine, as it is copied."""

    name: str
    """PostgreSQL's, which nobody connects to."""
    tables: tuple[str, ...]
    """What makes ClickHouse's tables in the database of a connection."""
    other_shards: tuple[str, ...]

    async def make_tables(self, url: str) -> None:
        """What `migrate` does to ClickHouse, at a third of the cost: tables are made as they are in the end.

        It is not written down: the copy of PostgreSQL's template says it is done.
        """
        for one in (url, *self.other_shards):
            await run_clickhouse(with_database(one, urlsplit(url).path.removeprefix("/")), *self.tables)


TABLES = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"


@pytest.fixture(scope="session")
async def template(servers: Servers) -> AsyncGenerator[Template]:
    """A migrated database in each engine, for copies."""
    name = new_name()
    await run_postgres(servers.database_url, f"CREATE DATABASE {name}")
    async with (
        clickhouse_database(servers.clickhouse_url, *servers.other_shards) as url,
        open_postgres(with_database(servers.database_url, name)) as postgres,
        open_stores(url, postgres) as clickhouse,
    ):
        await migrations.migrate(postgres, clickhouse)
        made = await clickhouse.fetch(TABLES, purpose="migrate", merge=ALIKE)
        qualified = f" {urlsplit(url).path.removeprefix('/')}."
    tables = tuple(statement.replace(qualified, " ") for (statement,) in made.rows)
    yield Template(name, tables, servers.other_shards)
    await drop_database(servers.database_url, name)


def shares_databases(request: pytest.FixtureRequest) -> bool:
    """Whether the test is in a module marked `shared`, whose tests have tenants of their own in the same databases."""
    return request.node.get_closest_marker("shared") is not None


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated PostgreSQL database of this test, or of its module."""
    return request.getfixturevalue("module_database_url" if shares_databases(request) else "own_database_url")


@pytest.fixture
async def own_database_url(servers: Servers, template: Template) -> AsyncGenerator[str]:
    """A migrated PostgreSQL database of this test."""
    async with postgres_database(servers.database_url, template=template.name) as url:
        yield url


@pytest.fixture(scope="module")
async def module_database_url(servers: Servers, template: Template) -> AsyncGenerator[str]:
    """A migrated PostgreSQL database of this module."""
    async with postgres_database(servers.database_url, template=template.name) as url:
        yield url


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncGenerator[str]:
    """A PostgreSQL database without tables."""
    async with postgres_database(servers.database_url, template="template1") as url:
        yield url


@pytest.fixture
def clickhouse_url(request: pytest.FixtureRequest) -> str:
    """A migrated ClickHouse database of this test, or of its module."""
    return request.getfixturevalue("module_clickhouse_url" if shares_databases(request) else "own_clickhouse_url")


@pytest.fixture
async def own_clickhouse_url(servers: Servers, template: Template) -> AsyncGenerator[str]:
    """A migrated ClickHouse database of this test."""
    async with clickhouse_database(servers.clickhouse_url, *servers.other_shards) as url:
        await template.make_tables(url)
        yield url


@pytest.fixture(scope="module")
async def module_clickhouse_url(servers: Servers, template: Template) -> AsyncGenerator[str]:
    """A migrated ClickHouse database of this module."""
    async with clickhouse_database(servers.clickhouse_url, *servers.other_shards) as url:
        await template.make_tables(url)
        yield url


@pytest.fixture
async def empty_clickhouse_url(servers: Servers) -> AsyncGenerator[str]:
    """A ClickHouse database without tables."""
    async with clickhouse_database(servers.clickhouse_url, *servers.other_shards) as url:
        yield url


@pytest.fixture
async def postgres(database_url: str) -> AsyncGenerator[Postgres]:
    """This test's PostgreSQL, opened."""
    async with open_postgres(database_url) as opened:
        yield opened


def open_stores(url: str, postgres: Postgres) -> contextlib.AbstractAsyncContextManager[ClickHouse]:
    """ClickHouse as the service opens it: one server, or the shards of these tests."""
    return open_cluster(url, name=TEST_CLUSTER, postgres=postgres) if TEST_CLUSTER else open_clickhouse(url)


@pytest.fixture
async def clickhouse(clickhouse_url: str, postgres: Postgres) -> AsyncGenerator[ClickHouse]:
    """This test's ClickHouse, opened."""
    async with open_stores(clickhouse_url, postgres) as opened:
        yield opened


@pytest.fixture(scope="module")
async def module_postgres(module_database_url: str) -> AsyncGenerator[Postgres]:
    """This module's PostgreSQL, opened."""
    async with open_postgres(module_database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
async def module_clickhouse(module_clickhouse_url: str, module_postgres: Postgres) -> AsyncGenerator[ClickHouse]:
    """This module's ClickHouse, opened."""
    async with open_stores(module_clickhouse_url, module_postgres) as opened:
        yield opened
