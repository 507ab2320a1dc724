"""A backup is made, both stores are lost, and what was there is there again: `deploy/backup/`, rehearsed on engines of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.activations.secrets import new_key
from segment_copilot.doctor import examine
from segment_copilot.embedded import Engines, binaries
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from tests.support.databases import run_clickhouse, run_postgres, with_database

pytestmark = pytest.mark.deploy

SCRIPTS = Path(__file__).parents[2] / "deploy" / "backup"
NAME = "segment_copilot_lost"
KEY = new_key()


class Stores(Struct, frozen=True):
    """Both stores of a service that will be lost, and how an operator reaches them."""

    database_url: str
    clickhouse_url: str
    environ: dict[str, str]
    backups: Path


@pytest.fixture
async def stores(engines: tuple[Engines, Path], tmp_path: Path) -> AsyncGenerator[Stores]:
    """Empty databases of this test."""
    started, directory = engines
    port = (directory / "clickhouse" / "server" / "ports").read_text().split()[0]
    database_url, clickhouse_url = (
        with_database(started.database_url, NAME),
        with_database(started.clickhouse_url, NAME),
    )
    environ = {
        "PATH": f"{binaries.find_programs()}:{os.environ['PATH']}",
        "DATABASE_URL": database_url,
        "CLICKHOUSE_HTTP": f"http://127.0.0.1:{port}",
        "CLICKHOUSE_OPERATOR": "operator:hush",
        "CLICKHOUSE_DATABASE": NAME,
        "CLICKHOUSE_DESTINATION": f"File('{directory}/backups/{tmp_path.name}/')",
    }
    made = Stores(database_url, clickhouse_url, environ, tmp_path / "backup")
    await create(started)
    yield made
    await lose(started)


async def create(engines: Engines) -> None:
    await run_postgres(engines.database_url, f"CREATE DATABASE {NAME}")
    await run_clickhouse(engines.clickhouse_url, f"CREATE DATABASE {NAME}")


async def lose(engines: Engines) -> None:
    await run_postgres(engines.database_url, f"DROP DATABASE {NAME} WITH (FORCE)")
    await run_clickhouse(engines.clickhouse_url, f"DROP DATABASE {NAME} SYNC")


async def script(stores: Stores, name: str, *, of: Path = SCRIPTS) -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        command = [of / name, stores.backups]
        return subprocess.run(command, env=stores.environ, capture_output=True, text=True, check=False, timeout=120)

    return await asyncio.to_thread(run)


@asynccontextmanager
async def service(stores: Stores, *, read_url: str = "") -> AsyncGenerator[Resources]:
    settings = Settings(
        database_url=stores.database_url,
        clickhouse_url=stores.clickhouse_url,
        clickhouse_read_url=read_url,
        secrets_keys=(KEY,),
        refresh_default="manual",
    )
    async with open_resources(settings) as resources:
        yield resources


async def live(resources: Resources) -> None:
    """A tenant with events, some of them on their way, a segment with members, an alias, a key."""
    await migrate(resources.postgres, resources.clickhouse)
    tenant = await resources.tenants.create("acme")
    await resources.keys.create(tenant)
    await send(resources, tenant, "ana", "ben")
    while await resources.forwarding.forward_next():
        pass
    condition = {"type": "event_count", "event_type": "order_placed"}
    definition = {"logic": "AND", "conditions": [condition]}
    segment = (await resources.segments.create(tenant, name="Buyers", definition=definition)).segment
    await resources.computations.request(tenant, segment.id)
    assert await resources.computations.run_next()
    await send(resources, tenant, "zoe")  # which waits for a worker


async def send(resources: Resources, tenant: Tenant, *users: str) -> None:
    events = [{"user_id": user, "event_type": "order_placed", "payload": {"total": 12.5}} for user in users]
    accepted = await resources.ingestion.accept(tenant, events, received_at=datetime.now(UTC))
    assert accepted.queued == len(users)


async def kept(stores: Stores) -> dict[str, Any]:
    """A digest of every table of both stores."""
    found = dict[str, Any]()
    connection = await asyncpg.connect(stores.database_url)
    try:
        for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            name = row["tablename"]
            sql = f"SELECT count(*) AS rows, md5(string_agg(t::text, ';' ORDER BY t::text)) AS digest FROM {name} AS t"
            found[f"postgres {name}"] = tuple(await connection.fetchrow(sql))
    finally:
        await connection.close()
    async with service(stores) as resources:
        tables = "SELECT name FROM system.tables WHERE database = currentDatabase()"
        for (name,) in (await resources.clickhouse.fetch(tables, purpose="catalog")).rows:
            columns = f"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '{name}' AND default_kind NOT IN ('EPHEMERAL', 'ALIAS')"
            shown = [
                f"bitmapToArray({column})" if kind.startswith("AggregateFunction") else f"`{column}`"
                for column, kind in (await resources.clickhouse.fetch(columns, purpose="catalog")).rows
            ]
            sql = f"SELECT count(), groupBitXor(sipHash64(toString(tuple({', '.join(shown)})))) FROM {name}"
            found[f"clickhouse {name}"] = (await resources.clickhouse.fetch(sql, purpose="catalog")).rows[0]
    return found


async def test_what_was_lost_is_there_again_and_goes_on(stores: Stores, engines: tuple[Engines, Path]):
    async with service(stores) as resources:
        await live(resources)
    before = await kept(stores)
    assert before["postgres tenants"][0] == before["postgres segments"][0] == 1
    assert before["clickhouse segment_states"][0] == 1

    made = await script(stores, "backup.sh")
    await lose(engines[0])
    await create(engines[0])
    restored = await script(stores, "restore.sh")

    assert (made.returncode, made.stderr) == (0, "")
    assert (restored.returncode, restored.stderr) == (0, "")
    assert await kept(stores) == before
    async with service(stores) as resources:
        assert await migrate(resources.postgres, resources.clickhouse) == []
        tenant = await resources.tenants.get("acme")
        assert (await resources.ingestion.status(tenant)).pending == 1
        while await resources.forwarding.forward_next():
            pass
        (segment,) = (await resources.segments.list(tenant)).results
        await resources.computations.request(tenant, segment.id)
        assert await resources.computations.run_next()
        assert (await resources.segments.get(tenant, segment.id)).member_count == 3
    report = await examine(
        {"DATABASE_URL": stores.database_url, "CLICKHOUSE_URL": stores.clickhouse_url, "SECRETS_KEYS": KEY}
    )
    assert {one.name: one.verdict for one in report.checks}["migrations"] == "ok"


async def lose_after_erasures(stores: Stores, engines: Engines) -> None:
    """Backs up a store whose files went through mutations, and loses it: restored, they keep the numbers of these."""
    async with service(stores) as resources:
        await live(resources)
        tenant = await resources.tenants.get("acme")
        gone = [f"gone-{number}" for number in range(5)]
        await send(resources, tenant, *gone)
        while await resources.forwarding.forward_next():
            pass
        for user_id in gone:
            await erase(resources, tenant, user_id)
    made = await script(stores, "backup.sh")
    assert made.returncode == 0, made.stderr
    await lose(engines)
    await create(engines)


async def test_who_is_erased_after_a_restore_is_gone(stores: Stores, engines: tuple[Engines, Path]):
    await lose_after_erasures(stores, engines[0])
    restored = await script(stores, "restore.sh")
    assert restored.returncode == 0, restored.stderr

    async with service(stores) as resources:
        tenant = await resources.tenants.get("acme")
        before = await rows_of_users(resources)
        await erase(resources, tenant, "ana")

        after = await rows_of_users(resources)
        assert {table: before[table] - after[table] for table in ("events", "users", "user_numbers")} == {
            "events": 1,
            "users": 1,
            "user_numbers": 1,
        }


async def test_no_receipt_says_of_rows_that_are_there_that_they_are_gone(
    stores: Stores, engines: tuple[Engines, Path], tmp_path: Path
):
    """Somebody restores by other means, and the server says of each deletion that it is done, and keeps the rows."""
    await lose_after_erasures(stores, engines[0])
    plain = tmp_path / "restore.sh"
    text = (SCRIPTS / "restore.sh").read_text()
    plain.write_text("\n".join(":" if "TACH TABLE" in line else line for line in text.splitlines()))
    plain.chmod(0o755)
    restored = await script(stores, "restore.sh", of=tmp_path)
    assert restored.returncode == 0, restored.stderr

    async with service(stores) as resources:
        tenant = await resources.tenants.get("acme")
        erasure = await resources.erasures.request(tenant, "ana")
        error = None
        async with asyncio.timeout(60):
            while error is None and (await resources.erasures.get(tenant, erasure.id)).status != "done":
                await resources.erasures.run_next()
                error = await resources.postgres.fetchval("SELECT error FROM erasures WHERE id = $1", erasure.id)

        assert error == "Conflict rows_passed_over"
        assert (await resources.erasures.get(tenant, erasure.id)).receipt is None


async def erase(resources: Resources, tenant: Tenant, user_id: str) -> None:
    erasure = await resources.erasures.request(tenant, user_id)
    async with asyncio.timeout(60):
        while (found := await resources.erasures.get(tenant, erasure.id)).status in {"queued", "working"}:
            await resources.erasures.run_next()
    assert found.status == "done"


async def rows_of_users(resources: Resources) -> dict[str, int]:
    counts = dict[str, int]()
    for table in ("events", "traits", "traits_current", "users", "user_numbers", "membership_changes"):
        counts[table] = (await resources.clickhouse.fetch(f"SELECT count() FROM {table}", purpose="catalog")).rows[0][0]
    return counts


async def test_no_backup_is_made_beside_a_worker(stores: Stores):
    async with service(stores) as resources, resources.presence.kept():
        told = await script(stores, "backup.sh")

    assert told.returncode == 1
    assert told.stderr.startswith("backup.sh: 1 workers are at work")
    assert not (stores.backups / "postgres.dump").exists()


async def test_a_backup_that_failed_half_way_is_none(stores: Stores):
    async with service(stores) as resources:
        await live(resources)

    stores.environ["CLICKHOUSE_DESTINATION"] = "File('/elsewhere/')"  # where the server may not write
    failed = await script(stores, "backup.sh")
    restored = await script(stores, "restore.sh")

    assert failed.returncode != 0
    assert "/elsewhere" in failed.stdout + failed.stderr
    assert (restored.returncode, "holds no whole backup" in restored.stderr) == (1, True)


async def test_nothing_is_restored_over_what_is_there(stores: Stores):
    async with service(stores) as resources:
        await live(resources)
    before = await kept(stores)

    made, again, restored = [await script(stores, name) for name in ("backup.sh", "backup.sh", "restore.sh")]

    assert made.returncode == 0
    assert (again.returncode, "holds a backup already" in again.stderr) == (1, True)
    assert (restored.returncode, "Restore into empty databases" in restored.stderr) == (1, True)
    assert await kept(stores) == before


def test_no_password_is_an_argument():
    """It would be seen in the list of processes."""
    for path in SCRIPTS.glob("*.sh"):
        assert [line for line in path.read_text().splitlines() if "curl" in line and "OPERATOR" in line] == []
