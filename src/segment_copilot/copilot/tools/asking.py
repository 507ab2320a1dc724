"""The tool here asks the person one question; the run ends until it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from segment_copilot.copilot.conversation.request import MAX_ANSWER_CHARACTERS
from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.stream.run_events import Clarification, ClarificationOption
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.errors import Finding, InvalidInput


class Option(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer to offer: *label* is shown, *value* comes back, *effect* says what it changes."""

    label: Annotated[str, Meta(min_length=1, max_length=80)]
    value: Annotated[str, Meta(min_length=1, max_length=200)]
    effect: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class AskedQuestion(Struct, frozen=True):
    """Tells that the question is on its way to the person."""

    clarification_id: str
    note: str = "Say nothing more: the answer comes with the next message."


async def ask_user(
    context: ToolContext,
    question: Annotated[str, Meta(min_length=1, max_length=300)],
    options: Annotated[list[Option], Meta(max_length=4)] = [],  # noqa: B006 — copied by the argument struct
    allow_free_text: bool = True,  # noqa: FBT001 — a model passes arguments by name
) -> AskedQuestion:
    """Ask the person one question, when the readings of their words differ in members and none is sensible by itself. The answer ends here; it goes on when they have answered. Otherwise assume, and say so.

    Args:
        question: One short question, in the person's language.
        options: At most four answers, taken from the data of this workspace.
        allow_free_text: Whether any other answer is possible too.
    """
    if context.memory.question is not None:
        raise _refusal("", "already_asked", "The person has been asked already. Ask one question at a time.")
    values = [option.value for option in options]
    if len(set(values)) < len(values):
        raise _refusal("/options", "duplicate_option", "Two options have the same value. Give each its own.")
    if not options and not allow_free_text:
        raise _refusal("/options", "nothing_to_answer", "Give options, or allow a free text.")
    if not (shown := remove_links(question).strip()):
        raise _refusal("/question", "empty_question", "Write the question in words, without links.")
    asked = Clarification(
        id=context.memory.new_id("question"),
        tool_call_id=context.tool_call_id,
        question=shown,
        options=tuple(_shown(option) for option in options),
        response_schema=_response_schema(values, free=allow_free_text),
    )
    context.memory.question = asked  # sent when the run ends, behind its text
    return AskedQuestion(asked.id)


def _shown(option: Option) -> ClarificationOption:
    effect = UNSET if option.effect is None else remove_links(option.effect)
    return ClarificationOption(remove_links(option.label), option.value, effect)


def _response_schema(values: Sequence[str], *, free: bool) -> dict[str, Any]:
    """Return the schema of what `resume` takes as payload."""
    answer: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_ANSWER_CHARACTERS}
    if values:
        answer["examples" if free else "enum"] = list(values)
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


def _refusal(pointer: str, code: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])
