"""The users that Compose makes for ClickHouse, at work on a real server."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from segment_copilot.doctor import examine
from segment_copilot.embedded import Engines
from segment_copilot.errors import TooManyRequests, Unavailable
from segment_copilot.stores.clickhouse import open_clickhouse
from segment_copilot.stores.migrations import migrate
from segment_copilot.stores.refusals import ClickHouseError
from tests.deploy.test_backup import Stores, live, send, service

pytestmark = pytest.mark.deploy


def by(user: str, engines: Engines) -> str:
    """ClickHouse's address for one of Compose's users, and its database."""
    now = urlsplit(engines.clickhouse_url)
    return now._replace(netloc=f"{user}@{now.hostname}:{now.port}").geturl()


async def test_the_services_user_may_do_what_the_service_does(engines: tuple[Engines, Path]):
    """Migrate, forward, compute: with the rights of deploy/compose/clickhouse/users.xml and no others."""
    started, directory = engines
    stores = Stores(started.database_url, by("segment_copilot:hush", started), {}, directory)

    async with service(stores) as resources:
        await live(resources)
    report = await examine({"DATABASE_URL": stores.database_url, "CLICKHOUSE_URL": stores.clickhouse_url})

    checks = {one.name: one for one in report.checks}
    assert checks["clickhouse.rights"].detail == "The user segment_copilot may do what is needed, and no more."
    assert checks["migrations"].verdict == "ok"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "CREATE TABLE elsewhere.t (a Int8) ENGINE = Memory",
        "CREATE USER other",
    ],
)
async def test_the_services_user_reaches_nothing_else(engines: tuple[Engines, Path], sql: str):
    async with open_clickhouse(by("segment_copilot:hush", engines[0])) as clickhouse:
        with pytest.raises((Unavailable, ClickHouseError)) as caught:
            await clickhouse.execute(sql, purpose="catalog")
        assert getattr(caught.value, "context", {}).get("clickhouse_code") == 497  # not enough privileges


async def test_the_reader_answers_what_people_ask(engines: tuple[Engines, Path]):
    started, directory = engines
    stores = Stores(started.database_url, by("segment_copilot:hush", started), {}, directory)
    async with service(stores, read_url=by("segment_copilot_reader:hush", started)) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("reading")
        await send(resources, tenant, "ana", "ben")
        while await resources.forwarding.forward_next():
            pass
        condition = {"type": "event_count", "event_type": "order_placed"}
        found = await resources.previews.preview(tenant, {"logic": "AND", "conditions": [condition]})
        assert found.matched_users == 2
    urls = {"CLICKHOUSE_URL": stores.clickhouse_url, "CLICKHOUSE_READ_URL": by("segment_copilot_reader:hush", started)}
    report = await examine({"DATABASE_URL": stores.database_url, **urls})
    told = {one.name: one.detail for one in report.checks}
    assert told["clickhouse.reader"] == "The user segment_copilot_reader reads, and may do no more."


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT name FROM system.users",
        "INSERT INTO events (tenant_id) VALUES (1)",
        "ALTER TABLE events DELETE WHERE true",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "SELECT 1 SETTINGS max_execution_time = 0, max_memory_usage = 0",
        "SELECT 1 SETTINGS readonly = 0",
    ],
)
async def test_the_reader_writes_nothing_reaches_nothing_and_cannot_raise_its_limits(
    engines: tuple[Engines, Path], sql: str
):
    async with open_clickhouse(by("segment_copilot_reader:hush", engines[0])) as clickhouse:
        with pytest.raises((Unavailable, ClickHouseError)) as caught:
            await clickhouse.execute(sql, purpose="catalog")
    code = getattr(caught.value, "context", {}).get("clickhouse_code") or getattr(caught.value, "code", None)
    assert code in {497, 164, 452, 472}  # no privilege, read only, a constraint of a setting


async def test_one_tenants_quota_is_not_anothers(engines: tuple[Engines, Path]):
    sql = "SELECT count() FROM (SELECT number FROM system.numbers WHERE {tenant:UInt32} > 0 LIMIT 50000)"
    async with open_clickhouse(by("segment_copilot_reader:hush", engines[0])) as clickhouse:
        await clickhouse.fetch(sql, {"tenant": 901}, purpose="preview")
        await clickhouse.fetch(sql, {"tenant": 901}, purpose="preview")
        with pytest.raises(TooManyRequests) as caught:
            await clickhouse.fetch(sql, {"tenant": 901}, purpose="preview")
        assert caught.value.context == {"retry_after_seconds": 60}
        assert (await clickhouse.fetch(sql, {"tenant": 902}, purpose="preview")).rows == [(50_000,)]


async def test_the_health_checks_user_may_ask_and_nothing_more(engines: tuple[Engines, Path]):
    async with open_clickhouse(by("probe", engines[0]).replace("/segment_copilot", "/system")) as clickhouse:
        assert (await clickhouse.fetch("SELECT 1", purpose="catalog")).rows == [(1,)]
        with pytest.raises(Unavailable) as caught:
            await clickhouse.fetch("SELECT name FROM system.users", purpose="catalog")
    assert caught.value.context == {"clickhouse_code": 497}
