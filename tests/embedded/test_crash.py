from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import asyncpg
import psutil
import pytest

from segment_copilot.embedded import start_engines, start_postgres
from tests.support.databases import clickhouse_value, postgres_value, run_clickhouse, run_postgres

pytestmark = pytest.mark.engines

HOLDER = """
import json, pathlib, sys
from segment_copilot.embedded import start_engines
engines = start_engines(pathlib.Path(sys.argv[1]), durable=False)
print(json.dumps([engines.database_url, engines.clickhouse_url]), flush=True)
sys.stdin.read()
"""


class Holder(NamedTuple):
    process: subprocess.Popen
    urls: list[str]


@pytest.fixture
def holder(data_dir):
    """Another process that runs the engines in *data_dir*, and everything it started."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        line = next(line for line in process.stdout if line.startswith(b"["))
        yield Holder(process, json.loads(line))
        process.kill()


async def test_postgres_comes_back_after_a_kill_with_its_data(engines):
    url = engines.database_url
    await run_postgres(url, "CREATE TABLE crashed (id int)", "INSERT INTO crashed SELECT generate_series(1, 20000)")
    os.kill(engines.postgres.pid, signal.SIGKILL)
    engines.postgres.restart()
    assert engines.postgres.url == url
    assert await postgres_value(url, "SELECT count(*) FROM crashed") == 20000


async def test_clickhouse_comes_back_after_a_kill_with_its_data(engines):
    url = engines.clickhouse_url
    await run_clickhouse(
        url,
        "CREATE TABLE crashed (id UInt64) ENGINE = MergeTree ORDER BY id",
        "INSERT INTO crashed SELECT number FROM numbers(20000)",
    )
    os.kill(engines.clickhouse.pid, signal.SIGKILL)
    engines.clickhouse.restart()
    assert engines.clickhouse.url == url
    assert await clickhouse_value(url, "SELECT count() FROM crashed") == 20000


def test_nothing_survives_a_killed_parent(holder):
    started = psutil.Process(holder.process.pid).children(recursive=True)
    assert len(started) > 3
    holder.process.kill()
    assert psutil.wait_procs(started, timeout=20)[1] == []


async def test_the_directory_can_be_taken_over_right_after_its_owner_was_killed(holder, data_dir):
    await run_postgres(holder.urls[0], "CREATE TABLE kept AS SELECT 7 AS id")
    holder.process.kill()
    holder.process.wait()
    with start_engines(data_dir, durable=False) as engines:
        assert [engines.database_url, engines.clickhouse_url] == holder.urls
        assert await postgres_value(engines.database_url, "SELECT id FROM kept") == 7


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start clears up")
def test_postgres_does_not_survive_a_killed_host(engines):
    started = psutil.Process(engines.postgres.host_pid).children(recursive=True)
    os.kill(engines.postgres.host_pid, signal.SIGKILL)
    assert psutil.wait_procs(started, timeout=20)[1] == []
    engines.postgres.restart()


@pytest.fixture
def stranger():
    """A living process of the user that PostgreSQL runs as."""
    with subprocess.Popen(["sleep", "600"], user="nobody" if os.geteuid() == 0 else None) as process:
        yield process
        process.kill()


def test_the_number_of_a_dead_server_may_be_anyone_elses_now(engines, stranger):
    """PostgreSQL itself refuses to start when a process of its user has the number in the stale file."""
    stale = engines.data_dir / "postgres" / "data" / "postmaster.pid"
    for number in (stranger.pid, 2**22 - 1):
        engines.postgres.kill()
        lines = stale.read_text().splitlines()
        stale.write_text("\n".join([str(number), *lines[1:]]) + "\n")
        engines.postgres.restart()
    assert stranger.poll() is None


def wait_for(condition, *, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_postgres_waits_for_the_last_process_of_a_killed_server(engines):
    """As after any kill, only that this last process is held back until the new server has met its memory."""
    connection = await asyncpg.connect(engines.database_url)
    held = psutil.Process(connection.get_server_pid())
    held.suspend()
    os.kill(engines.postgres.pid, signal.SIGKILL)
    log = engines.data_dir / "postgres" / "log"
    read = log.stat().st_size
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(engines.postgres.restart))
        await asyncio.to_thread(wait_for, lambda: b"pre-existing shared memory block" in log.read_bytes()[read:])
        held.kill()
    connection.terminate()
    assert await postgres_value(engines.database_url, "SELECT 1") == 1


def test_an_interrupted_first_start_is_begun_again(data_dir):
    half = data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with start_postgres(data_dir / "postgres", durable=False) as engine:
        assert engine.version.startswith("18.")
    assert not half.exists()
