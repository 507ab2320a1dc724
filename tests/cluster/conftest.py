"""A cluster of two embedded servers, with the production wiring on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import Engines
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.merging import ALIKE
from segment_copilot.stores.migrations import migrate
from tests.support.databases import (
    TABLES,
    Template,
    clickhouse_database,
    drop_database,
    new_name,
    postgres_database,
    run_postgres,
)
from tests.support.engines import run_embedded


@pytest.fixture(scope="session")
def cluster_engines() -> Generator[Engines]:
    """PostgreSQL and two servers of ClickHouse, which know each other as one cluster."""
    with run_embedded(shards=2) as engines:
        yield engines


@pytest.fixture(scope="session")
async def cluster_template(cluster_engines: Engines) -> AsyncGenerator[Template]:
    """A migrated cluster, for copies."""
    async with own_settings(cluster_engines, template="template1") as settings:
        async with open_resources(settings) as opened:
            await migrate(opened.postgres, opened.clickhouse)
            made = await opened.clickhouse.fetch(TABLES, purpose="migrate", merge=ALIKE)
        name, qualified = new_name(), f" {urlsplit(settings.clickhouse_url).path.removeprefix('/')}."
        source = urlsplit(settings.database_url).path.removeprefix("/")
        await run_postgres(cluster_engines.database_url, f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        tables = tuple(statement.replace(qualified, " ") for (statement,) in made.rows)
    yield Template(name, tables, tuple(engine.url for engine in cluster_engines.other_shards))
    await drop_database(cluster_engines.database_url, name)


@asynccontextmanager
async def own_settings(engines: Engines, *, template: str) -> AsyncGenerator[Settings]:
    """Settings that name the cluster, and databases of their own, ClickHouse's without tables."""
    others = [engine.url for engine in engines.other_shards]
    async with (
        postgres_database(engines.database_url, template=template) as database_url,
        clickhouse_database(engines.clickhouse_url, *others) as clickhouse_url,
    ):
        yield Settings(
            database_url=database_url,
            clickhouse_url=clickhouse_url,
            clickhouse_cluster=engines.cluster,
            refresh_default="manual",
        )


@pytest.fixture
async def settings(cluster_engines: Engines, cluster_template: Template) -> AsyncGenerator[Settings]:
    """Settings that name the cluster, and migrated databases of this test."""
    async with own_settings(cluster_engines, template=cluster_template.name) as settings:
        await cluster_template.make_tables(settings.clickhouse_url)
        yield settings


@pytest.fixture
async def resources(settings: Settings) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on a migrated cluster."""
    async with open_resources(settings) as opened:
        yield opened


@pytest.fixture
def cluster(resources: Resources) -> Cluster:
    """The shards."""
    assert isinstance(resources.clickhouse, Cluster)
    return resources.clickhouse


@pytest.fixture
async def tenant(resources: Resources) -> Tenant:
    return await resources.tenants.create("acme")
