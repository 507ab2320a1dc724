"""Texts that the offline model does not read, over a real socket: every protocol ends well, and the process answers meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from tests.support import copilot_encodings
from tests.support.copilot_runs import payload

LONG = ("users who " + "ordered or " * 10_000)[:100_000]
INVOLVED = ("users " + "first of the last " * 200)[:2_000]
SENTENCES = {
    LONG: "The offline model reads at most 2,000 characters, and this message has 100,000: please say it in fewer words.",
    INVOLVED: "This sentence has too many parts to be read as one audience. Please say it in a shorter one.",
}


def unmapped(text: str) -> list[dict[str, Any]]:
    """What a refusal of all of *text* tells machines."""
    return [{"text": text[:300].strip(), "reason": SENTENCES[text], "suggestions": []}]


def native(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


async def streamed(client: httpx2.AsyncClient, path: str, body: Any) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        response = await client.post(f"/api/copilot/{path}/", json=body)
    assert response.status_code == 200, response.text
    if path == "stream":
        return [payload(frame + b"\n\n") for frame in response.content.split(b"\n\n") if frame.startswith(b"id: ")]
    return copilot_encodings.documents(response.content.removesuffix(b"data: [DONE]\n\n"))


async def test_our_own_stream(client: httpx2.AsyncClient, text: str):
    found = await streamed(client, "stream", native(text))

    assert found[-1]["type"] == "run.finished"
    assert found[-1]["outcome"] == "refused"
    assert said(found, "text.delta") == SENTENCES[text]
    assert found[-1]["unmapped"] == unmapped(text)


async def test_ag_ui(client: httpx2.AsyncClient, text: str):
    body = {
        "threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": text}], "state": {},
        "tools": [], "context": [], "forwardedProps": {},
    }  # fmt: skip

    found = await streamed(client, "ag-ui", body)

    assert found[-1]["type"] == "RUN_FINISHED"
    assert said(found, "TEXT_MESSAGE_CONTENT") == SENTENCES[text]
    assert found[-1]["result"]["unmapped"] == unmapped(text)


async def test_ai_sdk(client: httpx2.AsyncClient, text: str):
    parts = [{"type": "text", "text": text}]
    body = {"id": "c", "trigger": "submit-message", "messages": [{"id": "m", "role": "user", "parts": parts}]}

    found = await streamed(client, "ai-sdk", body)

    assert found[-1] == {"type": "finish", "finishReason": "content-filter"} | found[-1]
    assert said(found, "text-delta") == SENTENCES[text]
    assert found[-1]["messageMetadata"]["unmapped"] == unmapped(text)


async def test_generate(client: httpx2.AsyncClient, text: str):
    async with asyncio.timeout(60):
        response = await client.post("/api/copilot/generate/", json={"description": text})

    assert response.status_code == 200
    assert response.json() == {
        "outcome": "refused", "text": SENTENCES[text], "model": "offline", "unmapped": unmapped(text),
        "warnings": [],
    }  # fmt: skip


async def test_a_long_message_of_the_history_is_passed_over(client: httpx2.AsyncClient):
    found = await streamed(client, "stream", native(LONG, "Which segments are the largest?"))

    assert found[-1]["outcome"] == "completed"
    assert "list_segments" in [one.get("name") for one in found]


async def test_the_process_answers_while_a_text_is_read(client: httpx2.AsyncClient):
    begun = asyncio.Event()

    async def ask() -> bytes:
        async with client.stream("POST", "/api/copilot/stream/", json=native(*[INVOLVED] * 6)) as response:
            found = b""
            async for chunk in response.aiter_raw():
                found += chunk
                if b"event: turn.started" in found:
                    begun.set()
            return found

    asking = asyncio.create_task(ask())
    answered = 0
    async with asyncio.timeout(60):
        await begun.wait()
        while not asking.done():
            assert (await client.get("/health/live")).status_code == 200
            answered += not asking.done()

    assert b'"outcome":"refused"' in await asking
    assert answered > 10


def said(found: list[dict[str, Any]], kind: str) -> str:
    return "".join(one["delta"] for one in found if one["type"] == kind)


@pytest.fixture(params=SENTENCES, ids=["long", "involved"])
def text(request: pytest.FixtureRequest) -> str:
    return request.param
