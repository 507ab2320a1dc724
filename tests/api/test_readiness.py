"""Ready means: the stores answer, and hold all that this version needs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httpx2
import msgspec
import pytest

from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import lacking, migrate
from tests.support.databases import run_clickhouse, run_postgres
from tests.support.http_server import served


async def readiness(client: httpx2.AsyncClient) -> tuple[int, dict]:
    answer = await client.get("/health/ready")
    return answer.status_code, answer.json()


async def test_a_store_that_was_never_migrated_is_not_ready_until_it_is(empty_database_url, empty_clickhouse_url):
    app = create_app(Settings(database_url=empty_database_url, clickhouse_url=empty_clickhouse_url))
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as client:
        status, problem = await readiness(client)
        assert (status, problem["code"]) == (503, "not_migrated")
        assert "postgres/0001_initial.sql" in problem["lacking"]
        assert "clickhouse/0001_initial.sql" in problem["lacking"]

        resources = app.state.resources
        await migrate(resources.postgres, resources.clickhouse)
        assert await readiness(client) == (200, {"status": "ok"})

        name = "0002_traits_current.sql"
        await resources.postgres.execute("DELETE FROM schema_migrations WHERE name = $1", name)
        status, problem = await readiness(client)
        assert (status, problem["lacking"]) == (503, [f"clickhouse/{name}"])
        await migrate(resources.postgres, resources.clickhouse)

        newer = "INSERT INTO schema_migrations (store, name, sha256) VALUES ('postgres', '9999_newer.sql', '')"
        await resources.postgres.execute(newer)
        assert await readiness(client) == (200, {"status": "ok"})


async def test_a_table_that_is_gone_is_named(database_url, clickhouse_url):
    app = create_app(Settings(database_url=database_url, clickhouse_url=clickhouse_url))
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as client:
        assert (await readiness(client))[0] == 200
        await run_clickhouse(clickhouse_url, "RENAME TABLE users TO people")
        await run_postgres(database_url, "ALTER TABLE copilot_feedback RENAME TO opinions")
        assert (await readiness(client))[1]["lacking"] == ["postgres: copilot_feedback", "clickhouse: users"]


async def test_a_database_that_takes_no_writes_is_not_ready(database_url, clickhouse_url):
    name = database_url.rpartition("/")[2]
    await run_postgres(database_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    app = create_app(Settings(database_url=database_url, clickhouse_url=clickhouse_url))
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as client:
        status, problem = await readiness(client)
        assert (status, problem["silent"]) == (503, ["postgres"])


async def test_no_migration_ends_with_a_table_missing(resources):
    """The tables are read from the files: a statement that this reading does not know shows here."""
    assert await lacking(resources.postgres, resources.clickhouse) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_says_the_same_on_a_port_of_its_own(empty_database_url, empty_clickhouse_url, number):
    stores = {"DATABASE_URL": empty_database_url, "CLICKHOUSE_URL": empty_clickhouse_url}
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "segment_copilot",
        "worker",
        env={**os.environ, **stores, "WORKER_PORT": "0"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert worker.stderr is not None
    port = 0
    async with asyncio.timeout(60):
        while not port:
            line = msgspec.json.decode(await worker.stderr.readline())
            port = line.get("port", 0)
    rest = asyncio.create_task(worker.stderr.read())
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/health/live")).status_code == 200
        status, problem = await readiness(client)
        assert (status, problem["code"]) == (503, "not_migrated")
        app = create_app(Settings(database_url=empty_database_url, clickhouse_url=empty_clickhouse_url))
        async with served(app):
            await migrate(app.state.resources.postgres, app.state.resources.clickhouse)
        assert await readiness(client) == (200, {"status": "ok"})
        assert "segment_copilot" in (await client.get("/metrics")).text
        assert (await client.get("/api/segments/")).json()["code"] == "not_found"
    worker.send_signal(number)
    assert await worker.wait() == 0
    lines = [msgspec.json.decode(line) for line in (await rest).splitlines()]
    assert [line["event"] for line in lines if line["event"].startswith("worker.")] == [
        "worker.not_migrated",  # once, and nothing is tried in vain until then
        "worker.started",
        "worker.stopped",
    ]
    (told,) = [line["detail"] for line in lines if line["event"] == "worker.not_migrated"]
    assert told.startswith("The stores lack postgres/0001_initial.sql and ")
    assert told.endswith(" more: run `segment-copilot migrate`. The worker waits for it.")
