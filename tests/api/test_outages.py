"""While a store is away: 503 and a time to come back, and what does not need the store still works."""

from __future__ import annotations

import asyncio

import pytest

from segment_copilot.api.http.routes import COUNTING_SECONDS, SECONDS, route_of
from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from segment_copilot.stores import migrations
from segment_copilot.stores.clickhouse import LIMITS
from tests.support.http_server import Server, served
from tests.support.proxies import run_proxy

DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


async def test_without_clickhouse_segments_can_be_read_and_nothing_is_a_500(own_engines):
    app = create_app(
        Settings(
            database_url=own_engines.database_url, clickhouse_url=own_engines.clickhouse_url, refresh_default="manual"
        )
    )
    async with served(app) as url:
        resources = app.state.resources
        await migrations.migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("first")
        server = Server(url, app, (await resources.keys.create(tenant))[1], "")
        async with server.client() as client:
            created = (await client.post("/api/segments/", json={"name": "A", "definition": DEFINITION})).json()
            await resources.computations.request(tenant, created["id"])
            assert await resources.computations.run_next()

            await asyncio.to_thread(own_engines.clickhouse.kill)

            assert (await client.get("/health/live")).status_code == 200
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["silent"]) == (503, ["clickhouse"])
            assert (await client.get(f"/api/segments/{created['id']}/")).json()["name"] == "A"
            event = {"user_id": "u", "event_type": "order_placed"}
            assert (await client.post("/api/ingestion/track/", json=event)).status_code == 202
            away = await client.post("/api/segments/preview/", json={"definition": DEFINITION})
            assert (away.status_code, away.json()["code"]) == (503, "unavailable")
            assert int(away.headers["retry-after"]) > 0
            members = await client.get(f"/api/segments/{created['id']}/members/")
            assert members.status_code == 503

            await asyncio.to_thread(own_engines.postgres.kill)

            assert (await client.get("/health/ready")).json()["silent"] == ["postgres", "clickhouse"]
            for method, path in (("GET", "/api/segments/"), ("POST", "/api/ingestion/track/")):
                answer = await client.request(method, path, json=event)
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

            await asyncio.to_thread(own_engines.postgres.restart)
            await asyncio.to_thread(own_engines.clickhouse.restart)

            async with asyncio.timeout(30):
                while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110  # nothing to be woken by
                    await asyncio.sleep(0.1)
            again = await client.post("/api/segments/preview/", json={"definition": DEFINITION})
            assert again.status_code == 200


async def test_with_frozen_stores_every_request_ends_with_a_problem(module_database_url, module_clickhouse_url):
    """A stopped process keeps its sockets open, and new ones are still taken by the system."""
    async with (
        run_proxy(module_database_url) as (postgres, database_url),
        run_proxy(module_clickhouse_url) as (clickhouse, clickhouse_url),
        served(
            app := create_app(
                Settings(database_url=database_url, clickhouse_url=clickhouse_url, refresh_default="manual")
            )
        ) as url,
    ):
        resources = app.state.resources
        tenant = await resources.tenants.create("frozen")
        server = Server(url, app, (await resources.keys.create(tenant))[1], "")
        async with server.client() as client:
            created = (await client.post("/api/segments/", json={"name": "A", "definition": DEFINITION})).json()
            path = f"/api/segments/{created['id']}"
            definition, event = {"definition": DEFINITION}, {"user_id": "u", "event_type": "order_placed"}
            assert (await client.post("/api/ingestion/track/", json=event)).status_code == 202
            assert await resources.forwarding.forward_next() == 1
            await resources.computations.request(tenant, created["id"])
            assert await resources.computations.run_next()
            of_clickhouse = [("GET", f"{path}/members/", None), ("GET", "/api/segments/membership/?user_id=u", None)]
            counting = [
                ("POST", "/api/segments/preview/", definition),
                ("POST", f"{path}/estimate/", None),
                ("POST", "/api/segments/explain/", definition),
            ]
            of_postgres = [
                ("GET", "/api/segments/", None),
                ("GET", path, None),
                ("DELETE", path, None),
                ("POST", "/api/ingestion/track/", event),
                ("POST", "/api/copilot/stream/", {"messages": [{"role": "user", "content": "Who bought?"}]}),
            ]

            async def ends(method: str, path: str, body: object, *, seconds: float) -> None:
                async with asyncio.timeout(seconds):
                    answer = await client.request(method, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), (path, answer.text)

            for store, seconds, requests in [
                (clickhouse, 10, of_clickhouse),
                (clickhouse, 30, counting),
                (postgres, 10, of_postgres),
            ]:
                client.timeout = seconds + 10
                store.silence()
                await asyncio.gather(*(ends(*one, seconds=seconds) for one in requests))
                store.speak()
                async with asyncio.timeout(30):
                    while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            assert (await client.get(path)).json()["name"] == "A"
            assert (await client.get(f"{path}/members/")).json()["count"] == 1


def test_every_route_has_a_deadline():
    """Only a run of the copilot as one answer has its own, and each tool of MCP."""
    unbounded = {
        handler.operation_id or handler.handler_name: route_of(handler).seconds
        for route in create_app(Settings()).routes
        for handler in getattr(route, "route_handlers", ())
        if route_of(handler).seconds not in {SECONDS, COUNTING_SECONDS}
    }
    assert unbounded == {"generate_segment": None, "mcp": None}


def test_clickhouse_gives_a_question_up_before_the_person_who_waits_for_it():
    """A query that nobody waits for any more must not go on for minutes."""
    assert LIMITS["members"].seconds <= SECONDS
    assert all(LIMITS[purpose].seconds <= COUNTING_SECONDS for purpose in ("preview", "catalog", "copilot"))


async def test_while_a_table_of_clickhouse_is_missing_nothing_is_a_500(server, client):
    clickhouse = server.resources.clickhouse
    created = (await client.post("/api/segments/", json={"name": "A", "definition": DEFINITION})).json()
    await client.post(f"/api/segments/{created['id']}/compute/")
    async with asyncio.timeout(20):
        while (await client.get(f"/api/segments/{created['id']}/")).json()["status"] != "computed":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for table, method, path, body in [
        ("events", "POST", "/api/segments/preview/", {"definition": DEFINITION}),
        ("events", "POST", f"/api/segments/{created['id']}/estimate/", None),
        ("segment_states", "GET", f"/api/segments/{created['id']}/members/", None),
    ]:
        await clickhouse.execute(f"RENAME TABLE {table} TO hidden", purpose="migrate")
        try:
            answer = await client.request(method, path, json=body)
        finally:
            await clickhouse.execute(f"RENAME TABLE hidden TO {table}", purpose="migrate")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path


async def test_a_preview_is_stopped_when_its_client_leaves(server, client):
    clickhouse = server.resources.clickhouse
    looking = "SELECT count() FROM system.processes WHERE query LIKE '%FROM events%' AND query NOT LIKE '%processes%'"

    async def reached(number: int) -> None:
        async with asyncio.timeout(3):
            while (await clickhouse.fetch(looking, purpose="catalog")).rows != [(number,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    body = {"definition": DEFINITION}
    event = {"user_id": "ana", "event_type": "order_placed"}
    assert (await client.post("/api/ingestion/track/", json=event)).status_code == 202
    async with asyncio.timeout(20):
        while (await client.post("/api/segments/preview/", json=body)).json()["matched_users"] != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await clickhouse.execute("RENAME TABLE events TO stored_events", purpose="migrate")
    try:
        slow = "CREATE VIEW events AS SELECT stored_events.* FROM stored_events, system.numbers AS n "
        slow += "WHERE NOT ignore(n.number, stored_events.event_type)"
        await clickhouse.execute(slow, purpose="migrate")
        asking = asyncio.create_task(client.post("/api/segments/preview/", json=body))
        await reached(1)

        asking.cancel()

        await reached(0)
        with pytest.raises(asyncio.CancelledError):
            await asking
    finally:
        await clickhouse.execute("DROP VIEW IF EXISTS events", purpose="migrate")
        await clickhouse.execute("RENAME TABLE stored_events TO events", purpose="migrate")
