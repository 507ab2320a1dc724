"""The offline model answers one turn from the conversation so far, by reading English instead of by a language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

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
from segment_copilot.copilot.stream.run_events import Suggestion, SuggestionKind, Unmapped
from segment_copilot.english import plan
from segment_copilot.english.plan import ASK, Result, Turn, read_document
from segment_copilot.english.talk import Conversation, Reader
from segment_copilot.language.catalog import Catalog


class OfflineModel:
    """Reads English into tool calls; the same request always gives the same turn."""

    def __init__(self) -> None:
        self._reader = Reader()
        # One, also when a client has left: threads side by side are no faster, and the event loop waits for each of them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offline model")

    @property
    def name(self) -> str:
        """Return the name that `run.started` tells."""
        return "offline"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Yield one turn, its text sentence by sentence. A thread reads it; its work is bounded, so nobody need end it."""
        conversation = conversation_of(request)
        turn = await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.answer, conversation)
        for event in _events(turn, request):
            yield event


def conversation_of(request: ModelRequest) -> Conversation:
    """Return the request as English reads it: answers to questions are what the person said too."""
    said: list[str] = []
    results: list[Result] = []
    for message in request.messages:
        match message:
            case UserMessage():
                said.append(message.text)
                results = []
            case ToolResults():
                for one in message.results:
                    document = read_document(one.content)
                    answer = document.get("answer") if one.name == ASK else None
                    if isinstance(answer, str):
                        said.append(answer)
                        results = []
                    else:
                        results.append(Result(one.tool_call_id, one.name, document, failed=one.is_error))
            case _:
                pass
    return Conversation(
        tuple(said),
        tuple(results),
        request.catalog,
        request.as_of,
        request.timezone,
        frozenset(tool.name for tool in request.tools),
        request.tools_allowed,
        request.view,
    )


def _events(turn: Turn, request: ModelRequest) -> list[ModelEvent]:
    sentences = [sentence for sentence in turn.sentences if sentence]
    pieces = [sentence + ("\n\n" if at < len(sentences) - 1 else "") for at, sentence in enumerate(sentences)]
    events: list[ModelEvent] = [TextDelta(piece) for piece in pieces]
    calls: list[ToolCall] = []
    for at, call in enumerate(turn.calls):
        made = ToolCall(f"call_{len(request.messages)}_{at}", call.name, dict(call.arguments))
        written = msgspec.json.encode(made.arguments).decode()
        events += [ToolCallStarted(made.id, made.name), ToolArgumentsDelta(made.id, written), made]
        calls.append(made)
    message = AssistantMessage("".join(pieces), tuple(calls))
    if turn.refused and not calls:
        unmapped = tuple(_unmapped(one, request.catalog) for one in turn.unmapped)
        return [*events, TurnEnded("declined", message, unmapped=unmapped)]
    return [*events, TurnEnded("tool_use" if calls else "end_turn", message)]


def _unmapped(refused: plan.Unmapped, catalog: Catalog) -> Unmapped:
    """Return what was refused, its names with what they are names of."""
    named = dict.fromkeys(name.strip("`") for name in refused.names)
    return Unmapped(refused.text, refused.reason, tuple(Suggestion(_kind(name, catalog), name) for name in named))


def _kind(name: str, catalog: Catalog) -> SuggestionKind:
    if name in catalog.event_types:
        return "event_type"
    if name in catalog.traits:
        return "trait"
    if any(segment.name == name for segment in catalog.segments.values()):
        return "segment"
    is_property = any(name in kind.properties for kind in catalog.event_types.values())
    return "property" if is_property else "value"
