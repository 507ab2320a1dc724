"""The strict server refuses what the Messages API refuses: a rule that nothing can break would prove nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.messages_cache import PromptCache
from tests.support.messages_rules import VERSION, Prefixes, Signatures, violation

Body = dict[str, Any]
Change = Callable[[Body], Any]

HEADERS = {"authorization": "Bearer sk-test", "anthropic-version": VERSION, "content-type": "application/json"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "count", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "{}"}


def tool(name: str) -> Body:
    return {"name": name, "description": "x" * 1200, "input_schema": {"type": "object", "properties": {}}}


def body() -> Body:
    """A request that breaks no rule: a question, a call, its result."""
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 8000,
        "stream": True,
        "tools": [tool("count"), tool("list")],
        "system": [{"type": "text", "text": "y" * 1200, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive", "display": "summarized"},
        "tool_choice": {"type": "auto"},
        "metadata": {"user_id": "0" * 64},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "How many?"}]},
            {"role": "assistant", "content": [copy.deepcopy(CALL)]},
            {"role": "user", "content": [copy.deepcopy(RESULT)]},
        ],
    }


def broken(change: Change) -> str | None:
    """What the server says of a request that was changed."""
    changed = body()
    change(changed)
    return violation(changed, HEADERS, Signatures(), Prefixes())


def test_the_request_itself_breaks_no_rule():
    assert broken(lambda _: None) is None


CHANGES: dict[str, Change] = {
    "temperature: not permitted": lambda body: body.update(temperature=0),
    "top_p: not permitted": lambda body: body.update(top_p=1),
    "top_k: not permitted": lambda body: body.update(top_k=5),
    "tool_choice: forced": lambda body: body.update(tool_choice={"type": "any"}),
    "thinking: cannot be disabled": lambda body: body.update(thinking={"type": "disabled"}),
    "messages: the last may not": lambda body: body["messages"].pop(),
    "messages.2: each tool_use": lambda body: body["messages"][2]["content"][0].update(tool_use_id="toolu_9"),
    "messages.2: each tool_use of the message before": lambda body: body["messages"][2].update(
        content=[{"type": "text", "text": "Never mind."}]
    ),
    "messages.1: roles take turns": lambda body: body["messages"].pop(1),
    "messages: tool_use ids are unique": lambda body: body["messages"].extend(body["messages"][1:]),
    "messages.0: empty": lambda body: body["messages"][0].update(content=[]),
    "messages.0: a malformed text": lambda body: body["messages"][0]["content"][0].update(text="  "),
    "messages.1: a malformed tool_use": lambda body: body["messages"][1]["content"][0].update(input="{}"),
    "messages.0: unknown block": lambda body: body["messages"][0]["content"].append({"type": "hologram"}),
    "tools.input_schema.type": lambda body: body["tools"][0].update(input_schema={"$ref": "#/$defs/A"}),
    "tools.input_schema: ": lambda body: body["tools"][0]["input_schema"].update(properties={"a": {"$ref": "#/$defs/A"}}),
    "tools: names are unique": lambda body: body["tools"].append(tool("count")),
    "tools: not in the order": lambda body: body["tools"].reverse(),
    "tools: a malformed tool": lambda body: body["tools"][0].update(eager_input_streaming="yes"),
    "cache_control: at most 4": lambda body: body["messages"][0]["content"].extend(
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}} for _ in range(4)
    ),
    "cache_control: 1h comes before": lambda body: body["tools"][0].update(cache_control={"type": "ephemeral"}),
    "metadata.user_id": lambda body: body["metadata"].update(user_id="ana@example.com"),
    "stream: ": lambda body: body.pop("stream"),
    "max_tokens: ": lambda body: body.update(max_tokens=0),
}  # fmt: skip


@pytest.mark.parametrize("rule", CHANGES)
def test_each_rule_can_be_broken(rule: str):
    assert (broken(CHANGES[rule]) or "").startswith(rule)


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_is_looked_at(header: str):
    headers = {name: value for name, value in HEADERS.items() if name != header}

    assert violation(body(), headers, Signatures(), Prefixes()) is not None


def with_thought(signature: str) -> Body:
    thought = body()
    thought["messages"][1]["content"].insert(0, {"type": "thinking", "thinking": "Hm.", "signature": signature})
    return thought


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["messages"][0]["content"][0].update(text="How much?"),
        lambda body: body["tools"].pop(),
        lambda body: body["system"][0].update(text="z"),
    ],
)
def test_what_was_thought_holds_only_after_what_it_was_thought_on(change: Change):
    signatures = Signatures()
    question = body()
    question["messages"] = question["messages"][:1]
    signature = signatures.sign(question)
    same, changed = with_thought(signature), with_thought(signature)
    change(changed)

    assert violation(same, HEADERS, signatures, Prefixes()) is None
    assert "different conversation" in (violation(changed, HEADERS, signatures, Prefixes()) or "")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["tools"][0].update(description="Other."),
        lambda body: body["tools"][0].update(
            dict(reversed(body["tools"][0].items())), name=body["tools"][0].pop("name")
        ),
        lambda body: body["system"][0].update(text="z"),
    ],
)
def test_what_all_share_is_the_same_bytes_for_all(change: Change):
    prefixes = Prefixes()
    changed = body()
    change(changed)

    assert violation(body(), HEADERS, Signatures(), prefixes) is None
    assert "not the bytes" in (violation(changed, HEADERS, Signatures(), prefixes) or "")


def test_the_cache_is_read_as_far_as_the_bytes_are_the_same():
    cache = PromptCache()
    first, longer, other = body(), body(), body()
    first["messages"] = first["messages"][:1]
    other["messages"] = [{"role": "user", "content": [{"type": "text", "text": "Another question"}]}]
    last = longer | {"tool_choice": {"type": "none"}}

    wrote, read, shared, forbidden = [cache.usage(one) for one in (first, longer, other, last)]

    assert wrote["cache_read_input_tokens"] == 0
    assert read["cache_read_input_tokens"] == wrote["cache_creation_input_tokens"] > 0
    assert 0 < shared["cache_read_input_tokens"] < read["cache_read_input_tokens"]
    assert forbidden["cache_read_input_tokens"] == shared["cache_read_input_tokens"]


def test_a_short_prefix_is_not_cached():
    cache = PromptCache()
    short = body() | {"tools": [], "system": []}

    assert [cache.usage(short)["cache_read_input_tokens"] for _ in range(2)] == [0, 0]
