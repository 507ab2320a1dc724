"""Snapshots over HTTP: taken, read, compared, exported, deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support.http_server import Server

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
USERS = [f"user-{number}" for number in range(7)]


@pytest.fixture(scope="module")
async def segment(server: Server) -> dict[str, Any]:
    """Seven buyers, six of them since before; computed."""
    before = {"occurred_at": "2026-03-01T00:00:00Z"}
    events = [{"user_id": user, "event_type": "order_placed"} | before for user in USERS[:6]]
    events += [{"user_id": USERS[6], "event_type": "order_placed"}]
    async with server.client() as client, asyncio.timeout(30):
        await client.post("/api/ingestion/track/batch/", json={"events": events})
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
        saved = (await client.post("/api/segments/", json={"name": "Buyers", "definition": BOUGHT})).json()
        await client.post(f"/api/segments/{saved['id']}/compute/")
        while (found := (await client.get(f"/api/segments/{saved['id']}/")).json())["status"] != "computed":
            pass
    return found


async def taken(client: httpx2.AsyncClient, segment: dict[str, Any], **body: Any) -> dict[str, Any]:
    asked = await client.post(f"/api/segments/{segment['id']}/snapshots/", json={"name": "Kept", **body})
    assert (asked.status_code, asked.json()["status"]) == (202, "pending")
    async with asyncio.timeout(30):
        while (found := (await client.get(asked.headers["location"])).json())["status"] == "pending":
            pass
    return found


async def test_the_life_of_a_snapshot(client: httpx2.AsyncClient, segment: dict[str, Any]):
    now = await taken(client, segment)
    then = await taken(client, segment, name="In April", as_of="2026-04-01T00:00:00Z")
    path = f"/api/snapshots/{now['id']}/"

    first = (await client.get(f"{path}members/", params={"limit": 5})).json()
    second = (await client.get(first["next"])).json()
    by_page = (await client.get(f"{path}members/", params={"page": 2, "page_size": 3})).json()
    compared = (await client.get(f"{path}compare/{then['id']}/")).json()
    both = (await client.get(f"{path}compare/{then['id']}/", params={"list": "in_both", "limit": 4})).json()
    rest = (await client.get(both["next"])).json()
    listed = (await client.get("/api/snapshots/", params={"segment_id": segment["id"], "order": "-as_of"})).json()
    etag = (await client.get(f"{path}members/")).headers["etag"]
    known = await client.get(f"{path}members/", headers={"If-None-Match": etag})

    assert (now["segment_id"], now["name"], now["member_count"]) == (segment["id"], "Kept", 7)
    assert (now["as_of"], now["version"], now["error"]) == (segment["last_computed_at"], 1, None)
    assert now["definition"] == segment["definition"]
    assert (then["as_of"], then["member_count"]) == ("2026-04-01T00:00:00Z", 6)
    assert [one["user_id"] for one in first["results"] + second["results"]] == USERS
    assert first["results"][0] == {"user_id": USERS[0], "computed_at": now["as_of"]}
    assert second["next"] is None
    assert [one["user_id"] for one in by_page["results"]] == USERS[3:6]
    assert (compared["only_in_a"], compared["only_in_b"], compared["in_both"]) == (1, 0, 6)
    assert (compared["list"], compared["count"], compared["results"]) == ("only_in_a", 1, [{"user_id": USERS[6]}])
    assert [one["user_id"] for one in both["results"] + rest["results"]] == USERS[:6]
    assert rest["list"] == "in_both"
    assert [one["id"] for one in listed["results"]] == [now["id"], then["id"]]
    assert known.status_code == 304

    exported = await client.post(f"{path}export/", json={"format": "ndjson"})
    async with asyncio.timeout(30):
        while (export := (await client.get(exported.headers["location"])).json())["status"] == "pending":
            pass
    fetched = await client.get(export["download_url"])
    exports = (await client.get(f"{path}exports/")).json()["results"]
    deleted = await client.delete(path)
    gone = [await client.get(path), await client.get(f"{path}members/"), await client.get(export["download_url"])]

    assert len(fetched.text.splitlines()) == 7
    assert fetched.headers["content-disposition"].startswith(f'attachment; filename="snapshot-{now["id"]}-')
    assert exports == [export]
    assert (export["segment_id"], export["snapshot_id"]) == (None, now["id"])
    assert deleted.status_code == 204
    assert [one.status_code for one in gone] == [404] * 3


async def test_mistakes_are_told_with_their_places(client: httpx2.AsyncClient, segment: dict[str, Any]):
    path = f"/api/segments/{segment['id']}/snapshots/"
    draft = (await client.post("/api/segments/", json={"name": "Draft", "definition": BOUGHT})).json()
    kept = await taken(client, segment)

    answers = [
        await client.post(path, json={"name": " "}),
        await client.post(path, json={"name": "x", "as_of": "2199-01-01T00:00:00Z"}),
        await client.post(path, json={"name": "x", "as_of": "2026-01-01"}),
        await client.post(f"/api/segments/{draft['id']}/snapshots/", json={"name": "x"}),
        await client.get(f"/api/snapshots/{kept['id']}/compare/{kept['id']}/", params={"list": "all"}),
        await client.get(f"/api/snapshots/{kept['id']}/members/", params={"cursor": "x"}),
        await client.get(f"/api/snapshots/{kept['id']}/compare/{10**9}/"),
    ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [
        (400, "invalid_input"),
        (400, "invalid_input"),
        (400, "invalid_input"),
        (409, "segment_not_computed"),
        (400, "invalid_parameter"),
        (400, "bad_cursor"),
        (404, "snapshot_not_found"),
    ]
    assert answers[1].json()["errors"][0]["pointer"] == "/as_of"


async def test_another_tenants_snapshots_are_as_if_they_never_were(
    server: Server, client: httpx2.AsyncClient, segment: dict[str, Any]
):
    kept = await taken(client, segment)
    path = f"/api/snapshots/{kept['id']}/"
    async with server.client(server.other_key) as other:
        answers = [
            await other.post(f"/api/segments/{segment['id']}/snapshots/", json={"name": "x"}),
            await other.get(path),
            await other.get(f"{path}members/"),
            await other.get(f"{path}compare/{kept['id']}/"),
            await other.post(f"{path}export/"),
            await other.get(f"{path}exports/"),
            await other.delete(path),
        ]
        listed = (await other.get("/api/snapshots/", params={"segment_id": segment["id"]})).json()

    assert {one.status_code for one in answers} == {404}
    assert listed["count"] == 0
