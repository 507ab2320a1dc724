"""Real engines for the tests, and a fresh, migrated database in them for each test or module.

Servers are taken in this order: TEST_DATABASE_URL and TEST_CLICKHOUSE_URL, Docker, embedded; TEST_ENGINES names one of
`dsn`, `docker`, `embedded` and then nothing else is tried. DATABASE_URL and CLICKHOUSE_URL are never touched: tests
create and drop databases. The user of the given URLs must be allowed to do that (in ClickHouse: segment_copilot*).
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import os
import shutil
import tempfile
import warnings
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

import asynch
import asyncpg
import pytest
from msgspec import Struct

from segment_copilot.embedded import Engines, binaries, start_engines

Source = Literal["dsn", "docker", "embedded"]
POSTGRES_IMAGE = "postgres:18"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"
SOURCE = pytest.StashKey[Source]()


class Servers(Struct, frozen=True):
    """The servers of this test session."""

    source: Source
    database_url: str
    clickhouse_url: str


def pytest_configure(config: pytest.Config) -> None:
    """Choose the engines once, before anything is collected."""
    config.stash[SOURCE] = choose_source()


def pytest_report_header(config: pytest.Config) -> str:
    """Say which engines the tests run on."""
    return describe_source(config.stash[SOURCE])


def choose_source() -> Source:
    """Which servers this session uses, by the environment and by what is there."""
    demanded = os.environ.get("TEST_ENGINES", "auto")
    if demanded not in {"auto", "dsn", "docker", "embedded"}:
        raise pytest.UsageError(f"TEST_ENGINES is {demanded!r}; it may be auto, dsn, docker or embedded.")
    given = [bool(os.environ.get(name)) for name in ("TEST_DATABASE_URL", "TEST_CLICKHOUSE_URL")]
    if demanded == "dsn" or (demanded == "auto" and any(given)):
        if not all(given):
            raise pytest.UsageError("TEST_DATABASE_URL and TEST_CLICKHOUSE_URL go together; one of them is not set.")
        return "dsn"
    if demanded == "embedded":
        return "embedded"
    if docker_answers():
        return "docker"
    if demanded == "docker":
        raise pytest.UsageError("TEST_ENGINES=docker, and no Docker engine answers.")
    return "embedded"


def docker_answers() -> bool:
    """Whether a Docker engine answers within two seconds."""
    import docker  # noqa: PLC0415  (only when asked)
    import docker.errors  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a client that finds no engine forgets to close its socket
        try:
            with contextlib.closing(docker.from_env(timeout=2)) as client:
                return client.ping()
        except docker.errors.DockerException:
            return False
        finally:
            gc.collect()


def describe_source(source: Source) -> str:
    """For pytest's header."""
    if source == "dsn":
        versions = "the given servers"
    elif source == "docker":
        versions = f"{POSTGRES_IMAGE}, {CLICKHOUSE_IMAGE}"
    else:
        postgres = binaries.version(binaries.find_programs())
        versions = f"PostgreSQL {postgres}, ClickHouse of chdb-core {importlib.metadata.version('chdb-core')}"
    return f"engines: {source} ({versions})"


@contextlib.contextmanager
def run_servers(source: Source) -> Generator[Servers]:
    """The session's servers, stopped afterwards unless they were given."""
    if source == "dsn":
        yield Servers(source, os.environ["TEST_DATABASE_URL"], os.environ["TEST_CLICKHOUSE_URL"])
    elif source == "docker":
        with run_containers() as servers:
            yield servers
    else:
        with run_embedded() as engines:
            yield Servers(source, engines.database_url, engines.clickhouse_url)


@contextlib.contextmanager
def run_containers() -> Generator[Servers]:
    """Both servers in containers of the pinned images."""
    from testcontainers.community.clickhouse import ClickHouseContainer  # noqa: PLC0415  (only when asked)
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    with (
        PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres,
        ClickHouseContainer(CLICKHOUSE_IMAGE) as clickhouse,
    ):
        yield Servers("docker", postgres.get_connection_url(), clickhouse.get_connection_url())


@contextlib.contextmanager
def data_directory() -> Generator[Path]:
    """A temporary directory that `nobody` may pass, who runs PostgreSQL when the tests run as root."""
    path = Path(tempfile.mkdtemp(prefix="segment-copilot-"))
    try:
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def run_embedded() -> Generator[Engines]:
    """Both engines from the wheels in a directory of their own."""
    with data_directory() as path, start_engines(path, durable=False) as engines:
        yield engines


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Generator[Servers]:
    """The servers of this session; tests want a database in them instead (`database_url`, `clickhouse_url`)."""
    with run_servers(pytestconfig.stash[SOURCE]) as running:
        yield running


@pytest.fixture
def own_engines() -> Generator[Engines]:
    """Embedded engines of one test, which may kill them (a second to start)."""
    with run_embedded() as engines:
        yield engines


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
        await run_postgres(url, f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.asynccontextmanager
async def clickhouse_database(url: str) -> AsyncGenerator[str]:
    """A database with a new name; dropped afterwards."""
    name = new_name()
    await run_clickhouse(url, f"CREATE DATABASE {name}")
    try:
        yield with_database(url, name)
    finally:
        await run_clickhouse(url, f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
async def template(servers: Servers) -> AsyncGenerator[str]:
    """The name of a migrated PostgreSQL database that nobody connects to, for copies."""
    name = new_name()
    await run_postgres(servers.database_url, f"CREATE DATABASE {name}")
    yield name
    await run_postgres(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(servers: Servers, template: str) -> AsyncGenerator[str]:
    """A migrated PostgreSQL database of this test."""
    async with postgres_database(servers.database_url, template=template) as url:
        yield url


@pytest.fixture(scope="module")
async def module_database_url(servers: Servers, template: str) -> AsyncGenerator[str]:
    """A migrated PostgreSQL database of this module."""
    async with postgres_database(servers.database_url, template=template) as url:
        yield url


@pytest.fixture
async def clickhouse_url(servers: Servers) -> AsyncGenerator[str]:
    """A migrated ClickHouse database of this test."""
    async with clickhouse_database(servers.clickhouse_url) as url:
        yield url


@pytest.fixture(scope="module")
async def module_clickhouse_url(servers: Servers) -> AsyncGenerator[str]:
    """A migrated ClickHouse database of this module."""
    async with clickhouse_database(servers.clickhouse_url) as url:
        yield url
