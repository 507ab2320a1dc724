"""protocol.json describes what is sent: it is current, complete, and refuses what is not of the protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest

from segment_copilot.copilot.stream.protocol import protocol_document
from segment_copilot.copilot.stream.run_events import Event
from segment_copilot.copilot.tools import COMPONENTS
from tests.support.copilot_invariants import FITS
from tests.support.copilot_runs import Ask, Script, calls, says

COMMITTED = Path(__file__).parents[2] / "openapi" / "protocol.json"
DOCUMENT = protocol_document()


def test_the_committed_schema_is_current():
    """Write it anew with: make openapi."""
    assert json.loads(COMMITTED.read_text()) == json.loads(json.dumps(DOCUMENT))


def test_it_is_a_schema_of_every_event_and_component():
    jsonschema_rs.meta.validate(DOCUMENT)
    assert DOCUMENT["events"].keys() == {kind.__struct_config__.tag for kind in get_args(Event)}
    assert DOCUMENT["components"].keys() == COMPONENTS


@pytest.mark.parametrize(
    "change",
    [
        {"type": "run.begun"},
        {"seq": "0"},
        {"ts": None},
        {"outcome": "done"},
        {"turn": 0},
        {"limit": None},
        {"usage": {"input_tokens": "1"}},
        {"surprise": 1},
    ],
)
async def test_what_is_not_of_the_protocol_does_not_fit(ask: Ask, change: dict[str, Any]):
    told = await ask(Script(calls(("list_segments", {})), says("Fine.")))
    last = told.frames[-1]

    assert FITS.is_valid(last)
    assert not FITS.is_valid(last | change)
    assert not FITS.is_valid({name: value for name, value in last.items() if name != "seq"})
