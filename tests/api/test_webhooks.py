"""Webhooks over HTTP: registered, told by the worker, listened to without one."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from segops_admin.webhook import verify_webhook
from standardwebhooks import Webhook

from segment_copilot.activations.webhooks.bodies import Entered
from segment_copilot.commands.listen import listen
from segment_copilot.commands.options import Service
from tests.support.http_server import Server
from tests.support.receiver import Receiver, receiving

EVERYTHING = ["segment.recomputed", "segment.entered", "segment.left", "computation.failed"]


async def uploaded(client: httpx2.AsyncClient, name: str, *users: str) -> int:
    """A segment of these users."""
    segment = (await client.post("/api/segments/", json={"name": name, "segment_type": "static"})).json()["id"]
    answer = await client.post(
        f"/api/segments/{segment}/upload/",
        content="\n".join(["user_id", *users]),
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 202, answer.text
    return segment


async def came(receiver: Receiver, number: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(30):
        while len(receiver.received) < number:
            receiver.came.clear()
            await receiver.came.wait()
    return [json.loads(one.body) for one in receiver.received]


async def test_a_webhook_is_told_and_its_signatures_are_right(client: httpx2.AsyncClient):
    async with receiving() as receiver:
        made = await client.post("/api/webhooks/", json={"url": receiver.url, "events": EVERYTHING})
        assert made.status_code == 201, made.text
        webhook = made.json()
        assert made.headers["location"] == f"/api/webhooks/{webhook['id']}/"
        assert {name: webhook[name] for name in ("url", "description", "events", "is_active")} == {
            "url": f"{receiver.url}/",
            "description": "",
            "events": EVERYTHING,
            "is_active": True,
        }
        path = f"/api/webhooks/{webhook['id']}"
        assert "secret" not in (await client.get(f"{path}/")).json()
        segment = await uploaded(client, "Guests", "ana", "ben")

        told = await came(receiver, 2)
        assert [(one["event"], one["segment_id"], one["member_count"]) for one in told] == [
            ("segment.recomputed", segment, 2),
            ("segment.entered", segment, 2),
        ]
        for request in receiver.received:
            assert Webhook(webhook["secret"]).verify(request.body, dict(request.headers))
            assert verify_webhook(request.body, request.headers["x-segops-signature"], webhook["secret"])
        done = {"status": "done", "event": "segment.entered", "created_after": "2026-01-01T00:00:00Z"}
        async with asyncio.timeout(30):
            while not (found := (await client.get(f"{path}/deliveries/", params=done)).json())["count"]:
                pass
        (delivery,) = found["results"]
        assert (delivery["attempts"], delivery["status_code"], delivery["error"]) == (1, 200, None)
        logged = (await client.get(f"{path}/deliveries/{delivery['id']}/")).json()
        assert [one["status_code"] for one in logged["log"]] == [200]

        again = await client.post(f"{path}/deliveries/{delivery['id']}/replay/")
        assert (again.status_code, again.json()["status"]) == (202, "queued")
        assert (await came(receiver, 3))[2]["user_ids"] == ["ana", "ben"]
        tested = (await client.post(f"{path}/test/", content=b"")).json()
        assert (tested["delivered"], tested["event"]) == (True, "segment.recomputed")
        rotated = (await client.post(f"{path}/rotate-secret/")).json()
        assert rotated["secret"] != webhook["secret"]
        off = (await client.patch(f"{path}/", json={"is_active": False})).json()
        assert off["is_active"] is False
        refused = await client.post(f"{path}/recover/", json={"since": "2026-01-01T00:00:00Z"})
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_inactive")
        assert (await client.delete(f"{path}/")).status_code == 204
        assert (await client.get(f"{path}/")).json()["code"] == "webhook_not_found"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "https://169.254.169.254/latest/"}, "/url", "url_not_allowed"),
        ({"url": "ftp://hooks.example.com/"}, "/url", "url_not_allowed"),
        ({"url": "https://hooks.example.com/", "secret": "whsk_AAAAAAAA"}, "/secret", "invalid_secret"),
        ({"url": "https://hooks.example.com/", "secret": "s3cr3t!"}, "/secret", "invalid_input"),
        ({"url": "https://hooks.example.com/", "events": []}, "/events", "invalid_input"),
        ({"url": "https://hooks.example.com/", "events": ["segment.renamed"]}, "/events/0", "invalid_input"),
        ({}, "/url", "invalid_input"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_with_its_place(
    client: httpx2.AsyncClient, body: dict[str, Any], pointer: str, code: str
):
    refused = await client.post("/api/webhooks/", json=body)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (400, code)
    assert problem["errors"][0]["pointer"] in {pointer, ""}
    assert "s3cr3t!" not in refused.text


async def test_fields_that_nobody_writes_are_not_suggested(client: httpx2.AsyncClient):
    refused = await client.post("/api/webhooks/", json={"url": "https://hooks.example.com/", "disabled_att": True})
    assert refused.json()["errors"][0].get("suggestions", []) == []


async def test_a_key_without_members_is_told_of_no_users(server: Server, client: httpx2.AsyncClient):
    scopes = ["webhooks:read", "webhooks:write"]
    key = (await client.post("/api/auth/api-keys/", json={"name": "hooks", "scopes": scopes})).json()["key"]
    async with server.client(key) as narrow:
        url = {"url": "https://hooks.example.com/"}
        assert (await narrow.post("/api/webhooks/", json=url)).status_code == 201
        refused = await narrow.post("/api/webhooks/", json=url | {"events": EVERYTHING})
        assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")
        assert (await narrow.get("/api/webhooks/messages/")).status_code == 403


async def test_listening_shows_messages_and_passes_them_on(
    server: Server, client: httpx2.AsyncClient, capsys: pytest.CaptureFixture[str]
):
    async with receiving() as receiver:
        listening = asyncio.create_task(
            listen(Service(server.url, server.key), event=None, forward=receiver.url, as_json=False, count=2)
        )
        heard = ""
        async with asyncio.timeout(30):
            while "Listening" not in heard:
                await asyncio.sleep(0)
                heard += capsys.readouterr().err
        segment = await uploaded(client, "Quiet\x1b[31m", *(f"user-{number}" for number in range(7)))
        await listening

        secret = next(word for word in heard.split() if word.startswith("whsec_"))
        first, second = [line for line in capsys.readouterr().out.splitlines() if "→" in line]
        assert first.endswith(f"segment.recomputed Quiet[31m (#{segment})  7 members, 7 entered, 0 left  → 200")
        assert second.endswith(f"(#{segment})  7 users: user-0, user-1, user-2, user-3, user-4 and 2 more  → 200")
        for request in receiver.received:
            assert Webhook(secret).verify(request.body, dict(request.headers))

        printing = asyncio.create_task(
            listen(Service(server.url, server.key), event="segment.entered", forward=None, as_json=True, count=1)
        )
        heard = ""
        async with asyncio.timeout(30):
            while "Listening" not in heard:
                await asyncio.sleep(0)
                heard += capsys.readouterr().err
        await uploaded(client, "More", "ana")
        await printing
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
        assert json.loads(line)["body"]["user_ids"] == ["ana"]
        assert len(receiver.received) == 2


async def test_what_the_page_shows_can_be_typed(server: Server):
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    first, *rest = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (python,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    async with receiving() as receiver:

        async def typed(script: str, **environment: str) -> list[Any]:
            script = script.replace("curl ", "curl -sSf ").replace("https://hooks.example.com", receiver.url)
            typing = await asyncio.create_subprocess_exec(
                *("bash", "-euo", "pipefail", "-c", script),
                env={"PATH": os.environ["PATH"], "URL": server.url, "API_KEY": server.key, **environment},
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await typing.communicate()
            assert typing.returncode == 0
            return [json.loads(line) for line in out.decode().splitlines()]

        (webhook,) = await typed(first)
        tested, dead, recovered = await typed("\necho\n".join(rest), WEBHOOK=str(webhook["id"]))
        assert (tested["delivered"], dead["count"], recovered["since"][:4]) == (True, 0, "2026")
        found: dict[str, Any] = {}
        exec(python, found)  # noqa: S102  # the page's
        request = receiver.received[0]
        assert found["receive"](request.body, dict(request.headers), webhook["secret"])["test"] is True
        body = msgspec.json.decode(shown.encode(), type=Entered)
        assert [*json.loads(shown)] == [*msgspec.to_builtins(body)]
    async with server.client() as client:
        await client.delete(f"/api/webhooks/{webhook['id']}/")
