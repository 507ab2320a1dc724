"""A thread is the conversation a run stands in, taken from the client's history or from a checkpoint.

A checkpoint counts only where the client tells the same history; what the client says beyond it is text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from segment_copilot.copilot.conversation.checkpoint import (
    Checkpoint,
    CheckpointRefused,
    OpenQuestion,
    Signer,
    Utterance,
)
from segment_copilot.copilot.conversation.compaction import drop_older_results
from segment_copilot.copilot.conversation.request import ChatMessage, CopilotRequest, ResumeEntry
from segment_copilot.copilot.models import AssistantMessage, Message, ToolResult, ToolResults, UserMessage
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.run_events import Clarification, Warned
from segment_copilot.errors import Conflict, Finding, InvalidInput

_LAST_TURN: Final = "No more tool calls are possible. Answer now with what you have, and say what is missing."


class Thread(Struct):
    """Holds the messages so far, and how a client's history tells them. The run adds to it as it goes on."""

    messages: list[Message]
    utterances: list[Utterance]
    id: str | None = None
    catalog: str = ""  # digest of what the last workspace told
    drafts: tuple[Draft, ...] = ()
    as_of: datetime | None = None  # of a run that was broken off and goes on; then *timezone* is its too
    timezone: str | None = None
    _before: str = ""  # what a run that was broken off has told the client, without white space

    @property
    def continues(self) -> bool:
        """Return whether the thread goes on with what the model was told already."""
        return self.as_of is not None

    @property
    def said(self) -> tuple[str, ...]:
        """Return what the person wrote, answers to questions too, the latest last."""
        return tuple(text for message in self.messages for text in _said(message))

    def show(self, workspace: str) -> None:
        """Let *workspace* stand with what was said last."""
        last = self.messages[-1]
        if isinstance(last, UserMessage):
            self.messages[-1] = structs.replace(last, workspace=workspace)
        elif isinstance(last, ToolResults):
            self.messages[-1] = structs.replace(last, notes=(*last.notes, workspace))

    def end_calls(self) -> None:
        """Tell the model that its next turn may not call."""
        last = self.messages[-1]
        if isinstance(last, AssistantMessage):
            self.messages.append(UserMessage("", notes=(_LAST_TURN,)))
        elif _LAST_TURN not in last.notes:
            self.messages[-1] = structs.replace(last, notes=(*last.notes, _LAST_TURN))

    def compact(self) -> bool:
        """Leave out what older calls gave; return whether there was anything."""
        smaller = drop_older_results(self.messages)
        changed = list(smaller) != self.messages
        self.messages[:] = smaller
        return changed

    def close(self, texts: Sequence[str], *, own: str, whole: bool) -> None:
        """End the run: the client was told one of *texts* (some keep what was taken back), the end of it is our *own*.

        Unless the model's last answer is *whole*, only its text is kept.
        """
        last = self.messages[-1]
        if isinstance(last, AssistantMessage) and not whole:
            self.messages.pop()
            own = "\n\n".join(text for text in (last.text.strip(), own) if text)
        if own:
            self.messages.append(AssistantMessage(own))
        plain = [text for one in texts if (text := _plain(one))]
        plain += [self._before + text for text in plain if self._before]
        self.utterances.append(Utterance("assistant", tuple(dict.fromkeys(map(_digest, plain)))))

    def suspend(self, question: Clarification) -> tuple[tuple[Message, ...], OpenQuestion]:
        """Return the messages up to *question*, and what waits for its answer."""
        last = self.messages[-1]
        assert isinstance(last, ToolResults)  # noqa: S101  # a question is a call, and a call has a result
        ids = [result.tool_call_id for result in last.results]
        position = ids.index(question.tool_call_id)
        others = (*last.results[:position], *last.results[position + 1 :])
        answers = question.response_schema["properties"]["answer"].get("enum", ())
        return tuple(self.messages[:-1]), OpenQuestion(
            question.id, question.tool_call_id, position=position, results=others, answers=tuple(answers)
        )


def thread_of(
    request: CopilotRequest, signer: Signer, *, tenant_id: int, user: str | None, setting: str, now: datetime
) -> tuple[Thread, tuple[Warned, ...]]:
    """Return the thread of *request*, and why its checkpoint is not taken when it is not.

    Raises:
        InvalidInput: The last word is not the person's, or no answer that the question takes.
        Conflict: An answer to a question that the checkpoint does not hold open.
    """
    if request.checkpoint is None:
        return thread_of_messages(request), ()
    try:
        checkpoint = signer.open(request.checkpoint, tenant_id=tenant_id, setting=setting, now=now, user=user)
        return thread_of_checkpoint(request, checkpoint), ()
    except CheckpointRefused as refused:
        code = refused.fault
    except Disagreement:
        code = "history_changed"
    return thread_of_messages(request), (
        Warned(code, f"{_IGNORED[code]} The conversation is taken from the messages."),
    )


_IGNORED: Final[Mapping[str, str]] = {
    "checkpoint_invalid": "The checkpoint was not made here, or was changed.",
    "checkpoint_expired": "The checkpoint is older than a day.",
    "checkpoint_outdated": "The checkpoint was made by another version or model, or with other components.",
    "history_changed": "The messages are not those of the checkpoint.",
}


class Disagreement(Exception):
    """The client's history is not the one of the checkpoint."""


def thread_of_messages(request: CopilotRequest) -> Thread:
    """Return the thread as the client tells it: texts, and nothing else.

    Raises:
        InvalidInput: The last word is not the person's.
    """
    messages = [message for message in request.messages if message.content.strip()]
    if not request.resume:
        _person_speaks(messages, len(request.messages) - 1)
    answers = [UserMessage(entry.message) for entry in request.resume]
    return Thread(
        messages=[*map(_message, messages), *answers],
        utterances=[*map(_heard, messages), *(_utterance_of_answer(entry) for entry in request.resume)],
        id=request.thread_id,
    )


def thread_of_checkpoint(request: CopilotRequest, checkpoint: Checkpoint) -> Thread:
    """Return the thread of *checkpoint*, and what the client says beyond it.

    Raises:
        Disagreement: The client tells another history, or nothing new.
        Conflict: An answer to a question that is not open.
        InvalidInput: The last word is not the person's, or no answer that the question takes.
    """
    if request.thread_id not in (None, checkpoint.thread_id):
        raise Disagreement
    rest, before = _beyond(request.messages, checkpoint)
    utterances = list(checkpoint.utterances)
    messages = list(checkpoint.messages)
    _check_resume(request.resume, checkpoint.question)
    if (question := checkpoint.question) is not None:
        results, spoken, rest = _answer(question, request.resume, rest)
        messages.append(results)
        utterances += spoken
    elif not rest and not checkpoint.unfinished:
        raise Disagreement
    if rest:
        _person_speaks(rest, len(request.messages) - 1)
    continues = checkpoint.unfinished and not rest
    return Thread(
        messages=[*messages, *map(_message, rest)],
        utterances=[*utterances, *map(_heard, rest)],
        id=checkpoint.thread_id,
        catalog=checkpoint.catalog,
        drafts=checkpoint.drafts,
        as_of=checkpoint.as_of if continues else None,
        timezone=checkpoint.timezone if continues else None,
        _before=before if continues else "",
    )


def _beyond(messages: Iterable[ChatMessage], checkpoint: Checkpoint) -> tuple[list[ChatMessage], str]:
    """Return what follows the checkpoint's history in *messages*, and what its broken-off run had already told."""
    heard = [message for message in messages if message.content.strip()]
    position, answer = 0, ""  # of an answer, what has not been found again yet
    for utterance in checkpoint.utterances:
        if utterance.role == "user":
            known = position < len(heard) and not answer and _is(utterance, heard[position])
            if not known and not utterance.optional:
                raise Disagreement
            position += known
            continue
        longest = max(length for length, _ in utterance.alternatives)
        while len(answer) < longest and position < len(heard) and heard[position].role == "assistant":
            answer += _plain(heard[position].content)
            position += 1
        found = [one for one in utterance.alternatives if _digest(answer[: one[0]]) == one]
        if not found:
            raise Disagreement
        answer = answer[max(found)[0] :]
    if answer:
        raise Disagreement
    before = ""
    while checkpoint.unfinished and position < len(heard) and heard[position].role == "assistant":
        before += _plain(heard[position].content)
        position += 1
    return heard[position:], before


def _check_resume(resume: Sequence[ResumeEntry], question: OpenQuestion | None) -> None:
    findings = [
        Finding(
            f"/resume/{index}", "resume_conflict", "No question of this id is open.", (question.id,) if question else ()
        )
        for index, entry in enumerate(resume)
        if question is None or entry.id != question.id
    ]
    if findings:
        detail = "The thread waits for no such answer. Leave out what is answered already."
        raise Conflict(detail, code="resume_conflict", findings=findings)


def _answer(
    question: OpenQuestion, resume: Sequence[ResumeEntry], rest: Sequence[ChatMessage]
) -> tuple[ToolResults, list[Utterance], list[ChatMessage]]:
    """Return the results that the model waits for, how the answer was said, and what the person says beside it."""
    if resume:
        entry = resume[-1]
        answer, spoken, rest = (
            entry.answer if entry.status == "resolved" else None,
            [_utterance_of_answer(entry)],
            list(rest),
        )
        if answer is not None and question.answers and answer not in question.answers:
            finding = Finding("/resume/0/payload", "invalid_answer", "This is none of the options.", question.answers)
            raise InvalidInput(finding.detail, findings=[finding])
    elif rest and rest[0].role == "user":
        answer, spoken, rest = rest[0].content, [_heard(rest[0])], list(rest[1:])
    else:
        raise Disagreement
    content: dict[str, Any] = {"answer": answer} if answer is not None else {"cancelled": True, "note": _DECLINED}
    result = ToolResult(question.tool_call_id, "ask_user", msgspec.json.encode(content).decode())
    results = (*question.results[: question.position], result, *question.results[question.position :])
    return ToolResults(results), spoken, rest


_DECLINED: Final = "The person would rather not answer. Go on without it, or say what is missing."


def _said(message: Message) -> Iterator[str]:
    match message:
        case UserMessage():
            yield message.text
        case ToolResults():
            for result in message.results:
                if result.name == "ask_user" and not result.is_error:
                    answer = msgspec.json.decode(result.content, type=dict[str, Any]).get("answer")
                    if isinstance(answer, str):
                        yield answer
        case _:
            return


def _person_speaks(messages: Sequence[ChatMessage], last: int) -> None:
    if not messages or messages[-1].role != "user":
        detail = "The last message must be the user's, and say something."
        raise InvalidInput(detail, findings=[Finding(f"/messages/{last}", "invalid_history", detail)])


def _message(message: ChatMessage) -> Message:
    return UserMessage(message.content) if message.role == "user" else AssistantMessage(message.content)


def _heard(message: ChatMessage) -> Utterance:
    return Utterance(message.role, (_digest(_plain(message.content)),))


def _utterance_of_answer(entry: ResumeEntry) -> Utterance:
    return Utterance("user", (_digest(_plain(entry.message)),), optional=True)


def _is(utterance: Utterance, message: ChatMessage) -> bool:
    return message.role == utterance.role and _digest(_plain(message.content)) in utterance.alternatives


def _plain(text: str) -> str:
    """Drop the white space: clients join the texts of an answer in many ways."""
    return "".join(text.split())


def _digest(plain: str) -> tuple[int, str]:
    return len(plain), hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:32]
