"""Requests of other protocols' clients, as ours: whose words count is the same whoever carries them.

Of a client's history only what the person and the copilot said is taken. Tool results, reasoning, activities and data
are claims and are left out; so are instructions of the roles `system` and `developer`, with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct, structs

from segment_copilot.copilot.encoders.ai_sdk import TURN_RESET
from segment_copilot.copilot.events import Warned
from segment_copilot.copilot.request import ChatMessage, CopilotContext, CopilotOptions, CopilotRequest
from segment_copilot.errors import Finding, InvalidInput

_ForeignId = Annotated[str, Meta(min_length=1, max_length=256)]
_Object: TypeAlias = Mapping[str, Any]


class Asked(Struct, frozen=True):
    """A request as ours. *pointers* says where each message stands in what the client sent, *prefix* where the rest does."""

    request: CopilotRequest
    pointers: Mapping[str, str]
    warnings: tuple[Warned, ...] = ()
    prefix: str = ""

    def blamed(self, error: InvalidInput) -> InvalidInput:
        """*error* with the client's own places."""
        findings = [structs.replace(one, pointer=self._place(one.pointer)) for one in error.findings]
        return InvalidInput(error.detail, code=error.code, findings=findings)

    def _place(self, pointer: str) -> str:
        for ours, theirs in self.pointers.items():
            if pointer == ours or pointer.startswith(f"{ours}/"):
                return theirs
        return pointer if pointer == "/messages" else self.prefix + pointer


class _Said(Struct, frozen=True):
    role: Literal["user", "assistant"]
    text: str
    pointer: str


# AG-UI


class ForwardedProps(Struct, frozen=True):
    """What AG-UI leaves to the application: the same context and options as in our own requests."""

    context: CopilotContext = CopilotContext()
    options: CopilotOptions = CopilotOptions()


class AgUiMessage(Struct, frozen=True):
    """A message of the thread. Only `user` and `assistant` count, and of parts only text."""

    role: Literal["developer", "system", "user", "assistant", "tool", "activity", "reasoning"]
    content: str | tuple[_Object, ...] | _Object | None = None


class ResumeEntry(Struct, frozen=True, rename="camel"):
    """The answer to a question that ended the run before: `{"answer": …}` or a text."""

    interrupt_id: _ForeignId
    status: Literal["resolved", "cancelled"]
    payload: str | _Object | None = None


class AgUiRequest(Struct, frozen=True, rename="camel"):
    """AG-UI's `RunAgentInput`. Its `state`, `context` and other members are not read."""

    thread_id: _ForeignId
    run_id: _ForeignId
    messages: Annotated[tuple[AgUiMessage, ...], Meta(max_length=2_000)]
    tools: tuple[_Object, ...] = ()
    resume: Annotated[tuple[ResumeEntry, ...], Meta(max_length=20)] = ()
    forwarded_props: ForwardedProps | None = None


def ask_ag_ui(sent: AgUiRequest) -> Asked:
    """*sent* as a request of ours.

    Raises:
        InvalidInput: Nobody says anything in it, or an answer is not a text.

    """
    said = [
        _Said(message.role, _text_of(message.content), f"/messages/{index}")
        for index, message in enumerate(sent.messages)
        if message.role in ("user", "assistant")
    ]
    for index, entry in enumerate(sent.resume):
        if entry.status == "resolved":
            said.append(_Said("user", _answer(entry, index), f"/resume/{index}/payload"))
    warnings: list[Warned] = []
    if any(message.role in ("system", "developer") for message in sent.messages):
        warnings.append(_IGNORED_INSTRUCTIONS)
    if sent.tools:
        warnings.append(Warned("ignored_tools", "The copilot calls no tools of the frontend."))
    props = sent.forwarded_props or ForwardedProps()
    return _asked(said, props.context, props.options, warnings, prefix="/forwardedProps")


def _text_of(content: str | tuple[_Object, ...] | _Object | None) -> str:
    if isinstance(content, str):
        return content
    return _texts(content) if isinstance(content, tuple) else ""


def _answer(entry: ResumeEntry, index: int) -> str:
    answer = entry.payload.get("answer") if isinstance(entry.payload, Mapping) else entry.payload
    if not isinstance(answer, str):
        finding = Finding(f"/resume/{index}/payload", "invalid_answer", 'Answer with {"answer": "…"}.')
        raise InvalidInput(finding.detail, code=finding.code, findings=[finding])
    return answer


# AI SDK


class UiMessage(Struct, frozen=True):
    """A `UIMessage`. Of its parts only text counts."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[_Object, ...]


class AiSdkRequest(Struct, frozen=True):
    """What `DefaultChatTransport` sends; `context` and `options` come from its `body`. Other members are not read."""

    messages: Annotated[tuple[UiMessage, ...], Meta(max_length=2_000)]
    id: _ForeignId | None = None
    context: CopilotContext = CopilotContext()
    options: CopilotOptions = CopilotOptions()


def ask_ai_sdk(sent: AiSdkRequest) -> Asked:
    """*sent* as a request of ours.

    Raises:
        InvalidInput: Nobody says anything in it.

    """
    said = [
        _Said(message.role, _texts(_standing(message.parts)), f"/messages/{index}")
        for index, message in enumerate(sent.messages)
        if message.role != "system"
    ]
    warnings = [_IGNORED_INSTRUCTIONS] if any(message.role == "system" for message in sent.messages) else []
    return _asked(said, sent.context, sent.options, warnings, prefix="")


def _standing(parts: Iterable[_Object]) -> list[_Object]:
    """The parts that count: a turn that was taken back says so at its end, and began with `step-start`."""
    kept: list[_Object] = []
    step = 0
    for part in parts:
        if part.get("type") == "step-start":
            step = len(kept)
        elif part.get("type") == TURN_RESET:
            del kept[step:]
        else:
            kept.append(part)
    return kept


# Both

_IGNORED_INSTRUCTIONS = Warned("ignored_instructions", "Messages of the roles system and developer do not count.")


def _texts(parts: Iterable[_Object]) -> str:
    texts = (part.get("text") for part in parts if part.get("type") == "text")
    return "\n\n".join(text for text in texts if isinstance(text, str))


def _asked(
    said: Iterable[_Said], context: CopilotContext, options: CopilotOptions, warnings: Iterable[Warned], *, prefix: str
) -> Asked:
    """Messages that follow one another in the copilot's voice are one: other protocols cut an answer at each call."""
    merged: list[_Said] = []
    for one in said:
        if merged and one.role == merged[-1].role == "assistant":
            merged[-1] = structs.replace(merged[-1], text=f"{merged[-1].text}\n\n{one.text}".strip())
        else:
            merged.append(one)
    if not merged:
        finding = Finding("/messages", "invalid_history", "The last message must be the user's, and say something.")
        raise InvalidInput(finding.detail, findings=[finding])
    pointers = {f"/messages/{index}": one.pointer for index, one in enumerate(merged)}
    messages = tuple(ChatMessage(one.role, one.text) for one in merged)
    return Asked(
        CopilotRequest(messages=messages, context=context, options=options),
        pointers,
        tuple(warnings),
        prefix,
    )
