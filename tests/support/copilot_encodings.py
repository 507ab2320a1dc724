"""What holds for every run in AG-UI and in the AI SDK's stream, and that both say what our own protocol says.

The rules of order are those that the real clients enforce; `test_real_clients` asks the clients themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, get_args

import msgspec

from segment_copilot.copilot.stream.encoders.ag_ui import AgUiEncoder
from segment_copilot.copilot.stream.encoders.ai_sdk import AiSdkEncoder, Major
from segment_copilot.copilot.stream.run_events import Event
from tests.support.copilot_invariants import Frame, nulls

THREAD, RUN, PREFIX = "thread 1", "run of the client", "run_1"

COMMON = {"type", "seq", "run_id", "ts", "turn"}

FINISH_REASONS = {"stop", "length", "content-filter", "tool-calls", "error", "other"}

PARTS = {
    "start", "start-step", "finish-step", "text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta",
    "reasoning-end", "tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error",
    "tool-output-available", "tool-output-error", "message-metadata", "error", "finish",
    "data-segment-copilot-component", "data-segment-copilot-draft", "data-segment-copilot-clarification",
    "data-segment-copilot-warning", "data-segment-copilot-checkpoint",
}  # fmt: skip
"""What `ai` 5 knows too: an unknown type breaks a whole stream there."""


def ag_ui(events: Sequence[Event]) -> bytes:
    """The run as AG-UI."""
    encoder = AgUiEncoder(thread_id=THREAD, run_id=RUN, prefix=PREFIX, state={})
    return encoder.opening + b"".join(encoder.frame(event) for event in events)


def ai_sdk(events: Sequence[Event], major: Major) -> bytes:
    """The run as a UI message stream."""
    encoder = AiSdkEncoder(PREFIX, major=major)
    return encoder.opening + b"".join(encoder.frame(event) for event in events)


def check(events: Sequence[Event], frames: list[Frame]) -> None:
    """Fail unless both encodings follow their protocols and say what *frames*, our own encoding, say."""
    told = said(frames)
    assert said_in_ag_ui(documents(ag_ui(events))) == told
    for major in get_args(Major):
        stream = ai_sdk(events, major)
        assert stream.endswith(b"\n\ndata: [DONE]\n\n")
        parts = documents(stream.removesuffix(b"data: [DONE]\n\n"))
        known = PARTS | {"reset-step" if major == 7 else "data-segment-copilot-turn-reset"}
        assert {part["type"] for part in parts} <= known
        assert said_in_ai_sdk(parts) == told | {"outcome": reason_of(frames[-1])}
        check_question_before_options(parts)


def documents(stream: bytes) -> list[Frame]:
    """The JSON of every frame; comments are passed over, and nothing else may stand in a stream."""
    assert b"\r" not in stream
    opening, *blocks = stream.decode().removesuffix("\n\n").split("\n\n")
    assert opening == ": connected\nretry: 3000"
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    assert all(len(block.encode()) <= 64 * 1024 or "checkpoint" in block for block in blocks)
    found = [msgspec.json.decode(block.removeprefix("data: ")) for block in blocks]
    assert not [path for document in found for path in nulls(document)], "an optional field is absent, never null"
    return found


def said(frames: list[Frame]) -> dict[str, Any]:
    """What a run told, in our own protocol: what the encodings have in common."""
    texts: dict[str, str] = {}
    calls: dict[str, dict[str, Any]] = {}
    shown: list[Any] = []
    for frame in frames:
        match frame["type"]:
            case "text.start" | "reasoning.start":
                texts[frame["id"]] = ""
            case "text.delta" | "reasoning.delta":
                texts[frame["id"]] += frame["delta"]
            case "tool.start":
                calls[frame["tool_call_id"]] = {"name": frame["name"], "written": ""}
            case "tool.args.delta":
                calls[frame["tool_call_id"]]["written"] += frame["delta"]
            case "tool.args":
                call = calls[frame["tool_call_id"]]
                call["args"] = arguments(call.pop("written"), frame.get("args"))
            case "tool.result":
                result = without(frame, COMMON | {"tool_call_id"})
                calls[frame["tool_call_id"]]["result"] = result if frame["ok"] else frame["error"]["message"]
            case "component":
                shown.append((frame["id"], without(frame, COMMON | {"id", "op"})))
            case "segment.draft":
                shown.append((frame["draft_id"], without(frame, COMMON)))
            case "turn.reset":
                shown.append("taken back")
            case "warning":
                shown.append(("warning", frame["code"]))
            case _:
                pass
    asked = [
        (frame["id"], frame["question"], frame["options"], frame["response_schema"])
        for frame in frames
        if frame["type"] == "clarification"
    ]
    last = frames[-1]
    outcome = last.get("outcome") or (last["code"], last["message"], last["retryable"], last.get("retry_after_ms"))
    kept = [frame["token"] for frame in frames if frame["type"] == "checkpoint"]
    return {"texts": texts, "calls": calls, "shown": shown, "asked": asked, "kept": kept, "outcome": outcome}


def arguments(written: Any, whole: Any) -> Any:
    """The arguments as all three can tell them: as an object, or as far as the model wrote; or that they are too long."""
    found = written if whole is None else whole
    if isinstance(found, str):
        with suppress(msgspec.DecodeError):
            found = msgspec.json.decode(found)
    cut = isinstance(found, str) and len(found) >= 2_000
    too_long = cut or found == {"truncated": True} or len(msgspec.json.encode(found)) > 28 * 1024
    return "too long" if too_long else found


def reason_of(last: Frame) -> Any:
    """How the AI SDK calls the end that *last* tells; errors as they are."""
    match last:
        case {"type": "run.error"}:
            return said([last])["outcome"]
        case {"outcome": "completed" | "input_required"}:
            return "stop"
        case {"outcome": "refused"}:
            return "content-filter"
        case {"limit": "max_tokens"}:
            return "length"
        case _:
            return "other"


def without(frame: Frame, names: set[str]) -> Frame:
    return {name: value for name, value in frame.items() if name not in names}


class Opened:
    """What is open, by kind; every id is opened once."""

    def __init__(self) -> None:
        self._seen = set[tuple[str, str]]()
        self.open = set[tuple[str, str]]()

    def start(self, kind: str, name: str, *, again: bool = False) -> None:
        assert (kind, name) not in (self.open if again else self._seen)
        self._seen.add((kind, name))
        self.open.add((kind, name))

    def inside(self, kind: str, name: str) -> None:
        assert (kind, name) in self.open

    def end(self, kind: str, name: str) -> None:
        self.open.remove((kind, name))

    def over(self, kind: str, name: str) -> None:
        assert (kind, name) in self._seen - self.open


def said_in_ag_ui(found: list[Frame]) -> dict[str, Any]:
    """What a client of AG-UI learns; fails where it would refuse the run."""
    assert found[0] == {
        "type": "RUN_STARTED", "threadId": THREAD, "runId": RUN, "protocolVersion": "1.0",
        "timestamp": found[0]["timestamp"],
    }  # fmt: skip
    assert [one["type"] in {"RUN_FINISHED", "RUN_ERROR"} for one in found] == [False] * (len(found) - 1) + [True]
    opened, reader = Opened(), AgUiReader()
    for one in found[1:-1]:
        kind, _, what = one["type"].rpartition("_")
        match what:
            case "START" | "STARTED":
                name = reader.name(one, kind)
                opened.start(kind, name, again=kind == "STEP")  # a turn may be asked a second time
            case "CONTENT" | "ARGS":
                opened.inside(kind, reader.name(one, kind))
            case "END" | "FINISHED":
                opened.end(kind, reader.name(one, kind))
            case "RESULT":
                opened.over(kind, reader.name(one, kind))
            case _:
                assert one["type"] in {"ACTIVITY_SNAPSHOT", "CUSTOM", "STATE_DELTA"}
        reader.read(one)
    assert not opened.open, "a run may not end with anything open"
    return reader.whole(found[-1])


class AgUiReader:
    """Collects what the events of a run say."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.shown: list[Any] = []
        self.kept: list[str] = []
        self._messages = set[str]()

    @staticmethod
    def name(one: Frame, kind: str) -> str:
        return one["stepName"] if kind == "STEP" else one["toolCallId"] if kind == "TOOL_CALL" else one["messageId"]

    def read(self, one: Frame) -> None:
        match one["type"]:
            case "TEXT_MESSAGE_START" | "REASONING_MESSAGE_START":
                self._message(one)
                self.texts[own(one["messageId"])] = ""
            case "TEXT_MESSAGE_CONTENT" | "REASONING_MESSAGE_CONTENT":
                self.texts[own(one["messageId"])] += one["delta"]
            case "TOOL_CALL_START":
                assert "parentMessageId" not in one or own(one["parentMessageId"]) in self.texts
                self.calls[own(one["toolCallId"])] = {"name": one["toolCallName"], "args": ""}
            case "TOOL_CALL_ARGS":
                self.calls[own(one["toolCallId"])]["args"] += one["delta"]
            case "TOOL_CALL_RESULT":
                self._message(one)
                result = msgspec.json.decode(one["content"])
                self.calls[own(one["toolCallId"])]["result"] = result if result["ok"] else result["error"]["message"]
            case "ACTIVITY_SNAPSHOT":
                self._message(one)
                self.shown.append((own(one["messageId"]), self._activity(one)))
            case "STATE_DELTA":
                (change,) = one["delta"]
                assert (change["op"], change["path"]) == ("add", "/segment_copilot")
                self.kept.append(change["value"]["checkpoint"])
            case "CUSTOM":
                taken_back = one["name"] == "segment_copilot.turn_reset"
                self.shown.append("taken back" if taken_back else ("warning", one["value"]["code"]))
            case _:
                pass

    def whole(self, last: Frame) -> dict[str, Any]:
        for call in self.calls.values():
            call["args"] = arguments(call["args"], None)
        asked: list[Any] = []
        if last["type"] == "RUN_FINISHED":
            assert (last["threadId"], last["runId"]) == (THREAD, RUN)
            outcome = last["result"]["outcome"]
            asked = [
                (one["id"], one["message"], one["metadata"]["options"], one["responseSchema"])
                for one in last["outcome"].get("interrupts", [])
            ]
        else:
            told = last["metadata"]
            outcome = (last["code"], last["message"], told["retryable"], told.get("retry_after_ms"))
        return {
            "texts": self.texts, "calls": self.calls, "shown": self.shown, "asked": asked, "kept": self.kept,
            "outcome": outcome,
        }  # fmt: skip

    def _message(self, one: Frame) -> None:
        assert one["messageId"] not in self._messages
        self._messages.add(one["messageId"])

    @staticmethod
    def _activity(one: Frame) -> Frame:
        content = one["content"]
        assert one["activityType"] == f"segment_copilot.{content['name'] if 'props' in content else 'segment_draft'}"
        if "tool_call_id" in content:
            content["tool_call_id"] = own(content["tool_call_id"])
        return content


def own(name: str) -> str:
    """An id as the run gave it: in AG-UI each carries the run's in front."""
    assert name.startswith(f"{PREFIX}-")
    return name.removeprefix(f"{PREFIX}-")


def said_in_ai_sdk(parts: list[Frame]) -> dict[str, Any]:
    """What a client of the AI SDK learns; fails where it would refuse the stream."""
    assert (parts[0]["type"], parts[0]["messageId"]) == ("start", PREFIX)
    assert [part["type"] == "finish" for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["finishReason"] in FINISH_REASONS
    check_order_of_parts(parts)
    reader = AiSdkReader()
    for part in parts:
        reader.read(part)
    errors = [index for index, part in enumerate(parts) if part["type"] == "error"]
    outcome: Any = parts[-1]["finishReason"]
    assert (outcome == "error") == bool(errors)
    for index in errors:
        told = parts[index - 1]["messageMetadata"]["error"]
        outcome = (told["code"], parts[index]["errorText"], told["retryable"], told.get("retry_after_ms"))
    return {
        "texts": reader.texts, "calls": reader.calls, "shown": reader.shown, "asked": reader.asked,
        "kept": reader.kept, "outcome": outcome,
    }  # fmt: skip


def check_question_before_options(parts: list[Frame]) -> None:
    """A page shows parts in their order: the question's text comes before what holds its options."""
    written = ""
    for part in parts:
        if part["type"] == "text-delta":
            written += part["delta"]
        if part["type"] == "data-segment-copilot-clarification":
            assert part["data"]["question"] in written


def check_order_of_parts(parts: list[Frame]) -> None:
    """Everything is opened before it is used, and closed once, inside steps that do not overlap."""
    opened, steps = Opened(), 0
    for part in parts:
        name = part.get("id") or part.get("toolCallId", "")
        match part["type"].split("-"):
            case ["text" | "reasoning" as kind, "start"]:
                opened.start(kind, name)
            case ["text" | "reasoning" as kind, "delta"]:
                opened.inside(kind, name)
            case ["text" | "reasoning" as kind, "end"]:
                opened.end(kind, name)
            case ["tool", "input", "start"]:
                opened.start("input", name)
                opened.start("call", name)
            case ["tool", "input", "delta"]:
                opened.inside("input", name)
            case ["tool", "input", _]:
                opened.end("input", name)
            case ["tool", "output", _]:
                opened.over("input", name)
                opened.end("call", name)
            case ["start", "step"]:
                steps += 1
            case ["finish", "step"]:
                steps -= 1
            case _:
                pass
        assert steps in (0, 1)
        assert part["type"] == "tool-input-delta" or ("toolCallId" in part) == ("dynamic" in part)
    assert not opened.open
    assert steps == 0


class AiSdkReader:
    """Collects what the parts of a message say."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.shown: list[Any] = []
        self.asked: list[Any] = []
        self.kept: list[str] = []

    def read(self, part: Frame) -> None:
        match part["type"]:
            case "text-start" | "reasoning-start":
                self.texts[part["id"]] = ""
            case "text-delta" | "reasoning-delta":
                self.texts[part["id"]] += part["delta"]
            case "tool-input-start":
                self.calls[part["toolCallId"]] = {"name": part["toolName"]}
            case "tool-input-available" | "tool-input-error":
                assert self.calls[part["toolCallId"]]["name"] == part["toolName"]
                self.calls[part["toolCallId"]]["args"] = arguments(part["input"], None)
            case "tool-output-available" | "tool-output-error":
                self.calls[part["toolCallId"]]["result"] = part["output"] if "output" in part else part["errorText"]
            case "reset-step" | "data-segment-copilot-turn-reset":
                self.shown.append("taken back")
            case "data-segment-copilot-checkpoint":
                self.kept.append(part["data"]["token"])
            case "data-segment-copilot-clarification":
                told = part["data"]
                self.asked.append((part["id"], told["question"], told["options"], told["response_schema"]))
            case "data-segment-copilot-warning":
                self.shown.append(("warning", part["data"]["code"]))
            case "data-segment-copilot-component" | "data-segment-copilot-draft":
                self.shown.append((part["id"], part["data"]))
            case _:
                pass
