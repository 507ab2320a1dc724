"""Drafts, versions, copies and dependencies of segments, and two writers at once."""

from __future__ import annotations

import asyncio

import jsonpatch
import pytest

from segment_copilot.audiences.segments import Changes
from segment_copilot.errors import Conflict, SegmentCopilotError

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
TWICE = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 2}]}
SPANISH = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}


def in_segment(segment_id: int) -> dict:
    return {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": segment_id}]}


async def make(client, name="Buyers", **body) -> dict:
    answer = await client.post("/api/segments/", json={"name": name, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
async def segment(client):
    return await make(client, definition=BOUGHT)


async def test_a_draft_has_no_definition_until_a_patch_gives_it_one(client):
    made = await client.post(
        "/api/segments/", json={"name": "Later", "tenant": 7, "segment_type": "rule", "description": "To come"}
    )
    draft = made.json()
    assert made.status_code == 201
    assert (draft["definition"], draft["words"], draft["version"]) == (None, "", 0)
    assert (draft["status"], draft["tier"], draft["is_active"]) == ("draft", "dynamic", True)
    path = f"/api/segments/{draft['id']}/"
    assert (await client.get(f"{path}versions/")).json()["results"] == []

    refused = [
        await client.post(f"{path}compute/"),
        await client.post(f"{path}estimate/"),
        await client.post(f"{path}explain/", json={}),
        await client.get(f"/api/explorer/users/ana/segments/{draft['id']}/explain/"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(409, "segment_without_definition")}
    for where, body in (("preview/", {}), ("", {"name": "On it"})):
        answer = await client.post(f"/api/segments/{where}", json={"definition": in_segment(draft["id"]), **body})
        assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
            ("/definition/conditions/0/segment_id", "segment_without_definition")
        ]

    all_of_them = (await client.post("/api/segments/compute/")).json()["segments"]
    assert (await client.get(path)).json()["status"] == "draft"

    given = (await client.patch(path, json={"definition": BOUGHT})).json()
    assert (given["version"], given["tier"]) == (1, "dynamic_plus")
    assert given["words"].startswith("Users who")
    assert (await client.post(f"{path}compute/")).status_code == 202
    assert (await client.post("/api/segments/compute/")).json()["segments"] == all_of_them + 1


async def test_a_draft_cannot_be_activated(server, client):
    draft = await make(client)
    other, tenant = server.resources, await server.resources.tenants.get("first")

    with pytest.raises(Conflict) as refused:
        await other.activations.create(
            tenant, draft["id"], connector_type="webhook", config={"url": "https://hooks.example.com/"}
        )

    assert refused.value.code == "segment_without_definition"


@pytest.mark.parametrize(
    "question",
    ["Tell me about the segment Later Buyers", "Explain the segment Later Buyers", "How many are in Later Buyers?"],
)
async def test_the_copilot_can_be_asked_about_a_draft(client, question):
    draft = await make(client, name="Later Buyers")

    answer = await client.post(
        "/api/copilot/stream/",
        json={"messages": [{"role": "user", "content": question}], "context": {"segment_id": draft["id"]}},
    )

    assert "run.error" not in answer.text
    assert "run.finished" in answer.text
    assert "definition" in answer.text
    await client.delete(f"/api/segments/{draft['id']}/")


async def test_a_definition_is_not_taken_away(client, segment):
    path = f"/api/segments/{segment['id']}/"

    for method in ("PATCH", "PUT"):
        answer = await client.request(method, path, json={"name": "Buyers", "definition": None})
        assert answer.status_code == 400
        assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
            ("/definition", "definition_required")
        ]


@pytest.mark.parametrize("definition", [BOUGHT, None])
async def test_a_segment_is_written_as_it_was_read(client, definition):
    made = await make(client, **({"definition": definition} if definition else {}), is_active=False)
    path = f"/api/segments/{made['id']}/"
    read = (await client.get(path)).json()

    patched = await client.patch(path, json=read | {"name": "By PATCH"})
    put = await client.put(path, json=patched.json() | {"description": "By PUT"})
    copied = await client.post("/api/segments/", json=put.json())

    assert (patched.status_code, put.status_code, copied.status_code) == (200, 200, 201)
    assert (put.json()["name"], put.json()["description"], put.json()["version"]) == (
        "By PATCH",
        "By PUT",
        read["version"],
    )
    assert copied.json()["id"] != made["id"]
    for field in ("name", "description", "definition", "is_active", "words", "tier"):
        assert copied.json()[field] == put.json()[field]


async def test_versions_are_listed_read_compared_and_restored(client, segment):
    path = f"/api/segments/{segment['id']}/"
    await client.patch(path, json={"name": "Renamed", "definition": TWICE})
    await client.patch(path, json={"description": "No other version"})
    await client.patch(path, json={"definition": SPANISH})

    page = (await client.get(f"{path}versions/", params={"limit": 2})).json()
    assert (page["count"], [one["version"] for one in page["results"]]) == (3, [3, 2])
    rest = (await client.get(f"{path}versions/", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    (first,) = rest["results"]
    assert (first["name"], first["definition"]["conditions"]) == ("Buyers", segment["definition"]["conditions"])
    assert (first["words"], first["tier"]) == (segment["words"], "dynamic_plus")
    assert first["created_by"] == {"key_id": first["created_by"]["key_id"], "key_name": "", "user_id": None}
    read = await client.get(f"{path}versions/1/")
    assert read.json() == first
    known = {"If-None-Match": read.headers["etag"]}
    assert (await client.get(f"{path}versions/1/", headers=known)).status_code == 304

    difference = (await client.get(f"{path}versions/1/diff/2/")).json()
    assert jsonpatch.apply_patch(first["definition"], difference["patch"]) == page["results"][1]["definition"]
    assert difference["changes"] == [
        {
            "pointer": "/conditions/0",
            "change": "changed",
            "from": "/conditions/0",
            "before_words": "who placed an order",
            "after_words": "who placed an order at least 2 times",
        }
    ]
    assert (await client.get(f"{path}versions/2/diff/2/")).json() == {"patch": [], "changes": []}

    etag = (await client.get(path)).headers["etag"]
    restored = await client.post(f"{path}versions/1/restore/", headers={"If-Match": etag})
    assert (restored.status_code, restored.json()["version"], restored.json()["name"]) == (200, 4, "Renamed")
    assert restored.json()["definition"] == first["definition"]
    late = await client.post(f"{path}versions/2/restore/", headers={"If-Match": etag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await client.post(f"{path}versions/4/restore/")).json()["version"] == 4


async def test_a_version_that_is_not_there_is_told_from_a_segment_that_is_not(client, server, segment):
    path = f"/api/segments/{segment['id']}/versions"
    theirs = [f"{path}/1/", f"{path}/1/diff/1/", f"{path}/", f"/api/segments/{segment['id']}/dependencies/"]
    for method, missing in (("GET", "9/"), ("GET", "1/diff/9/"), ("GET", "9/diff/1/"), ("POST", "9/restore/")):
        answer = await client.request(method, f"{path}/{missing}")
        assert (answer.status_code, answer.json()["code"]) == (404, "version_not_found")
    async with server.client(server.other_key) as other:
        answers = [await other.get(one) for one in theirs]
        answers += [await other.post(f"{path}/1/restore/"), await other.post(f"/api/segments/{segment['id']}/copy/")]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "segment_not_found")}


async def test_what_a_version_refers_to_may_be_gone_when_it_is_restored(client):
    target = await make(client, definition=BOUGHT)
    made = await make(client, definition=in_segment(target["id"]))
    path = f"/api/segments/{made['id']}/"
    await client.patch(path, json={"definition": TWICE})
    assert (await client.delete(f"/api/segments/{target['id']}/")).status_code == 204

    answer = await client.post(f"{path}versions/1/restore/")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "unknown_segment")
    assert (await client.get(path)).json()["version"] == 2


async def test_a_copy_is_another_segment_of_the_same_definition(client, segment):
    path = f"/api/segments/{segment['id']}/copy/"

    unnamed, named = await client.post(path), await client.post(path, json={"name": "Mine"})

    assert (unnamed.status_code, named.status_code) == (201, 201)
    assert (unnamed.json()["name"], named.json()["name"]) == ("Copy of Buyers", "Mine")
    for copy in (unnamed, named):
        assert copy.headers["location"] == f"/api/segments/{copy.json()['id']}/"
        assert copy.json()["definition"] == segment["definition"]
        assert (copy.json()["version"], copy.json()["status"]) == (1, "draft")
    long = await make(client, name="x" * 200, definition=BOUGHT)
    assert len((await client.post(f"/api/segments/{long['id']}/copy/")).json()["name"]) == 200


async def test_dependencies_go_both_ways(client, server):
    where = [{"property": "total", "operator": "gt", "value": 5}]
    target = await make(client, name="Target", definition=BOUGHT)
    looks = {
        "logic": "OR",
        "conditions": [
            {"type": "event_count", "event_type": ["order_placed", "page_viewed"], "where": where},
            {"type": "event_property", "event_type": "*", "property": "url", "operator": "is_set"},
            {"type": "event_sequence", "events": ["signed_up", {"event_type": "order_placed", "where": where}]},
            {"type": "segment_membership", "segment_id": target["id"]},
            *SPANISH["conditions"],
        ],
    }
    user = await make(client, name="User", definition=looks)
    tenant = await server.resources.tenants.get("first")
    await server.resources.activations.create(
        tenant, target["id"], connector_type="webhook", config={"url": "https://hooks.example.com/"}
    )

    of_user = (await client.get(f"/api/segments/{user['id']}/dependencies/")).json()
    of_target = (await client.get(f"/api/segments/{target['id']}/dependencies/")).json()

    assert of_user["refers_to"] == {
        "segments": [{"id": target["id"], "name": "Target"}],
        "event_types": ["order_placed", "page_viewed", "signed_up"],
        "properties": [
            {"event_type": "order_placed", "property": "total"},
            {"event_type": "page_viewed", "property": "total"},
            {"event_type": "*", "property": "url"},
        ],
        "traits": ["country"],
    }
    assert of_user["used_by"] == {"segments": [], "activations": []}
    assert of_target["used_by"]["segments"] == [{"id": user["id"], "name": "User"}]
    assert [one["connector_type"] for one in of_target["used_by"]["activations"]] == ["webhook"]
    draft = await make(client)
    assert (await client.get(f"/api/segments/{draft['id']}/dependencies/")).json()["refers_to"]["traits"] == []
    refused = await client.delete(f"/api/segments/{target['id']}/")
    assert (refused.status_code, len(refused.json()["used_by"])) == (409, 2)
    await server.resources.activations.delete_all(tenant)


async def test_of_writers_with_one_etag_exactly_one_wins(client, segment):
    path = f"/api/segments/{segment['id']}/"
    etag = (await client.get(path)).headers["etag"]

    answers = await asyncio.gather(
        *(
            client.patch(path, json={"name": f"Writer {number}", "definition": TWICE}, headers={"If-Match": etag})
            for number in range(12)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 11
    (won,) = [answer for answer in answers if answer.status_code == 200]
    now = await client.get(path)
    assert (now.json()["name"], now.json()["version"]) == (won.json()["name"], 2)
    assert now.headers["etag"] == won.headers["etag"]


async def test_no_reference_is_left_to_a_segment_that_is_deleted_meanwhile(client, server):
    """Whoever is first, the other is refused."""
    tenant = await server.resources.tenants.get("first")
    segments, activations = server.resources.segments, server.resources.activations
    for number in range(10):
        target = await make(client, name=f"Target {number}", definition=BOUGHT)
        uses = (
            segments.create(tenant, name="User", definition=in_segment(target["id"]))
            if number % 2
            else activations.create(
                tenant, target["id"], connector_type="webhook", config={"url": "https://hooks.example.com/"}
            )
        )

        used, deleted = await asyncio.gather(uses, segments.delete(tenant, target["id"]), return_exceptions=True)

        failed = [one for one in (used, deleted) if isinstance(one, BaseException)]
        assert len(failed) == 1
        assert isinstance(failed[0], SegmentCopilotError)
        await activations.delete_all(tenant)


async def test_every_write_changes_the_revision(server, client, segment):
    tenant = await server.resources.tenants.get("first")
    found = {(await server.resources.segments.get(tenant, segment["id"])).revision}

    for number in range(20):
        saved = await server.resources.segments.update(tenant, segment["id"], Changes(name=f"Name {number}"))
        found.add(saved.segment.revision)

    assert len(found) == 21
