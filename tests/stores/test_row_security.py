"""The second wall in PostgreSQL: a role that sees one tenant at a time, and nothing where nobody says whose work it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import asyncpg
import pytest

from segment_copilot.access.tenants import Tenant, Tenants
from segment_copilot.errors import InvalidInput, Unavailable
from segment_copilot.stores.confinement import confine, every_tenant, whose
from segment_copilot.stores.migrations import tables
from segment_copilot.stores.postgres import Postgres, open_postgres
from segment_copilot.stores.roles import PARENTS, SHARED, condition_of, confine_role
from tests.chaos.service import free_port
from tests.support.databases import postgres_value
from tests.support.proxies import eventually
from tests.support.roles import PASSWORD, confined

ADD = """
INSERT INTO segments (tenant_id, name, segment_type, tier, words) VALUES ($1, $2, 'rule', 'dynamic', '') RETURNING id
"""


@pytest.fixture(scope="module")
async def url(module_database_url: str) -> AsyncGenerator[str]:
    """This module's database, as the role sees it."""
    async with confined(module_database_url) as url:
        yield url


@pytest.fixture(scope="module")
async def role(url: str) -> AsyncGenerator[Postgres]:
    """The database opened as the role, over few connections: they are lent to one tenant after another."""
    async with open_postgres(url, pool=3) as opened:
        yield opened


@pytest.fixture(scope="module")
async def tenants(postgres: Postgres) -> list[Tenant]:
    """Some tenants, each with a segment of its name, a version of that and a member of each table that a test asks for."""
    found = [await Tenants(postgres).create(f"tenant-{number}") for number in range(5)]
    for tenant in found:
        segment_id = await postgres.fetchval(ADD, tenant.id, tenant.slug)
        sql = "INSERT INTO segment_versions (segment_id, version, definition, words, tier) VALUES ($1, 1, '{}', '', 'dynamic')"
        await postgres.execute(sql, segment_id)
    return found


async def test_every_table_has_a_policy_or_is_named_as_no_tenants(postgres: Postgres, url: str):
    """A new table with a tenant's id has one by itself; any other has to be named in `PARENTS` or `SHARED`."""
    sql = """
        SELECT relname, relrowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid) AS held,
            EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'tenant_id') AS has_tenant
        FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace"""
    found = {row["relname"]: row for row in await postgres.fetch(sql)}

    assert found.keys() == {*tables("postgres"), "schema_migrations"}
    assert {name for name, row in found.items() if not row["held"]} == SHARED
    assert {name for name, row in found.items() if not row["has_tenant"]} == SHARED | PARENTS.keys() | {"tenants"}


def test_a_table_of_which_nobody_says_whose_it_is_is_refused():
    with pytest.raises(LookupError):
        condition_of("new_table", has_tenant=False)


async def test_who_says_nothing_sees_nothing(role: Postgres, tenants: list[Tenant]):
    assert whose() == ""
    for table in sorted({*tables("postgres")} - SHARED):
        assert await role.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    assert await role.execute("UPDATE segments SET name = 'taken'") == 0
    assert await role.execute("DELETE FROM tenants") == 0
    with pytest.raises(Unavailable, match="may not do this"):
        await role.execute(ADD, tenants[0].id, "Slipped in")


async def test_a_tenant_sees_changes_and_adds_its_own_alone(role: Postgres, tenants: list[Tenant]):
    mine, other = tenants[0], tenants[1]
    confine(mine.id)

    assert [row["slug"] for row in await role.fetch("SELECT slug FROM tenants")] == [mine.slug]
    assert [row["name"] for row in await role.fetch("SELECT name FROM segments")] == [mine.slug]
    assert await role.fetchval("SELECT count(*) FROM segment_versions") == 1
    assert await role.execute("UPDATE segments SET name = 'taken' WHERE tenant_id = $1", other.id) == 0
    assert await role.execute("DELETE FROM segments WHERE tenant_id = $1", other.id) == 0
    for sql in (ADD, "UPDATE segments SET tenant_id = $1 WHERE name <> $2"):
        with pytest.raises(Unavailable, match="may not do this"):
            await role.execute(sql, other.id, "Slipped in")
    async with role.transaction() as transaction:
        assert await transaction.fetchval("SELECT count(*) FROM segments") == 1
        await transaction.copy(
            "copilot_feedback", columns=("tenant_id", "run_id", "rating"), rows=[(mine.id, "run", "up")]
        )
    assert await role.fetchval("SELECT run_id FROM copilot_feedback") == "run"


async def test_whose_work_it_is_ends_with_the_block(role: Postgres, tenants: list[Tenant]):
    with every_tenant():
        assert await role.fetchval("SELECT count(*) FROM tenants") >= len(tenants)
    assert await role.fetchval("SELECT count(*) FROM tenants") == 0


async def see(postgres: Postgres, tenant: Tenant, times: int) -> set[str]:
    """What a request of *tenant* sees in some statements of each kind."""
    confine(tenant.id)
    seen = set[str]()
    for number in range(times):
        seen |= {row["slug"] for row in await postgres.fetch("SELECT slug FROM tenants")}
        async with postgres.transaction() as transaction:
            seen.add(await transaction.fetchval("SELECT slug FROM tenants"))
            seen.add(await transaction.fetchval("SELECT name FROM segments"))
        await postgres.execute("UPDATE tenants SET timezone = 'UTC'")
        if number % 3 == 0:  # what fails in between leaves nothing behind
            with pytest.raises(asyncpg.UndefinedColumnError):
                await postgres.fetch("SELECT nothing FROM segments")
        seen.add(await postgres.fetchval("SELECT name FROM segments"))
    return seen


async def test_connections_of_a_pool_pass_from_tenant_to_tenant_and_leak_nothing(role: Postgres, tenants: list[Tenant]):
    askers = [tenant for tenant in tenants for _ in range(6)]
    found = await asyncio.gather(*(asyncio.create_task(see(role, tenant, 5)) for tenant in askers))

    assert found == [{tenant.slug} for tenant in askers]


def installed() -> str:
    """PgBouncer's program; the test is skipped where there is none."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return program or pytest.skip("PgBouncer is not installed")


def configure(directory: Path, server: SplitResult, port: int) -> None:
    """Write PgBouncer's files, so that whoever it runs as may read them."""
    (directory / "users.txt").write_text(f'"{server.username}" "{PASSWORD}"\n')
    (directory / "pgbouncer.ini").write_text(f"""
[databases]
{server.path[1:]} = host={server.hostname} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
ignore_startup_parameters = lock_timeout,idle_in_transaction_session_timeout,statement_timeout
""")
    for path in (directory.parent.parent, directory.parent, directory, *directory.iterdir()):
        path.chmod(0o755)


@pytest.fixture
async def pooler(url: str, tmp_path: Path) -> AsyncGenerator[str]:
    """The database behind PgBouncer, which gives each transaction another of two sessions."""
    program, port = installed(), free_port()
    parts = urlsplit(url)
    configure(tmp_path, parts, port)
    as_user = ("-u", "nobody") if os.geteuid() == 0 else ()  # it refuses to be root
    process = await asyncio.create_subprocess_exec(program, "-q", *as_user, str(tmp_path / "pgbouncer.ini"))
    behind = parts._replace(netloc=f"{parts.username}:{PASSWORD}@127.0.0.1:{port}").geturl()

    async def answers() -> bool:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            return await postgres_value(behind, "SELECT true")
        return False

    try:
        await eventually(answers)
        yield behind
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def test_behind_a_pooler_each_transaction_is_told_and_leaks_nothing(pooler: str, tenants: list[Tenant]):
    async with open_postgres(pooler, pool=8) as behind:
        assert await behind.fetchval("SELECT count(*) FROM tenants") == 0
        askers = [tenant for tenant in tenants for _ in range(6)]
        found = await asyncio.gather(*(asyncio.create_task(see(behind, tenant, 3)) for tenant in askers))

        assert found == [{tenant.slug} for tenant in askers]
        assert [await postgres_value(pooler, "SELECT count(*) FROM tenants") for _ in range(4)] == [
            0
        ] * 4  # each session


async def test_a_second_time_changes_nothing(postgres: Postgres, url: str):
    oids = "SELECT array_agg(oid ORDER BY oid) FROM pg_policy"
    before = await postgres.fetchval(oids)
    await confine_role(postgres, urlsplit(url).username or "", tables=tables("postgres"))

    assert await postgres.fetchval(oids) == before


async def test_roles_that_nothing_confines_are_refused(postgres: Postgres):
    owner = await postgres.fetchval("SELECT current_user")
    with pytest.raises(InvalidInput, match="whom nothing confines"):
        await confine_role(postgres, owner, tables=tables("postgres"))
    with pytest.raises(InvalidInput, match="has no role"):
        await confine_role(postgres, 'no"body', tables=tables("postgres"))


async def test_the_owner_sees_everything_as_before(postgres: Postgres, tenants: list[Tenant]):
    assert await postgres.fetchval("SELECT count(*) FROM segments") >= len(tenants)
