"""Asks the copilot itself: a question in words, answered as over its own stream; what it asks back, the host asks the person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from segment_copilot.api.mcp.offers import describe, output_schema
from segment_copilot.api.mcp.registry import Asking, Document, Offer, answered
from segment_copilot.api.mcp.views import COMPONENTS_KEY, drawn, view_of
from segment_copilot.copilot.conversation.request import ChatMessage, CopilotRequest, ResumeEntry
from segment_copilot.copilot.runs.collect import collect
from segment_copilot.copilot.runs.failures import error_of
from segment_copilot.copilot.runs.run import prepare_run
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.run_events import (
    Clarification,
    Event,
    Outcome,
    RunError,
    ToolStart,
    Unmapped,
    Warned,
)
from segment_copilot.copilot.tools.signature import arguments_of, decode_arguments, specification
from segment_copilot.errors import InvalidInput, Unavailable

_QUESTION: Final = "clarification"
"""What the copilot asks back goes by this name in `inputRequests`."""


_NEXT: Final = (
    "create_segment once the person wants a draft saved. Where the outcome is input_required, ask the person its question, "
    "and call this again with the answer as the question and both before it as `earlier`."
)
_ERRORS: Final = (
    "too_many_requests and unavailable (wait and try again), context_too_long (leave some of `earlier` out), "
    "invalid_answer (none of those that were offered), state_outdated (ask anew)."
)


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """Holds what one side said before."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(max_length=100_000)]


class Answer(Struct, frozen=True, omit_defaults=True):
    """Holds what the copilot answered; *clarification* where it asks the person, and says nothing more until they answered."""

    outcome: Outcome
    text: str
    draft: Draft | UnsetType = UNSET
    clarification: Clarification | UnsetType = UNSET
    unmapped: tuple[Unmapped, ...] | UnsetType = UNSET
    warnings: tuple[Warned, ...] = ()


class _Waiting(Struct, frozen=True):
    """Is what goes on when the person has answered: the thread, what is open, and what was said since the call's question."""

    checkpoint: str
    open: Clarification
    said: tuple[ChatMessage, ...]


async def ask_copilot(
    asking: Asking,
    question: Annotated[str, Meta(min_length=1, max_length=20_000)],
    earlier: Annotated[list[Turn], Meta(max_length=100)] = [],  # noqa: B006 — copied by the argument struct
) -> Document:
    """Ask segment-copilot in plain words about segments and events, or describe an audience to have it drafted. It looks up, counts, drafts, and asks back where words are open. Nothing is saved. Use it when you would rather not write a definition yourself.

    Args:
        asking: Who asks whom.
        question: The person's words, as they said them.
        earlier: What was said before in this conversation, the oldest first, where the question goes back to it.
    """
    if asking.draining.is_set():
        raise Unavailable("This process is being stopped.", code="server_draining")
    waiting = None if asking.state is None else _read_state(asking.state)
    reply = None if waiting is None else _reply(asking, waiting.open)
    if waiting is not None and reply is None:
        return _ask_person(waiting)
    asked = _request(question, earlier, waiting, reply)
    run = await prepare_run(
        asking.copilot,
        asking.caller.tenant,
        asked,
        user=asking.caller.session_user,
        scopes=asking.caller.scopes,
    )
    steps = 0

    async def listen(event: Event) -> None:
        nonlocal steps
        if isinstance(event, ToolStart):
            steps += 1
            await asking.report(steps, event.title)

    found = await collect(run, draining=asking.draining, listen=listen)
    if isinstance(found.end, RunError):
        raise error_of(found.end)
    if found.clarification is not None and found.checkpoint is not None and asking.elicits():
        said = [*asked.messages[len(earlier) + 1 :], *(ChatMessage("user", one.message) for one in asked.resume)]
        return _ask_person(
            _Waiting(found.checkpoint, found.clarification, (*said, ChatMessage("assistant", found.text)))
        )
    answer = Answer(
        outcome=found.end.outcome,
        text=found.text,
        draft=UNSET if found.draft is None else structs.replace(found.draft, reading=UNSET, conditions=UNSET),
        clarification=found.clarification or UNSET,
        unmapped=found.end.unmapped,
        warnings=found.warnings,
    )
    meta = {COMPONENTS_KEY: drawn(found.components, found.draft)}
    return answered(msgspec.to_builtins(answer), text=found.text, meta=meta)


_KIND: Final = arguments_of(ask_copilot)


def asking_offer() -> Offer:
    """Return the tool that asks the copilot."""
    told = specification(ask_copilot, _KIND)

    async def call(asking: Asking, arguments: Document) -> Document:
        return await ask_copilot(asking, **decode_arguments(arguments, _KIND))

    document = {
        "name": told.name,
        "title": "Ask the copilot",
        "description": describe(told.description, _NEXT, _ERRORS),
        "inputSchema": told.input_schema,
        "outputSchema": output_schema(Answer),
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": False,
            "openWorldHint": False,
        },
        **view_of("answer"),
    }
    return Offer(document, call, scope="copilot:ask", seconds=None)  # a run has a deadline of its own


def _read_state(state: str) -> _Waiting:
    try:
        return msgspec.json.decode(state, type=_Waiting)
    except msgspec.MsgspecError:  # sealed by us, but by another version of us
        raise InvalidInput("The question is not open any more. Ask anew.", code="state_outdated") from None


def _reply(asking: Asking, question: Clarification) -> ResumeEntry | None:
    """Return what the person replied; None where that is no answer, so that they are asked again."""
    given = asking.answers.get(_QUESTION)
    if given is None:
        return None
    if given.get("action") != "accept":
        return ResumeEntry(question.id, "cancelled")
    content = cast("dict[str, Any]", given.get("content") or {})
    written = [text for name in ("other", "answer") if isinstance(text := content.get(name), str) and text.strip()]
    return ResumeEntry(question.id, "resolved", written[0]) if written else None


def _request(
    question: str, earlier: Sequence[Turn], waiting: _Waiting | None, reply: ResumeEntry | None
) -> CopilotRequest:
    """Return what is asked: the question, or the reply to what the copilot asked back."""
    messages = (*(ChatMessage(turn.role, turn.content) for turn in earlier), ChatMessage("user", question))
    if waiting is None or reply is None:
        return CopilotRequest(messages=messages)
    return CopilotRequest(messages=(*messages, *waiting.said), checkpoint=waiting.checkpoint, resume=(reply,))


def _ask_person(waiting: _Waiting) -> Document:
    """Return the result that has the host ask the person, and call again with what they said."""
    asked = waiting.open
    elicit = {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": asked.question, "requestedSchema": _form(asked)},
    }
    return {
        "resultType": "input_required",
        "inputRequests": {_QUESTION: elicit},
        "requestState": msgspec.json.encode(waiting).decode(),
    }


def _form(asked: Clarification) -> Document:
    """Return the form: the options to choose from, and a field for any other answer where one is possible."""
    answer: dict[str, Any] = {"type": "string", "title": "Answer"}
    if not asked.options:
        return {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
    answer["oneOf"] = [{"const": one.value, "title": one.label} for one in asked.options]
    if "enum" in asked.response_schema["properties"]["answer"]:
        return {"type": "object", "properties": {"answer": answer}, "required": ["answer"]}
    other = {"type": "string", "title": "Or in other words", "description": "Counts before what is chosen above."}
    return {"type": "object", "properties": {"answer": answer, "other": other}}
