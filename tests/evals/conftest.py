"""The cases, their fixtures in databases of this session, and the service over them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from evals.cases import Case, load_cases
from evals.fixtures import Dataset, datasets
from evals.graders.grading import Grading
from evals.running import grading_of
from evals.service import Loaded, Service, load, serving
from segment_copilot.settings import Settings
from tests.support.databases import clickhouse_database, postgres_database
from tests.support.engines import Servers
from tests.support.messages_server import MessagesServer, run_messages_server


@pytest.fixture(scope="session")
def cases() -> tuple[Case, ...]:
    return load_cases()


@pytest.fixture(scope="session")
def fixtures(cases: tuple[Case, ...]) -> tuple[Dataset, ...]:
    return datasets(cases)


@pytest.fixture(scope="session")
def grading(fixtures: tuple[Dataset, ...]) -> Grading:
    """What graders know that ask no service."""
    return grading_of(Service("", "test", {}), fixtures)


@pytest.fixture(scope="session")
async def loaded(servers: Servers, fixtures: tuple[Dataset, ...]) -> AsyncGenerator[Loaded]:
    async with (
        postgres_database(servers.database_url, template="template1") as database_url,
        clickhouse_database(servers.clickhouse_url) as clickhouse_url,
    ):
        settings = Settings(database_url=database_url, clickhouse_url=clickhouse_url, port=0, copilot_model="offline")
        yield await load(settings, fixtures, say=lambda _told: None)


@pytest.fixture(scope="session")
async def service(loaded: Loaded) -> AsyncGenerator[Service]:
    """With the offline model."""
    async with serving(loaded) as running:
        yield running


@pytest.fixture
async def messages_server() -> AsyncGenerator[MessagesServer]:
    async with run_messages_server() as server:
        yield server
