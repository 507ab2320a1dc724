"""Real engines for the tests; `database_fixtures.py` makes databases in them.

Servers are taken in this order: TEST_DATABASE_URL and TEST_CLICKHOUSE_URL, Docker, embedded; TEST_ENGINES names one of
`dsn`, `docker`, `embedded` and then nothing else is tried. DATABASE_URL and CLICKHOUSE_URL are never touched: tests
create and drop databases. The user of the given URLs must be allowed to do that (in ClickHouse: segment_copilot*).

TEST_CLICKHOUSE_SHARDS=2 starts two embedded servers of ClickHouse as the shards of a cluster, and everything that opens the
stores by `resources` or `clickhouse` then has the users of its tests spread over both.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib.metadata
import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import asynch
import asyncpg
import pytest
from msgspec import Struct

from segment_copilot.embedded import Engines, binaries, start_engines
from segment_copilot.embedded.clickhouse_config import CLUSTER

Source = Literal["dsn", "docker", "embedded"]
POSTGRES_IMAGE = "postgres:18"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"
SOURCE = pytest.StashKey[Source]()
PREFIX = "segment-copilot-"
MEMORY = Path("/dev/shm")  # noqa: S108  (directories in it are made by mkdtemp)
ROOM = 4 * 2**30
"""Bytes; the engines of one run write a tenth of it."""


class Servers(Struct, frozen=True):
    """The servers of this test session."""

    source: Source
    database_url: str
    clickhouse_url: str
    other_shards: tuple[str, ...] = ()
    """URLs of the other shards of the cluster that `clickhouse_url` is the first of."""


SHARDS = int(os.environ.get("TEST_CLICKHOUSE_SHARDS", "1"))
TEST_CLUSTER = CLUSTER if SHARDS > 1 else ""
"""What CLICKHOUSE_CLUSTER is in tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Choose the engines once, before anything is collected."""
    config.stash[SOURCE] = choose_source()


def pytest_report_header(config: pytest.Config) -> str:
    """Say which engines the tests run on."""
    return describe_source(config.stash[SOURCE])


def choose_source() -> Source:
    """Which servers this session uses, by the environment and by what is there."""
    if SHARDS > 1:
        return "embedded"
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
        versions = asyncio.run(ask_versions(os.environ["TEST_DATABASE_URL"], os.environ["TEST_CLICKHOUSE_URL"]))
    elif source == "docker":
        versions = f"{POSTGRES_IMAGE}, {CLICKHOUSE_IMAGE}"
    else:
        postgres = binaries.version(binaries.find_programs())
        versions = f"PostgreSQL {postgres}, ClickHouse of chdb-core {importlib.metadata.version('chdb-core')}"
        versions += f" as {SHARDS} shards" if SHARDS > 1 else ""
    return f"engines: {source} ({versions})"


async def ask_versions(database_url: str, clickhouse_url: str) -> str:
    """What the given servers say they are."""
    async with asyncio.timeout(10):
        connection = await asyncpg.connect(database_url)
        postgres = await connection.fetchval("SHOW server_version")
        await connection.close()
        async with asynch.Connection(dsn=clickhouse_url) as opened, opened.cursor() as cursor:
            await cursor.execute("SELECT version()")
            (clickhouse,) = await cursor.fetchone()
    return f"PostgreSQL {postgres}, ClickHouse {clickhouse}"


@contextlib.contextmanager
def run_servers(source: Source) -> Generator[Servers]:
    """The session's servers, stopped afterwards unless they were given."""
    if source == "dsn":
        yield Servers(source, os.environ["TEST_DATABASE_URL"], os.environ["TEST_CLICKHOUSE_URL"])
    elif source == "docker":
        with run_containers() as servers:
            yield servers
    else:
        with run_embedded(shards=SHARDS) as engines:
            others = tuple(engine.url for engine in engines.other_shards)
            yield Servers(source, engines.database_url, engines.clickhouse_url, others)


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
    path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=memory()))
    try:
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path)


@functools.cache
def memory() -> Path | None:
    """Where files lie in memory, when programs run from there and it has room: to copy a database costs a tenth there.

    What a killed run left behind is removed first, since it would fill the memory of this machine.
    """
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    for left in MEMORY.glob(f"{PREFIX}*-*"):
        process = left.name.removeprefix(PREFIX).partition("-")[0]
        if process.isdecimal() and not Path("/proc", process).exists():
            shutil.rmtree(left, ignore_errors=True)
    state = os.statvfs(MEMORY)
    has_room = state.f_bavail * state.f_frsize >= ROOM
    return MEMORY if has_room and not state.f_flag & os.ST_NOEXEC else None


@contextlib.contextmanager
def run_embedded(*, shards: int = 1) -> Generator[Engines]:
    """Both engines from the wheels in a directory of their own."""
    with data_directory() as path, start_engines(path, durable=False, shards=shards) as engines:
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
