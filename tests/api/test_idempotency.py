"""A POST that is sent again with its Idempotency-Key is done once, and answered as it was."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import httpx2
import msgspec
import pytest

from segment_copilot.access import idempotency as module
from segment_copilot.access.idempotency import Answer, Claim
from segment_copilot.access.sessions import LIFETIME
from segment_copilot.errors import Unavailable
from segment_copilot.worker import steps
from tests.support.copilot_runs import Script, says

DEFINITION: dict[str, Any] = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
SEGMENTS = "/api/segments/"


def named(name: str) -> dict[str, Any]:
    return {"name": name, "definition": DEFINITION}


def keyed(key: str | None = None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex}


async def count(client: httpx2.AsyncClient, name: str) -> int:
    listed = (await client.get(SEGMENTS, params={"search": name})).json()["results"]
    return sum(each["name"] == name for each in listed)


async def test_a_repeated_request_is_answered_alike_and_done_once(client):
    headers = keyed()
    first = await client.post(SEGMENTS, json=named("Once"), headers=headers)
    again = await client.post(SEGMENTS.rstrip("/"), json=named("Once"), headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for header in ("content-type", "location", "etag", "content-length"):
        assert again.headers[header] == first.headers[header]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert await count(client, "Once") == 1


async def test_without_a_key_it_is_done_every_time(client):
    for _ in range(2):
        assert (await client.post(SEGMENTS, json=named("Twice"))).status_code == 201
    assert await count(client, "Twice") == 2


async def test_fifty_at_once_make_one(client):
    headers = keyed()

    answers = await asyncio.gather(*(client.post(SEGMENTS, json=named("Fifty"), headers=headers) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert await count(client, "Fifty") == 1


async def test_another_request_with_the_same_key_is_422(client, server):
    headers = keyed()
    await client.post(SEGMENTS, json=named("First"), headers=headers)

    other_body = await client.post(SEGMENTS, json=named("Second"), headers=headers)
    other_path = await client.post(f"{SEGMENTS}preview/", json=named("First"), headers=headers)
    async with server.client((await server.resources.keys.create(await tenant(server), kind="mcp"))[1]) as connector:
        other_kind = await connector.post(SEGMENTS, json=named("First"), headers=headers)

    for answer in (other_body, other_path, other_kind):
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(client, "Second") == 0
    assert await count(client, "First") == 1


async def test_another_key_of_the_tenant_and_another_tenant(client, server):
    headers = keyed()
    first = await client.post(SEGMENTS, json=named("Shared"), headers=headers)
    async with server.client((await server.resources.keys.create(await tenant(server)))[1]) as colleague:
        again = await colleague.post(SEGMENTS, json=named("Shared"), headers=headers)
    async with server.client(server.other_key) as rival:
        theirs = await rival.post(SEGMENTS, json=named("Shared"), headers=headers)

    assert again.content == first.content
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]


async def test_what_was_refused_may_be_mended_and_sent_again(client):
    headers = keyed()
    refused = await client.post(SEGMENTS, json={"definition": DEFINITION}, headers=headers)
    unread = await client.post(SEGMENTS, content=b"{", headers={**headers, "Content-Type": "application/json"})
    mended = await client.post(SEGMENTS, json=named("Mended"), headers=headers)

    assert [one.status_code for one in (refused, unread, mended)] == [400, 400, 201]
    assert "idempotency-replayed" not in mended.headers


async def test_an_outage_is_not_kept(client, server, monkeypatch):
    headers = keyed()
    segments = server.resources.segments

    async def gone(*_: Any, **__: Any) -> None:
        raise Unavailable("PostgreSQL does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(segments, "create", gone)
        failed = await client.post(SEGMENTS, json=named("After"), headers=headers)
    again = await client.post(SEGMENTS, json=named("After"), headers=headers)

    assert (failed.status_code, again.status_code) == (503, 201)


async def test_a_request_that_is_still_at_work_is_409_to_its_repetition(client, server, monkeypatch):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.0)
    headers, working, go_on = keyed(), asyncio.Event(), asyncio.Event()
    create = server.resources.segments.create

    async def slowly(*args: Any, **named: Any) -> Any:
        working.set()
        await go_on.wait()
        return await create(*args, **named)

    monkeypatch.setattr(server.resources.segments, "create", slowly)
    first = asyncio.create_task(client.post(SEGMENTS, json=named("Slow"), headers=headers))
    await working.wait()
    meanwhile = await client.post(SEGMENTS, json=named("Slow"), headers=headers)
    other = await client.post(SEGMENTS, json=named("Other"), headers=headers)
    go_on.set()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "idempotency_in_progress")
    assert int(meanwhile.headers["retry-after"]) > 0
    assert other.status_code == 422
    assert (await first).status_code == 201
    assert (await client.post(SEGMENTS, json=named("Slow"), headers=headers)).content == (await first).content


async def test_who_dies_at_work_leaves_a_lease_that_ends(client, server):
    """The claim of a process that was killed: it is there, and nobody will settle it."""
    kept, acme = server.resources.idempotency, await tenant(server)
    key, print_ = uuid4().hex, b"print"
    dead = await kept.begin(acme, key, print_, lease=timedelta(seconds=-1))
    taken = await kept.begin(acme, key, print_, lease=timedelta(seconds=60))
    answer = Answer(201, ((b"content-type", b"application/json"),), b"{}")

    assert isinstance(dead, Claim)
    assert isinstance(taken, Claim)
    await kept.keep(dead, Answer(201, (), b"late"))  # back from the dead: its claim is none any more
    await kept.release(dead)
    await kept.keep(taken, answer)
    assert await kept.begin(acme, key, print_, lease=timedelta(seconds=60)) == answer


async def test_an_answer_holds_for_a_day_and_is_then_forgotten(client, server):
    headers = keyed("a-day")
    await client.post(SEGMENTS, json=named("A day"), headers=headers)
    age = "UPDATE idempotency_keys SET created_at = now() - interval '24 hours' + $1::interval"
    postgres = server.resources.postgres

    await postgres.execute(age, timedelta(minutes=1))
    held = await client.post(SEGMENTS, json=named("A day"), headers=headers)
    await postgres.execute(age, timedelta())
    anew = await client.post(SEGMENTS, json=named("A day"), headers=headers)
    await postgres.execute(age, timedelta())
    cleaning = next(step for step in steps(server.resources) if step.name == "cleaning_up")
    await cleaning.take()

    assert held.headers.get("idempotency-replayed") == "true"
    assert "idempotency-replayed" not in anew.headers
    assert await postgres.fetchval("SELECT count(*) FROM idempotency_keys") == 0


async def test_a_sessions_token_is_repeated_only_while_it_holds(client, server):
    async def open_session() -> httpx2.Response:
        return await client.post("/api/auth/session/", json={"scope": "copilot"}, headers=keyed("a-session"))

    first = await open_session()
    age = "UPDATE idempotency_keys SET created_at = now() - $1::interval"
    await server.resources.postgres.execute(age, LIFETIME - timedelta(minutes=1))
    held = await open_session()
    await server.resources.postgres.execute(age, LIFETIME)
    anew = await open_session()

    assert held.json() == first.json()
    assert (held.headers.get("idempotency-replayed"), anew.headers.get("idempotency-replayed")) == ("true", None)
    assert anew.status_code == 200


async def test_what_is_kept_can_be_read_with_the_key_alone(client, server):
    key = "ana@example.com's key"
    await client.post("/api/auth/api-keys/", json={"name": "Shown once"}, headers=keyed("the-key"))
    refused = await client.post(SEGMENTS, json=named("Spaces"), headers=keyed(key))
    made = await client.post("/api/auth/api-keys/", json={"name": "Shown once"}, headers=keyed("the-key"))

    rows = await server.resources.postgres.fetch("SELECT * FROM idempotency_keys")
    text = made.json()["key"]
    assert made.headers["idempotency-replayed"] == "true"
    assert rows
    assert not any(text in str(dict(row)) or "the-key" in str(dict(row)) for row in rows)
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "é"])
async def test_a_key_is_one_text_of_visible_ascii(client, key: str):
    answer = await client.post(SEGMENTS, json=named("None"), headers={"Idempotency-Key": key.encode()})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert await count(client, "None") == 0


async def test_a_preview_is_repeated_from_what_is_kept_and_one_too_large_is_asked_anew(client, monkeypatch):
    headers, large = keyed(), keyed()
    body = {"definition": DEFINITION}
    first = await client.post(f"{SEGMENTS}preview/", json=body, headers=headers)
    again = await client.post(f"{SEGMENTS}preview/", json=body, headers=headers)
    monkeypatch.setattr("segment_copilot.api.http.idempotency.MAX_ANSWER_BYTES", 100)
    await client.post(f"{SEGMENTS}preview/", json=body, headers=large)
    anew = await client.post(f"{SEGMENTS}preview/", json=body, headers=large)

    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert anew.status_code == 200
    assert "idempotency-replayed" not in anew.headers


async def test_what_was_done_and_answered_too_largely_is_not_done_again(client, monkeypatch):
    headers = keyed()
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 100)
    first = await client.post(SEGMENTS, json=named("Large"), headers=headers)
    again = await client.post(SEGMENTS, json=named("Large"), headers=headers)

    assert first.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_not_kept")
    assert await count(client, "Large") == 1


async def test_a_stream_is_asked_anew_and_events_are_told_apart_one_by_one(client, server, use):
    use(Script(says("Fine."), says("Fine again.")))
    headers = keyed()
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    streams = [await client.post("/api/copilot/stream/", json=body, headers=headers) for _ in range(2)]
    batch = {"events": [{"user_id": "ana", "event_type": "seen"}]}
    batches = [await client.post("/api/ingestion/track/batch/", json=batch, headers=headers) for _ in range(2)]

    assert ["Fine." in streams[0].text, "Fine again." in streams[1].text] == [True, True]
    assert [answer.json() for answer in batches] == [{"queued": 1, "skipped": 0, "errors": []}] * 2
    stored = "SELECT count(*) FROM events WHERE event_type = 'seen'"
    assert await server.resources.postgres.fetchval(stored) == 1


async def test_a_body_that_is_too_large_or_breaks_off_is_refused_as_ever(client, server):
    large = await client.post(SEGMENTS, content=b'"' + b"x" * (2 * 2**20) + b'"', headers=keyed())
    host, _, port = server.url.removeprefix("http://").partition(":")
    stream = await anyio.connect_tcp(host, int(port))
    async with stream:
        head = (
            f"POST {SEGMENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {server.key}\r\nIdempotency-Key: cut\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        await stream.send(head.encode())
    whole = await client.post(SEGMENTS, json=named("Whole"), headers=keyed("cut"))

    assert large.status_code == 413
    assert whole.status_code == 201


async def test_every_post_says_that_it_takes_a_key(server, client):
    document = (await client.get("/schema")).json()
    without = {
        path
        for path, methods in document["paths"].items()
        if "post" in methods
        and not any(each["name"] == "Idempotency-Key" for each in methods["post"].get("parameters", []))
    }
    said = {
        path: methods["post"]
        for path, methods in document["paths"].items()
        if "post" in methods and path not in without and "/ingestion/" not in path
    }

    assert without == {"/api/copilot/stream/", "/api/copilot/ag-ui/", "/api/copilot/ai-sdk/"}
    for operation in said.values():
        assert {"409", "422"} <= operation["responses"].keys()
        success = next(answer for status, answer in operation["responses"].items() if status < "300")
        assert "Idempotency-Replayed" in success["headers"]


async def tenant(server: Any) -> Any:
    return await server.resources.tenants.get("first")


def test_an_answer_survives_its_encoding():
    answer = Answer(201, ((b"location", b"/api/\xff"),), b"\x00\xff")

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer) == answer
