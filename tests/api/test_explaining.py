"""Explanations over HTTP, and SegOps' explorer."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import asyncpg
import pytest

BOUGHT = {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2}
SPANISH = {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}
LOOKED = {"type": "event_count", "event_type": "page_viewed"}
BUYERS = {"logic": "AND", "conditions": [BOUGHT], "exclude": {"logic": "OR", "conditions": [SPANISH]}}
ODD_IDS = ["a/b c", "a%2Fb", "100%", "ünï?#", "..."]


@pytest.fixture(scope="module", autouse=True)
async def history(server):
    """Two orders of everyone but the one who only looked; ana is Spanish."""
    bought = ["ana", "ben", *ODD_IDS]
    events = [{"user_id": user, "event_type": "order_placed", "payload": {"total": 10}} for user in bought * 2]
    events += [
        {"user_id": "ana", "event_type": "context_identified", "payload": {"country": "ES"}},
        {"user_id": "looker", "event_type": "page_viewed", "payload": {"path": "/"}},
    ]
    async with server.client() as client:
        assert (await client.post("/api/ingestion/track/batch/", json={"events": events})).json()["skipped"] == 0
        async with asyncio.timeout(30):
            while (await client.get("/api/ingestion/status/")).json()["pending"]:  # noqa: ASYNC110  # nothing to be woken by
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
async def segment_id(server, history) -> int:
    async with server.client() as client:
        return (await client.post("/api/segments/", json={"name": "Buyers", "definition": BUYERS})).json()["id"]


async def test_a_definition_is_explained(client):
    answer = await client.post("/api/segments/explain/", json={"definition": BUYERS})

    told = answer.json()
    assert answer.status_code == 200
    assert (told["matched_users"], told["universe"]) == (6, 8)
    assert [
        (each["pointer"], each["role"], each["matched_users"], each["audience_after"], each["audience_without"])
        for each in told["stages"]
    ] == [
        ("/definition/conditions/0", "include", 7, 7, 7),
        ("/definition/exclude/conditions/0", "exclude", 1, 6, 7),
    ]
    assert [each["pointer"] for each in told["conditions"]] == [each["pointer"] for each in told["stages"]]
    assert told["shape"] == "chain"
    assert told["tier_reason"] == "It has an exclusion."
    assert "{tenant:UInt32}" in told["sql"]
    assert "emptied_by" not in told
    assert "user" not in told


async def test_what_empties_an_audience_has_its_place_in_the_body(client):
    unseen = {**LOOKED, "event_type": "page_view"}
    asked = {"logic": "AND", "conditions": [BOUGHT, unseen]}

    told = (await client.post("/api/segments/explain/", json={"definition": asked})).json()

    assert told["matched_users"] == 0
    assert told["emptied_by"]["pointers"] == ["/definition/conditions/1"]
    assert told["emptied_by"]["detail"].startswith("Nobody is left after stage 2 (")
    assert [warning["pointer"] for warning in told["warnings"]] == ["/definition/conditions/1/event_type"]


async def test_a_user_is_explained_beside_the_audience(client):
    told = (await client.post("/api/segments/explain/", json={"definition": BUYERS, "user_id": "ana"})).json()

    bought, spanish = told["user"]["conditions"]
    assert (told["user"]["user_id"], told["user"]["in_universe"], told["user"]["is_member"]) == ("ana", True, False)
    assert (bought["pointer"], bought["measured"], bought["threshold"], bought["matches"]) == (
        "/definition/conditions/0",
        2,
        2,
        True,
    )
    assert (spanish["measured"], spanish["matches"]) == ("ES", True)
    assert [event["event_type"] for event in bought["events"]] == ["order_placed"] * 2


async def test_a_stored_segment_is_explained_as_of_any_instant(client, segment_id):
    now = await client.post(f"/api/segments/{segment_id}/explain/")
    before = await client.post(
        f"/api/segments/{segment_id}/explain/", json={"as_of": "2001-01-01T00:00:00Z", "user_id": "ben"}
    )

    assert now.json()["matched_users"] == 6
    assert (before.json()["as_of"], before.json()["universe"]) == ("2001-01-01T00:00:00Z", 0)
    assert before.json()["emptied_by"]["pointers"] == []
    assert before.json()["user"]["in_universe"] is False


async def test_mistakes_have_their_place_in_the_body(client):
    wrong = {"logic": "AND", "conditions": [{**BOUGHT, "operator": "nearly"}]}
    answer = await client.post("/api/segments/explain/", json={"definition": wrong})
    late = await client.post("/api/segments/explain/", json={"definition": BUYERS, "as_of": "9000-01-01T00:00:00Z"})

    assert (answer.status_code, late.status_code) == (400, 400)
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/definition/conditions/0/operator"]
    assert [error["pointer"] for error in late.json()["errors"]] == ["/as_of"]


# SegOps' explorer


@pytest.mark.parametrize(
    "user_id", ["ben", *ODD_IDS], ids=["plain", "slash", "quoted slash", "percent", "marks", "dots"]
)
async def test_the_explorer_explains_a_member(client, segment_id, user_id):
    answer = await client.get(f"/api/explorer/users/{quote(user_id, safe='')}/segments/{segment_id}/explain/")

    bought, spanish = answer.json()
    assert answer.status_code == 200
    assert bought.pop("events")[0]["event_type"] == "order_placed"
    assert bought == {
        "index": 0,
        "type": "event_count",
        "label": "who placed an order at least 2 times",
        "actual_value": 2,
        "threshold": 2,
        "matches": True,
        "pointer": "/definition/conditions/0",
    }
    assert (spanish["index"], spanish["actual_value"], spanish["threshold"]) == (1, None, "ES")
    assert spanish["matches"] is False


async def test_the_explorer_explains_a_user_who_is_not_in_it(client, segment_id):
    bought, spanish = (await client.get(f"/api/explorer/users/looker/segments/{segment_id}/explain/")).json()

    assert (bought["actual_value"], bought["matches"], bought["events"]) == (0, False, [])
    assert spanish["matches"] is False


async def test_whom_nobody_has_seen_is_not_found(client, segment_id):
    answer = await client.get(f"/api/explorer/users/zoe/segments/{segment_id}/explain/")

    assert (answer.status_code, answer.json()["code"]) == (404, "user_not_found")


async def test_another_tenants_segment_and_users_are_not_found(server, client, segment_id):
    own = {"name": "Mine", "definition": {"logic": "AND", "conditions": [BOUGHT]}}
    async with server.client(server.other_key) as other:
        theirs = await other.get(f"/api/explorer/users/ana/segments/{segment_id}/explain/")
        stored = await other.post(f"/api/segments/{segment_id}/explain/")
        mine = (await other.post("/api/segments/", json=own)).json()["id"]
        unknown = await other.get(f"/api/explorer/users/ana/segments/{mine}/explain/")

    assert (theirs.status_code, theirs.json()["code"]) == (404, "segment_not_found")
    assert (stored.status_code, stored.json()["code"]) == (404, "segment_not_found")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "user_not_found")


async def test_what_is_wrong_with_a_stored_definition_is_no_parameter(client, module_database_url: str):
    segment = (await client.post("/api/segments/", json={"name": "Refers", "definition": BUYERS})).json()["id"]
    refers = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": 10**6}]}
    postgres = await asyncpg.connect(module_database_url)
    try:
        sql = "UPDATE segments SET definition = $2::text::json WHERE id = $1"
        await postgres.execute(sql, segment, json.dumps(refers))
    finally:
        await postgres.close()

    answer = await client.get(f"/api/explorer/users/ana/segments/{segment}/explain/")

    assert answer.status_code == 400
    assert [(each["pointer"], each.get("parameter")) for each in answer.json()["errors"]] == [
        ("/definition/conditions/0/segment_id", None)
    ]
