"""A deployment is examined on real engines, whole and broken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import pytest

from segment_copilot.activations.secrets import Secrets, new_key
from segment_copilot.demo.loading import SLUG
from segment_copilot.doctor import Check, examine
from segment_copilot.resources import open_resources
from segment_copilot.settings import read_settings
from segment_copilot.stores.backlog import BACKLOGS
from segment_copilot.stores.postgres import open_postgres
from tests.support.databases import run_clickhouse, run_postgres, with_database
from tests.support.engines import Servers
from tests.support.roles import confined

KEY = new_key()
OF_THE_MACHINE = {"postgres.disk", "clickhouse.disk", "postgres.connections", "postgres.durability", "postgres.rights"}
"""What is so or so on the machine and engines that tests run on: without fsync, as another user, on a full disk."""


async def checks(database_url: str, clickhouse_url: str, **environ: str) -> dict[str, Check]:
    """What was found, by name; of several of one name the first."""
    settings = {"HOST": "0.0.0.0", "SECRETS_KEYS": KEY}  # noqa: S104
    stores = {"DATABASE_URL": database_url, "CLICKHOUSE_URL": clickhouse_url}
    report = await examine(settings | stores | environ)
    assert urlsplit(database_url).password not in {None, ""}
    assert all(str(urlsplit(url).password) not in str(report) for url in (database_url, clickhouse_url))
    return {one.name: one for one in reversed(report.checks)}


def but_for(url: str, **parts: str) -> str:
    """*url* with another user's name, password or port."""
    now = urlsplit(url)
    user, password, port = (parts.get(name, str(getattr(now, name))) for name in ("username", "password", "port"))
    return now._replace(netloc=f"{user}:{password}@{now.hostname}:{port}").geturl()


def bad(found: dict[str, Check]) -> dict[str, str]:
    return {
        name: one.verdict
        for name, one in found.items()
        if one.verdict in {"wrong", "warning"} and name not in OF_THE_MACHINE
    }


async def test_a_deployment_that_is_well(database_url: str, clickhouse_url: str):
    async with (
        open_resources(read_settings({"DATABASE_URL": database_url, "CLICKHOUSE_URL": clickhouse_url})) as opened,
        opened.presence.kept(),
    ):
        found = await checks(database_url, clickhouse_url)

    assert bad(found) == {}
    assert [found[name].detail for name in ("workers", "queues")] == ["1 worker lives.", "Nothing waits."]
    for store in ("postgres", "clickhouse"):
        assert [found[f"{store}.{part}"].verdict for part in ("reach", "login", "clock", "version")] == ["ok"] * 4
    assert found["migrations"].verdict == "ok"


@pytest.mark.shared
async def test_engines_that_may_lose_what_they_acknowledged(database_url: str, clickhouse_url: str, servers: Servers):
    if servers.source != "embedded":
        pytest.skip("only the embedded engines of the tests run without fsync")

    assert (await checks(database_url, clickhouse_url))["postgres.durability"].verdict == "wrong"


@pytest.mark.shared
async def test_stopped_stores_are_both_told(database_url: str, clickhouse_url: str):
    async with listening() as port:
        pass
    found = await checks(but_for(database_url, port=port), but_for(clickhouse_url, port=port))

    assert bad(found) == {"postgres.reach": "wrong", "clickhouse.reach": "wrong"}
    assert f":{port} takes no connections (Connection refused)" in found["postgres.reach"].detail


@pytest.mark.shared
async def test_a_stopped_store_hides_nothing_of_the_other(database_url: str, clickhouse_url: str):
    async with listening() as port:
        pass
    found = await checks(database_url, but_for(clickhouse_url, port=port))

    assert bad(found) == {"clickhouse.reach": "wrong", "workers": "warning"}
    assert found["migrations"].verdict == "ok"


@pytest.mark.shared
async def test_a_name_that_leads_nowhere(database_url: str, clickhouse_url: str):
    found = await checks(database_url.replace("127.0.0.1", "db.invalid"), clickhouse_url)

    assert "db.invalid leads nowhere" in found["postgres.reach"].detail


@pytest.mark.shared
async def test_wrong_passwords(database_url: str, clickhouse_url: str):
    found = await checks(but_for(database_url, password="guess"), but_for(clickhouse_url, password="guess"))

    assert bad(found) == {"postgres.login": "wrong", "clickhouse.login": "wrong"}
    assert "refuses the user or the password" in found["postgres.login"].detail
    assert "refuses the user or the password" in found["clickhouse.login"].detail


@pytest.mark.shared
async def test_databases_that_do_not_exist(database_url: str, clickhouse_url: str):
    nowhere = [with_database(url, "segment_copilot_nowhere") for url in (database_url, clickhouse_url)]
    found = await checks(*nowhere)

    assert "no database of this name" in found["postgres.login"].detail
    assert "no database of this name" in found["clickhouse.login"].detail


@pytest.mark.shared
async def test_a_port_that_speaks_another_protocol(database_url: str, clickhouse_url: str):
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        found = await checks(but_for(database_url, port=port), but_for(clickhouse_url, port=port))

    assert bad(found) == {"postgres.login": "wrong", "clickhouse.login": "wrong"}
    assert found["clickhouse.login"].remedy


async def test_a_database_that_was_never_migrated(empty_database_url: str, empty_clickhouse_url: str):
    found = await checks(empty_database_url, empty_clickhouse_url)

    assert bad(found) == {"migrations": "wrong"}
    assert "the first is postgres/0001_initial.sql" in found["migrations"].detail
    assert "segment-copilot migrate" in found["migrations"].remedy
    assert (found["queues"].verdict, found["secrets"].verdict) == ("unknown", "unknown")
    assert found["postgres.rights"].verdict == "unknown"
    assert "postgres.rows" not in found  # of no table can it be said that its rows are kept from others


async def test_a_schema_that_is_old(database_url: str, clickhouse_url: str):
    await run_postgres(database_url, "DELETE FROM schema_migrations WHERE name = '0023_kept_slots.sql'")
    found = await checks(database_url, clickhouse_url)

    assert "1 of " in found["migrations"].detail
    assert "postgres/0023_kept_slots.sql" in found["migrations"].detail


async def test_a_schema_that_is_newer_or_was_changed(database_url: str, clickhouse_url: str):
    await run_postgres(
        database_url,
        "INSERT INTO schema_migrations (store, name, sha256) VALUES ('postgres', '9999_later.sql', '')",
    )
    assert "9999_later.sql" in (await checks(database_url, clickhouse_url))["migrations"].detail
    await run_postgres(database_url, "UPDATE schema_migrations SET sha256 = '' WHERE name = '0001_initial.sql'")

    found = await checks(database_url, clickhouse_url)

    assert (found["migrations"].verdict, "is not what was applied" in found["migrations"].detail) == ("wrong", True)


async def test_tables_that_are_gone(database_url: str, clickhouse_url: str):
    await run_clickhouse(clickhouse_url, "DROP TABLE kept_slots")

    assert "kept_slots" in (await checks(database_url, clickhouse_url))["migrations"].detail


async def test_rights_that_are_missing(database_url: str, clickhouse_url: str, servers: Servers):
    await run_postgres(
        database_url,
        "REVOKE INSERT, DELETE ON events FROM current_user",
        "REVOKE USAGE ON SEQUENCE publications_order FROM current_user",
    )
    found = await checks(database_url, clickhouse_url)

    if servers.source == "embedded":  # elsewhere the tests' user may be a superuser, who lacks nothing
        assert found["postgres.rights"].detail.endswith("lacks INSERT, DELETE on events.")
        assert found["postgres.rights"].remedy.startswith("As the owner: GRANT INSERT, DELETE ON events TO")


@pytest.mark.shared
async def test_rights_that_are_missing_in_clickhouse(database_url: str, clickhouse_url: str, servers: Servers):
    if servers.source != "embedded":
        pytest.skip("elsewhere the tests' user may do everything")
    found = await checks(database_url, with_database(clickhouse_url, "system"))

    assert found["clickhouse.rights"].verdict == "wrong"
    assert found["clickhouse.rights"].remedy.startswith("GRANT INSERT ON `system`.* TO")


@pytest.mark.shared
async def test_a_reader_that_is_none(database_url: str, clickhouse_url: str):
    """The user that writes does for reading too, and is told to be more than a reader."""
    assert (await checks(database_url, clickhouse_url))["clickhouse.reader"].verdict == "unknown"

    found = await checks(database_url, clickhouse_url, CLICKHOUSE_READ_URL=clickhouse_url)
    assert found["clickhouse.reader"].verdict == "warning"
    assert "may write (INSERT" in found["clickhouse.reader"].detail

    elsewhere = with_database(clickhouse_url, "default")
    found = await checks(database_url, clickhouse_url, CLICKHOUSE_READ_URL=elsewhere)
    assert (found["clickhouse.reader"].verdict, "default" in found["clickhouse.reader"].detail) == ("wrong", True)


@pytest.mark.shared
async def test_a_reader_that_cannot_be_asked(database_url: str, clickhouse_url: str):
    stranger = but_for(clickhouse_url, password="guess")
    found = await checks(database_url, clickhouse_url, CLICKHOUSE_READ_URL=stranger)
    assert bad(found)["clickhouse.reader"] == "wrong"
    assert "refuses the user or the password" in found["clickhouse.reader"].detail

    async with listening() as port:
        pass
    found = await checks(database_url, clickhouse_url, CLICKHOUSE_READ_URL=but_for(clickhouse_url, port=port))
    assert bad(found)["clickhouse.reader.reach"] == "wrong"

    found = await checks(database_url, clickhouse_url, CLICKHOUSE_READ_URL=f"{clickhouse_url}?readonly=2")
    assert found["clickhouse.reader"].verdict == "ok"


@pytest.mark.shared
async def test_a_cluster_that_the_server_does_not_know(database_url: str, clickhouse_url: str):
    found = await checks(database_url, clickhouse_url, CLICKHOUSE_CLUSTER="main")

    assert "CLICKHOUSE_CLUSTER is main" in found["clickhouse.cluster"].detail


async def test_secrets_that_nobody_can_open(database_url: str, clickhouse_url: str):
    old, new = new_key(), new_key()
    await run_postgres(
        database_url,
        "INSERT INTO tenants (slug) VALUES ('acme')",
        f"""INSERT INTO webhooks (tenant_id, url, events, signature, secret)
            SELECT id, 'https://a.example', '{{}}', 'hmac', '{Secrets((old,)).seal("x", context=b"")}' FROM tenants""",
    )
    found = await checks(database_url, clickhouse_url, SECRETS_KEYS=new)

    assert found["secrets"].verdict == "wrong"
    assert str(Secrets((old,)).newest) in found["secrets"].detail
    on_the_way = (await checks(database_url, clickhouse_url, SECRETS_KEYS=f"{new},{old}"))["secrets"]
    assert (on_the_way.verdict, "do not take it out yet" in on_the_way.detail) == ("ok", True)
    assert str(Secrets((old,)).newest) in on_the_way.detail
    done = (await checks(database_url, clickhouse_url, SECRETS_KEYS=f"{old},{new}"))["secrets"]
    assert (done.verdict, "with the newest key alone" in done.detail) == ("ok", True)


async def test_tenants_that_nobody_can_use_or_that_are_made_up(database_url: str, clickhouse_url: str):
    assert (await checks(database_url, clickhouse_url))["tenants"].verdict == "unknown"

    async with open_resources(
        read_settings({"DATABASE_URL": database_url, "CLICKHOUSE_URL": clickhouse_url})
    ) as opened:
        tenant = await opened.tenants.create("acme")
        assert "No tenant has a key" in (await checks(database_url, clickhouse_url))["tenants"].detail
        await opened.keys.create(tenant)
        assert (await checks(database_url, clickhouse_url))["tenants"] == Check("tenants", "ok", "1 tenant.")
        await opened.tenants.create(SLUG)
        assert "whose shop is made up" in (await checks(database_url, clickhouse_url))["tenants"].detail
        await run_postgres(database_url, "UPDATE api_keys SET revoked_at = now()")
        await run_postgres(database_url, f"DELETE FROM tenants WHERE slug = '{SLUG}'")
        assert "No tenant has a key" in (await checks(database_url, clickhouse_url))["tenants"].detail


WAITING = {
    "events": """INSERT INTO events (tenant_id, event_id, user_id, event_type, occurred_at, payload, received_at)
        SELECT id, 'e', 'u', 't', now(), '{}', now() - interval '2 hours' FROM tenants""",
    "blocks": "INSERT INTO blocks (event_count, created_at) VALUES (1, now() - interval '2 hours')",
    "identity_links": """INSERT INTO identity_links (tenant_id, alias_id, user_id, person_id, version, updated_at)
        SELECT id, 'a', 'b', 'b', 1, now() - interval '2 hours' FROM tenants""",
    "computations": """INSERT INTO computations (tenant_id, segment_id, version, as_of, created_at)
        SELECT tenant_id, id, 1, now(), now() - interval '3 hours' FROM segments""",
    "refreshes": "UPDATE segments SET next_refresh_at = now() - interval '2 hours'",
    "snapshots": """INSERT INTO snapshots (tenant_id, segment_id, name, version, as_of, created_at)
        SELECT tenant_id, id, 'n', 1, now(), now() - interval '3 hours' FROM segments""",
    "exports": """INSERT INTO exports (tenant_id, segment_id, run_id, computed_at, format, created_at)
        SELECT tenant_id, id, gen_random_uuid(), now(), 'csv', now() - interval '3 hours' FROM segments""",
    "erasures": """INSERT INTO erasures (tenant_id, user_id_hash, ids, requested_at)
        SELECT id, 'h', '{u}', now() - interval '11 hours' FROM tenants""",
    "deliveries": """INSERT INTO deliveries (tenant_id, activation_id, is_full, created_at)
        SELECT tenant_id, id, true, now() - interval '3 hours' FROM activations""",
    "publications": """INSERT INTO publications (tenant_id, segment_id, segment_name, computation_id, computed_at, published_at)
        SELECT tenant_id, id, 'n', 1, now(), now() - interval '2 hours' FROM segments""",
    "webhooks": """INSERT INTO webhook_lanes (webhook_id, segment_id, next_attempt_at)
        SELECT webhooks.id, segments.id, now() - interval '2 hours' FROM webhooks, segments""",
    "removals": """INSERT INTO member_removals (tenant_id, segment_id, created_at)
        SELECT tenant_id, id, now() - interval '11 hours' FROM segments""",
}
STORED = (
    "INSERT INTO tenants (slug) VALUES ('acme')",
    """INSERT INTO segments (tenant_id, name, segment_type, tier, definition, words)
        SELECT id, 's', 'rule', 'dynamic', '{}', '' FROM tenants""",
    """INSERT INTO activations (tenant_id, segment_id, connector_type) SELECT tenant_id, id, 'webhook' FROM segments""",
    """INSERT INTO webhooks (tenant_id, url, events, signature, secret) SELECT id, 'u', '{}', 'hmac', '' FROM tenants""",
)


async def test_every_queue_whose_oldest_waits_for_hours(database_url: str, clickhouse_url: str):
    assert {queue.name for queue in BACKLOGS} == WAITING.keys()
    await run_postgres(database_url, *STORED, *WAITING.values())

    found = await checks(database_url, clickhouse_url)

    late = {name.removeprefix("queues."): one for name, one in found.items() if name.startswith("queues.")}
    assert {name: one.verdict for name, one in late.items()} == dict.fromkeys(WAITING, "wrong")
    assert "the oldest for" in late["events"].detail
    assert (found["workers"].verdict, "12 pieces of work wait" in found["workers"].detail) == ("wrong", True)


async def test_work_that_came_a_moment_ago_is_not_late(database_url: str, clickhouse_url: str):
    soon = [sql.replace("- interval '2 hours'", "").replace("- interval '3 hours'", "") for sql in WAITING.values()]
    await run_postgres(database_url, *STORED, *(sql.replace("- interval '11 hours'", "") for sql in soon))

    found = await checks(database_url, clickhouse_url)

    assert [name for name in found if name.startswith("queues.")] == []
    assert found["queues"].detail == "12 pieces of work wait, none for too long."


async def test_what_came_to_a_bad_end(database_url: str, clickhouse_url: str):
    await run_postgres(
        database_url,
        *STORED,
        "INSERT INTO blocks (event_count, status) VALUES (7, 'failed')",
        *(
            f"INSERT INTO deliveries (tenant_id, activation_id, is_full, status) SELECT tenant_id, id, true, '{status}' FROM activations"
            for status in ("dead", "held", "done")
        ),
        "INSERT INTO erasures (tenant_id, user_id_hash, ids, status) SELECT id, 'h', '{u}', 'failed' FROM tenants",
        "UPDATE segments SET refresh_failures = 3",
    )

    found = await checks(database_url, clickhouse_url)

    ends = {
        name.removeprefix("queues."): one.detail.split()[0] for name, one in found.items() if name.startswith("queues.")
    }
    assert ends == {"events": "7", "deliveries": "1", "held": "1", "erasures": "1", "refreshes": "1"}


@pytest.mark.shared
async def test_wrong_settings_do_not_hide_the_stores(database_url: str, clickhouse_url: str):
    found = await checks(database_url, clickhouse_url, PORT="http")

    assert bad(found) == {"settings.values": "wrong", "workers": "warning"}
    assert found["migrations"].verdict == "ok"


async def test_nothing_is_written(empty_database_url: str, empty_clickhouse_url: str):
    await checks(empty_database_url, empty_clickhouse_url)

    async with open_postgres(empty_database_url) as postgres:
        assert await postgres.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


@contextlib.asynccontextmanager
async def listening(says: bytes = b"") -> AsyncGenerator[str]:
    """A port of this machine where each connection is answered with *says* and closed; nobody listens afterwards."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield str(server.sockets[0].getsockname()[1])


async def test_a_user_that_sees_one_tenant_at_a_time(database_url: str, clickhouse_url: str):
    async with confined(database_url) as url:
        found = await checks(url, clickhouse_url)
        as_owner = await checks(database_url, clickhouse_url)

    assert "postgres.rights" not in found  # nothing is lacking
    assert (found["postgres.rows"].verdict, as_owner["postgres.rows"].verdict) == ("ok", "warning")
    assert found["tenants"].detail == "There is no tenant yet."
