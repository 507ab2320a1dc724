"""Reads what a run said and did from its frames, as a client reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from evals.client import Frame, Stream


class ToolUse(Struct, frozen=True):
    """One call with its outcome."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    ok: bool
    data: Any = None
    error: Mapping[str, Any] | None = None
    duration_ms: float = 0


class Drawn(Struct, frozen=True):
    """A component that was sent to the frontend."""

    name: str
    props: Mapping[str, Any]


class Transcript(Struct, frozen=True):
    """A run, put together. *outcome* is `run.finished`'s, or `error:CODE`."""

    text: str
    tools: tuple[ToolUse, ...]
    components: tuple[Drawn, ...]
    drafts: tuple[Mapping[str, Any], ...]
    clarifications: tuple[Mapping[str, Any], ...]
    outcome: str
    model: str
    turns: int
    usage: Mapping[str, int]
    seconds: float
    first_text_seconds: float | None

    @property
    def draft(self) -> Mapping[str, Any] | None:
        """The last draft: the one that counts."""
        return self.drafts[-1] if self.drafts else None

    @property
    def said(self) -> str:
        """Return everything a person reads that the model chose the words of."""
        asked = [str(one.get("question", "")) for one in self.clarifications]
        labels = [option["label"] for one in self.clarifications for option in one.get("options", ())]
        return "\n".join([self.text, *asked, *labels])


def transcript_of(stream: Stream) -> Transcript:
    """Read the frames of a whole answer; what a reset discarded is left out."""
    discarded = {one for frame in stream.frames if frame.name == "turn.reset" for one in frame.data.get("discard", ())}
    kept = [frame for frame in stream.frames if not {frame.data.get("id"), frame.data.get("tool_call_id")} & discarded]
    last = stream.frames[-1].data if stream.frames else {}
    ended = _of(kept, "run.finished")
    failed = _of(kept, "run.error")
    first = next((frame.at for frame in kept if frame.name == "text.delta"), None)
    return Transcript(
        text=_text(kept),
        tools=_tools(kept),
        components=tuple(Drawn(one["name"], one["props"]) for one in _of(kept, "component")),
        drafts=tuple(_of(kept, "segment.draft")),
        clarifications=tuple(_of(kept, "clarification")),
        outcome=ended[-1]["outcome"]
        if ended
        else f"error:{failed[-1]['code']}"
        if failed
        else f"error:{_refusal(stream)}",
        model=next((one["model"] for one in _of(kept, "run.started")), ""),
        turns=int(last.get("turns", 0)),
        usage={name: int(value) for name, value in (last.get("usage") or {}).items()},
        seconds=round(stream.seconds, 4),
        first_text_seconds=first,
    )


def _refusal(stream: Stream) -> str:
    return str(stream.problem.get("code", stream.status)) if stream.status != 200 else "truncated"


def _of(frames: Sequence[Frame], name: str) -> list[dict[str, Any]]:
    return [frame.data for frame in frames if frame.name == name]


def _text(frames: Sequence[Frame]) -> str:
    """Return the texts, one paragraph each."""
    texts: dict[str, str] = {}
    for delta in _of(frames, "text.delta"):
        texts[delta["id"]] = texts.get(delta["id"], "") + delta["delta"]
    return "\n\n".join(text.strip() for text in texts.values() if text.strip())


def _tools(frames: Sequence[Frame]) -> tuple[ToolUse, ...]:
    arguments = {one["tool_call_id"]: one.get("args") or {} for one in _of(frames, "tool.args")}
    results = {one["tool_call_id"]: one for one in _of(frames, "tool.result")}
    found: list[ToolUse] = []
    for start in _of(frames, "tool.start"):
        call_id = start["tool_call_id"]
        result = results.get(call_id, {})
        found.append(
            ToolUse(
                id=call_id,
                name=start["name"],
                arguments=arguments.get(call_id, {}),
                ok=bool(result.get("ok")),
                data=result.get("data"),
                error=result.get("error"),
                duration_ms=result.get("duration_ms", 0),
            )
        )
    return tuple(found)
