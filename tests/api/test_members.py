"""Computations, changes and memberships over HTTP, and other tenants' ids."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "members.md"
BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
NOBODY = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 99}]}
USERS = [f"user-{number}" for number in range(5)]


async def until(client: httpx2.AsyncClient, path: str, reached) -> Any:
    """The answer of *path* once *reached* says so."""
    async with asyncio.timeout(30):
        while not reached(answer := (await client.get(path)).json()):  # noqa: ASYNC110  # nothing to be woken by
            await asyncio.sleep(0.02)
    return answer


@pytest.fixture(scope="module", autouse=True)
async def history(server):
    events = [{"user_id": user, "event_type": "order_placed", "payload": {"total": 10}} for user in USERS]
    async with server.client() as client:
        assert (await client.post("/api/ingestion/track/batch/", json={"events": events})).status_code == 202
        await until(client, "/api/ingestion/status/", lambda status: status["pending"] == 0)


async def create(client: httpx2.AsyncClient, **fields: Any) -> int:
    answer = await client.post("/api/segments/", json={"name": "Buyers", "definition": BOUGHT} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def compute(client: httpx2.AsyncClient, segment_id: int) -> dict[str, Any]:
    """The computation, done."""
    queued = (await client.post(f"/api/segments/{segment_id}/compute/")).json()
    path = f"/api/computations/{queued['computation_id']}/"
    return await until(client, path, lambda one: one["status"] not in {"queued", "computing"})


async def test_a_computation_is_followed_to_its_end(client):
    segment_id = await create(client)

    done = await compute(client, segment_id)
    listed = (await client.get(f"/api/segments/{segment_id}/computations/")).json()
    late = await client.post(f"/api/computations/{done['id']}/cancel/")

    assert {name: done[name] for name in ("status", "segment_id", "version", "member_count", "entered", "left")} == {
        "status": "done", "segment_id": segment_id, "version": 1, "member_count": 5, "entered": 5, "left": 0
    }  # fmt: skip
    assert done["error"] is None
    assert all(done[name].endswith("Z") for name in ("as_of", "created_at", "started_at", "finished_at"))
    assert listed == {"count": 1, "next": None, "previous": None, "results": [done], "next_cursor": None}
    assert (late.status_code, late.json()["code"]) == (409, "computation_finished")
    failed = (await client.get(f"/api/segments/{segment_id}/computations/?status=failed&fields=id")).json()
    assert (failed["count"], failed["results"]) == (0, [])
    wrong = await client.get(f"/api/segments/{segment_id}/computations/?status=running")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_parameter")


async def test_changes_add_up_and_are_paged(client):
    segment_id = await create(client)
    first = await compute(client, segment_id)
    await client.patch(f"/api/segments/{segment_id}/", json={"definition": NOBODY})
    second = await compute(client, segment_id)
    path = f"/api/segments/{segment_id}/changes/"

    whole = (await client.get(path)).json()
    assert [(one["user_id"], one["change"]) for one in whole["results"]] == [
        *((user, "entered") for user in USERS),
        *((user, "left") for user in USERS),
    ]
    assert whole["results"][0]["at"] == first["finished_at"]
    assert whole["results"][0]["computation_id"] == first["id"]
    by_next, following = [], f"{path}?limit=3"
    while following:
        page = (await client.get(following)).json()
        assert page["count"] == 10
        by_next, following = by_next + page["results"], page["next"]
    assert by_next == whole["results"]
    since = (await client.get(path, params={"since": second["finished_at"]})).json()
    assert (since["count"], since["results"]) == (5, whole["results"][5:])
    for given in ("since=yesterday", "since=2026-06-01T00:00:00", "cursor=made-up"):
        refused = await client.get(f"{path}?{given}")
        assert (refused.status_code, refused.json()["errors"][0].get("parameter")) == (400, given.partition("=")[0])


async def test_memberships_stored_live_and_of_many_users(client):
    computed, idle = await create(client, name="Computed"), await create(client, name="Idle")
    await compute(client, computed)

    def ids(found: dict[str, Any]) -> set[int]:
        return {one["segment_id"] for one in found["segments"]} & {computed, idle}

    stored = (await client.get("/api/segments/membership/?user_id=user-1")).json()
    live = (await client.get("/api/segments/membership/?user_id=user-1&live=True")).json()
    assert (ids(stored), stored["as_of"], stored["not_evaluated"]) == ({computed}, None, [])
    assert (ids(live), live["not_evaluated"]) == ({computed, idle}, [])
    assert live["as_of"] == live["segments"][0]["computed_at"]
    assert (await client.get("/api/segments/membership/?user_id=nobody&live=true")).json()["segments"] == []

    body = {"user_ids": ["user-1", "nobody"], "segment_ids": [computed, idle]}
    many = (await client.post("/api/segments/membership/", json=body)).json()
    assert [(one["user_id"], ids(one)) for one in many["results"]] == [("user-1", {computed}), ("nobody", set())]
    for wrong, pointer in [
        ({"user_ids": [f"u{n}" for n in range(1001)]}, "/user_ids"),
        ({"user_ids": []}, "/user_ids"),
        ({"user_ids": [""]}, "/user_ids/0"),
        ({"user_ids": ["a"], "segment_ids": [10**15]}, "/segment_ids/0"),
        ({"user_ids": ["a"], "live": True}, "/live"),
    ]:
        refused = await client.post("/api/segments/membership/", json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_another_tenants_ids_answer_as_ones_that_never_were(client, server):
    segment_id = await create(client)
    done = await compute(client, segment_id)
    cursor = (await client.get(f"/api/segments/{segment_id}/changes/?limit=1")).json()["next_cursor"]

    async with server.client(server.other_key) as other:
        for method, path, body in [
            ("GET", "/api/computations/{computation}/", None),
            ("POST", "/api/computations/{computation}/cancel/", None),
            ("GET", "/api/segments/{segment}/computations/", None),
            ("GET", "/api/segments/{segment}/changes/", None),
            ("POST", "/api/segments/{segment}/upload/", "user_id\nana\n"),
        ]:
            theirs, never = [
                await other.request(method, path.format(**ids), content=body, headers={"Content-Type": "text/csv"})
                for ids in (
                    {"segment": segment_id, "computation": done["id"]},
                    {"segment": 10**12, "computation": 10**12},
                )
            ]
            assert theirs.status_code == never.status_code == 404
            assert theirs.json()["code"] == never.json()["code"]
        own = await create(other)
        foreign = await other.get(f"/api/segments/{own}/changes/?cursor={cursor}")
        assert (foreign.status_code, foreign.json()["code"]) == (400, "bad_cursor")
        found = await other.post(
            "/api/segments/membership/", json={"user_ids": ["user-1"], "segment_ids": [segment_id]}
        )
        assert (found.status_code, found.json()["errors"][0]["code"]) == (400, "unknown_segment")
        assert (await other.get("/api/segments/membership/?user_id=user-1&live=true")).json()["segments"] == []


async def upload(
    client: httpx2.AsyncClient, segment_id: int, content: str, kind: str = "text/csv", **query: str
) -> httpx2.Response:
    path = f"/api/segments/{segment_id}/upload/"
    return await client.post(path, content=content, headers={"Content-Type": kind}, params=query)


async def members_of(client: httpx2.AsyncClient, answer: httpx2.Response, segment_id: int) -> list[str]:
    """The members once an upload was applied."""
    assert answer.status_code == 202, answer.text
    path = f"/api/computations/{answer.json()['computation_id']}/"
    assert (await until(client, path, lambda one: one["finished_at"]))["status"] == "done"
    return [one["user_id"] for one in (await client.get(f"/api/segments/{segment_id}/members/")).json()["results"]]


async def test_a_static_segment_takes_csv_lines_and_forms(client):
    made = await client.post("/api/segments/", json={"name": "Invited", "segment_type": "static"})
    segment = made.json()
    assert (segment["segment_type"], segment["status"], segment["definition"]) == ("static", "draft", None)
    path = f"/api/segments/{segment['id']}/"

    first = await upload(client, segment["id"], "name,user_id\nOne,user-1\nWho,nobody\n")
    assert first.json() == {
        "accepted": 2, "unknown": 1, "status": "queued", "computation_id": first.json()["computation_id"]
    }  # fmt: skip
    assert await members_of(client, first, segment["id"]) == ["nobody", "user-1"]
    lines = await upload(client, segment["id"], '{"user_id": "user-2"}\n"user-3"\n', "application/x-ndjson", mode="add")
    assert await members_of(client, lines, segment["id"]) == ["nobody", "user-1", "user-2", "user-3"]
    files = {"file": ("users.csv", b"user_id\nnobody\n", "text/csv")}
    form = await client.post(f"{path}upload/?mode=remove", files=files)
    assert await members_of(client, form, segment["id"]) == ["user-1", "user-2", "user-3"]
    files = {"file": ("users.jsonl", b'"user-4"\n', "application/octet-stream")}
    form = await client.post(f"{path}upload/", files=files)
    assert await members_of(client, form, segment["id"]) == ["user-4"]

    read = (await client.get(path)).json()
    assert (read["status"], read["member_count"], read["words"]) == ("computed", 1, "Users of an uploaded list")
    assert (await client.put(path, json=read)).status_code == 200  # a record as it was read
    for action in ("compute", "estimate", "explain"):
        refused = await client.post(f"{path}{action}/")
        assert (refused.status_code, refused.json()["code"]) == (409, "segment_is_static")
    for wrong, pointer, code in [
        ({"definition": BOUGHT}, "/definition", "static_definition"),
        ({"segment_type": "rule"}, "/segment_type", "type_is_fixed"),
    ]:
        refused = await client.patch(path, json=wrong)
        (finding,) = refused.json()["errors"]
        assert (refused.status_code, finding["pointer"], finding["code"]) == (400, pointer, code)


async def test_a_copy_of_a_static_segment_has_its_members(client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("segment_copilot.audiences.copies._PAGE", 2)
    made = (await client.post("/api/segments/", json={"name": "Guests", "segment_type": "static"})).json()
    path = f"/api/segments/{made['id']}/"
    empty = (await client.post(f"{path}copy/", json={"name": "Nobody yet"})).json()
    uploaded = await upload(client, made["id"], "user_id\nuser-1\nuser-2\nnobody\nuser-3\nuser-4\n")
    listed = await members_of(client, uploaded, made["id"])
    copied = (await client.post(f"{path}copy/")).json()
    read = await until(client, f"/api/segments/{copied['id']}/", lambda one: one["status"] == "computed")
    members = (await client.get(f"/api/segments/{copied['id']}/members/")).json()["results"]
    monkeypatch.setattr("segment_copilot.audiences.copies.MAX_MEMBERS", 4)
    refused = await client.post(f"{path}copy/", json={"name": "Too many"})

    assert (empty["segment_type"], empty["status"]) == ("static", "draft")
    assert (copied["name"], copied["segment_type"], copied["status"]) == ("Copy of Guests", "static", "queued")
    assert [one["user_id"] for one in members] == listed == ["nobody", "user-1", "user-2", "user-3", "user-4"]
    assert read["member_count"] == 5
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_members_to_copy")
    assert (await client.get("/api/segments/?search=Too many")).json()["count"] == 0


async def test_an_upload_that_is_wrong_says_what_to_do_and_changes_nothing(client):
    static = await client.post("/api/segments/", json={"name": "Invited", "segment_type": "static"})
    segment_id, rule = static.json()["id"], await create(client)
    path = f"/api/segments/{segment_id}/upload/"

    for answer, status, code in [
        (await upload(client, rule, "user_id\na\n"), 409, "segment_is_not_static"),
        (await upload(client, segment_id, "a\nb\n"), 400, "invalid_list"),
        (await upload(client, segment_id, "user_id\na\n \n"), 400, "invalid_row"),
        (await upload(client, segment_id, "{}", "application/x-ndjson"), 400, "invalid_row"),
        (await upload(client, segment_id, "user_id\na\n", "application/json"), 415, "unsupported_media_type"),
        (await upload(client, segment_id, "user_id\na\n", mode="delete"), 400, "invalid_parameter"),
        (await upload(client, segment_id, ""), 400, "missing_body"),
        (await upload(client, segment_id, "user_id\n"), 400, "empty_list"),
        (await upload(client, segment_id, "\n \n", "application/x-ndjson"), 400, "empty_list"),
        (await client.post(path, files={"other": ("a.csv", b"user_id\na\n", "text/csv")}), 400, "missing_field"),
        (await upload(client, segment_id, "--x", "multipart/form-data; boundary=x"), 400, "invalid_input"),
        (await upload(client, segment_id, "--x", "multipart/form-data"), 400, "invalid_input"),
        (await upload(client, segment_id, "user_id\n" + "a" * 33 * 2**20), 413, "body_too_large"),
    ]:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    wrong = (await upload(client, segment_id, "user_id\na\n \n" + "b" * 300)).json()["errors"]
    assert [one["detail"].partition(":")[0] for one in wrong] == ["Line 3", "Line 4"]
    assert (await client.get(f"/api/segments/{segment_id}/")).json()["status"] == "draft"
    for created in (
        await client.post("/api/segments/", json={"name": "X", "segment_type": "static", "definition": BOUGHT}),
        await client.patch(f"/api/segments/{rule}/", json={"segment_type": "static"}),
    ):
        assert created.status_code == 400


async def test_what_the_page_of_members_shows_can_be_typed(client, server):
    await create(client)  # so that there is a segment 1
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    failing = 'set -e -o pipefail; curl() { command curl -sSf "$@"; }\n'
    typing = await asyncio.create_subprocess_exec(
        *("bash", "-c", failing + "\n".join(blocks)),
        env={"PATH": os.environ["PATH"], "URL": server.url, "API_KEY": server.key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await typing.communicate()

    assert (typing.returncode, errors) == (0, b"")
    assert len(blocks) == 5
    assert b'"accepted":2,"unknown":2' in output
