"""What is answered while a store is out of reach, by the whole service on real sockets; `make chaos` tries much more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest
from msgspec import Struct

from segment_copilot.access.keys import Keys
from segment_copilot.access.tenants import Tenants
from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from tests.support.http_server import served
from tests.support.proxies import Proxy, eventually, run_proxy

EVENT = {"event_type": "order_placed", "user_id": "ann", "payload": {}}
BUYERS: dict[str, Any] = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}],
}
PREVIEW = ("POST", "/api/segments/preview/", {"definition": BUYERS})
SEGMENTS = ("GET", "/api/segments/", None)
TRACK = ("POST", "/api/ingestion/track/", EVENT)
READY = ("GET", "/health/ready", None)
Asked = tuple[str, str, Any]


class Behind(Struct, frozen=True):
    """The service with each store behind a proxy."""

    client: httpx2.AsyncClient
    postgres: Proxy
    clickhouse: Proxy

    async def ask(self, asked: Asked) -> httpx2.Response:
        method, path, body = asked
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code != httpx2.codes.INTERNAL_SERVER_ERROR
        return answer

    async def is_ready(self) -> bool:
        return (await self.ask(READY)).status_code == httpx2.codes.OK


@pytest.fixture
async def behind(database_url: str, clickhouse_url: str) -> AsyncGenerator[Behind]:
    async with (
        run_proxy(database_url) as (postgres, postgres_url),
        run_proxy(clickhouse_url) as (clickhouse, clickhouse_proxied),
    ):
        app = create_app(Settings(database_url=postgres_url, clickhouse_url=clickhouse_proxied))
        async with served(app) as url:
            resources = app.state.resources
            tenant = await Tenants(resources.postgres).create("acme")
            key = (await Keys(resources.postgres).create(tenant))[1]
            headers = {"Authorization": f"ApiKey {key}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                yield Behind(client, postgres, clickhouse)


def is_problem(answer: httpx2.Response, code: str) -> bool:
    """Whether it says in a problem what is away, and when to come again."""
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code
    assert answer.headers["retry-after"]
    return answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("cut", [Proxy.reset, Proxy.refuse], ids=["reset", "cut"])
async def test_without_clickhouse_all_goes_on_that_does_not_need_it(behind: Behind, cut: Any) -> None:
    assert (await behind.ask(PREVIEW)).status_code == httpx2.codes.OK
    cut(behind.clickhouse)
    refused = await behind.ask(PREVIEW)
    assert is_problem(refused, "unavailable")
    assert "ClickHouse" in refused.json()["detail"]
    assert (await behind.ask(SEGMENTS)).status_code == httpx2.codes.OK
    assert (await behind.ask(TRACK)).status_code == httpx2.codes.ACCEPTED
    made = await behind.ask(("POST", "/api/segments/", {"name": "Buyers", "definition": BUYERS}))
    assert made.status_code == httpx2.codes.CREATED
    computing = await behind.ask(("POST", f"/api/segments/{made.json()['id']}/compute/", None))
    assert computing.status_code == httpx2.codes.ACCEPTED
    unready = await behind.ask(READY)
    assert is_problem(unready, "not_ready")
    assert unready.json()["silent"] == ["clickhouse"]

    behind.clickhouse.speak()
    await eventually(behind.is_ready)
    assert (await behind.ask(PREVIEW)).status_code == httpx2.codes.OK


@pytest.mark.parametrize("cut", [Proxy.reset, Proxy.refuse], ids=["reset", "cut"])
async def test_without_postgresql_what_needs_a_key_is_refused_with_the_reason(behind: Behind, cut: Any) -> None:
    assert (await behind.ask(SEGMENTS)).status_code == httpx2.codes.OK
    cut(behind.postgres)
    for asked in (SEGMENTS, PREVIEW, TRACK):
        refused = await behind.ask(asked)
        assert is_problem(refused, "unavailable")
        assert "PostgreSQL" in refused.json()["detail"]
    for path in ("/health/live", "/metrics", "/openapi.json"):
        assert (await behind.ask(("GET", path, None))).status_code == httpx2.codes.OK
    assert is_problem(await behind.ask(READY), "not_ready")

    behind.postgres.speak()
    await eventually(behind.is_ready)
    assert (await behind.ask(SEGMENTS)).status_code == httpx2.codes.OK
    assert (await behind.ask(TRACK)).status_code == httpx2.codes.ACCEPTED
