"""What holds for every run, however it went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec

from segment_copilot.copilot.stream.protocol import protocol_document

Frame = dict[str, Any]

TERMINAL = {"run.finished", "run.error"}
COUNTERS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "long_cache_write_tokens",
    "reasoning_tokens",
)  # fmt: skip
RECORDS = {"data", "args", "definition", "rows"}  # where null is a value


def closed(schema: Any) -> Any:
    """*schema* that takes no member it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(one) for name, one in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


FITS = jsonschema_rs.Draft202012Validator(closed(protocol_document()))
"""What protocol.json describes, and nothing beside it."""


def check(frames: list[Frame]) -> None:
    """Fail unless every rule of the protocol holds."""
    for frame in frames:
        FITS.validate(frame)
        assert frame["type"] == "checkpoint" or len(msgspec.json.encode(frame)) <= 64 * 1024
    assert frames[0]["type"] == "run.started"
    assert [frame["type"] in TERMINAL for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert [frame["seq"] for frame in frames] == list(range(len(frames)))
    assert len({frame["run_id"] for frame in frames}) == 1
    assert not list(nulls(frames)), "an optional field is absent, never null"
    check_spans(frames)
    check_turns(frames)
    check_calls(frames)
    check_usage(frames)
    check_ids(frames)
    check_questions(frames)
    assert not any("turn" in frame for frame in frames if frame["type"] == "checkpoint")
    if frames[-1]["type"] == "run.finished":
        assert frames[-2]["type"] == "checkpoint"
        discarded = {one for frame in frames if frame["type"] == "turn.reset" for one in frame["discard"]}
        assert any(
            frame["type"] == "text.delta" and frame["delta"].strip() and frame["id"] not in discarded
            for frame in frames
        ), "a run that ends well has said something"


def nulls(value: object, path: str = "") -> Iterator[str]:
    """Where a null stands that is not a value of a record."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, child in value.items():
            if key not in RECORDS:
                yield from nulls(child, f"{path}/{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from nulls(child, f"{path}/{index}")


def check_spans(frames: list[Frame]) -> None:
    """Texts and reasonings: one open at a time, every delta inside, every id once."""
    opened: tuple[str, str] | None = None
    seen = set[str]()
    for frame in frames:
        kind, _, what = frame["type"].partition(".")
        if kind not in {"text", "reasoning"}:
            continue
        if what == "start":
            assert opened is None
            assert frame["id"] not in seen
            opened = (kind, frame["id"])
            seen.add(frame["id"])
        else:
            assert opened == (kind, frame["id"])
            opened = None if what == "end" else opened
    assert opened is None


def check_turns(frames: list[Frame]) -> None:
    """Turns come in pairs, never overlap, and each event inside one names it."""
    current: int | None = None
    for frame in frames:
        match frame["type"]:
            case "turn.started":
                assert current is None
                current = frame["turn"]
            case "turn.finished":
                assert frame["turn"] == current
                current = None
            case "turn.reset":
                assert frame["turn"] == current
            case _:
                assert frame.get("turn") == current
    assert current is None


def check_calls(frames: list[Frame]) -> None:
    """Each call starts once, has its arguments once and its result once, in this order."""
    stages: dict[str, list[str]] = {}
    written: dict[str, str] = {}
    finished = set[str]()
    for frame in frames:
        name = frame["type"]
        if name in {"component", "segment.draft"} and (call_id := frame.get("tool_call_id")):
            assert call_id in finished, "what a call draws comes after its result"
        if not name.startswith("tool."):
            continue
        call_id = frame["tool_call_id"]
        if name == "tool.args.delta":
            assert stages[call_id] == ["tool.start"]
            written[call_id] = written.get(call_id, "") + frame["delta"]
            continue
        stages.setdefault(call_id, []).append(name)
        if name == "tool.args" and frame["valid"] and call_id in written:
            whole = msgspec.json.decode(written[call_id])
            assert whole == frame["args"] if "args" in frame else frame["truncated"]
        if name == "tool.result":
            finished.add(call_id)
            assert frame["ok"] == ("error" not in frame)
    assert all(stage == ["tool.start", "tool.args", "tool.result"] for stage in stages.values()), stages


def check_ids(frames: list[Frame]) -> None:
    """Of each kind an id names one thing; a draft has one event."""
    names = {"tool.start": "tool_call_id", "component": "id", "segment.draft": "draft_id", "clarification": "id"}
    for kind, name in names.items():
        ids = [frame[name] for frame in frames if frame["type"] == kind]
        assert len(set(ids)) == len(ids)


def check_questions(frames: list[Frame]) -> None:
    """A run ends with `input_required` exactly when it asked, one question, after the result of the call that asks.

    The question's text stands before its options: a frontend draws them where they come.
    """
    last, asked = frames[-1], [index for index, frame in enumerate(frames) if frame["type"] == "clarification"]
    assert len(asked) <= 1
    if last["type"] == "run.finished":
        assert (last["outcome"] == "input_required") == bool(asked)
    assert ("unmapped" in last) == (last.get("outcome") == "refused"), "what was refused is told, and nothing else"
    for index in asked:
        call_id = frames[index]["tool_call_id"]
        results = [one for one in frames[:index] if one["type"] == "tool.result" and one["tool_call_id"] == call_id]
        assert [result["ok"] for result in results] == [True]
        if last["type"] == "run.finished":
            said = "".join(frame["delta"] for frame in frames[:index] if frame["type"] == "text.delta")
            assert frames[index]["question"] in said


def check_usage(frames: list[Frame]) -> None:
    """The turns' tokens add up to the run's."""
    finished = [frame["usage"] for frame in frames if frame["type"] == "turn.finished"]
    assert {name: frames[-1]["usage"][name] for name in COUNTERS} == {
        name: sum(usage[name] for usage in finished) for name in COUNTERS
    }
