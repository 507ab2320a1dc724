"""The life of a segment over HTTP, against real stores."""

from __future__ import annotations

import asyncio

import httpx2
import msgspec
import pytest

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
SPANISH = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}
BUYERS = 7


async def until(client: httpx2.AsyncClient, path: str, reached) -> dict:
    """The answer of *path* once *reached* says so."""
    async with asyncio.timeout(30):
        while not reached(answer := (await client.get(path)).json()):  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture(scope="module", autouse=True)
async def history(server):
    """Seven buyers, two of them Spanish, and one who only looked."""
    users = [f"user-{number}" for number in range(BUYERS)]
    events = [{"user_id": user, "event_type": "order_placed", "payload": {"total": 10}} for user in users]
    events += [
        {"user_id": user, "event_type": "context_identified", "payload": {"country": "ES"}} for user in users[:2]
    ]
    events += [{"user_id": "looker", "event_type": "page_viewed", "payload": {"path": "/"}}]
    async with server.client() as client:
        answer = await client.post("/api/ingestion/track/batch/", json={"events": events})
        assert answer.json() == {"queued": len(events), "skipped": 0, "errors": []}
        await until(client, "/api/ingestion/status/", lambda status: status["pending"] == 0)


@pytest.fixture
async def segment(client):
    """A saved segment of everyone who bought."""
    answer = await client.post("/api/segments/", json={"name": "Buyers", "definition": BOUGHT})
    assert answer.status_code == 201
    return answer.json()


async def test_a_preview_counts_and_shows_the_first_users(client):
    answer = await client.post("/api/segments/preview/", json={"definition": BOUGHT, "limit": 3, "breakdown": True})

    preview = answer.json()
    assert answer.status_code == 200
    assert preview["matched_users"] == BUYERS
    assert preview["universe"] == BUYERS + 1
    assert preview["sample_user_ids"] == ["user-0", "user-1", "user-2"]
    assert preview["tier"] == "dynamic_plus"
    assert preview["as_of"].endswith("Z")
    assert preview["warnings"] == []
    assert [(each["pointer"], each["matched_users"]) for each in preview["conditions"]] == [
        ("/definition/conditions/0", 7)
    ]
    assert {"sql", "params", "words", "duration_ms"} <= preview.keys()


async def test_a_name_nobody_has_seen_is_a_warning_with_its_place_in_the_body(client):
    misspelt = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_place"}]}

    preview = (await client.post("/api/segments/preview/", json={"definition": misspelt})).json()

    assert [(warning["pointer"], warning["code"]) for warning in preview["warnings"]] == [
        ("/definition/conditions/0/event_type", "unknown_name")
    ]
    assert "order_placed" in preview["warnings"][0]["suggestions"]


async def test_what_nobody_can_match_is_a_warning_and_may_be_saved(client):
    count = {"type": "event_count", "event_type": "order_placed"}
    never = {"logic": "AND", "conditions": [count, count | {"operator": "eq", "value": 0}]}

    preview = (await client.post("/api/segments/preview/", json={"definition": never})).json()
    saved = await client.post("/api/segments/", json={"name": "Nobody at all", "definition": never})

    assert preview["matched_users"] == 0
    for answer in (preview, saved.json()):
        assert [(warning["pointer"], warning["code"]) for warning in answer["warnings"]] == [
            ("/definition", "contradiction")
        ]
    assert saved.status_code == 201


async def test_every_mistake_of_a_definition_is_named_with_its_place_in_the_body(client):
    wrong = {
        "logic": "AND",
        "conditions": [
            {"type": "event_count", "event_type": "order_placed", "operator": "nearly"},
            {"type": "user_propety", "property": "country", "operator": "is_set"},
            {"type": "segment_membership", "segment_id": 123456},
        ],
    }

    for path, more in (("/api/segments/preview/", {}), ("/api/segments/", {"name": "Wrong"})):
        answer = await client.post(path, json={"definition": wrong, **more})

        assert answer.status_code == 400
        assert answer.json()["code"] == "invalid_definition"
        assert sorted(error["pointer"] for error in answer.json()["errors"]) == [
            "/definition/conditions/0/operator",
            "/definition/conditions/1/type",
            "/definition/conditions/2/segment_id",
        ]


async def test_a_segment_is_created_read_changed_and_deleted(client):
    created = await client.post(
        "/api/segments/", json={"name": "Buyers", "description": "Bought once", "definition": BOUGHT, "tenant": 99}
    )

    segment = created.json()
    assert created.status_code == 201
    assert created.headers["location"] == f"/api/segments/{segment['id']}/"
    assert segment["status"] == "draft"
    assert (segment["member_count"], segment["last_computed_at"], segment["last_error"]) == (None, None, None)
    path = f"/api/segments/{segment['id']}"
    assert (await client.get(path)).json() == {name: value for name, value in segment.items() if name != "warnings"}

    changed = (await client.patch(path, json={"definition": SPANISH})).json()
    assert (changed["version"], changed["tier"], changed["name"]) == (2, "dynamic", "Buyers")

    replaced = await client.put(path, json=changed | {"name": "Spaniards", "member_count": 5})
    assert replaced.status_code == 200
    assert (replaced.json()["name"], replaced.json()["member_count"]) == ("Spaniards", None)

    deleted = await client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await client.get(path)).status_code == 404


async def test_a_write_with_an_old_etag_is_refused_and_without_one_it_is_not(client, segment):
    path = f"/api/segments/{segment['id']}/"
    etag = (await client.get(path)).headers["etag"]
    renamed = await client.patch(path, json={"name": "Renamed"}, headers={"If-Match": etag})
    assert renamed.status_code == 200

    for method, body in (("PATCH", {"name": "X"}), ("PUT", {"name": "X", "definition": BOUGHT}), ("DELETE", None)):
        answer = await client.request(method, path, json=body, headers={"If-Match": etag})
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")

    assert (await client.patch(path, json={"name": "Y"}, headers={"If-Match": "*"})).status_code == 200
    listed = f'"other", {renamed.headers["etag"]}'
    assert (await client.patch(path, json={"name": "Z"}, headers={"If-Match": listed})).status_code == 412
    current = (await client.get(path)).headers["etag"]
    assert (
        await client.patch(path, json={"name": "Z"}, headers={"If-Match": f'"other", {current}'})
    ).status_code == 200
    assert (await client.delete(path)).status_code == 204


async def test_all_segments_are_computed_at_one_instant(client, segment):
    other = (await client.post("/api/segments/", json={"name": "Other", "definition": BOUGHT})).json()

    everything = (await client.get("/api/segments/")).json()["count"]

    answer = await client.post("/api/segments/compute/", json={"as_of": segment["created_at"]})

    assert answer.status_code == 202
    assert answer.json() == {"status": "queued", "segments": everything, "as_of": segment["created_at"]}
    for one in (segment, other):
        found = await until(client, f"/api/segments/{one['id']}", lambda read: read["status"] == "computed")
        assert found["last_computed_at"] == segment["created_at"]


async def test_a_computed_segment_lists_the_members_that_its_preview_counted(client, segment):
    path = f"/api/segments/{segment['id']}"
    preview = (await client.post("/api/segments/preview/", json={"definition": BOUGHT, "limit": 1000})).json()

    queued = await client.post(f"{path}/compute/", content=b"")
    assert (queued.status_code, queued.json()["status"]) == (202, "queued")
    computed = await until(client, path, lambda segment: segment["status"] == "computed")
    assert computed["member_count"] == preview["matched_users"] == BUYERS

    members = (await client.get(f"{path}/members/")).json()
    assert [member["user_id"] for member in members["results"]] == preview["sample_user_ids"]
    assert (members["count"], members["next"], members["previous"], members["next_cursor"]) == (
        BUYERS,
        None,
        None,
        None,
    )

    of_user = (await client.get("/api/segments/membership/", params={"user_id": "user-3"})).json()
    assert of_user["user_id"] == "user-3"
    assert segment["id"] in [each["segment_id"] for each in of_user["segments"]]
    assert (await client.get("/api/segments/membership/?user_id=looker")).json()["segments"] == []


async def test_members_are_the_same_by_page_by_offset_and_by_cursor(client, segment):
    path = f"/api/segments/{segment['id']}"
    as_of = (await client.post("/api/segments/preview/", json={"definition": BOUGHT})).json()["as_of"]
    answer = await client.post(f"{path}/compute/", json={"as_of": as_of})
    assert answer.json()["as_of"] == as_of
    await until(client, path, lambda segment: segment["status"] == "computed")

    for first in (f"{path}/members/?page_size=3", f"{path}/members/?limit=3&offset=0", f"{path}/members/?limit=3"):
        found, pages, address = [], 0, first
        while address:
            page = (await client.get(address)).json()
            found += [member["user_id"] for member in page["results"]]
            pages, address = pages + 1, page["next"]
        assert (found, pages) == ([f"user-{number}" for number in range(BUYERS)], 3)

    found, cursor = [], ""
    while cursor is not None:
        page = (
            await client.get(f"{path}/members/", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        found, cursor = found + page["results"], page["next_cursor"]
    assert len(found) == BUYERS
    second = (await client.get(f"{path}/members/?page=2&page_size=3")).json()
    assert second["previous"] == f"{path}/members/?page_size=3&page=1"


async def test_the_list_of_segments_ends_with_next_null(client):
    for number in range(5):
        await client.post("/api/segments/", json={"name": f"Paged {number}", "definition": BOUGHT})

    names, number = [], 1
    while True:  # as SegOps' SDKs iterate: they count pages up while next is set
        page = (await client.get("/api/segments/", params={"page": number, "page_size": 2, "search": "paged"})).json()
        names += [segment["name"] for segment in page["results"]]
        number += 1
        if not page["next"]:
            break

    assert names == [f"Paged {number}" for number in range(5)]
    assert page["next"] is None
    assert page["count"] == 5
    beyond = await client.get("/api/segments/?page=1000")
    assert (beyond.status_code, beyond.json()["results"], beyond.json()["next"]) == (200, [], None)


async def test_an_estimate_counts_a_stored_segment_with_or_without_a_body(client, segment):
    path = f"/api/segments/{segment['id']}/estimate/"

    assert (await client.post(path)).json()["matched_users"] == BUYERS
    before = await client.post(path, json={"as_of": "2001-01-01T00:00:00Z", "limit": 0})
    assert (before.json()["matched_users"], before.json()["universe"]) == (0, 0)


async def test_a_segment_that_another_one_uses_cannot_be_deleted(client, segment):
    inside = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": segment["id"]}]}
    await client.post("/api/segments/", json={"name": "Nested", "definition": inside})

    answer = await client.delete(f"/api/segments/{segment['id']}/")

    assert (answer.status_code, answer.json()["code"]) == (409, "segment_in_use")
    assert "Nested" in answer.json()["detail"]


async def test_a_body_has_256_kib_at_most(client):
    body = msgspec.json.encode({"definition": BOUGHT, "limit": 0})
    headers = {"Content-Type": "application/json"}

    taken = await client.post("/api/segments/preview/", content=body.ljust(256 * 1024), headers=headers)
    refused = await client.post("/api/segments/preview/", content=body.ljust(256 * 1024 + 1), headers=headers)

    assert (taken.status_code, taken.json()["matched_users"]) == (200, BUYERS)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
