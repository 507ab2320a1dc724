"""Event schemas over HTTP: declared, inferred, held against events; what does not conform is refused or counted."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

TOTAL = {"name": "total", "type": "number", "required": True, "description": "With tax"}
PLACED_AT = {"name": "placed_at", "type": "datetime"}


async def declare(client: httpx2.AsyncClient, event_type: str, *properties: dict[str, Any], **more: Any) -> Any:
    body = {"event_type": event_type, "properties": properties, **more}
    answer = await client.post("/api/schemas/", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def send(client: httpx2.AsyncClient, event_type: str, *payloads: dict[str, Any], **more: Any) -> Any:
    events = [{"user_id": "ana", "event_type": event_type, "payload": payload, **more} for payload in payloads]
    return (await client.post("/api/ingestion/track/batch/", json={"events": events})).json()


async def settle(client: httpx2.AsyncClient) -> None:
    """Wait until everything that was sent can be queried."""
    async with asyncio.timeout(20):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass


async def test_a_schema_is_declared_read_changed_and_deleted(client):
    created = await client.post(
        "/api/schemas/", json={"event_type": "crud", "description": "Paid", "properties": [TOTAL], "strict": True}
    )
    schema = created.json()
    url = f"/api/schemas/{schema['id']}/"

    assert created.status_code == 201
    assert created.headers["Location"] == url
    assert schema | {"created_at": "", "updated_at": ""} == {
        "id": schema["id"], "event_type": "crud", "description": "Paid", "strict": True,
        "properties": [{**TOTAL, "format": "", "sample_values": []}],
        "event_count": 0, "last_seen_at": None, "violation_count": 0, "created_at": "", "updated_at": "",
    }  # fmt: skip
    patched = await client.patch(url, json={"description": "Refunded"})
    assert (patched.json()["description"], patched.json()["strict"]) == ("Refunded", True)
    replaced = await client.put(url, json={"event_type": "crud_2", "properties": [TOTAL, PLACED_AT]})
    assert [one["name"] for one in replaced.json()["properties"]] == ["total", "placed_at"]
    assert (replaced.json()["event_type"], replaced.json()["description"]) == ("crud_2", "")
    assert (await client.get(url)).json() == replaced.json()
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404


@pytest.mark.parametrize("method", ["patch", "put"])
async def test_a_record_is_taken_back_as_it_was_read(client, method):
    schema = await declare(client, f"back_{method}", TOTAL, {**PLACED_AT, "format": "epoch_ms"}, strict=True)
    await send(client, f"back_{method}", {"total": 12.5, "placed_at": 1_781_524_800_000})
    await settle(client)
    read = (await client.get(f"/api/schemas/{schema['id']}/")).json()

    written = await getattr(client, method)(f"/api/schemas/{schema['id']}/", json=read)

    assert written.status_code == 200
    assert read["properties"][0]["sample_values"] == [12.5]
    assert (read["event_count"], read["last_seen_at"] is None) == (1, False)
    assert written.json() | {"updated_at": ""} == read | {"updated_at": ""}


async def test_an_event_type_has_one_schema(client):
    first = await declare(client, "once")
    other = await declare(client, "twice")

    again = await client.post("/api/schemas/", json={"event_type": "once"})
    renamed = await client.patch(f"/api/schemas/{other['id']}/", json={"event_type": "once"})

    for refused in (again, renamed):
        assert (refused.status_code, refused.json()["code"]) == (409, "schema_exists")
        assert refused.json()["schema_id"] == first["id"]


async def test_of_two_writers_over_one_etag_one_wins(client):
    schema = await declare(client, "raced")
    url = f"/api/schemas/{schema['id']}/"
    etag = {"If-Match": (await client.get(url)).headers["ETag"]}

    answers = await asyncio.gather(*(client.patch(url, json={"description": text}, headers=etag) for text in "ab"))

    assert sorted(answer.status_code for answer in answers) == [200, 412]
    won = next(answer for answer in answers if answer.status_code == 200)
    assert (await client.get(url)).json()["description"] == won.json()["description"]
    assert (await client.delete(url, headers=etag)).status_code == 412
    assert (await client.delete(url, headers={"If-Match": won.headers["ETag"]})).status_code == 204


@pytest.mark.parametrize(
    ("properties", "pointer", "code"),
    [
        ([{"name": "a", "type": "text"}], "/properties/0/type", "wrong_type"),
        ([{"name": "a..b", "type": "string"}], "/properties/0/name", "bad_path"),
        ([TOTAL, TOTAL], "/properties/1/name", "duplicate_property"),
        ([{"name": "a.b", "type": "string"}, {"name": "a", "type": "list"}], "/properties/0/name", "conflicting_properties"),
        ([{"name": "a", "type": "number", "format": "epoch_s"}], "/properties/0/format", "unread_field"),
        ([{"name": "a", "typ": "number"}], "/properties/0/typ", "unknown_field"),
    ],
)  # fmt: skip
async def test_what_cannot_be_declared_is_refused_with_its_place(client, properties, pointer, code):
    answer = await client.post("/api/schemas/", json={"event_type": "wrong", "properties": properties})

    assert answer.status_code == 400
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in answer.json()["errors"]]


async def test_another_tenants_schema_is_as_one_that_never_existed(client, server):
    schema = await declare(client, "mine", TOTAL)
    async with server.client(server.other_key) as rival:
        for schema_id in (schema["id"], 10**12):
            url = f"/api/schemas/{schema_id}/"
            answers = [
                await rival.get(url),
                await rival.patch(url, json={"description": "theirs"}),
                await rival.put(url, json={"event_type": "mine"}),
                await rival.delete(url),
                await rival.get(f"{url}violations/"),
            ]
            assert [answer.status_code for answer in answers] == [404] * 5
            assert {answer.json()["detail"] for answer in answers} == {f"There is no event schema {schema_id}."}
        assert (await rival.get("/api/schemas/?event_type=mine")).json()["results"] == []
        judged = (await rival.post("/api/schemas/validate/", json={"event_type": "mine", "payload": {}})).json()
        assert (judged["valid"], judged["schema_id"]) == (True, None)
        assert (await rival.get("/api/catalog/events/mine/")).status_code == 404
    assert (await client.get(f"/api/schemas/{schema['id']}/")).json() == schema


async def test_schemas_are_listed_by_page_and_found_by_type_and_words(client):
    for number in range(3):
        await declare(client, f"listed_{number}", description="A Needle" if number == 1 else "")

    async def listed(**query: Any) -> list[str]:
        answer = (await client.get("/api/schemas/", params={"search": "listed_", **query})).json()
        return [one["event_type"] for one in answer["results"]]

    assert await listed() == ["listed_0", "listed_1", "listed_2"]
    assert await listed(order="-event_type", page_size=2) == ["listed_2", "listed_1"]
    assert await listed(limit=1, offset=1) == ["listed_1"]
    assert await listed(event_type="listed_2") == ["listed_2"]
    assert await listed(search="needle") == ["listed_1"]
    page = await client.get("/api/schemas/", params={"search": "listed_", "limit": 2, "fields": "event_type,strict"})
    after = {"search": "listed_", "limit": 2, "cursor": page.json()["next_cursor"]}
    assert [one["event_type"] for one in (await client.get("/api/schemas/", params=after)).json()["results"]] == [
        "listed_2"
    ]
    assert page.json()["results"][0] == {"event_type": "listed_0", "strict": False}
    unchanged = await client.get(page.request.url.raw_path.decode(), headers={"If-None-Match": page.headers["ETag"]})
    assert unchanged.status_code == 304
    first = (await client.get("/api/schemas/", params={"search": "listed_", "page_size": 2})).json()
    assert (first["count"], first["previous"]) == (3, None)
    assert [one["event_type"] for one in (await client.get(first["next"])).json()["results"]] == ["listed_2"]


# Held against events


async def test_a_strict_schema_refuses_what_violates_it_and_the_batch_goes_on(client):
    schema = await declare(client, "strict", TOTAL, PLACED_AT, strict=True)

    batch = await send(client, "strict", {"total": 1}, {"total": "1"}, {}, {"total": 2, "more": "is allowed"})
    single = await client.post(
        "/api/ingestion/track/", json={"user_id": "ana", "event_type": "strict", "payload": {"total": None}}
    )

    assert (batch["queued"], batch["skipped"]) == (2, 2)
    assert [(error["index"], error["pointer"], error["code"]) for error in batch["errors"]] == [
        (1, "/events/1/payload/total", "wrong_type"),
        (2, "/events/2/payload/total", "missing_property"),
    ]
    assert (single.status_code, single.json()["code"]) == (400, "invalid_event")
    assert [(one["pointer"], one["code"]) for one in single.json()["errors"]] == [
        ("/payload/total", "missing_property")
    ]
    kept = (await client.get(f"/api/schemas/{schema['id']}/violations/")).json()
    assert kept["counts"] == [
        {"code": "missing_property", "queued": 0, "skipped": 2},
        {"code": "wrong_type", "queued": 0, "skipped": 1},
    ]
    assert [one["outcome"] for one in kept["results"]] == ["skipped"] * 3


async def test_a_schema_that_is_not_strict_takes_the_event_and_keeps_what_was_wrong(client):
    schema = await declare(client, "lenient", TOTAL, PLACED_AT)
    when = "2026-06-15T12:00:00Z"

    batch = await send(client, "lenient", {"total": 1}, occurred_at=when)
    batch = await send(
        client, "lenient", {"total": "one", "placed_at": "yesterday"}, occurred_at=when, event_id="lenient-1"
    )
    again = await send(client, "lenient", {"total": "one"}, event_id="lenient-1")

    assert [(answer["queued"], answer["skipped"]) for answer in (batch, again)] == [(1, 0), (1, 0)]
    page = (await client.get(f"/api/schemas/{schema['id']}/violations/")).json()
    assert (page["count"], page["next"]) == (2, None)
    assert [
        {name: one[name] for name in ("event_id", "user_id", "pointer", "code", "outcome", "occurred_at")}
        for one in page["results"]
    ] == [
        {"event_id": "lenient-1", "user_id": "ana", "pointer": pointer, "code": "wrong_type", "outcome": "queued",
         "occurred_at": when}
        for pointer in ("/payload/placed_at", "/payload/total")
    ]  # fmt: skip
    assert page["results"][1]["detail"] == "total is a string; the event schema declares it as a number."
    assert page["counts"] == [{"code": "wrong_type", "queued": 2, "skipped": 0}]
    assert (await client.get(f"/api/schemas/{schema['id']}/")).json()["violation_count"] == 2


async def test_an_event_that_was_taken_before_its_schema_became_strict_stays_taken(client):
    schema = await declare(client, "became_strict", TOTAL)
    await send(client, "became_strict", {}, event_id="before")
    await client.patch(f"/api/schemas/{schema['id']}/", json={"strict": True})

    batch = await send(client, "became_strict", {}, event_id="before")

    assert (batch["queued"], batch["skipped"]) == (1, 0)
    assert (await send(client, "became_strict", {}, event_id="after"))["skipped"] == 1


async def test_a_payload_is_held_against_a_schema_without_being_sent(client):
    schema = await declare(client, "validated", TOTAL, {"name": "address.city", "type": "string"}, strict=True)

    async def validate(payload: dict[str, Any], event_type: str = "validated") -> dict[str, Any]:
        answer = await client.post("/api/schemas/validate/", json={"event_type": event_type, "payload": payload})
        assert answer.status_code == 200
        return answer.json()

    good = await validate({"total": 1, "address": {"city": "Vigo", "zip": "36201"}, "note": None})
    assert (good["valid"], good["schema_id"], good["strict"], good["errors"]) == (True, schema["id"], True, [])
    assert [(one["pointer"], one["code"]) for one in good["warnings"]] == [
        ("/payload/address/zip", "undeclared_property")
    ]
    bad = await validate({"address": {"city": 3}})
    assert bad["valid"] is False
    assert [(one["pointer"], one["code"]) for one in bad["errors"]] == [
        ("/payload/total", "missing_property"),
        ("/payload/address/city", "wrong_type"),
    ]
    assert await validate({}, "nobody_declared_this") == {
        "valid": True, "schema_id": None, "strict": False, "errors": [], "warnings": []
    }  # fmt: skip
    assert [one["code"] for one in (await validate({"a%2Eb": 1}))["errors"]] == ["unsupported_key"]
    assert (await client.get(f"/api/schemas/{schema['id']}/")).json()["violation_count"] == 0


# Inferred


async def test_what_is_inferred_from_events_can_be_declared_as_it_is(client):
    events = [
        {"user_id": "ana", "event_type": "inferred", "payload": {"total": 1, "when": "2026-06-15", "a.b": {"c": True}}},
        {"user_id": "ana", "event_type": "inferred", "payload": {"total": 2.5, "when": "2026-06-16T10:00:00Z", "tags": ["x"]}},
        {"user_id": "", "event_type": "inferred"},
        {"user_id": "ana", "event_type": "mixed", "payload": {"value": "1", "nothing": None}},
        {"user_id": "ana", "event_type": "mixed", "payload": {"value": 1}},
    ]  # fmt: skip

    answer = (await client.post("/api/schemas/infer/", json={"events": events})).json()

    assert [(one["pointer"], one["code"]) for one in answer["errors"]] == [("/events/2/user_id", "empty_string")]
    inferred, mixed = answer["schemas"]
    assert (inferred["event_type"], inferred["events"]) == ("inferred", 2)
    assert [(one["name"], one["type"], one["required"], one["sample_values"]) for one in inferred["properties"]] == [
        (r"a\.b.c", "boolean", False, [True]),
        ("tags", "list", False, ["x"]),
        ("total", "number", True, [1, 2.5]),
        ("when", "datetime", True, ["2026-06-15", "2026-06-16T10:00:00Z"]),
    ]
    assert [(one["name"], one["type"]) for one in mixed["properties"]] == [("value", "any")]
    declared = await client.post("/api/schemas/", json=inferred)
    assert declared.status_code == 201
    for event in events[:2]:
        body = {"event_type": "inferred", "payload": event["payload"]}
        assert (await client.post("/api/schemas/validate/", json=body)).json()["valid"]


async def test_schemas_are_inferred_from_what_is_stored(client):
    await send(
        client, "stored", {"total": 1, "when": "2026-06-15", "n": {"a.b": "x"}, "list": []}, {"total": 2, "list": [1]}
    )
    await settle(client)

    answer = (await client.post("/api/schemas/infer/", json={"event_types": ["stored", "stord"]})).json()

    (schema,) = answer["schemas"]
    assert schema["events"] == 2
    assert [(one["name"], one["type"], one["required"]) for one in schema["properties"]] == [
        ("list", "list", True),
        (r"n.a\.b", "string", False),
        ("total", "number", True),
        ("when", "datetime", False),
    ]
    assert [(one["pointer"], one["code"], one["suggestions"]) for one in answer["errors"]] == [
        ("/event_types/1", "unknown_name", ["stored"])
    ]
    assert (await client.post("/api/schemas/", json=schema)).status_code == 201


@pytest.mark.parametrize("body", [{}, {"events": [], "event_types": []}])
async def test_inferring_needs_one_source(client, body):
    answer = await client.post("/api/schemas/infer/", json=body)

    assert answer.status_code == 400
    assert "either events, or event_types" in answer.json()["detail"]


async def test_a_session_may_infer_and_validate_and_not_declare(client, server):
    token = (await client.post("/api/auth/session/", json={"scope": "copilot"})).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers) as browser:
        assert (await browser.post("/api/schemas/infer/", json={"events": []})).json() == {"schemas": [], "errors": []}
        assert (await browser.post("/api/schemas/validate/", json={"event_type": "x"})).json()["valid"]
        assert (await browser.post("/api/schemas/", json={"event_type": "x"})).status_code == 403
