"""Schemas of tools are short for a model to read, and say what they said at length."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segment_copilot.api.mcp.offers import offers
from segment_copilot.api.mcp.sharing import shared
from segment_copilot.copilot.tools import TOOLS

PROPOSING = TOOLS["propose_segment"].specification.input_schema


def unfolded(found: Any, new: dict[str, Any]) -> Any:
    """Return *found* with each reference to a *new* type replaced by what it stands for."""
    if isinstance(found, list):
        return [unfolded(one, new) for one in found]
    if not isinstance(found, dict):
        return found
    name = str(found.get("$ref", "")).removeprefix("#/$defs/")
    if name in new:
        return unfolded(new[name], new) | {key: value for key, value in found.items() if key != "$ref"}
    return {key: unfolded(value, new) for key, value in found.items()}


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_a_schema_with_shared_parts_is_the_same_schema(tool):
    long = tool.specification.input_schema
    short = shared(long)

    types = short.get("$defs", {})
    new = {name: one for name, one in types.items() if name not in long.get("$defs", {})}
    kept = {name: one for name, one in types.items() if name not in new}
    again = {key: value for key, value in short.items() if key != "$defs"} | ({"$defs": kept} if kept else {})
    assert unfolded(again, new) == long


def test_what_repeats_is_moved_and_what_a_reference_would_not_shorten_stays():
    text = {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[a-z]+$"}
    whole = {"type": "integer"}
    schema = {
        "type": "object",
        "properties": {"one": text, "two": {"description": "Another.", **text}, "three": whole, "four": whole},
    }

    assert shared(schema) == {
        "type": "object",
        "properties": {
            "one": {"$ref": "#/$defs/one"},
            "two": {"description": "Another.", "$ref": "#/$defs/one"},
            "three": whole,
            "four": whole,
        },
        "$defs": {"one": text},
    }


def test_a_name_that_is_taken_stays_its_owners():
    text = {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[a-z]+$"}
    schema = {
        "properties": {"one": text, "two": text, "three": {"$ref": "#/$defs/one"}},
        "$defs": {"one": {"type": "null"}},
    }

    assert shared(schema)["$defs"] == {"one": {"type": "null"}, "one_2": text}
    assert shared(schema)["properties"]["three"] == {"$ref": "#/$defs/one"}


def test_the_longest_schema_is_a_third_shorter():
    (offer,) = [one for one in offers() if one.name == "propose_segment"]
    short, long = (len(msgspec.json.encode(one)) for one in (offer.document["inputSchema"], PROPOSING))

    assert short < long * 0.7
