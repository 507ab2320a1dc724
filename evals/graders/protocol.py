"""Checks that the stream keeps the protocol's promises, as a client that knows only the documentation sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from evals.client import Frame
from evals.graders.grading import Answer, Grade, Grading, verdict

TERMINAL: Final = {"run.finished", "run.error"}
_COUNTERS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_RECORDS: Final = {"data", "args", "definition", "rows", "body"}  # JSON of others, where null is a value


async def protocol(answer: Answer, _grading: Grading) -> Grade:
    """Check framing, order, pairing, ids and sums."""
    stream = answer.stream
    if stream.status != 200:
        code = stream.problem.get("code", "")
        return verdict([f"the service answered {stream.status} {code}"])
    faults = [*stream.faults, *violations(stream.frames)]
    return verdict(faults, good=f"{len(stream.frames)} events")


def violations(frames: Sequence[Frame]) -> Iterator[str]:
    """Yield every promise that *frames* break."""
    if not frames:
        yield "the stream is empty"
        return
    yield from _ends(frames)
    yield from _numbering(frames)
    yield from _spans(frames)
    yield from _turns(frames)
    yield from _calls(frames)
    yield from _sums(frames)
    yield from (f"null at {path}" for frame in frames for path in _nulls(frame.data, frame.name))
    if frames[-1].name == "run.finished" and not any(
        frame.name == "text.delta" and frame.data["delta"].strip() for frame in frames
    ):
        yield "a run that ended well said nothing"


def _ends(frames: Sequence[Frame]) -> Iterator[str]:
    if frames[0].name != "run.started":
        yield f"the first event is {frames[0].name}"
    if frames[-1].name not in TERMINAL:
        yield f"the last event is {frames[-1].name}"
    for frame in frames[:-1]:
        if frame.name in TERMINAL:
            yield f"{frame.name} is not the last event"


def _numbering(frames: Sequence[Frame]) -> Iterator[str]:
    run_ids = {frame.data.get("run_id") for frame in frames}
    if len(run_ids) != 1:
        yield "events of several runs"
    for place, frame in enumerate(frames):
        if frame.data.get("seq") != place:
            yield f"event {place} has the number {frame.data.get('seq')}"
            return
        if frame.id != f"{frame.data['run_id']}-{place}":
            yield f"event {place} has the id {frame.id}"
            return


def _spans(frames: Sequence[Frame]) -> Iterator[str]:
    """Check texts and reasonings: one open at a time, deltas inside, ids once."""
    opened: tuple[str, str] | None = None
    seen = set[str]()
    for frame in frames:
        kind, _, what = frame.name.partition(".")
        if kind not in {"text", "reasoning"}:
            continue
        here = (kind, str(frame.data.get("id")))
        if what == "start":
            if opened is not None or here[1] in seen:
                yield f"{frame.name} {here[1]} inside another, or twice"
            opened = here
            seen.add(here[1])
        elif opened != here:
            yield f"{frame.name} {here[1]} outside its start and end"
        elif what == "end":
            opened = None
    if opened is not None:
        yield f"{opened[0]} {opened[1]} never ended"


def _turns(frames: Sequence[Frame]) -> Iterator[str]:
    current: int | None = None
    for frame in frames:
        turn = frame.data.get("turn")
        if frame.name == "turn.started":
            if current is not None:
                yield "a turn began inside a turn"
            current = turn
        elif turn != current:
            yield f"{frame.name} belongs to turn {turn}, and turn {current} is open"
        if frame.name == "turn.finished":
            current = None
    if current is not None:
        yield f"turn {current} never finished"


def _calls(frames: Sequence[Frame]) -> Iterator[str]:
    """Check calls: start, arguments, result, each once and in this order; what a call draws comes after its result."""
    stages: dict[str, list[str]] = {}
    written: dict[str, str] = {}
    for frame in frames:
        call_id = str(frame.data.get("tool_call_id", ""))
        if frame.name == "tool.args.delta":
            written[call_id] = written.get(call_id, "") + frame.data["delta"]
        elif frame.name in {"tool.start", "tool.args", "tool.result"}:
            stages.setdefault(call_id, []).append(frame.name)
        elif frame.name in {"component", "segment.draft"} and call_id and "tool.result" not in stages.get(call_id, ()):
            yield f"{frame.name} before the result of its call"
        if frame.name == "tool.args" and frame.data.get("valid") and call_id in written:
            yield from _same_arguments(written[call_id], frame.data.get("args"))
    for call_id, stage in stages.items():
        if stage != ["tool.start", "tool.args", "tool.result"]:
            yield f"call {call_id} went {' → '.join(stage)}"


def _same_arguments(written: str, told: Any) -> Iterator[str]:
    try:
        if msgspec.json.decode(written) != told:
            yield "the pieces of a call's arguments are not its arguments"
    except msgspec.DecodeError:
        yield "the pieces of a call's arguments are not JSON"


def _sums(frames: Sequence[Frame]) -> Iterator[str]:
    spent = [frame.data.get("usage", {}) for frame in frames if frame.name == "turn.finished"]
    total = frames[-1].data.get("usage", {})
    for name in _COUNTERS:
        if sum(one.get(name, 0) for one in spent) != total.get(name, 0):
            yield f"{name} of the turns do not add up"


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            if key not in _RECORDS:
                yield from _nulls(child, f"{path}/{key}")
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from _nulls(child, f"{path}/{place}")
