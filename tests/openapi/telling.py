"""Tells the story to a running service, and turns what it answers into examples of the document."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx2
from msgspec import Struct, structs

from tests.openapi.story import STORY, Step
from tests.support.receiver import receiving

PATIENCE: Final = 30.0  # seconds, for work in the background
LISTED: Final = 3  # items of a list that an example shows
HOOKS: Final = "https://hooks.example.com"
SECRETS: Final = (
    (re.compile(r"\b(wh(?:sec|sk)_)[A-Za-z0-9+/=]{12,}"), r"\1…"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "https://segments.example.com"),
    (re.compile(r"\b([spm]k_)[A-Za-z0-9]{12,}"), r"\1…"),
    (re.compile(r"\bey[\w-]+\.[\w-]+\.[\w-]+"), "eyJhbGciOiJIUzI1NiJ9.…"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "…"),
)


class Answer(Struct, frozen=True):
    """What an operation answered: JSON decoded, anything else as text."""

    step: Step
    status: int
    content: Any


class Operation(Struct, frozen=True):
    """An operation of the document, found by its id."""

    method: str
    path: str
    described: Mapping[str, Any]


def operations_of(document: Mapping[str, Any]) -> dict[str, Operation]:
    """Every operation by its id."""
    return {
        described["operationId"]: Operation(method.upper(), path, described)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }


async def tell(client: httpx2.AsyncClient, document: Mapping[str, Any]) -> list[Answer]:
    """Call every step in order. What the story sends to HOOKS comes to a receiver of its own."""
    operations = operations_of(document)
    async with receiving() as receiver:
        told = [await _call(client, operations[step.operation], step, receiver.url) for step in STORY]
        return [structs.replace(one, content=_renamed(one.content, receiver.url, HOOKS)) for one in told]


def _renamed(content: Any, before: str, after: str) -> Any:
    return json.loads(json.dumps(content).replace(before, after)) if before in json.dumps(content) else content


async def _call(client: httpx2.AsyncClient, operation: Operation, step: Step, hooks: str) -> Answer:
    path = operation.path
    for name, value in step.path.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    text = step.body if isinstance(step.body, str) else None
    value = _renamed(step.body, HOOKS, hooks) if text is None else None
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = await client.request(
            operation.method, path, params=step.query, headers=step.headers, content=text, json=value
        )
        content = _content(answer)
        if step.until is None or (answer.status_code == 200 and step.until(content)):
            return Answer(step, answer.status_code, content)
        assert time.monotonic() < deadline, (step.operation, content)


def _content(answer: httpx2.Response) -> Any:
    """JSON decoded; the first event of a stream, as the document describes one; anything else as text."""
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        first = next(frame for frame in answer.text.split("\n\n") if "data:" in frame)
        fields = (line.partition(": ") for line in first.splitlines() if not line.startswith(":"))
        return {name: value for name, _, value in fields}
    return answer.json() if "json" in kind else answer.text


def examples_of(answers: list[Answer]) -> dict[str, Any]:
    """Operation id → {parameters, request, answer}, without secrets; of several calls the first, or the last of a GET."""
    found: dict[str, Any] = {}
    for answer in answers:
        is_shown = answer.status < 300 and (answer.step.body is None or answer.step.operation not in found)
        if is_shown:
            found[answer.step.operation] = _example(answer)
    return found


def _example(answer: Answer) -> dict[str, Any]:
    step = answer.step
    parts = {"parameters": {**step.path, **step.query}, "request": step.body, "answer": _shown(answer.content)}
    return {name: part for name, part in parts.items() if part not in (None, "") and (part or name != "parameters")}


def _shown(content: Any) -> Any:
    match content:
        case {"$ref": _}:  # of a schema within an answer: a reader of the document would follow it
            return {}
        case dict():
            return {name: {} if name == "$defs" else _shown(value) for name, value in content.items()}
        case list():
            return [_shown(value) for value in content[:LISTED]]
        case str():
            for pattern, instead in SECRETS:
                content = pattern.sub(instead, content)
            return content
        case _:
            return content


def shape(value: Any) -> Any:
    """The names in an answer, without its values; of a list, those of its first item."""
    match value:
        case dict():
            return {name: shape(part) for name, part in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case _:
            return None
