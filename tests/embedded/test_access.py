"""What a stranger on this machine, and our own user, cannot do."""

from __future__ import annotations

import asyncpg
import psutil
import pytest
from asynch.errors import ServerException

from tests.support.databases import clickhouse_value, postgres_value, run_clickhouse, run_postgres, with_database

pytestmark = pytest.mark.engines

ACCESS_DENIED = 497
WRONG_PASSWORD = 516


def with_password(url, password):
    head, tail = url.split("@")
    return f"{head.rsplit(':', 1)[0]}:{password}@{tail}"


def test_both_listen_on_loopback_only(engines):
    listening = [
        connection.laddr.ip
        for pid in (engines.postgres.pid, engines.clickhouse.pid)
        for connection in psutil.Process(pid).net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert sorted(listening) == ["127.0.0.1"] * 3  # PostgreSQL, and ClickHouse's native and HTTP ports


async def test_postgres_refuses_a_wrong_password(engines):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(with_password(engines.database_url, "wrong"))


async def test_clickhouse_refuses_a_wrong_password(engines):
    with pytest.raises(ServerException) as refused:
        await clickhouse_value(with_password(engines.clickhouse_url, "wrong"), "SELECT 1")
    assert refused.value.code == WRONG_PASSWORD


async def test_our_user_can_make_and_drop_databases(engines):
    await run_postgres(engines.database_url, "CREATE DATABASE made", "DROP DATABASE made")
    await run_clickhouse(
        engines.clickhouse_url, "CREATE DATABASE segment_copilot_made", "DROP DATABASE segment_copilot_made"
    )


async def test_our_user_is_no_superuser_of_postgres(engines):
    assert (
        await postgres_value(engines.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        is False
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run_postgres(engines.database_url, "COPY (SELECT 1) TO PROGRAM 'true'")


OUT_OF_REACH = [
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM default.`/etc/passwd`",
    "INSERT INTO FUNCTION file('/tmp/written', 'TSV', 'a String') SELECT 'x'",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "CREATE TABLE bad (line String) ENGINE = File(LineAsString, '/etc/passwd')",
    "CREATE TABLE bad (line String) ENGINE = URL('http://127.0.0.1:1/', LineAsString)",
    "CREATE DATABASE foreign_name",
    "KILL QUERY WHERE user = ''",
]


@pytest.mark.parametrize("sql", OUT_OF_REACH)
@pytest.mark.parametrize("user", ["app", "default"])
async def test_files_addresses_and_programs_are_out_of_clickhouse_users_reach(engines, user, sql):
    url = engines.clickhouse_url
    if user == "default":
        url = with_password(with_database(url, "system"), "").replace("app:", "default:")
    with pytest.raises(ServerException) as refused:
        await run_clickhouse(url, sql)
    assert refused.value.code == ACCESS_DENIED


async def test_a_query_of_our_own_can_be_killed(engines):
    await run_clickhouse(engines.clickhouse_url, "KILL QUERY WHERE query_id = 'none' SYNC")


async def test_our_user_cannot_close_the_ports(engines):
    with pytest.raises(ServerException) as refused:
        await run_clickhouse(engines.clickhouse_url, "SYSTEM STOP LISTEN TCP")
    assert refused.value.code == ACCESS_DENIED
