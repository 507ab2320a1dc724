"""A cluster of two embedded servers, with the production wiring on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import pytest

from segment_copilot.access.tenants import Tenant
from segment_copilot.embedded import Engines
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.cluster import Cluster
from segment_copilot.stores.migrations import migrate
from tests.support.databases import clickhouse_database, postgres_database
from tests.support.engines import run_embedded


@pytest.fixture(scope="session")
def cluster_engines() -> Generator[Engines]:
    """PostgreSQL and two servers of ClickHouse, which know each other as one cluster."""
    with run_embedded(shards=2) as engines:
        yield engines


@pytest.fixture
async def settings(cluster_engines: Engines) -> AsyncGenerator[Settings]:
    """Settings that name the cluster, and databases of this test."""
    async with (
        postgres_database(cluster_engines.database_url, template="template1") as database_url,
        clickhouse_database(
            cluster_engines.clickhouse_url, *(engine.url for engine in cluster_engines.other_shards)
        ) as clickhouse_url,
    ):
        yield Settings(
            database_url=database_url,
            clickhouse_url=clickhouse_url,
            clickhouse_cluster=cluster_engines.cluster,
            refresh_default="manual",
        )


@pytest.fixture
async def resources(settings: Settings) -> AsyncGenerator[Resources]:
    """Everything that a process opens, on a migrated cluster."""
    async with open_resources(settings) as opened:
        await migrate(opened.postgres, opened.clickhouse)
        yield opened


@pytest.fixture
def cluster(resources: Resources) -> Cluster:
    """The shards."""
    assert isinstance(resources.clickhouse, Cluster)
    return resources.clickhouse


@pytest.fixture
async def tenant(resources: Resources) -> Tenant:
    return await resources.tenants.create("acme")
