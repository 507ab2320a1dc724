"""docs/copilot.md names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from segment_copilot.copilot.conversation.prompt import PROMPT
from segment_copilot.copilot.runs.failures import failure
from segment_copilot.copilot.stream.events import ErrorCode, Event
from segment_copilot.copilot.tools import COMPONENTS, TOOLS
from segment_copilot.language import decode
from segment_copilot.language.edits import PatchOperation
from tests.support import copilot_invariants

TEXT = (Path(__file__).parents[2] / "docs" / "copilot.md").read_text()


@pytest.mark.parametrize("name", [kind.__struct_config__.tag for kind in get_args(Event)])
def test_every_event_is_documented(name: str):
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("code", get_args(ErrorCode))
def test_every_error_code_is_documented_with_whether_to_try_again(code: ErrorCode):
    assert f"| `{code}` | {'yes' if failure(code).retryable else 'no'} |" in TEXT


@pytest.mark.parametrize("name", [*TOOLS, *sorted(COMPONENTS)])
def test_every_tool_and_component_is_documented(name: str):
    assert name in TEXT


def test_the_printed_events_are_of_the_protocol():
    printed = re.findall(r"^id: (.*)\nevent: (.*)\ndata: (.*)$", TEXT, re.MULTILINE)

    assert printed
    for identifier, name, data in printed:
        event = msgspec.json.decode(data)
        copilot_invariants.FITS.validate(event)
        assert (identifier, name) == (f"{event['run_id']}-{event['seq']}", event["type"])


def test_the_prompt_names_only_tools_there_are_and_writes_definitions_that_decode():
    named = set(
        re.findall(
            r"\b(?:list|get|query|display|search|preview|explain|compare|check|propose|revise|ask)_[a-z_]+", PROMPT
        )
    )
    examples = re.findall(r'`(\{"type".*?\})`', PROMPT)
    patches = re.findall(r'`(\[\{"op".*?\}\])`', PROMPT)

    assert named <= set(TOOLS)
    assert len(examples) >= 3
    for example in examples:
        decode({"logic": "AND", "conditions": [msgspec.json.decode(example)]})
    assert len(patches) == 3
    for patch in patches:
        msgspec.json.decode(patch.replace("{...}", "{}"), type=list[PatchOperation])
