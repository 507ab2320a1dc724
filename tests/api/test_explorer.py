"""The explorer, analytics and usage over HTTP, mostly as SegOps' own client and command ask for them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from segops import SegOpsClient
from segops_admin import SegOpsAdmin, SegOpsApiError

NOW = datetime.now(UTC).replace(microsecond=0)
ANA = "ana/ñ@shop.example 100%"
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
VIEWERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "page_viewed"}]}
SPANISH = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}
NAMES = ("Buyers", "Viewers", "Spanish")


def event(user_id: str, event_type: str, days: float, payload: Any = None) -> dict[str, Any]:
    at = (NOW - timedelta(days=days)).isoformat()
    return {"user_id": user_id, "event_type": event_type, "occurred_at": at, "payload": payload or {}}


HISTORY = [
    event(ANA, "page_viewed", 40, {"path": "/"}),
    event(ANA, "context_identified", 20, {"country": "ES", "age": 31, "plan": "free"}),
    event(ANA, "order_placed", 10, {"total": 89.95, "items": [{"sku": "a.b", "n": 2}], "nested": {"x.y": True}}),
    event(ANA, "context_identified", 5, {"plan": None, "age": 32}),
    event("anabel", "order_placed", 3),
    event("ben", "page_viewed", 2),
]


async def settled(server: Any, key: str) -> None:
    async with server.client(key) as client, asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.02)


@pytest.fixture(scope="module", autouse=True)
async def segments(server) -> dict[str, int]:
    """Sends the history of both tenants, the other's by other people, and computes three segments of each; ids by name."""
    found = dict[str, int]()
    for key in (server.other_key, server.key):
        async with server.client(key) as client:
            events = [
                each | {"user_id": f"other-{each['user_id']}"} if key == server.other_key else each for each in HISTORY
            ]
            assert (await client.post("/api/ingestion/track/batch/", json={"events": events})).json()["skipped"] == 0
            await settled(server, key)
            for name, definition in zip(NAMES, (BUYERS, VIEWERS, SPANISH), strict=True):
                saved = await client.post("/api/segments/", json={"name": name, "definition": definition})
                found[name] = saved.json()["id"]
            await client.post("/api/segments/compute/")
            async with asyncio.timeout(30):
                while any(  # noqa: ASYNC110  # nothing to be woken by
                    each["status"] != "computed" for each in (await client.get("/api/segments/")).json()["results"]
                ):
                    await asyncio.sleep(0.02)
    return found


@pytest.fixture
def ask(server) -> Callable[..., Any]:
    """Calls a method of SegOps' client, unmodified, in a thread of its own."""

    async def call(resource: str, method: str, *args: Any, key: str | None = None) -> Any:
        admin = SegOpsAdmin(key or server.key, base_url=f"{server.url}/api", max_retries=0)
        return await asyncio.to_thread(getattr(getattr(admin, resource), method), *args)

    return call


@pytest.fixture
def command(server) -> Callable[..., Any]:
    """Runs SegOps' command, unmodified; its answer, read from what it prints."""

    async def run(*args: str) -> Any:
        program = Path(sys.executable).with_name("segops-admin")
        environment = os.environ | {"SEGOPS_API_KEY": server.key, "SEGOPS_API_URL": f"{server.url}/api"}
        ended = await asyncio.to_thread(
            subprocess.run, [program, *args], env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return msgspec.json.decode(ended.stdout)

    return run


def told(moment: timedelta) -> str:
    return (NOW - moment).isoformat().replace("+00:00", "Z")


async def test_users_are_searched(ask, command):
    found = await ask("users", "search", {"q": "ANA", "limit": 10})
    paged = await ask("users", "search", {"page": 2, "page_size": 2})

    assert found["count"] == 2
    assert found["results"] == [
        {"user_id": ANA, "event_count": 4, "first_seen": told(timedelta(40)), "last_seen": told(timedelta(5))},
        {"user_id": "anabel", "event_count": 1, "first_seen": told(timedelta(3)), "last_seen": told(timedelta(3))},
    ]
    assert (paged["count"], [user["user_id"] for user in paged["results"]]) == (3, ["ben"])
    assert (await command("users", "search", "--q=anab"))["results"][0]["user_id"] == "anabel"


async def test_a_profile_is_read(ask, command):
    profile = await ask("users", "get", ANA)

    assert profile == {
        "user_id": ANA,
        "event_count": 4,
        "event_type_count": 3,
        "first_seen": told(timedelta(40)),
        "last_seen": told(timedelta(5)),
        "properties": {"age": 32, "country": "ES"},
    }
    assert await command("users", "get", ANA) == profile


async def test_events_are_listed(ask, command):
    every = await ask("users", "events", ANA)
    orders = await ask("users", "events", ANA, {"event_type": "order_placed", "limit": 5})
    since = await ask("users", "events", ANA, {"since": (NOW - timedelta(20)).date().isoformat()})
    until = await command("users", "events", ANA, f"--until={(NOW - timedelta(20)).date()}", "--limit=1")

    types = [each["event_type"] for each in every["results"]]
    assert types == ["context_identified", "order_placed", "context_identified", "page_viewed"]
    assert every["count"] == 4
    (order,) = orders["results"]
    assert (orders["count"], order["occurred_at"]) == (1, told(timedelta(10)))
    assert order["payload"] == HISTORY[2]["payload"]
    assert [each["event_type"] for each in since["results"]] == types[:3]
    assert (until["count"], [each["event_type"] for each in until["results"]]) == (2, ["context_identified"])
    assert until["next_cursor"]


async def test_a_cursor_goes_on_through_events(client):
    path = f"/api/explorer/users/{quote(ANA, safe='')}/events/"
    first = (await client.get(path, params={"limit": 3})).json()
    second = (await client.get(path, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    followed = (await client.get(first["next"])).json()
    elsewhere = await client.get(path, params={"event_type": "order_placed", "cursor": first["next_cursor"]})

    assert [len(page["results"]) for page in (first, second)] == [3, 1]
    assert second["next_cursor"] is None
    assert followed["results"] == second["results"]
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize("since", ["yesterday", "2026-02-30", "2026-06-01T10:00:00", "1899-01-01T00:00:00Z", ""])
async def test_what_is_no_moment_is_refused(client, since):
    answer = await client.get("/api/explorer/users/ben/events/", params={"since": since})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert answer.json()["errors"][0]["parameter"] == "since"


async def test_a_date_is_a_day_of_the_tenant(server):
    resources = server.resources
    tenant = await resources.tenants.create("auckland", timezone="Pacific/Auckland")
    _, key = await resources.keys.create(tenant)
    hours = ["2026-05-31T11:59:59Z", "2026-05-31T12:00:00Z", "2026-06-01T11:59:59Z", "2026-06-01T12:00:00Z"]
    events = [{"user_id": "kiri", "event_type": "page_viewed", "occurred_at": hour} for hour in hours]
    async with server.client(key) as client:
        await client.post("/api/ingestion/track/batch/", json={"events": events})
        day = {"since": "2026-06-01", "until": "2026-06-01"}
        found = (await client.get("/api/explorer/users/kiri/events/", params=day)).json()
        whole = {"since": "1900-01-01", "until": "2299-12-31"}
        every = (await client.get("/api/explorer/users/kiri/events/", params=whole)).json()

    assert [each["occurred_at"] for each in found["results"]] == hours[2:0:-1]
    assert every["count"] == 4


async def test_segments_of_a_user_and_why(ask, segments):
    mine = await ask("users", "segments", ANA)
    why = await ask("users", "explain", ANA, segments["Spanish"])

    assert [(each["segment_id"], each["segment_name"], each["member_count"]) for each in mine] == [
        (segments["Buyers"], "Buyers", 2),
        (segments["Viewers"], "Viewers", 2),
        (segments["Spanish"], "Spanish", 1),
    ]
    assert all(datetime.fromisoformat(each["computed_at"]) >= NOW for each in mine)
    (condition,) = why
    assert {name: condition[name] for name in ("index", "type", "actual_value", "threshold", "matches")} == {
        "index": 0,
        "type": "user_property",
        "actual_value": "ES",
        "threshold": "ES",
        "matches": True,
    }
    assert condition["label"]


async def test_an_event_is_tried(ask, segments):
    before = (await ask("users", "events", "ben"))["count"]

    ordered = await ask("users", "publish_sandbox", event("ben", "order_placed", 0))
    moved = await ask(
        "users", "publish_sandbox", {"user_id": ANA, "event_type": "context_identified", "payload": {"country": "PT"}}
    )
    stranger = await ask("users", "publish_sandbox", {"user_id": "new", "event_type": "page_viewed", "payload": {}})

    assert ordered["published"] is True
    assert ordered["entered"] == [{"id": segments["Buyers"], "name": "Buyers"}]
    assert (ordered["exited"], ordered["unchanged_count"]) == ([], 2)
    assert (moved["entered"], moved["exited"]) == ([], [{"id": segments["Spanish"], "name": "Spanish"}])
    assert stranger["entered"] == [{"id": segments["Viewers"], "name": "Viewers"}]
    assert (await ask("users", "events", "ben"))["count"] == before
    with pytest.raises(SegOpsApiError) as unknown:
        await ask("users", "get", "new")
    assert (unknown.value.status, unknown.value.body["code"]) == (404, "user_not_found")


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"user_id": "ben"}, "/event_type"),
        ({"user_id": "", "event_type": "x"}, "/user_id"),
        ({"user_id": "ben", "event_type": "x", "occurred_at": "soon"}, "/occurred_at"),
        ({"user_id": "ben", "event_type": "x", "payload": {"a%2Eb": 1}}, "/payload/a%2Eb"),
        ({"user_id": "ben", "event_type": "x", "event_id": "e1"}, "/event_id"),
    ],
)
async def test_an_event_that_would_not_be_accepted_is_refused_with_its_place(client, wrong, pointer):
    answer = await client.post("/api/explorer/sandbox/publish/", json=wrong)

    assert answer.status_code == 400
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_a_page_that_asks_the_copilot_is_told_of_no_user(client, server):
    token = (await client.post("/api/auth/session/", json={"scope": "copilot"})).json()["token"]
    async with server.client() as browser:
        browser.headers["Authorization"] = f"Bearer {token}"
        tried = await browser.post("/api/explorer/sandbox/publish/", json={"user_id": "ben", "event_type": "x"})
        found = await browser.get("/api/explorer/users/ben/")

    assert (tried.status_code, found.status_code) == (403, 403)


async def test_what_was_sent_a_moment_ago_is_there(ask, server):
    sdk = SegOpsClient(api_key=server.key, api_url=server.url)
    sent = {"path": "/late", "none": None}
    await asyncio.to_thread(sdk.track, user_id="late", event_type="page_viewed", payload=sent)
    await asyncio.to_thread(sdk.shutdown)

    events, profile = await ask("users", "events", "late"), await ask("users", "get", "late")

    assert [each["payload"]["path"] for each in events["results"]] == ["/late"]
    assert (profile["event_count"], profile["properties"]) == (1, {})
    await settled(server, server.key)


async def test_another_tenants_user_and_segment_never_existed(ask, server, segments):
    for user_id in (f"other-{ANA}", "other-ben", "never"):
        with pytest.raises(SegOpsApiError) as unknown:
            await ask("users", "get", user_id)
        assert (unknown.value.status, unknown.value.body["code"]) == (404, "user_not_found")
        assert (await ask("users", "events", user_id))["results"] == []
        assert await ask("users", "segments", user_id) == []
    assert (await ask("users", "search", {"q": "other"}))["count"] == 0
    with pytest.raises(SegOpsApiError) as hidden:
        await ask("users", "explain", f"other-{ANA}", segments["Buyers"], key=server.other_key)
    assert (hidden.value.status, hidden.value.body["code"]) == (404, "segment_not_found")


async def test_analytics_are_asked_for(ask, command, segments):
    overview = await ask("analytics", "overview")
    trends = await ask("analytics", "segments")
    overlap = await ask("analytics", "overlap")
    usage = await ask("analytics", "usage")

    assert {
        name: overview[name] for name in ("segment_count", "total_members", "ai_credits_used", "ai_credits_limit")
    } == {
        "segment_count": 3,
        "total_members": 5,
        "ai_credits_used": 0,
        "ai_credits_limit": -1,
    }
    assert overview["events_30d"] >= 3
    assert [(each["id"], each["name"], each["member_count"], each["trend"]) for each in trends] == [
        (segments["Buyers"], "Buyers", 2, []),
        (segments["Viewers"], "Viewers", 2, []),
        (segments["Spanish"], "Spanish", 1, []),
    ]
    assert [(each["seg_a_name"], each["seg_b_name"], each["overlap"], each["overlap_pct"]) for each in overlap] == [
        ("Buyers", "Viewers", 1, 50.0),
        ("Buyers", "Spanish", 1, 100.0),
        ("Viewers", "Spanish", 1, 100.0),
    ]
    assert [overlap[0]["seg_a_id"], overlap[0]["seg_b_id"]] == [segments["Buyers"], segments["Viewers"]]
    assert (usage["events_limit"], usage["dynamic_plus"], usage["dynamic_plus_limit"]) == (-1, 2, -1)
    assert usage["mtu_computed"] >= 0
    assert (await command("analytics", "overview"))["segment_count"] == 3
    assert (await command("analytics", "usage"))["dynamic_plus"] == 2


async def test_activations_are_told_as_they_are_stored(ask, server, segments):
    resources, config = server.resources, {"url": "https://hooks.example.com/"}
    tenant = await resources.tenants.get("first")
    assert await ask("analytics", "activations") == []
    await resources.activations.create(
        tenant, segments["Buyers"], connector_type="webhook", config=config, status="paused"
    )

    (one,) = await ask("analytics", "activations")

    assert {name: value for name, value in one.items() if name != "id"} == {
        "segment_id": segments["Buyers"],
        "segment_name": "Buyers",
        "connector_type": "webhook",
        "status": "paused",
        "last_synced_at": None,
        "last_error": "",
        "member_count": 2,
        "success_rate": None,
        "sync_logs": [],
    }
    assert await ask("analytics", "activations", key=server.other_key) == []
    await resources.activations.delete_all(tenant)


async def test_usage_says_what_is_used_and_what_may_be(client, server):
    tenant = await server.resources.tenants.get("first")
    unlimited = (await client.get("/api/usage/")).json()
    await server.resources.tenants.set_dynamic_plus_limit(tenant, 7)
    limited = (await client.get("/api/usage/")).json()
    await server.resources.tenants.set_dynamic_plus_limit(tenant, None)

    assert unlimited["dynamic_plus"] == {"used": 2, "limit": None}
    assert limited["dynamic_plus"] == {"used": 2, "limit": 7}
    assert set(unlimited) == {"dynamic_plus", "events", "requests"}
    assert unlimited["events"]["limit"] is None
    assert unlimited["requests"] == {"limit_per_minute": 60_000}
    assert unlimited["events"]["this_month"] >= 0
