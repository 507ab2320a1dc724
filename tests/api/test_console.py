"""The console, used in a real browser over a real service, from a wrong key to a segment with members."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import httpx2
import pytest

from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from tests.support.http_server import Server, served, worked
from tests.support.nodes import RunNode
from tests.support.proxies import eventually

SOURCES = {
    file.name: file.read_text() for file in Path(str(files("segment_copilot.api").joinpath("console"))).iterdir()
}
VIEWS = {"enter", "draft", "edited", "segment", "segments", "users", "user", "activations", "events", "chart"}


@pytest.fixture(scope="module")
async def server(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Server]:
    """A service with a console, and a tenant with forty users who ordered and one who did not."""
    settings = Settings(
        database_url=module_database_url, clickhouse_url=module_clickhouse_url, console=True, refresh_default="manual"
    )
    app = create_app(settings)
    async with served(app) as url:
        resources = app.state.resources
        keys = [(await resources.keys.create(await resources.tenants.create(slug)))[1] for slug in ("first", "other")]
        server = Server(url, app, *keys)
        async with worked(resources), server.client() as client:
            await _fill(client)
            yield server


async def _fill(client: httpx2.AsyncClient) -> None:
    now = datetime.now(UTC)
    orders = [
        {
            "user_id": f"user_{number:02}",
            "event_type": "order_placed",
            "occurred_at": (now - timedelta(days=day)).isoformat(),
            "payload": {"total": 10 + number, "coupon": "SPRING"},
        }
        for number in range(40)
        for day in range(1, 2 + number % 5)
    ]
    others = [
        {"user_id": "visitor", "event_type": "page_viewed", "payload": {"path": "/pricing"}},
        {"user_id": "user_00", "event_type": "context_identified", "payload": {"country": "ES"}},
    ]
    sent = await client.post("/api/ingestion/track/batch/", json={"events": orders + others})
    assert sent.json()["skipped"] == 0

    async def forwarded() -> bool:
        return (await client.get("/api/ingestion/status/")).json()["pending"] == 0

    await eventually(forwarded)


@pytest.mark.timeout(180)
async def test_a_person_looks_asks_edits_saves_and_computes(server: Server, run_client: RunNode, chromium: str):
    told = await run_client("console.mjs", chromium, server.url, server.key)

    assert told["complaints"] == []
    assert len(told["expected"]) == 1  # the wrong key
    assert told["violations"] == []
    assert told["wide"] == []
    assert min(told["letters"]) > 10
    assert told["near"][0] == "Whole audience at 1 time: 32 · 2 times: 24 · 3 times: 16 · 4 times: 8 · 5 times: 0"
    changed = [f"laced an order more than {number} times in the last 90 days" for number in (2, 4, 4)]
    assert told["edits"] == [[f"Users who p{words}.", f"P{words}"] for words in changed]
    assert told["focus"] == "Conditions, how it comes about, SQL"  # what was pressed is gone
    assert told["unsavable"] == [True, True]
    assert told["next"] == (
        "Users who placed an order more than 2 times in the last 90 days, and whose country is “ES”."
    )
    assert told["named"] == "seen in the console"
    assert told["again"] == "Save a second one"
    assert told["why"] == [
        ["✓ who placed an order (here: 2)", "✓ NOT who viewed a page (here: 0)"],
        ["✗ who placed an order (here: 0)", "✗ NOT who viewed a page (here: 1)"],
    ]
    assert told["forgotten"] == 0
    assert set(told["views"]) == VIEWS
    assert "This key does not exist" in told["views"]["enter"]
    assert "16 of 41 users" in told["views"]["draft"]
    assert re.search(r"^40 members, computed", told["views"]["segment"], re.MULTILINE)
    assert "Users who placed an order." in told["views"]["segments"]
    assert "seen, not declared" in told["views"]["events"]


async def test_the_console_is_small_and_loads_nothing_from_elsewhere(server: Server):
    assert sum(len(source.encode()) for source in SOURCES.values()) <= 80_000
    assert not [
        found for source in SOURCES.values() for found in re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", source)
    ]
    assert not [
        found for source in SOURCES.values() for found in re.findall(r"innerHTML|insertAdjacentHTML|outerHTML", source)
    ]
    async with httpx2.AsyncClient(base_url=server.url) as nobody:
        page = await nobody.get("/console", follow_redirects=True)
        assert page.url.path == "/console/index.html"
        assert "script-src 'self';" in page.headers["content-security-policy"]
        assert "/console" in (await nobody.get("/")).text
        for name in SOURCES:
            assert (await nobody.get(f"/console/{name}")).status_code == 200
        assert (await nobody.get("/console/%2e%2e")).status_code == 404


async def test_without_the_setting_there_is_no_console(module_database_url: str, module_clickhouse_url: str):
    app = create_app(Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url))
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as nobody:
        for path in ("/console", "/console/index.html", "/console/main.js"):
            assert (await nobody.get(path)).status_code == 404
        assert "/console" not in (await nobody.get("/")).text
