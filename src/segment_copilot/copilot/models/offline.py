"""The offline model: one turn from the conversation so far, by parsing instead of by a language model."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec
from msgspec import structs

from segment_copilot.copilot.models import (
    AssistantMessage,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
    TurnEnded,
    UserMessage,
)
from segment_copilot.english.dialogue import dialogue
from segment_copilot.english.edits.drafted import in_view
from segment_copilot.english.plan import Context, Turn
from segment_copilot.english.understanding import understand


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
    if not any(isinstance(message, UserMessage) for message in request.messages):
        return Turn(("There is no question in this conversation.",))
    context = Context(
        request.catalog,
        request.as_of,
        request.timezone,
        frozenset(tool.name for tool in request.tools),
        request.tools_allowed,
        in_view(request.view),
    )
    now = dialogue(request.messages, context)
    context = structs.replace(context, drafted=now.drafted, recent=now.recent)
    return understand(now.text, context, follows=bool(now.before)).turn(now.results, context)
