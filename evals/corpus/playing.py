"""Plays what was said to a model, and tells what came of the last of it: a draft, a question, a look-up, a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Literal, Protocol

import jsonpatch
import msgspec
from msgspec import Struct, structs

from evals.corpus.examples import Example
from evals.corpus.tenants import Tenant, tenant
from evals.definitions import SegmentIds, with_ids
from segment_copilot.copilot.models import (
    AssistantMessage,
    Message,
    ModelEvent,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolResults,
    TurnEnded,
    UserMessage,
)
from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.language import Definition, decode
from tests.support.english.driver import RESULTS, SPECIFICATIONS  # what the tools are, and what they might give

MOST_TURNS: Final = 5
MOST_OPTIONS: Final = 4


class Model(Protocol):
    """Answers one turn of a conversation."""

    def stream(self, request: ModelRequest, /) -> AsyncIterator[ModelEvent]:
        """Yield the events of the turn."""
        ...


class Heard(Struct, frozen=True):
    """Tells what came of a sentence: what was drafted, which tool was called, or the answers that a question offers."""

    kind: Literal["draft", "ask", "look_up", "refuse", "say", "broken"]
    definition: Definition | None = None
    tool: str = ""
    options: tuple[Definition | None, ...] = ()  # what each answer would draft
    text: str = ""


class _Turned(Struct, frozen=True):
    text: str
    calls: tuple[ToolCall, ...]
    declined: bool


def play(model: Model, example: Example) -> Heard:
    """Return what came of the last text of an example; answers to a question are tried, each once."""
    return asyncio.run(_played(model, example))


async def _played(model: Model, example: Example) -> Heard:
    conversation = _Conversation(model, example)
    for text in example.texts[:-1]:
        await conversation.say(text)
    heard = await conversation.say(example.text)
    if heard.kind != "ask":
        return heard
    options = list[Definition | None]()
    for answer in conversation.answers[:MOST_OPTIONS]:
        tried = await conversation.fork().say(answer)
        options.append(tried.definition)
    return structs.replace(heard, options=tuple(options))


class _Conversation:
    """Holds what was said so far, and what was drafted last."""

    def __init__(self, model: Model, example: Example) -> None:
        self._model = model
        self._tenant = tenant(example.tenant)
        self._messages: tuple[Message, ...] = ()
        self._view, self._base = _in_view(example, self._tenant)
        self._waits = ""
        self.answers: tuple[str, ...] = ()

    def fork(self) -> _Conversation:
        """Return a conversation that goes on from here by itself."""
        other = object.__new__(_Conversation)
        other.__dict__.update(self.__dict__)
        return other

    async def say(self, text: str) -> Heard:
        """Say one thing, and let the model and its tools go on until it waits."""
        self._messages = (*self._messages, UserMessage(text))
        heard = Heard("say")
        for _ in range(MOST_TURNS):
            turn = await self._turn()
            for call in turn.calls:
                heard = self._heard(call, heard)
            if not turn.calls:
                self._messages = (*self._messages, AssistantMessage(turn.text))
                return structs.replace(heard, text=turn.text) if heard.kind != "say" else _said(turn)
            if heard.kind == "ask":
                self._messages = (*self._messages, AssistantMessage(heard.text))
                return heard
            results = tuple(_result(call) for call in turn.calls)
            self._messages = (*self._messages, AssistantMessage(turn.text, turn.calls), ToolResults(results))
            if heard.kind in {"draft", "broken"}:  # the rest is how it is told
                self._messages = (*self._messages, AssistantMessage("I drafted it."))
                return heard
        return heard

    async def _turn(self) -> _Turned:
        here = self._tenant
        request = ModelRequest(
            "", self._messages, SPECIFICATIONS, here.catalog, here.as_of, here.catalog.timezone, view=self._view
        )
        events = [event async for event in self._model.stream(request)]
        ended = events[-1]
        assert isinstance(ended, TurnEnded)  # noqa: S101  # the contract of models
        calls = tuple(event for event in events if isinstance(event, ToolCall))
        return _Turned(ended.message.text, calls, ended.stop_reason == "declined")

    def _heard(self, call: ToolCall, before: Heard) -> Heard:
        match call.name:
            case "propose_segment":
                return self._drafted(call.arguments["definition"])
            case "revise_segment":
                return self._drafted(jsonpatch.apply_patch(self._base, call.arguments["patch"]))
            case "ask_user":
                self.answers = tuple(option.get("value", option["label"]) for option in call.arguments["options"])
                labels = [option["label"] for option in call.arguments["options"]]
                return Heard("ask", text=f"{call.arguments['question']} {' / '.join(labels)}")
            case name if name.startswith("display_") or before.kind in {"draft", "ask"}:
                return before
            case name:
                counted = call.arguments.get("definition")
                made = _decoded(counted) if isinstance(counted, Mapping) else None
                return Heard("look_up", made, name) if before.kind == "say" else before

    def _drafted(self, document: Any) -> Heard:
        self._base = document
        self._view = {"draft": {"name": "Mine", "definition": document}}  # as the service shows a thread's latest
        definition = _decoded(document)
        return Heard("broken") if definition is None else Heard("draft", definition)


def _said(turn: _Turned) -> Heard:
    return Heard("refuse" if turn.declined else "say", text=turn.text)


def _decoded(document: Any) -> Definition | None:
    try:
        return decode(document)
    except SegmentCopilotError:
        return None


def _in_view(example: Example, here: Tenant) -> tuple[dict[str, Any], Any]:
    """Return what the person looks at, and the definition that an edit would change."""
    if example.draft is not None:
        base = msgspec.json.decode(msgspec.json.encode(example.draft))
        return {"draft": {"name": "Mine", "definition": base}}, base
    if example.viewing:
        seed = next((one for one in here.seeds if one.name == example.viewing), None)
        number = here.segments[example.viewing]
        base = with_ids(seed.definition, SegmentIds(here.segments)) if seed else {}
        return {"segment": {"id": number, "name": example.viewing, "version": 1, "definition": base}}, base
    return {}, {}


def _result(call: ToolCall) -> ToolResult:
    return ToolResult(
        call.id, call.name, msgspec.json.encode(RESULTS.get(call.name, RESULTS["propose_segment"])).decode()
    )


def open_model() -> Model:
    """Return the model that is asked."""
    return OfflineModel()
