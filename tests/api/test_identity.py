"""Identity over HTTP, with SegOps' own clients: ids that are one person's, and what is then read of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from segops_admin import SegOpsAdmin, SegOpsApiError

from tests.support.http_server import Server

pytestmark = pytest.mark.engines

Json = dict[str, Any]


@pytest.fixture
def admin(server: Server) -> SegOpsAdmin:
    return SegOpsAdmin(server.key, base_url=f"{server.url}/api", max_retries=0)


async def alias(admin: SegOpsAdmin, anonymous_id: str, user_id: str) -> Json:
    return await asyncio.to_thread(admin.identity.alias, anonymous_id=anonymous_id, user_id=user_id)


async def merge(admin: SegOpsAdmin, from_id: str, into_id: str) -> Json:
    return await asyncio.to_thread(admin.identity.merge, from_user_id=from_id, into_user_id=into_id)


async def track(client: httpx2.AsyncClient, *events: Json) -> None:
    answer = await client.post("/api/ingestion/track/batch/", json={"events": list(events)})
    assert answer.json()["skipped"] == 0, answer.text


async def settled(client: httpx2.AsyncClient) -> None:
    """Everything acknowledged, links among it, can be queried."""
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass


async def who(client: httpx2.AsyncClient, user_id: str) -> Json:
    return (await client.get(f"/api/identity/users/{user_id}/")).json()


def did(event_type: str, count: int) -> Json:
    condition = {"type": "event_count", "event_type": event_type, "operator": "eq", "value": count}
    return {"logic": "AND", "conditions": [condition]}


async def preview(client: httpx2.AsyncClient, definition: Json) -> list[str]:
    answer = await client.post("/api/segments/preview/", json={"definition": definition})
    return answer.json()["sample_user_ids"]


async def test_an_alias_links_once_and_the_first_claim_stays(client: httpx2.AsyncClient, admin: SegOpsAdmin):
    assert await alias(admin, "a1", "ana") == {"status": "linked", "user_id": "ana", "anonymous_id": "a1"}
    assert await alias(admin, "a1", "ana") == {"status": "linked", "user_id": "ana", "anonymous_id": "a1"}
    assert await alias(admin, "a1", "bea") == {"status": "kept", "user_id": "ana", "anonymous_id": "a1"}
    assert await who(client, "anon_a1") == {"user_id": "ana", "other_ids": ["anon_a1"]}
    assert await who(client, "bea") == {"user_id": "bea", "other_ids": []}


async def test_a_merge_overrides_an_alias_takes_along_and_makes_no_circle(
    client: httpx2.AsyncClient, admin: SegOpsAdmin
):
    await alias(admin, "c1", "carla")
    await alias(admin, "c2", "carla")
    told = await merge(admin, "anon_c1", "carol")
    assert told == {"status": "merged", "from_user_id": "anon_c1", "into_user_id": "carol"}
    await merge(admin, "carla", "clara")
    await merge(admin, "clara", "carol")
    assert await who(client, "anon_c2") == {"user_id": "carol", "other_ids": ["anon_c1", "anon_c2", "carla", "clara"]}
    await merge(admin, "clara", "dora")
    assert await who(client, "anon_c2") == {"user_id": "dora", "other_ids": ["anon_c2", "carla", "clara"]}
    assert (await alias(admin, "c2", "dora"))["status"] == "linked"

    with pytest.raises(SegOpsApiError) as circle:
        await merge(admin, "dora", "anon_c2")
    with pytest.raises(SegOpsApiError) as itself:
        await merge(admin, "dora", "dora")

    assert (circle.value.status, circle.value.body["code"]) == (409, "identity_cycle")
    assert (itself.value.status, itself.value.body["code"]) == (400, "identity_self")
    assert itself.value.body["errors"][0]["pointer"] == "/into_user_id"
    answer = await client.post("/api/identity/alias/", json={"anonymous_id": "x", "user_id": "anon_y"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "anonymous_user")


async def test_events_link_and_all_that_is_read_is_of_one_person(
    server: Server, client: httpx2.AsyncClient, admin: SegOpsAdmin
):
    await track(
        client,
        {"anonymous_id": "e1", "event_type": "e_seen"},
        {"anonymous_id": "e1", "event_type": "context_identified", "payload": {"e_plan": "free"}},
        {"anonymous_id": "e2", "event_type": "e_seen"},
        {"anonymous_id": "e1", "user_id": "eva", "event_type": "e_seen"},
        {"anonymous_id": "e1", "user_id": "too late", "event_type": "e_other"},
        {"user_id": "eva", "event_type": "context_identified", "payload": {"e_plan": "pro"}},
        {"anonymous_id": "e3", "user_id": "anon_e2", "event_type": "e_other"},
    )
    await settled(client)
    assert await preview(client, did("e_seen", 2)) == ["eva"]
    assert await preview(client, did("e_seen", 1)) == ["anon_e2"]
    assert await preview(client, did("e_other", 1)) == ["anon_e2", "too late"]
    plan: Json = {"type": "user_property", "property": "e_plan", "operator": "eq"}
    assert await preview(client, {"logic": "AND", "conditions": [plan | {"value": "pro"}]}) == ["eva"]
    assert await preview(client, {"logic": "AND", "conditions": [plan | {"value": "free"}]}) == []

    tenant = await server.resources.tenants.get("first")
    values = await server.resources.analytics.property_values(
        tenant, "e_plan", event_type=None, as_of=datetime.now(UTC)
    )
    assert [(one.value, one.count) for one in values.values] == [("pro", 1)]

    segment = await asyncio.to_thread(
        admin.segments.create, {"name": "Seen three times", "definition": did("e_seen", 3)}
    )
    await merge(admin, "anon_e2", "eva")
    await settled(client)
    await asyncio.to_thread(admin.segments.recompute, segment["id"])
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(admin.segments.get, segment["id"]))["status"] != "computed":
            pass
    members = await asyncio.to_thread(admin.segments.members, segment["id"])
    assert [member["user_id"] for member in members["results"]] == ["eva"]
    for id_ in ("eva", "anon_e1", "anon_e2"):
        answer = await client.get(f"/api/explorer/users/{id_}/segments/{segment['id']}/explain/")
        assert [(one["actual_value"], one["matches"]) for one in answer.json()] == [(3, True)]
        membership = await asyncio.to_thread(admin.segments.membership, id_)
        assert [one["segment_id"] for one in membership["segments"]] == [segment["id"]]

    profile = (await client.get("/api/explorer/users/anon_e1/")).json()
    assert (profile["user_id"], profile["event_count"], profile["properties"]) == ("eva", 6, {"e_plan": "pro"})
    assert (await client.get("/api/explorer/users/eva/events/?event_type=e_seen")).json()["count"] == 3
    found = await asyncio.to_thread(admin.users.search, {"q": "anon_e"})
    assert [(one["user_id"], one["event_count"]) for one in found["results"]] == [("eva", 6)]
    tried = {"user_id": "anon_e2", "event_type": "e_seen", "payload": {}}
    outcome = (await client.post("/api/explorer/sandbox/publish/", json=tried)).json()
    assert [one["id"] for one in outcome["exited"]] == [segment["id"]]

    async with server.client(server.other_key) as other:
        assert await who(other, "anon_e1") == {"user_id": "anon_e1", "other_ids": []}


async def test_fifty_claims_of_one_anonymous_id_at_once_link_one_of_them(client: httpx2.AsyncClient):
    claims = [{"anonymous_id": "f1", "user_id": f"user {number}"} for number in range(50)]
    answers = await asyncio.gather(*(client.post("/api/identity/alias/", json=claim) for claim in claims))
    told = [answer.json() for answer in answers]
    assert sorted(one["status"] for one in told) == ["kept"] * 49 + ["linked"]
    assert len({one["user_id"] for one in told}) == 1


async def test_an_erasure_over_http_is_requested_and_its_receipt_read(server: Server, client: httpx2.AsyncClient):
    await track(client, {"anonymous_id": "g1", "user_id": "gina/1", "event_type": "g_seen"})
    await settled(client)
    requested = await client.delete("/api/explorer/users/gina%2F1/")
    assert requested.status_code == 202
    erasure = requested.json()
    async with asyncio.timeout(30):
        while (told := (await client.get(f"/api/erasures/{erasure['erasure_id']}/")).json())["status"] != "done":
            assert (told["receipt"], told["finished_at"], told["is_genuine"]) == (None, None, None)
    assert told["is_genuine"]
    assert told["receipt"]["removed"]["rows"]["events"] == 1
    assert told["user_id_hash"] == erasure["user_id_hash"] == told["receipt"]["user_id_hash"]
    assert await preview(client, did("g_seen", 1)) == []
    async with server.client(server.other_key) as other:
        theirs, nobodys = [await other.get(f"/api/erasures/{id_}/") for id_ in (erasure["erasure_id"], 2**40)]
        assert (theirs.status_code, theirs.json()["code"]) == (404, "erasure_not_found")
        assert theirs.json().keys() == nobodys.json().keys()
