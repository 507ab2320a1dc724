"""Activations over HTTP: made, tried, synced and told of, as docs/activations.md shows."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_server import Server

DEFINITION: dict[str, Any] = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "sent_on"}]}
HOOK: dict[str, Any] = {"connector_type": "webhook", "config": {"url": "https://hooks.example.com/"}}


@pytest.fixture(scope="module")
async def segment(server: Server) -> int:
    """A segment with two members."""
    async with server.client() as client, asyncio.timeout(30):
        events = [{"user_id": user, "event_type": "sent_on", "payload": {}} for user in ("ana", "ben")]
        await client.post("/api/ingestion/track/batch/", json={"events": events})
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
        made = (await client.post("/api/segments/", json={"name": "Sent on", "definition": DEFINITION})).json()["id"]
        await client.post(f"/api/segments/{made}/compute/")
        while (await client.get(f"/api/segments/{made}/")).json()["status"] != "computed":
            pass
        return made


async def test_a_wrong_body_is_told_with_pointers(server: Server, segment: int):
    bodies = [
        ({"connector_type": "webhook"}, "/segment", "missing_field"),
        ({"segment": segment} | HOOK | {"config": {"url": "http://10.0.0.1/"}}, "/config/url", "url_not_allowed"),
        ({"segment": segment, "connector_type": "webhok"}, "/connector_type", "unknown_connector"),
        ({"segment": segment} | HOOK | {"status": "error"}, "/status", "fixed"),
        ({"segment": segment} | HOOK | {"max_shrink_percent": 101}, "/max_shrink_percent", "out_of_range"),
    ]
    async with server.client() as client:
        for body, pointer, code in bodies:
            answer = await client.post("/api/activations/", json=body)
            problem = answer.json()
            assert answer.status_code == 400
            assert [(one["pointer"], one["code"]) for one in problem["errors"]] == [(pointer, code)]
        assert (await client.post("/api/activations/", json={"segment": 2**40} | HOOK)).status_code == 404


async def test_what_was_read_can_be_sent_back(server: Server, segment: int):
    async with server.client() as client:
        made = await client.post("/api/activations/", json={"segment": segment} | HOOK)
        path = made.headers["location"]
        again = await client.patch(path, json=made.json())
        other = await client.patch(path, json={"segment": segment + 1})

        assert made.status_code == 201
        assert again.json() | {"updated_at": ""} == made.json() | {"updated_at": ""}
        assert other.json()["errors"][0]["pointer"] == "/segment"
        in_use = (await client.delete(f"/api/segments/{segment}/")).json()
        assert in_use["code"] == "segment_in_use"
        assert (await client.delete(path)).status_code == 204
        assert (await client.get(path)).json()["code"] == "activation_not_found"


async def test_trying_names_the_traits_that_nobody_has(server: Server, segment: int):
    async with server.client() as client, asyncio.timeout(30):
        payload = {"plan": "pro", "address": {"city": "Vigo"}}
        event = {"user_id": "ana", "event_type": "context_identified", "payload": payload}
        await client.post("/api/ingestion/track/", json=event)
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
        config = {"directory": "traits", "traits": ["plan", "plam", "address.city", "address.town"]}
        body = {"segment": segment, "connector_type": "csv", "config": config}
        place = (await client.post("/api/activations/", json=body)).headers["location"]
        tried = await client.post(f"{place}test/")
        await client.delete(place)

    assert tried.json() == {
        "ok": True,
        "detail": None,
        "may_pass": False,
        "unknown_traits": ["plam", "address.town"],
    }


async def test_rejected_users_need_another_scope_than_deliveries(server: Server):
    async with server.client() as client:
        scopes = {"name": "reader", "scopes": ["activations:read"]}
        key = (await client.post("/api/auth/api-keys/", json=scopes)).json()["key"]
    async with server.client(key) as reader:
        assert (await reader.get("/api/deliveries/1/")).json()["code"] == "delivery_not_found"
        assert (await reader.get("/api/deliveries/1/rejected/")).json()["scope"] == "members:read"


async def test_what_the_page_shows_can_be_typed(server: Server, segment: int, tmp_path: Path):
    page = (Path(__file__).parents[2] / "docs" / "activations.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    script = "\necho '--- next'\n".join(blocks).replace("curl ", "curl -sSf ")
    async with asyncio.timeout(60):
        typing = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", script),
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "URL": server.url,
                "API_KEY": server.key,
                "SEGMENT": str(segment),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await typing.communicate()

    assert typing.returncode == 0, errors.decode()
    told = output.decode().split("--- next\n")
    assert len(told) == len(blocks)
    assert '"ok":true' in told[2]
    assert '"status":"dry_run"' in told[3]
    assert '"entered":2' in told[3]
    assert '"sent":2' in told[4]
    assert '"success_rate":100' in told[6]
    written = list(
        await asyncio.to_thread(lambda: sorted(Path(server.resources.settings.files_directory).rglob("*.csv")))
    )
    assert len(written) == 1
