"""Programs that the docs print, run as somebody would who copies them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
from standardwebhooks import Webhook

DOCS = Path(__file__).parents[2] / "docs"
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

pytestmark = pytest.mark.engines


async def test_the_python_clients_send_events_and_save_a_segment(client: httpx2.AsyncClient, url: str, key: str):
    (program,) = re.findall(
        r"^```python\n(.*?)^```", (DOCS / "guides" / "clients.md").read_text(), re.MULTILINE | re.DOTALL
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=os.environ | {"URL": url, "API_KEY": key}, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()

    assert process.returncode == 0
    assert said.strip().isdigit()
    (segment,) = (await client.get("/api/segments/", params={"search": "Buyers of this week"})).json()["results"]
    assert segment["status"] in {"queued", "computing", "computed"}
    recent = (await client.get("/api/explorer/users/ana/events/")).json()["results"]
    assert "order_placed" in {one["event_type"] for one in recent}


@pytest.fixture
async def receiver() -> AsyncGenerator[tuple[str, asyncio.StreamReader]]:
    """The receiver's address, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        DOCS / "examples" / "receiver.py",
        env=os.environ | {"SECRET": SECRET, "PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    yield (await process.stdout.readline()).decode().split()[-1], process.stdout
    process.terminate()
    await process.wait()


async def test_the_receiver_takes_a_message_once_and_no_forged_one(receiver: tuple[str, asyncio.StreamReader]):
    address, said = receiver
    now, body = datetime.now(UTC), json.dumps({"event": "segment.entered", "user_ids": ["ana"]})
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp()))}
    signed = headers | {"webhook-signature": Webhook(SECRET).sign("msg_1", now, body)}
    async with httpx2.AsyncClient(timeout=60) as sender:
        forged = await sender.post(address, content=body, headers=headers | {"webhook-signature": "v1,AAAA"})
        statuses = [(await sender.post(address, content=body, headers=signed)).status_code for _ in range(2)]
        last = json.dumps({"event": "segment.left"})
        other = signed | {"webhook-id": "msg_2", "webhook-signature": Webhook(SECRET).sign("msg_2", now, last)}
        await sender.post(address, content=last, headers=other)

    assert forged.status_code == 401
    assert statuses == [204, 204]
    assert [json.loads(await said.readline()) for _ in range(2)] == [json.loads(body), json.loads(last)]
