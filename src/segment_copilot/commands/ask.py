"""`ask` puts a question to the copilot and streams its answer to a terminal; `chat` goes on from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import msgspec
import typer
from msgspec import Struct, field

from segment_copilot.commands.answers import not_ours
from segment_copilot.commands.options import Service
from segment_copilot.commands.screen import Screen
from segment_copilot.errors import SegmentCopilotError, Unavailable


class Conversation(Struct):
    """Holds what the next request sends: the messages so far, and which question of the copilot the person left."""

    messages: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    checkpoint: str | None = None
    left_question: str | None = None


async def stream_answer(
    question: str,
    *,
    service: Service,
    screen: Screen,
    conversation: Conversation | None = None,
    answers: str | None = None,
    raw: bool = False,
) -> None:
    """Draw the answer to *question* on *screen*, or print its events as they come where *raw*.

    *answers* is the id of the copilot's question that *question* answers.

    Raises:
        SegmentCopilotError: The service refused the question.
        Unavailable: It does not answer.

    """
    talk = conversation or Conversation()
    timeout = httpx2.Timeout(10, read=60)
    headers = {"Authorization": f"ApiKey {service.key}"}
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout, headers=headers) as client,
            client.stream(
                "POST", f"{service.url}/api/copilot/stream/", json=_body(talk, question, answers)
            ) as response,
        ):
            if not response.is_success:
                raise _refusal(await response.aread(), response.status_code)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise not_ours(service.url)
            async for event in server_sent_events(response.aiter_lines()):
                if raw:
                    typer.echo(msgspec.json.encode(event))
                screen.show(event)
    except httpx2.HTTPError as error:
        raise Unavailable(f"{service.url} does not answer, or stopped in the middle. Ask again.") from error
    if screen.end is None:
        raise Unavailable("The answer was cut off. Ask again.")
    if screen.ended_well:
        talk.messages += [{"role": "user", "content": question}, {"role": "assistant", "content": screen.text}]
        talk.checkpoint = screen.checkpoint
        talk.left_question = None


def _body(talk: Conversation, question: str, answers: str | None) -> dict[str, Any]:
    """Return the request: an answer to the copilot's question says so, and a question that was left is cancelled."""
    message = {"role": "user", "content": question}
    body: dict[str, Any] = {"messages": [*talk.messages, message]}
    if answers is not None:
        resume = {"id": answers, "status": "resolved", "payload": {"answer": question}}
        body = {"messages": talk.messages, "resume": [resume]}
    elif talk.left_question is not None and talk.checkpoint is not None:
        body["resume"] = [{"id": talk.left_question, "status": "cancelled"}]
    if talk.checkpoint is not None:
        body["checkpoint"] = talk.checkpoint
    return body


async def server_sent_events(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """Yield the payload of each event of a `text/event-stream`; comments are skipped."""
    data = list[str]()
    async for line in lines:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and data:
            yield msgspec.json.decode("\n".join(data))
            data = []


def _refusal(body: bytes, status: int) -> SegmentCopilotError:
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = {}
    return SegmentCopilotError(problem.get("detail", f"The service answered {status}."), code=problem.get("code"))
