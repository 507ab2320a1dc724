"""Lists: pages, cursors, order, filters, some fields alone, and 304 for what the caller has."""

from __future__ import annotations

import asyncio
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
SPANISH = {
    "logic": "AND",
    "conditions": [{"type": "user_property", "property": "country", "operator": "eq", "value": "ES"}],
}
COUNTS = [None, 3, 1, None, 3, 2, 1]
"""Of members: some alike, some unknown."""

ORDERS = ["id", "name", "created_at", "updated_at", "member_count", "last_computed_at"]
PATH = "/api/segments/"
CONVENTIONS = Path(__file__).parents[2] / "docs" / "conventions.md"


@pytest.fixture(scope="module", autouse=True)
async def segments(server):
    """Seven segments of the first tenant and one of the other."""
    made = dict[str, int]()
    async with server.client() as client:
        for number, count in enumerate(COUNTS):
            body = {"name": f"{'bA'[number % 2]} {7 - number}", "definition": BOUGHT if number % 3 else SPANISH}
            made = (await client.post(PATH, json=body | {"segment_type": "ai" if number == 1 else "rule"})).json()
            await server.resources.postgres.execute(
                "UPDATE segments SET member_count = $2, created_at = created_at - $3 * interval '1 day', "
                "last_computed_at = CASE WHEN $2::bigint IS NOT NULL THEN now() - $3 * interval '1 hour' END "
                "WHERE id = $1",
                made["id"],
                count,
                number % 4,
            )
        await client.patch(f"{PATH}{made['id']}/", json={"is_active": False})
    async with server.client(server.other_key) as other:
        await other.post(PATH, json={"name": "Other's", "definition": BOUGHT})


async def walk(client, **params) -> list[dict]:
    """Every result, by cursor, two at a time."""
    found = list[dict]()
    cursor = {}
    while True:
        page = (await client.get(PATH, params={"limit": 2, **params, **cursor})).json()
        assert page["count"] >= len(found) + len(page["results"])
        found += page["results"]
        if page["next_cursor"] is None:
            assert page["next"] is None
            return found
        cursor = {"cursor": page["next_cursor"]}


def key(record, field):
    value = record[field]
    return value.lower() if field == "name" else value


@pytest.mark.parametrize("field", ORDERS)
@pytest.mark.parametrize("sign", ["", "-"])
async def test_an_order_is_the_same_by_cursor_by_offset_and_by_page(client, field, sign):
    whole = (await client.get(PATH, params={"order": sign + field})).json()["results"]
    values = [key(record, field) for record in whole if record[field] is not None]

    assert values == sorted(values, reverse=sign == "-")
    assert [record[field] for record in whole[len(values) :]] == [None] * (len(COUNTS) - len(values))
    assert len({record["id"] for record in whole}) == len(COUNTS)
    assert await walk(client, order=sign + field) == whole
    paged = list[dict]()
    address = f"{PATH}?page_size=3&order={sign + field}"
    while address:
        page = (await client.get(address)).json()
        paged, address = paged + page["results"], page["next"]
    assert paged == whole
    by_offset = [
        (await client.get(PATH, params={"order": sign + field, "limit": 1, "offset": n})).json()["results"][0]
        for n in range(len(COUNTS))
    ]
    assert by_offset == whole


async def test_a_cursor_goes_on_after_rows_that_came_or_went_before_it(client):
    first = (await client.get(PATH, params={"limit": 3, "order": "-id"})).json()
    newer = (await client.post(PATH, json={"name": "Newer", "definition": BOUGHT})).json()
    second = (await client.get(PATH, params={"limit": 3, "order": "-id", "cursor": first["next_cursor"]})).json()
    await client.delete(f"{PATH}{newer['id']}/")

    ids = [record["id"] for record in first["results"] + second["results"]]
    assert all(before > after for before, after in pairwise(ids))
    assert newer["id"] not in ids


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"status": "draft"}, range(7)),
        ({"status": "computed"}, []),
        ({"tier": "dynamic"}, [0, 3, 6]),
        ({"segment_type": "ai"}, [1]),
        ({"is_active": "False"}, [6]),
        ({"is_active": "true", "tier": "dynamic"}, [0, 3]),
        ({"search": "a "}, [1, 3, 5]),
        ({"search": "%"}, []),
    ],
)
async def test_a_filter_keeps_what_it_names_and_its_cursor_too(client, filters, expected):
    ids = [record["id"] for record in (await client.get(PATH)).json()["results"]]

    found = await walk(client, **filters)

    assert [ids.index(record["id"]) for record in found] == list(expected)
    assert (await client.get(PATH, params=filters)).json()["count"] == len(found)


@pytest.mark.parametrize("field", ["created", "updated"])
async def test_instants_are_from_one_up_to_another(client, field):
    whole = (await client.get(PATH, params={"order": f"{field}_at"})).json()["results"]
    middle = whole[3][f"{field}_at"]

    before = await walk(client, order=f"{field}_at", **{f"{field}_before": middle})
    after = await walk(client, order=f"{field}_at", **{f"{field}_after": middle})

    assert before + after == whole
    assert after[0]["id"] == whole[3]["id"]


@pytest.mark.parametrize(
    "query",
    [
        "is_active=1",
        "is_active=yes",
        "status=done",
        "created_after=2026-01-01",
        "created_after=2026-01-01T00:00:00",
        "created_after=0001-01-01T00:00:00Z",
        "order=size",
        "order=--id",
        "fields=",
        "fields=id,",
        "fields=*",
        "cursor=x",
        "sort=name",
    ],
)
async def test_what_a_list_does_not_know_is_refused_with_the_parameter(client, query):
    answer = await client.get(f"{PATH}?{query}")

    assert answer.status_code == 400
    assert [error["parameter"] for error in answer.json()["errors"]] == [query.partition("=")[0]]


async def test_a_cursor_of_another_tenant_order_or_filter_is_none_of_this_list(client, server):
    cursor = (await client.get(PATH, params={"limit": 1, "order": "name"})).json()["next_cursor"]
    async with server.client(server.other_key) as other:
        answers = [
            await other.get(PATH, params={"limit": 1, "order": "name", "cursor": cursor}),
            await client.get(PATH, params={"limit": 1, "cursor": cursor}),
            await client.get(PATH, params={"limit": 1, "order": "-name", "cursor": cursor}),
            await client.get(PATH, params={"limit": 1, "order": "name", "search": "a", "cursor": cursor}),
            await client.get(PATH, params={"order": "name", "cursor": cursor[:-2]}),
            await client.get(PATH, params={"order": "name", "cursor": "é" + cursor}),
        ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "bad_cursor")}
    assert answers[0].json()["errors"][0]["parameter"] == "cursor"


async def test_some_fields_alone(client):
    page = (await client.get(PATH, params={"fields": "name,id,name", "limit": 2})).json()

    assert [list(record) for record in page["results"]] == [["name", "id"]] * 2
    assert "fields=name%2Cid" in page["next"]

    refused = (await client.get(PATH, params={"fields": "id,nmae"})).json()
    assert refused["errors"][0]["suggestions"] == ["name"]
    assert "member_count" in refused["detail"]


async def test_a_list_that_the_caller_has_is_not_sent_again(client):
    first = await client.get(PATH, params={"limit": 3})
    etag = first.headers["etag"]
    assert etag.startswith('W/"')

    again = await client.get(PATH, params={"limit": 3}, headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await client.get(PATH, params={"limit": 2}, headers={"If-None-Match": etag})
    assert other.status_code == 200

    one = first.json()["results"][0]
    await client.patch(f"{PATH}{one['id']}/", json={"description": "Changed"})
    changed = await client.get(PATH, params={"limit": 3}, headers={"If-None-Match": etag})
    assert changed.status_code == 200


async def test_a_segment_that_the_caller_has_is_not_sent_again_until_it_is_written_or_computed(client, server):
    made = await client.post(PATH, json={"name": "Read again", "definition": BOUGHT})
    path, etag = f"{PATH}{made.json()['id']}/", made.headers["etag"]

    for known in (etag, f"W/{etag}", "*"):
        assert (await client.get(path, headers={"If-None-Match": known})).status_code == 304
    assert (await client.head(path, headers={"If-None-Match": etag})).status_code == 304

    await server.resources.postgres.execute("UPDATE segments SET status = 'computing' WHERE id = $1", made.json()["id"])
    computing = await client.get(path, headers={"If-None-Match": etag})
    assert (computing.status_code, computing.json()["status"]) == (200, "computing")
    assert computing.headers["etag"] != etag

    written = await client.patch(path, json={"name": "Written"}, headers={"If-Match": etag})
    assert written.status_code == 200
    assert (await client.patch(path, json={"name": "X"}, headers={"If-Match": etag})).status_code == 412
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path, headers={"If-None-Match": "*"})).status_code == 404


async def test_single_records_that_the_caller_has_are_not_sent_again(client, server):
    event = {"user_id": "ana", "event_type": "bought"}
    assert (await client.post("/api/ingestion/track/", json=event)).status_code == 202
    segment = (await client.post(PATH, json={"name": "Recorded", "definition": BOUGHT})).json()["id"]
    computing = (await client.post(f"{PATH}{segment}/compute/")).json()["computation_id"]
    path = f"/api/computations/{computing}/"
    queued = await client.get(path)
    async with asyncio.timeout(30):
        while (await client.get(path)).json()["finished_at"] is None:
            pass
    snapshot = (await client.post(f"{PATH}{segment}/snapshots/", json={"name": "Then"})).json()["id"]
    export = (await client.post(f"{PATH}{segment}/export/", json={"format": "csv"})).json()["id"]
    records = [path, f"/api/snapshots/{snapshot}/", f"/api/exports/{export}/", "/api/explorer/users/ana/"]
    async with asyncio.timeout(30):
        for waiting in records[1:3]:
            while (await client.get(waiting)).json()["status"] != "complete":
                pass
    key = (await client.get("/api/auth/api-keys/")).json()["results"][0]["id"]

    for record in (*records, f"{PATH}{segment}/export/?export_id={export}", f"/api/auth/api-keys/{key}/"):
        etag = (await client.get(record)).headers["etag"]
        again = await client.get(record, headers={"If-None-Match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), record
    changed = await client.get(path, headers={"If-None-Match": queued.headers["etag"]})
    assert (changed.status_code, changed.json()["status"]) == (200, "done")


@pytest.mark.parametrize("block", re.findall(r"^```sh\n(.*?)^```", CONVENTIONS.read_text(), re.MULTILINE | re.DOTALL))
async def test_what_the_page_of_conventions_shows_can_be_typed(server, block):
    typing = await asyncio.create_subprocess_shell(
        block.replace("curl ", "curl -sSf ", 1),
        env={"PATH": os.environ["PATH"], "URL": server.url, "API_KEY": server.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await typing.communicate()

    assert (typing.returncode, errors) == (0, b"")
    assert b'"results"' in output or any(
        sign in output.lower() for sign in (b"\netag: ", b"\nidempotency-replayed: true")
    )
