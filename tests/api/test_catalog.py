"""The catalog over HTTP tells declared and observed names apart, and finds values beyond the samples."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

CITIES = [f"Town {number:03}" for number in range(60)] + ["Zaragoza", "Madrid", "Madrid", "Madrid"]


@pytest.fixture(scope="module", autouse=True)
async def data(server: Any) -> None:
    """Orders of sixty towns, traits, a schema that names what has come and what has not."""
    events = [
        {"user_id": f"u{number}", "event_type": "order_placed", "payload": {"total": number, "to": {"city": city}}}
        for number, city in enumerate(CITIES)
    ]
    events += [
        {"user_id": f"u{number}", "event_type": "context_identified", "payload": {"plan": plan, "a/b": 1}}
        for number, plan in enumerate(["pro", "pro", "free"])
    ]
    properties = [
        {"name": "total", "type": "number", "required": True, "description": "With tax"},
        {"name": "coupon", "type": "string"},
    ]
    async with server.client() as client:
        await client.post("/api/schemas/", json={"event_type": "order_placed", "properties": properties})
        await client.post("/api/schemas/", json={"event_type": "not_yet", "description": "To come"})
        await client.post("/api/ingestion/track/batch/", json={"events": events})
        async with asyncio.timeout(20):
            while (await client.get("/api/ingestion/status/")).json()["pending"]:
                pass


async def test_declared_and_observed_names_are_told_apart(client: httpx2.AsyncClient):
    kind = (await client.get("/api/catalog/events/order_placed/")).json()

    assert (kind["declared"], kind["observed"], kind["event_count"]) == (True, True, len(CITIES))
    assert [
        (one["name"], one["declared"], one["declared_type"], one["required"], one["observed"], one["observed_types"])
        for one in kind["properties"]
    ] == [
        ("coupon", True, "string", False, False, []),
        ("to.city", False, None, False, True, ["string"]),
        ("total", True, "number", True, True, ["number"]),
    ]
    assert kind["properties"][2]["sample_values"] == list(range(10))
    coming = (await client.get("/api/catalog/events/not_yet/")).json()
    assert (coming["declared"], coming["observed"], coming["description"]) == (True, False, "To come")


async def test_the_whole_catalog_is_one_answer(client: httpx2.AsyncClient):
    catalog = (await client.get("/api/catalog/")).json()

    assert [one["name"] for one in catalog["event_types"]] == ["order_placed", "not_yet"]
    assert [one["name"] for one in catalog["traits"]] == ["a/b", "plan"]
    assert catalog["totals"] == {"event_types": 2, "traits": 2, "segments": len(catalog["segments"])}
    assert catalog["timezone"] == "UTC"


@pytest.mark.parametrize("path", ["", "events/order_placed/", "traits/plan/", "events/", "traits/"])
async def test_what_has_not_changed_is_not_sent_again(client: httpx2.AsyncClient, path):
    read = await client.get(f"/api/catalog/{path}")
    again = await client.get(f"/api/catalog/{path}", headers={"If-None-Match": read.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")


async def test_names_are_listed_by_page_and_searched(client: httpx2.AsyncClient):
    events = (await client.get("/api/catalog/events/", params={"page_size": 1})).json()
    traits = (await client.get("/api/catalog/traits/", params={"search": "PLA"})).json()

    assert (events["count"], [one["name"] for one in events["results"]]) == (2, ["not_yet"])
    assert [one["name"] for one in (await client.get(events["next"])).json()["results"]] == ["order_placed"]
    cursor = (await client.get("/api/catalog/events/", params={"limit": 1, "fields": "name"})).json()
    assert cursor["results"] == [{"name": "not_yet"}]
    rest = await client.get("/api/catalog/events/", params={"cursor": cursor["next_cursor"], "fields": "name"})
    assert (rest.json()["results"], rest.json()["next_cursor"]) == ([{"name": "order_placed"}], None)
    of_others = await client.get("/api/catalog/traits/", params={"cursor": cursor["next_cursor"]})
    assert (of_others.status_code, of_others.json()["code"]) == (400, "bad_cursor")
    assert [one["name"] for one in traits["results"]] == ["plan"]
    assert (await client.get("/api/catalog/traits/a%2Fb/")).json()["observed_types"] == ["number"]


async def test_values_are_looked_up_beyond_the_samples(client: httpx2.AsyncClient):
    url = "/api/catalog/events/order_placed/properties/to.city/values/"

    most = (await client.get(url, params={"limit": 2})).json()
    found = (await client.get(url, params={"search": "ZARA"})).json()
    near = (await client.get(url, params={"search": "madrit"})).json()

    assert most["values"][0] == {"value": "Madrid", "count": 3}
    assert (most["total_distinct"], most["truncated"], most["counted"]) == (62, True, "events")
    assert (found["values"], found["total_distinct"]) == ([{"value": "Zaragoza", "count": 1}], 1)
    assert (near["values"], near["suggestions"]) == ([], ["Madrid"])


async def test_values_of_a_trait_are_counted_by_users(client: httpx2.AsyncClient):
    values = (await client.get("/api/catalog/traits/plan/values/")).json()
    numbers = (await client.get("/api/catalog/traits/a%2Fb/values/", params={"search": "1"})).json()

    assert values["values"] == [{"value": "pro", "count": 2}, {"value": "free", "count": 1}]
    assert values["counted"] == "users"
    assert numbers["values"] == [{"value": 1, "count": 3}]


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("events/order_place/", ["order_placed"]),
        ("events/order_placed/properties/totl/values/", ["total"]),
        ("traits/plam/", ["plan"]),
        ("traits/plam/values/", ["plan"]),
    ],
)
async def test_an_unknown_name_is_404_with_the_nearest(client: httpx2.AsyncClient, path, near):
    answer = await client.get(f"/api/catalog/{path}")

    assert answer.status_code == 404
    assert [error["suggestions"] for error in answer.json()["errors"]] == [near]


async def test_an_edit_of_a_schema_is_in_the_catalog_and_in_a_preview_at_once(client: httpx2.AsyncClient):
    condition = {"type": "event_count", "event_type": "made_up", "where": [{"property": "p", "operator": "is_set"}]}
    body = {"definition": {"logic": "AND", "conditions": [condition]}}

    async def codes() -> list[str]:
        return [one["code"] for one in (await client.post("/api/segments/preview/", json=body)).json()["warnings"]]

    assert await codes() == ["unknown_name", "unknown_name"]
    properties = [{"name": "p", "type": "any"}]
    schema = (await client.post("/api/schemas/", json={"event_type": "made_up", "properties": properties})).json()
    assert await codes() == ["never_received"]
    await client.patch(f"/api/schemas/{schema['id']}/", json={"event_type": "renamed"})
    assert await codes() == ["unknown_name", "unknown_name"]
    assert (await client.get("/api/catalog/events/made_up/")).status_code == 404
    assert (await client.get("/api/catalog/events/renamed/")).status_code == 200


async def test_a_property_that_is_declared_and_never_came_is_told_as_that(client: httpx2.AsyncClient):
    tests = [{"property": name, "operator": "is_set"} for name in ("coupon", "total")]
    condition = {"type": "event_count", "event_type": "order_placed", "where": tests}
    body = {"definition": {"logic": "AND", "conditions": [condition]}}

    warnings = (await client.post("/api/segments/preview/", json=body)).json()["warnings"]

    assert [(one["pointer"], one["code"]) for one in warnings] == [
        ("/definition/conditions/0/where/0/property", "never_received")
    ]


async def test_nobody_sees_another_tenants_names(server: Any):
    async with server.client(server.other_key) as rival:
        assert (await rival.get("/api/catalog/")).json()["totals"]["event_types"] == 0
        assert (await rival.get("/api/catalog/traits/plan/values/")).status_code == 404
