"""What the Messages API refuses, as a list of rules. None is laxer than the real one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Body = dict[str, Any]

VERSION = "2026-10-21"
KNOWN = {
    "cache_control", "max_tokens", "messages", "metadata", "model", "output_config", "stream", "system", "thinking",
    "tool_choice", "tools",
}  # fmt: skip
ALWAYS_THINKING = re.compile(r"claude-(sonnet|opus)-5-5")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TOOL_KEYS = {"name", "description", "input_schema", "eager_input_streaming", "strict", "cache_control"}
CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
OPAQUE = re.compile(r"[0-9a-f]{32,256}")
MOST_BREAKPOINTS = 4


class Signatures:
    """Thinking is bound to the conversation it was thought on."""

    def sign(self, body: Body) -> str:
        """The signature of what is thought after *body*."""
        return _digest(body, len(body["messages"]))

    def holds(self, body: Body, position: int, signature: str) -> bool:
        """Whether a thinking block at message *position* follows what it was thought on."""
        return signature == _digest(body, position)


class Prefixes:
    """What can be cached for everybody has to be the same bytes for everybody. The real API only charges more."""

    def __init__(self) -> None:
        self._tools: dict[str, str] = {}
        self._system: str | None = None

    def changed(self, body: Body) -> str | None:
        """What of the tools or the system prompt is not as an earlier request had it."""
        tools = body.get("tools", [])
        for tool in tools:
            if self._tools.setdefault(tool["name"], json.dumps(tool)) != json.dumps(tool):
                return f"tools.{tool['name']}: not the bytes of an earlier request"
        names = [tool["name"] for tool in tools]
        if names != sorted(names):
            return "tools: not in the order of their names"
        system = json.dumps(body.get("system"))
        self._system = self._system or system
        return None if system == self._system else "system: not the bytes of an earlier request"


def _digest(body: Body, position: int) -> str:
    prefix = [body.get("tools"), body.get("system"), body["messages"][:position]]
    return hashlib.sha256(json.dumps(prefix, sort_keys=True).encode()).hexdigest()


def violation(body: Body, headers: Mapping[str, str], signatures: Signatures, prefixes: Prefixes) -> str | None:
    """The first rule that *body* breaks, or None."""
    for rule in (_headers(headers), _top(body), _tools(body), _choices(body), _messages(body), _caching(body)):
        for broken in rule:
            return broken
    for position, message in enumerate(body["messages"]):
        for block in _blocks(message):
            if block["type"] == "thinking" and not signatures.holds(body, position, block["signature"]):
                return "thinking: this block is bound to a different conversation"
    return prefixes.changed(body)


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    if not headers.get("authorization", "").startswith("Bearer ") and "x-api-key" not in headers:
        yield "authorization: missing"
    if headers.get("anthropic-version") != VERSION:
        yield "anthropic-version: unknown"
    if headers.get("content-type") != "application/json":
        yield "content-type: not JSON"


def _top(body: Body) -> Iterator[str]:
    for name in body:
        if name not in KNOWN:
            yield f"{name}: not permitted"
    if body.get("stream") is not True:
        yield "stream: this server only streams"
    if not isinstance(body.get("max_tokens"), int) or not 0 < body["max_tokens"] <= 128_000:
        yield "max_tokens: out of range"
    if not body.get("model"):
        yield "model: missing"
    if "metadata" in body and not OPAQUE.fullmatch(body["metadata"].get("user_id", "")):
        yield "metadata.user_id: opaque and short"
    for block in body.get("system", []):
        if block.get("type") != "text" or not block.get("text"):
            yield "system: text blocks only, not empty"


def _tools(body: Body) -> Iterator[str]:
    names = [tool.get("name", "") for tool in body.get("tools", [])]
    if len(set(names)) < len(names):
        yield "tools: names are unique"
    for tool in body.get("tools", []):
        if not TOOL_NAME.fullmatch(tool.get("name", "")):
            yield "tools.name: pattern"
        if set(tool) - TOOL_KEYS or not isinstance(tool.get("eager_input_streaming", True), bool):
            yield "tools: a malformed tool"
        if not tool.get("description"):
            yield "tools.description: missing"
        schema = tool.get("input_schema", {})
        if schema.get("type") != "object":
            yield "tools.input_schema.type: object expected"
        yield from _references(schema, schema)


def _references(part: Any, schema: Body) -> Iterator[str]:
    if isinstance(part, dict):
        target = part.get("$ref")
        if isinstance(target, str) and target.removeprefix("#/$defs/") not in schema.get("$defs", {}):
            yield f"tools.input_schema: {target} does not resolve"
        for child in part.values():
            yield from _references(child, schema)
    elif isinstance(part, list):
        for child in part:
            yield from _references(child, schema)


def _choices(body: Body) -> Iterator[str]:
    always_thinks = bool(ALWAYS_THINKING.match(body.get("model", "")))
    choice = body.get("tool_choice", {}).get("type", "auto")
    if choice not in {"auto", "none", "any", "tool"}:
        yield "tool_choice: unknown"
    if always_thinks and choice in {"any", "tool"}:
        yield "tool_choice: forced use is not supported with this model"
    if choice != "none" and body.get("tool_choice") and not body.get("tools"):
        yield "tool_choice: there are no tools"
    thinking = body.get("thinking", {})
    if always_thinks and thinking.get("type") == "disabled":
        yield "thinking: cannot be disabled with this model"
    if thinking and thinking.get("type") not in {"adaptive", "between_tools", "enabled", "disabled"}:
        yield "thinking.type: unknown"
    effort = body.get("output_config", {}).get("effort")
    if effort not in {None, "low", "medium", "high", "xhigh", "max"}:
        yield "output_config.effort: unknown"


def _messages(body: Body) -> Iterator[str]:
    messages = body.get("messages", [])
    if not messages or messages[0]["role"] != "user":
        yield "messages: the first is the user's"
    if messages and messages[-1]["role"] == "assistant":
        yield "messages: the last may not be the assistant's"
    open_calls: set[str] = set()
    called: list[str] = []
    for number, message in enumerate(messages):
        if message["role"] not in {"user", "assistant"}:
            yield f"messages.{number}.role: unknown"
        if number and messages[number - 1]["role"] == message["role"]:
            yield f"messages.{number}: roles take turns"
        blocks = _blocks(message)
        if not blocks:
            yield f"messages.{number}: empty"
        yield from _check_blocks(number, blocks, open_calls)
        made = [block["id"] for block in blocks if block["type"] == "tool_use"]
        called += made
        open_calls = set(made)
    if len(set(called)) < len(called):
        yield "messages: tool_use ids are unique"


def _check_blocks(number: int, blocks: list[Body], open_calls: set[str]) -> Iterator[str]:
    answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    if sorted(answered) != sorted(open_calls):
        yield f"messages.{number}: each tool_use of the message before has one tool_result, and nothing else has"
    kinds = [block["type"] for block in blocks]
    if "tool_result" in kinds and "tool_result" in kinds[len(answered) :]:
        yield f"messages.{number}: tool_result blocks come first"
    for block in blocks:
        if check := _BLOCKS.get(block["type"]):
            if not check(block):
                yield f"messages.{number}: a malformed {block['type']}"
        else:
            yield f"messages.{number}: unknown block {block['type']}"


_BLOCKS: dict[str, Callable[[Body], bool]] = {
    "text": lambda block: set(block) <= {"type", "text", "cache_control", "citations"} and bool(block["text"].strip()),
    "thinking": lambda block: set(block) == {"type", "thinking", "signature"},
    "redacted_thinking": lambda block: set(block) == {"type", "data"},
    "tool_use": lambda block: isinstance(block["input"], dict) and bool(CALL_ID.fullmatch(block["id"])),
    "tool_result": lambda block: (
        set(block) <= {"type", "tool_use_id", "content", "is_error"} and bool(block["content"])
    ),
}


def _caching(body: Body) -> Iterator[str]:
    """In the order of the prefix: tools, system, messages; a longer life may not come after a shorter one."""
    marked = [tool["cache_control"] for tool in body.get("tools", []) if "cache_control" in tool]
    marked += [block["cache_control"] for block in body.get("system", []) if "cache_control" in block]
    for message in body.get("messages", []):
        marked += [block["cache_control"] for block in _blocks(message) if "cache_control" in block]
    marked += [body["cache_control"]] if "cache_control" in body else []
    lives = [mark.get("ttl", "5m") for mark in marked]
    if len(marked) > MOST_BREAKPOINTS:
        yield "cache_control: at most 4 breakpoints"
    if any(mark.get("type") != "ephemeral" for mark in marked) or set(lives) - {"5m", "1h"}:
        yield "cache_control: unknown"
    if lives != sorted(lives):
        yield "cache_control: 1h comes before 5m"


def _blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
