"""Events over HTTP, as SegOps' clients send them, and a file imported."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from rich.console import Console

from segment_copilot.errors import InvalidInput
from segment_copilot.importing import Layout, import_file

ECOM = Path(__file__).parent.parent / "data" / "ecom.csv.gz"
TRACK, BATCH, STATUS = "/api/ingestion/track/", "/api/ingestion/track/batch/", "/api/ingestion/status/"
EVENT = {"user_id": "ana", "event_type": "order_placed"}


async def post(client: httpx2.AsyncClient, path: str, body: Any, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await client.post(path, content=content, headers={"Content-Type": "application/json", **headers})


async def until_forwarded(client: httpx2.AsyncClient) -> dict[str, int]:
    async with asyncio.timeout(30):
        while (status := (await client.get(STATUS)).json())["pending"]:  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.05)
    return status


@pytest.mark.parametrize("path", [TRACK, TRACK.rstrip("/")])
async def test_one_event_is_queued(client: httpx2.AsyncClient, path):
    answer = await post(client, path, {**EVENT, "occurred_at": "2026-11-21T17:29:46.725056+00:00", "payload": {}})

    assert (answer.status_code, answer.json()) == (202, {"queued": True})


BAD_BODIES = [
    (b"", "missing_body", None),
    (b"{", "malformed_json", ""),
    (b'{"user_id":"\xff","event_type":"x"}', "malformed_json", ""),
    (b"[" * 100_000, "malformed_json", ""),
    (b"[]", "invalid_event", ""),
    ({"user_id": 1, "event_type": "x"}, "invalid_event", "/user_id"),
    ({**EVENT, "payload": {"a": [{"b\0": 1}]}}, "invalid_event", "/payload/a/0/b\0"),
    (b'{"user_id":"\\ud800","event_type":"x"}', "invalid_event", "/user_id"),
    (b'{"user_id":"a","event_type":"x","payload":{"a":1e999}}', "invalid_event", "/payload/a"),
    (b'{"user_id":"a","event_type":"x","payload":{"\\ud800":1}}', "invalid_event", r"/payload/\ud800"),
    (b'{"user_id":"a","event_type":"x","\\ud800":1}', "invalid_event", r"/\ud800"),
    ({**EVENT, "traits": {}}, "invalid_event", "/traits"),
    ({**EVENT, "occurred_at": "soon"}, "invalid_event", "/occurred_at"),
]


@pytest.mark.parametrize(("body", "code", "pointer"), BAD_BODIES, ids=[str(row[0])[:30] for row in BAD_BODIES])
async def test_a_bad_event_is_a_problem_that_says_where(client: httpx2.AsyncClient, body, code, pointer):
    answer = await post(client, TRACK, body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert [error["pointer"] for error in problem["errors"]] == ([] if pointer is None else [pointer])


async def test_a_batch_keeps_what_is_right_and_names_what_is_wrong(client: httpx2.AsyncClient):
    body = msgspec.json.encode({"events": [EVENT, {}, "text", {**EVENT, "payload": []}]})
    body = body.removesuffix(b"]}") + b',{"user_id":"\\udc00","event_type":"x"}]}'  # nor does this one spoil the others

    answer = await post(client, BATCH, body)

    assert answer.status_code == 202
    found = answer.json()
    assert (found["queued"], found["skipped"]) == (1, 4)
    assert [(error["index"], error["pointer"], error["code"]) for error in found["errors"]] == [
        (1, "/events/1/user_id", "missing_field"),
        (2, "/events/2", "wrong_type"),
        (3, "/events/3/payload", "wrong_type"),
        (4, "/events/4/user_id", "lone_surrogate"),
    ]


async def test_half_a_character_in_a_key_costs_only_its_event(client: httpx2.AsyncClient):
    """In a pointer it is written out: no answer can carry it as it is."""
    right = b'{"user_id":"ana","event_type":"order_placed","payload":{"a":1}}'
    in_payload = right.replace(b'"a":', b'"b/":[{"\\ud800":')[:-2] + b"}]}}"
    in_event = right[:-1] + b',"\\udfff":1}'

    answer = await post(client, BATCH, b'{"events":[%s]}' % b",".join([right, in_payload, in_event, right]))

    assert answer.status_code == 202
    found = answer.json()
    assert (found["queued"], found["skipped"]) == (2, 2)
    assert [(error["pointer"], error["code"]) for error in found["errors"]] == [
        (r"/events/1/payload/b~1/0/\ud800", "lone_surrogate"),
        (r"/events/2/\udfff", "unknown_field"),
    ]


WRITTEN = b'{"user_id":"ana","event_type":"order_placed","payload":{"a":%s}}'
HALF = WRITTEN % rb'"\ud800"'  # for its sake the whole batch is read slowly
ALONE = [
    (WRITTEN % b"1e999", "/payload/a", "number_out_of_range"),
    (WRITTEN % (b"1" * 5_000), "/payload/a", "number_out_of_range"),
    (WRITTEN % b'{"b":1,"b":2}', "/payload/a/b", "duplicate_key"),
    (WRITTEN % b'1,"a":2', "/payload/a", "duplicate_key"),
    (b'{"user_id":"ana","user_id":"bea","event_type":"x"}', "/user_id", "duplicate_key"),
    (WRITTEN % (b"[" * 5_000 + b"]" * 5_000), "", "payload_too_deep"),
]


@pytest.mark.parametrize("beside", [b"", HALF], ids=["quickly", "slowly"])
@pytest.mark.parametrize(("event", "pointer", "code"), ALONE, ids=[f"{row[2]} {row[1]}" for row in ALONE])
async def test_what_is_wrong_with_one_event_is_told_of_it_however_the_batch_is_read(
    client: httpx2.AsyncClient, event, pointer, code, beside
):
    right = WRITTEN % b"12345678901234567890123"
    events = [right, event, *([beside] if beside else []), right]

    answer = await post(client, BATCH, b'{ "events" : [%s ] }' % b" , ".join(events))

    assert answer.status_code == 202, answer.text
    found = answer.json()
    assert (found["queued"], found["skipped"]) == (2, len(events) - 2)
    first = found["errors"][0]
    assert (first["pointer"], first["code"]) == (f"/events/1{pointer}", code)


@pytest.mark.parametrize("beside", [WRITTEN % b"1", HALF], ids=["quickly", "slowly"])
@pytest.mark.parametrize("key", [b"events", rb"\u0065vents"])
async def test_a_second_list_of_events_is_refused_and_not_taken_for_the_first(
    client: httpx2.AsyncClient, beside: bytes, key: bytes
):
    body = b'{"events":[%s],"%s":[%s]}' % (beside, key, WRITTEN % b"2")

    answer = await post(client, BATCH, body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "duplicate_key")
    assert problem["errors"][0]["pointer"] == "/events"


async def test_a_key_named_events_inside_of_an_event_is_no_second_list(client: httpx2.AsyncClient):
    answer = await post(client, BATCH, b'{"events":[%s]}' % (WRITTEN % b'{"events":[1],"b":"events\\":"}'))

    assert (answer.status_code, answer.json()["queued"]) == (202, 1)


async def test_a_batch_that_never_ends_is_no_json(client: httpx2.AsyncClient):
    answer = await post(client, BATCH, b'{"events":' + b"[" * 5_000)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_only_the_first_reasons_of_a_batch_are_told(client: httpx2.AsyncClient):
    found = (await post(client, BATCH, {"events": [{}] * 30})).json()

    assert (found["queued"], found["skipped"], len(found["errors"])) == (0, 30, 20)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/events"),
        ({"events": {}}, "/events"),
        ({"events": [], "more": 1}, "/more"),
        ({"events": [EVENT] * 5001}, "/events"),
    ],
)
async def test_a_batch_of_the_wrong_shape_is_a_problem(client: httpx2.AsyncClient, body, pointer):
    answer = await post(client, BATCH, body)

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_an_empty_batch_is_fine(client: httpx2.AsyncClient):
    assert (await post(client, BATCH, {"events": []})).json() == {"queued": 0, "skipped": 0, "errors": []}


async def test_a_large_batch_is_taken_whole(client: httpx2.AsyncClient):
    events = [{**EVENT, "payload": {"text": "x" * 10_000}}] * 500

    assert (await post(client, BATCH, {"events": events})).json()["queued"] == 500


async def test_a_request_repeated_with_its_idempotency_key_counts_once(server, client: httpx2.AsyncClient):
    event = {**EVENT, "event_type": "repeated"}
    for _ in range(2):
        assert (await post(client, TRACK, event, **{"Idempotency-Key": "k-1"})).status_code == 202
        assert (await post(client, BATCH, {"events": [event, event]}, **{"Idempotency-Key": "k-2"})).status_code == 202

    sql = "SELECT count(*) FROM events WHERE event_type = 'repeated'"
    assert await server.resources.postgres.fetchval(sql) == 3
    assert (await post(client, TRACK, event, **{"Idempotency-Key": "k" * 256})).status_code == 400


async def test_what_was_acknowledged_can_be_queried_when_nothing_is_pending(server, client: httpx2.AsyncClient):
    await post(client, TRACK, {**EVENT, "event_type": "queried", "event_id": "q-1"})

    status = await until_forwarded(client)

    assert set(status) == {"pending", "oldest_pending_ms", "forwarded", "failed"}
    sql = "SELECT count() FROM events WHERE event_type = 'queried'"
    assert (await server.resources.clickhouse.fetch(sql, purpose="catalog")).rows == [(1,)]


async def test_a_file_is_imported_once_however_often_and_its_users_are_right(server):
    columns = Layout(
        user="user_id",
        event="event",
        time="timestamp",
        trait=("acquisition_channel", "user_cohort", "user_lifecycle", "platform"),
    )
    screen = io.StringIO()
    options = {
        "layout": columns,
        "url": server.url,
        "key": server.other_key,
        "console": Console(file=screen, width=100),
    }

    tried = await import_file(ECOM, **options, dry_run=True)
    assert (await server.resources.postgres.fetchval("SELECT count(*) FROM events WHERE tenant_id = 2")) == 0
    first = await import_file(ECOM, **options)
    again = await import_file(ECOM, **options, shift_to_now=True)

    assert [(report.read, report.skipped) for report in (tried, first, again)] == [(31_106, 0)] * 3
    assert tried.queued == first.queued == again.queued > 31_106
    assert f"read 31106 rows, queued {first.queued} events, skipped 0" in screen.getvalue()
    sql = """
        SELECT count(), countIf(event_type != 'context_identified'), uniqExact(event_id) FROM events WHERE tenant_id = 2"""
    assert (await server.resources.clickhouse.fetch(sql, purpose="catalog")).rows == [
        (first.queued, 31_106, first.queued)
    ]

    with gzip.open(ECOM, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    bought = {row["user_id"] for row in rows if row["event"] == "purchase"}
    wished = {row["user_id"] for row in rows if row["event"] == "wishlist_add"}
    definition = {
        "logic": "AND",
        "conditions": [
            {"type": "event_count", "event_type": "purchase"},
            {"type": "event_count", "event_type": "wishlist_add", "operator": "eq", "value": 0},
        ],
    }
    async with server.client(server.other_key) as client:
        preview = (await client.post("/api/segments/preview/", json={"definition": definition, "limit": 1000})).json()
    assert (preview["matched_users"], preview["universe"]) == (len(bought - wished), 600)
    assert preview["sample_user_ids"] == sorted(bought - wished)


async def test_rows_that_are_skipped_are_told_with_their_lines(server, tmp_path: Path):
    path = tmp_path / "file.ndjson"
    path.write_text(
        '{"user":"a","event":"imported","time":"2026-01-01"}\n{"user":"","event":"imported","time":"2026-01-01"}\n'
    )
    screen = io.StringIO()

    report = await import_file(
        path,
        layout=Layout(user="user", event="event", time="time"),
        url=server.url + "/",
        key=server.key,
        shift_to_now=True,
        console=Console(file=screen, width=100),
    )

    assert (report.read, report.queued, report.skipped) == (2, 1, 1)
    assert report.reasons == ["line 2: user_id: user_id must not be empty."]
    assert "line 2" in screen.getvalue()
    sql = "SELECT occurred_at FROM events WHERE event_type = 'imported'"
    occurred_at = (await server.resources.clickhouse.fetch(sql, purpose="catalog")).rows[0][0]
    assert abs((datetime.now(UTC) - occurred_at).total_seconds()) < 60


@pytest.mark.parametrize(("key", "timezone"), [("sk_wrong", "UTC"), (None, "Nowhere/City")])
async def test_an_import_that_cannot_work_says_so_before_it_sends(server, tmp_path: Path, key, timezone):
    path = tmp_path / "file.csv"
    path.write_text("user,event,time\na,e,2026-01-01\n")

    with pytest.raises(InvalidInput, match=r"401|time zone"):
        await import_file(
            path,
            layout=Layout(user="user", event="event", time="time", timezone=timezone),
            url=server.url,
            key=key or server.key,
        )


async def test_what_passes_the_quota_of_a_month_is_a_problem_and_stored_nowhere(server, tmp_path):
    tenants, keys = server.resources.tenants, server.resources.keys
    tenant = await tenants.set_events_per_month(await tenants.create("small"), 3)
    _, key = await keys.create(tenant)
    async with server.client(key) as client:
        first = await post(client, BATCH, {"events": [{**EVENT, "event_id": str(number)} for number in range(2)]})
        refused = await post(client, BATCH, {"events": [EVENT, EVENT]})
        used = (await client.get("/api/usage/")).json()["events"]
        monthly = (await client.get("/api/analytics/usage/")).json()
        safe = await post(client, BATCH, {"events": [{**EVENT, "event_id": "1"}, {**EVENT, "event_id": "2"}]})
        single = await post(client, TRACK, EVENT)

    problem, resets_at = refused.json(), datetime.fromisoformat(used["resets_at"])
    assert (first.status_code, safe.status_code) == (202, 202)
    assert (refused.status_code, single.status_code) == (429, 429)
    assert (problem["code"], problem["limit"], problem["remaining"]) == ("event_quota_reached", 3, 1)
    assert abs(int(refused.headers["retry-after"]) - (resets_at - datetime.now(UTC)).total_seconds()) < 60
    assert (used["this_month"], used["limit"]) == (2, 3)
    assert (monthly["events_accepted"], monthly["events_limit"]) == (2, 3)

    (tmp_path / "more.csv").write_text("user,event,time\nana,viewed,2026-06-01\nben,viewed,2026-06-01\n")
    layout = Layout(user="user", event="event", time="time")
    with pytest.raises(InvalidInput, match="429: This tenant may send 3 events a month, and 0 are left"):
        await import_file(tmp_path / "more.csv", layout=layout, url=server.url, key=key)
