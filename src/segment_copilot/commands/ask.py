"""`ask` puts questions to the copilot and streams its answers to a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import httpx2
import msgspec
from msgspec import Struct, field
from rich.console import Console
from rich.markup import escape

from segment_copilot.commands.answers import not_ours
from segment_copilot.commands.screen import Screen
from segment_copilot.errors import SegmentCopilotError, Unavailable

PROMPT: Final = "[bold cyan]›[/] "
STOPPED: Final = 130
"""The exit code of a person's Ctrl-C."""

Person = Callable[[Mapping[str, Any]], str | None]
"""Answers a clarification; None when they would rather not."""


class Conversation(Struct):
    """Holds the messages so far, as the next request sends them."""

    messages: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    checkpoint: str | None = None


async def stream_answer(
    question: str, *, url: str, key: str, console: Console, conversation: Conversation | None = None
) -> Screen:
    """Stream the answer to *question*, and return what was drawn.

    Raises:
        SegmentCopilotError: The service refused the question.
        Unavailable: It does not answer.

    """
    talk = conversation or Conversation()
    return await _stream_run(talk, {"role": "user", "content": question}, (), url=url, key=key, console=console)


def converse(
    question: str,
    *,
    url: str,
    key: str,
    console: Console,
    person: Person | None,
    next_question: Callable[[], str] | None,
) -> int:
    """Ask, answer what the copilot asks through *person*, and go on with *next_question* until it is empty.

    0 when every run ended well, 1 when one did not, 130 after Ctrl-C. Each run has a loop of its own: while a person
    types, nothing else waits for them.
    """
    console.print(f"{PROMPT}{escape(question)}")
    talk = Conversation()
    well = True
    try:
        while question:
            screen = asyncio.run(stream_answer(question, url=url, key=key, console=console, conversation=talk))
            while person is not None and screen.question is not None and screen.ended_well:
                answer = person(screen.question)
                resume = {"id": screen.question["id"], "status": "cancelled" if answer is None else "resolved"}
                if answer is not None:
                    resume |= {"payload": {"answer": answer}}
                message = {"role": "user", "content": answer or "I would rather not say."}
                screen = asyncio.run(_stream_run(talk, message, (resume,), url=url, key=key, console=console))
            well = well and screen.ended_well
            question = next_question() if next_question is not None else ""
    except EOFError:  # nothing more to type
        console.print()
    except KeyboardInterrupt:
        console.print("\n[dim]Stopped.[/]")
        return STOPPED
    return 0 if well else 1


def person_at_prompt(console: Console) -> Person:
    """Return a person who types a number, or own words where those are allowed; nothing means they would rather not."""

    def answer(question: Mapping[str, Any]) -> str | None:
        values = [option["value"] for option in question["options"]]
        is_closed = "enum" in question["response_schema"]["properties"]["answer"]
        while True:
            typed = console.input(PROMPT).strip()
            if not typed:
                return None
            if typed.isdecimal() and 0 < int(typed) <= len(values):
                return values[int(typed) - 1]
            if not is_closed or typed in values:
                return typed
            console.print(f"[dim]Type a number from 1 to {len(values)}, or nothing to leave it open.[/]")

    return answer


async def _stream_run(
    talk: Conversation, message: dict[str, str], resume: tuple[Any, ...], *, url: str, key: str, console: Console
) -> Screen:
    """Draw one run. *message* is new; *resume* says so to the run whose question it answers."""
    timeout = httpx2.Timeout(10, read=60)
    headers = {"Authorization": f"ApiKey {key}"}
    body: dict[str, Any] = {"messages": talk.messages if resume else [*talk.messages, message], "resume": resume}
    if talk.checkpoint is not None:
        body["checkpoint"] = talk.checkpoint
    screen = Screen(console, url)
    try:
        async with (
            httpx2.AsyncClient(timeout=timeout, headers=headers) as client,
            client.stream("POST", f"{url}/api/copilot/stream/", json=body) as response,
        ):
            if not response.is_success:
                raise _refusal(await response.aread(), response.status_code)
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise not_ours(url)
            async for event in server_sent_events(response.aiter_lines()):
                screen.show(event)
    except httpx2.HTTPError as error:
        raise Unavailable(f"{url} does not answer, or stopped in the middle. Ask again.") from error
    if screen.end is None:
        raise Unavailable("The answer was cut off. Ask again.")
    if screen.ended_well:
        talk.messages += [message, {"role": "assistant", "content": screen.text}]
        talk.checkpoint = screen.checkpoint
    return screen


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
