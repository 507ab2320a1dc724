"""The offline model: one turn from the conversation so far, by parsing instead of by a language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
    ToolResults,
    TurnEnded,
    UserMessage,
)
from segment_copilot.copilot.models.offline.plan import Context, Result, Turn, read_document
from segment_copilot.copilot.models.offline.understanding import understand


class OfflineModel:
    """Parses English questions into tool calls. Deterministic: the same request gives the same turn."""

    @property
    def name(self) -> str:
        """What `run.started` says."""
        return "offline"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """One turn, its text sentence by sentence."""
        turn = answer(request)
        sentences = [sentence for sentence in turn.sentences if sentence]
        pieces = [sentence + ("\n\n" if at < len(sentences) - 1 else "") for at, sentence in enumerate(sentences)]
        for piece in pieces:
            yield TextDelta(piece)
        calls: list[ToolCall] = []
        for at, call in enumerate(turn.calls):
            made = ToolCall(f"call_{len(request.messages)}_{at}", call.name, dict(call.arguments))
            yield ToolCallStarted(made.id, made.name)
            yield ToolArgumentsDelta(made.id, msgspec.json.encode(made.arguments).decode())
            yield made
            calls.append(made)
        message = AssistantMessage("".join(pieces), tuple(calls))
        yield TurnEnded("tool_use" if calls else "end_turn", message)


def answer(request: ModelRequest) -> Turn:
    """What the turn says and calls: a function of the request alone."""
    at = max((at for at, message in enumerate(request.messages) if isinstance(message, UserMessage)), default=-1)
    if at < 0:
        return Turn(("There is no question in this conversation.",))
    question = request.messages[at]
    context = Context(
        request.catalog,
        request.as_of,
        request.timezone,
        frozenset(tool.name for tool in request.tools),
        request.tools_allowed,
    )
    text = question.text if isinstance(question, UserMessage) else ""
    follows = any(isinstance(message, UserMessage) for message in request.messages[:at])
    return understand(text, context, follows=follows).turn(_results(request.messages[at + 1 :]), context)


def _results(messages: Sequence[object]) -> tuple[Result, ...]:
    return tuple(
        Result(result.tool_call_id, result.name, read_document(result.content), failed=result.is_error)
        for message in messages
        if isinstance(message, ToolResults)
        for result in message.results
    )
