"""Translates requests of other protocols' clients to ours: whose words count is the same whoever carries them.

Of a client's history only what the person and the copilot said is taken. Tool results, reasoning, activities and data
are claims and are left out; so are instructions of the roles `system` and `developer`, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias, cast

from msgspec import Meta, Struct, structs

from segment_copilot.copilot.conversation.request import (
    ChatMessage,
    CopilotContext,
    CopilotOptions,
    CopilotRequest,
    ResumeEntry,
)
from segment_copilot.copilot.stream.encoders.ag_ui import STATE
from segment_copilot.copilot.stream.encoders.ai_sdk import CHECKPOINT, TURN_RESET
from segment_copilot.copilot.stream.run_events import Warned
from segment_copilot.errors import Finding, InvalidInput

_ForeignId = Annotated[str, Meta(min_length=1, max_length=256)]
_Object: TypeAlias = Mapping[str, Any]


class TranslatedRequest(Struct, frozen=True):
    """Holds a foreign request as one of ours.

    *pointers* says where each message stands in what the client sent, *prefix* where the rest does.
    """

    request: CopilotRequest
    pointers: Mapping[str, str]
    warnings: tuple[Warned, ...] = ()
    prefix: str = ""

    def relocate(self, error: InvalidInput) -> InvalidInput:
        """Return *error* with pointers into what the client sent."""
        return error.relocate(self._place)

    def _place(self, pointer: str) -> str:
        for ours, theirs in self.pointers.items():
            if pointer == ours or pointer.startswith(f"{ours}/"):
                return theirs
        stays = pointer == "/messages" or pointer.startswith("/resume/")
        return pointer if stays else self.prefix + pointer


class _Utterance(Struct, frozen=True):
    role: Literal["user", "assistant"]
    text: str
    pointer: str


# AG-UI


class ForwardedProps(Struct, frozen=True):
    """Holds what AG-UI leaves to the application: the same context and options as in our own requests."""

    context: CopilotContext = CopilotContext()
    options: CopilotOptions = CopilotOptions()


class AgUiMessage(Struct, frozen=True):
    """A message of the thread. Only `user` and `assistant` count, and of parts only text."""

    role: Literal["developer", "system", "user", "assistant", "tool", "activity", "reasoning"]
    content: str | tuple[_Object, ...] | _Object | None = None


class Resumed(Struct, frozen=True, rename="camel"):
    """Says what became of a question that ended the run before: `{"answer": …}` or a text when resolved."""

    interrupt_id: _ForeignId
    status: Literal["resolved", "cancelled"]
    payload: str | _Object | None = None


class AgUiRequest(Struct, frozen=True, rename="camel"):
    """AG-UI's `RunAgentInput`. Of its `state` only the checkpoint is read; `context` and other members are not."""

    thread_id: _ForeignId
    run_id: _ForeignId
    messages: Annotated[tuple[AgUiMessage, ...], Meta(min_length=1, max_length=2_000)]
    tools: tuple[_Object, ...] = ()
    state: Any = None
    resume: Annotated[tuple[Resumed, ...], Meta(max_length=20)] = ()
    forwarded_props: ForwardedProps | None = None


def translate_ag_ui(sent: AgUiRequest) -> TranslatedRequest:
    """Return *sent* as a request of ours.

    Raises:
        InvalidInput: Nobody says anything in it.

    """
    utterances = [
        _Utterance(message.role, _text_of(message.content), f"/messages/{index}")
        for index, message in enumerate(sent.messages)
        if message.role in ("user", "assistant")
    ]
    resume = tuple(ResumeEntry(entry.interrupt_id, entry.status, entry.payload) for entry in sent.resume)
    warnings: list[Warned] = []
    if any(message.role in ("system", "developer") for message in sent.messages):
        warnings.append(_IGNORED_INSTRUCTIONS)
    if sent.tools:
        warnings.append(Warned("ignored_tools", "The copilot calls no tools of the frontend."))
    props = sent.forwarded_props or ForwardedProps()
    merged = _merge_answers(utterances)
    request = CopilotRequest(
        _messages(merged),
        thread_id=sent.thread_id,
        checkpoint=_in_state(sent.state),
        resume=resume,
        context=props.context,
        options=props.options,
    )
    return TranslatedRequest(request, _pointers(merged), tuple(warnings), prefix="/forwardedProps")


def _in_state(state: Any) -> str | None:
    """Return the checkpoint that our stream put there."""
    ours = cast("_Object", state).get(STATE) if isinstance(state, dict) else None
    return _token(ours)


def _text_of(content: str | tuple[_Object, ...] | _Object | None) -> str:
    if isinstance(content, str):
        return content
    return _texts(content) if isinstance(content, tuple) else ""


# AI SDK


class UiMessage(Struct, frozen=True):
    """A `UIMessage`. Of its parts only text counts."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[_Object, ...]


class AiSdkRequest(Struct, frozen=True):
    """Holds what `DefaultChatTransport` sends; `resume`, `context` and `options` come from its `body`. The rest is not read."""

    messages: Annotated[tuple[UiMessage, ...], Meta(min_length=1, max_length=2_000)]
    id: _ForeignId | None = None
    resume: Annotated[tuple[ResumeEntry, ...], Meta(max_length=20)] = ()
    context: CopilotContext = CopilotContext()
    options: CopilotOptions = CopilotOptions()


def translate_ai_sdk(sent: AiSdkRequest) -> TranslatedRequest:
    """Return *sent* as a request of ours.

    Raises:
        InvalidInput: Nobody says anything in it.

    """
    utterances = [
        _Utterance(message.role, _texts(_valid_parts(message.parts)), f"/messages/{index}")
        for index, message in enumerate(sent.messages)
        if message.role != "system"
    ]
    warnings = [_IGNORED_INSTRUCTIONS] if any(message.role == "system" for message in sent.messages) else []
    merged = _merge_answers(utterances)
    request = CopilotRequest(
        _messages(merged),
        thread_id=sent.id,
        checkpoint=_in_parts(sent.messages),
        resume=sent.resume,
        context=sent.context,
        options=sent.options,
    )
    return TranslatedRequest(request, _pointers(merged), tuple(warnings))


def _in_parts(messages: Iterable[UiMessage]) -> str | None:
    """Return the checkpoint in the latest answer that has one."""
    parts = [part for message in messages if message.role == "assistant" for part in message.parts]
    found = [part.get("data") for part in parts if part.get("type") == CHECKPOINT]
    return _token(found[-1], "token") if found else None


def _valid_parts(parts: Iterable[_Object]) -> list[_Object]:
    """Return the parts that count: a turn that was taken back says so at its end, and began with `step-start`."""
    valid: list[_Object] = []
    step = 0
    for part in parts:
        if part.get("type") == "step-start":
            step = len(valid)
        elif part.get("type") == TURN_RESET:
            del valid[step:]
        else:
            valid.append(part)
    return valid


# Both

_IGNORED_INSTRUCTIONS = Warned("ignored_instructions", "Messages of the roles system and developer do not count.")


def _token(holder: Any, name: str = "checkpoint") -> str | None:
    token = cast("_Object", holder).get(name) if isinstance(holder, dict) else None
    return token if isinstance(token, str) else None


def _texts(parts: Iterable[_Object]) -> str:
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return "\n\n".join(text for text in texts if isinstance(text, str))


def _merge_answers(utterances: Iterable[_Utterance]) -> list[_Utterance]:
    """Join messages that follow one another in the copilot's voice: other protocols cut an answer at each call."""
    merged: list[_Utterance] = []
    for utterance in utterances:
        if merged and utterance.role == merged[-1].role == "assistant":
            merged[-1] = structs.replace(merged[-1], text=f"{merged[-1].text}\n\n{utterance.text}".strip())
        else:
            merged.append(utterance)
    if not merged:
        finding = Finding("/messages", "invalid_history", "The last message must be the user's, and say something.")
        raise InvalidInput(finding.detail, findings=[finding])
    return merged


def _messages(merged: Iterable[_Utterance]) -> tuple[ChatMessage, ...]:
    return tuple(ChatMessage(utterance.role, utterance.text) for utterance in merged)


def _pointers(merged: Iterable[_Utterance]) -> dict[str, str]:
    return {f"/messages/{index}": utterance.pointer for index, utterance in enumerate(merged)}
