"""Small answers, made by hand: a grader's test says what it looks at in one line."""

from __future__ import annotations

from typing import Any

import msgspec

from evals.cases import Case
from evals.client import Frame, Stream
from evals.graders.grading import Answer
from evals.graders.registry import answer_of

RUN = "run_00000000000000000000000000000001"
Events = list[tuple[str, dict[str, Any]]]


def case_of(*, ask: str = "How many orders?", **expect: Any) -> Case:
    """A case about the shop that expects an answer unless told otherwise."""
    document = {
        "id": "case",
        "category": expect.pop("category", "data"),
        "tenant": expect.pop("tenant", "shop"),
        "source": "test",
        "language": expect.pop("language", "en"),
        "messages": [{"role": "user", "content": ask}],
        "expect": {"outcome": ["answer"], **expect},
    }
    return msgspec.convert(document, Case)


def frames_of(*events: tuple[str, dict[str, Any]]) -> tuple[Frame, ...]:
    """A whole run around *events*: started, one turn, finished; every number and sum right."""
    usage = {"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0}
    whole = [
        ("run.started", {"model": "test"}),
        ("turn.started", {"turn": 1, "attempt": 1}),
        *((name, {"turn": 1, **data}) for name, data in events),
        ("turn.finished", {"turn": 1, "usage": usage}),
        ("run.finished", {"outcome": "completed", "usage": usage, "turns": 1, "tool_calls": 0}),
    ]
    return tuple(
        Frame(f"{RUN}-{seq}", name, {"seq": seq, "run_id": RUN, **data}, 0.01 * seq)
        for seq, (name, data) in enumerate(whole)
    )


def says(text: str) -> Events:
    """A text."""
    return [("text.start", {"id": "t"}), ("text.delta", {"id": "t", "delta": text}), ("text.end", {"id": "t"})]


def calls(name: str, arguments: dict[str, Any], data: Any, *, call_id: str = "c") -> Events:
    """A call that went well."""
    return [
        ("tool.start", {"tool_call_id": call_id, "name": name}),
        ("tool.args", {"tool_call_id": call_id, "valid": True, "args": arguments}),
        ("tool.result", {"tool_call_id": call_id, "ok": True, "data": data, "duration_ms": 1}),
    ]


def answered(case: Case, *events: tuple[str, dict[str, Any]]) -> Answer:
    """What graders see of a run with *events*."""
    return answer_of(case, Stream(200, frames_of(*events), (), 0.1))
