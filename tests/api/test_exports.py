"""Exports over HTTP: asked for, waited for, and fetched, with a key or a link, whole or in pieces."""

from __future__ import annotations

import asyncio
import base64
import csv
import hashlib
import io
import os
import re
import sys
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from segment_copilot.audiences import chunks
from segment_copilot.commands import exports as command
from segment_copilot.errors import SegmentCopilotError
from tests.support.http_server import Server
from tests.support.proxies import run_proxy

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
USERS = [f"user-{number:03}" for number in range(50)]


@pytest.fixture(scope="module")
async def segment(server: Server) -> dict[str, Any]:
    """Fifty buyers, computed."""
    events = [{"user_id": user, "event_type": "order_placed"} for user in USERS]
    async with server.client() as client, asyncio.timeout(30):
        await client.post("/api/ingestion/track/batch/", json={"events": events})
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
        saved = (await client.post("/api/segments/", json={"name": "Buyers", "definition": BOUGHT})).json()
        await client.post(f"/api/segments/{saved['id']}/compute/")
        while (found := (await client.get(f"/api/segments/{saved['id']}/")).json())["status"] != "computed":
            pass
    return found


@pytest.fixture(scope="module")
async def export(server: Server, segment: dict[str, Any]) -> dict[str, Any]:
    """A file of them, in many chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_BYTES", 256)
        async with server.client() as client:
            return await exported(client, segment)


@pytest.fixture(autouse=True)
def many_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 256)


@pytest.fixture
async def nobody(server: Server) -> AsyncGenerator[httpx2.AsyncClient]:
    """A browser: no key."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
        yield client


async def exported(client: httpx2.AsyncClient, segment: dict[str, Any], **body: Any) -> dict[str, Any]:
    asked = await client.post(f"/api/segments/{segment['id']}/export/", json=body)
    assert asked.status_code == 202
    async with asyncio.timeout(30):
        while (found := (await client.get(asked.headers["location"])).json())["status"] == "pending":
            pass
    return found


def address(export: dict[str, Any]) -> str:
    return f"/api/segments/exports/{export['id']}/download/"


async def test_an_export_is_asked_for_waited_for_and_fetched(
    client: httpx2.AsyncClient, nobody: httpx2.AsyncClient, segment: dict[str, Any], server: Server
):
    asked = (await client.post(f"/api/segments/{segment['id']}/export/")).json()
    done = await exported(client, segment, format="csv")
    fetched = await nobody.get(done["download_url"])

    assert (asked["id"], asked["status"], asked["format"]) == (asked["export_id"], "pending", "csv")
    assert asked["download_url"] is asked["expires_at"] is asked["rows"] is asked["error"] is None
    assert (done["status"], done["rows"], done["segment_id"], done["snapshot_id"]) == (
        "complete",
        len(USERS),
        segment["id"],
        None,
    )
    assert done["download_url"].startswith(f"{server.url}/api/segments/exports/{done['id']}/download/?token=")
    assert fetched.status_code == 200
    rows = list(csv.reader(io.StringIO(fetched.text, newline="")))
    assert rows == [["user_id", "computed_at"], *([user, segment["last_computed_at"]] for user in USERS)]
    digest = hashlib.sha256(fetched.content)
    assert done["sha256"] == digest.hexdigest()
    headers = fetched.headers
    assert headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert int(headers["content-length"]) == done["bytes"] == len(fetched.content)
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"].startswith(f'attachment; filename="segment-{segment["id"]}-2')
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_pieces_put_together_are_the_whole_byte_for_byte(client: httpx2.AsyncClient, export: dict[str, Any]):
    whole = await client.get(address(export))
    size, etag = len(whole.content), whole.headers["etag"]
    for step in (1000, 256, 257):
        parts = list[bytes]()
        for start in range(0, size, step):
            asked = {"Range": f"bytes={start}-{start + step - 1}", "If-Range": etag}
            part = await client.get(address(export), headers=asked)
            stop = min(start + step, size)
            assert part.status_code == 206
            assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
            assert int(part.headers["content-length"]) == stop - start == len(part.content)
            assert part.headers["etag"] == etag
            parts.append(part.content)
        assert b"".join(parts) == whole.content


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [("bytes=10-", 10, None), ("bytes=-10", -10, None), ("bytes=-99999", 0, None), ("bytes=5-99999", 5, None)],
)
async def test_a_range_may_be_open(client: httpx2.AsyncClient, export: dict[str, Any], header, first, last):
    whole = (await client.get(address(export))).content

    part = await client.get(address(export), headers={"Range": header})

    assert (part.status_code, part.content) == (206, whole[first:last])


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "bytes=9-2", "bytes=-", "bytes=a-", "lines=0-1", "0-5", "bytes"])
async def test_what_is_no_range_or_several_is_answered_whole(client, export, header):
    answer = await client.get(address(export), headers={"Range": header})

    assert (answer.status_code, len(answer.content)) == (200, export["bytes"])
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("header", ["bytes={size}-", "bytes={size}-{size}", "bytes=-0", "bytes=9999999999999999999-"])
async def test_a_range_behind_the_end_is_refused_with_the_size(client, export, header):
    answer = await client.get(address(export), headers={"Range": header.format(size=export["bytes"])})

    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{export['bytes']}"


async def test_another_etag_in_if_range_brings_the_whole(client, export):
    answer = await client.get(address(export), headers={"Range": "bytes=5-", "If-Range": '"another"'})

    assert (answer.status_code, len(answer.content)) == (200, export["bytes"])


async def test_head_tells_the_size_and_reads_nothing(client, export, monkeypatch: pytest.MonkeyPatch):
    whole = await client.get(address(export))
    monkeypatch.setattr(chunks, "_READ", "SELECT 1 / 0")

    head = await client.head(address(export))
    part = await client.head(address(export), headers={"Range": "bytes=0-9"})

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "etag", "content-type", "content-disposition", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]
    assert (part.status_code, part.headers["content-length"]) == (206, "10")


async def test_who_has_the_file_is_told_so(client, export):
    etag = (await client.head(address(export))).headers["etag"]

    for sent in (etag, f'W/{etag}, "x"', "*"):
        answer = await client.get(address(export), headers={"If-None-Match": sent})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await client.get(address(export), headers={"If-None-Match": '"x"'})).status_code == 200


async def test_a_link_opens_its_own_file_alone(
    client: httpx2.AsyncClient,
    nobody: httpx2.AsyncClient,
    export: dict[str, Any],
    segment: dict[str, Any],
    server: Server,
):
    second = await exported(client, segment)
    token = httpx2.URL(export["download_url"]).params["token"]
    foreign = token.rpartition(".")[0] + "." + "A" * len(token.rpartition(".")[2])
    stranger = await server.resources.signed_links.sign(
        await server.resources.tenants.get("other"), f"exports/{export['id']}", until=until_of(export)
    )

    answers = [
        await nobody.get(f"/api/segments/exports/{number}/download/", params={"token": sent})
        for number, sent in [(second["id"], token), (10**9, token), (export["id"], foreign), (export["id"], "x.y.z")]
    ]
    unsigned = await nobody.get(address(export))
    empty = await nobody.get(address(export), params={"token": ""})
    hidden = await nobody.get(address(export) + f"?%74oken={token}")
    of_other = await nobody.get(address(export), params={"token": stranger})
    as_session = await nobody.get("/api/segments/", headers={"Authorization": f"Bearer {token}"})

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "invalid_link")] * 4
    assert len({one.json()["detail"] for one in answers}) == 1  # and whether the file exists is not told
    assert [one.status_code for one in (unsigned, empty, hidden, as_session)] == [401, 400, 401, 401]
    assert of_other.status_code == 404


def until_of(export: dict[str, Any]):
    return datetime.fromisoformat(export["expires_at"])


async def test_after_its_time_neither_link_nor_key_opens_it(
    client: httpx2.AsyncClient, nobody: httpx2.AsyncClient, segment: dict[str, Any], server: Server
):
    export = await exported(client, segment)
    overdue = "UPDATE exports SET expires_at = date_trunc('second', now() - interval '1 second') WHERE id = $1"
    await server.resources.postgres.execute(overdue, export["id"])
    token = await server.resources.signed_links.sign(
        await server.resources.tenants.get("first"),
        f"exports/{export['id']}",
        until=await server.resources.postgres.fetchval("SELECT expires_at FROM exports WHERE id = $1", export["id"]),
    )

    by_link = await nobody.get(address(export), params={"token": token})
    by_key = await client.get(address(export))
    record = (await client.get(f"/api/exports/{export['id']}/")).json()

    assert (by_link.status_code, by_link.json()["code"]) == (410, "link_expired")
    assert (by_key.status_code, by_key.json()["code"]) == (410, "export_expired")
    assert (record["status"], record["download_url"]) == ("complete", None)


async def test_exports_are_listed_and_deleted(client: httpx2.AsyncClient, segment: dict[str, Any]):
    export = await exported(client, segment, format="ndjson")
    path = f"/api/segments/{segment['id']}/exports/"

    newest = (await client.get(path, params={"limit": 1})).json()
    deleted = await client.delete(f"/api/exports/{export['id']}/")
    gone = [
        await client.get(f"/api/exports/{export['id']}/"),
        await client.get(export["download_url"]),
        await client.get(f"/api/segments/{segment['id']}/export/", params={"export_id": export["id"]}),
    ]

    assert [one["id"] for one in newest["results"]] == [export["id"]]
    assert newest["count"] > 1
    assert newest["next"].startswith(path)
    assert deleted.status_code == 204
    assert [(one.status_code, one.json()["code"]) for one in gone] == [(404, "export_not_found")] * 3


async def test_mistakes_are_told_with_their_places(client: httpx2.AsyncClient, segment: dict[str, Any]):
    path = f"/api/segments/{segment['id']}/export/"
    draft = (await client.post("/api/segments/", json={"name": "Draft", "definition": BOUGHT})).json()

    answers = [
        await client.post(path, json={"format": "xlsx"}),
        await client.post(path, json={"include": ["traits.nope"]}),
        await client.post(f"/api/segments/{draft['id']}/export/"),
        await client.get(path),
        await client.get(f"/api/segments/{draft['id']}/exports/", params={"cursor": "x"}),
    ]

    assert [
        (one.status_code, one.json()["code"], [(each["pointer"], each["code"]) for each in one.json()["errors"]])
        for one in answers
    ] == [
        (400, "invalid_input", [("/format", "wrong_type")]),
        (400, "invalid_input", [("/include/0", "unknown_trait")]),
        (409, "segment_not_computed", []),
        (400, "invalid_parameter", [("", "invalid_parameter")]),
        (400, "bad_cursor", [("", "bad_cursor")]),
    ]


async def test_another_tenants_exports_are_as_if_they_never_were(
    server: Server, export: dict[str, Any], segment: dict[str, Any]
):
    async with server.client(server.other_key) as other:
        answers = [
            await other.post(f"/api/segments/{segment['id']}/export/"),
            await other.get(f"/api/segments/{segment['id']}/export/", params={"export_id": export["id"]}),
            await other.get(f"/api/segments/{segment['id']}/exports/"),
            await other.get(f"/api/exports/{export['id']}/"),
            await other.get(address(export)),
            await other.delete(f"/api/exports/{export['id']}/"),
        ]

    assert {one.status_code for one in answers} == {404}


async def test_the_command_goes_on_where_a_connection_broke_off(server: Server, export: dict[str, Any]):
    async with server.client() as client:
        whole = (await client.get(address(export))).content
    file = io.BytesIO()
    async with run_proxy(server.url) as (proxy, url), httpx2.AsyncClient(base_url=url) as client:
        client.headers["Authorization"] = f"ApiKey {server.key}"
        proxy.hang_up_after(1500)  # its head, and some of it
        await command._fetch(client, export, file)

        assert proxy.accepted == 2
    assert file.getvalue() == whole


async def test_the_command_takes_no_file_that_is_another(server: Server, export: dict[str, Any]):
    async with server.client() as client:
        with pytest.raises(SegmentCopilotError) as damaged:
            await command._fetch(client, export | {"sha256": "0" * 64}, io.BytesIO())

    assert damaged.value.code == "damaged_file"


async def test_what_the_page_shows_can_be_typed(server: Server, segment: dict[str, Any], tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    identify = {"user_id": USERS[0], "event_type": "context_identified", "payload": {"country": "ES"}}
    async with server.client() as client, asyncio.timeout(30):
        await client.post("/api/ingestion/track/", json=identify)
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass

    script = "\necho '--- next'\n".join(blocks).replace("curl ", "curl -sSf ")
    script = script.replace("uv run segment-copilot", f"{sys.executable} -m segment_copilot")

    typing = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", script),
        cwd=tmp_path,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "URL": server.url,
            "API_KEY": server.key,
            "SEGMENT": str(segment["id"]),
            "SEGMENT_COPILOT_URL": server.url,
            "SEGMENT_COPILOT_KEY": server.key,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await typing.communicate()

    assert typing.returncode == 0, errors.decode()
    told = output.decode().split("--- next\n")
    assert len(told) == len(blocks)
    assert told[2].splitlines() == [
        "user_id,computed_at,traits.country",
        f"user-000,{segment['last_computed_at']},ES",
        f"user-001,{segment['last_computed_at']},",
    ]
    assert (tmp_path / "members.parquet").read_bytes()[:4] == b"PAR1"
    assert told[4].endswith("user_id,computed_at")
    compared = told[-3].partition('{"count"')[2]
    assert '"only_in_a":50' in compared
    assert '"in_both":0' in compared
