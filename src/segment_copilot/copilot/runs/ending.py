"""Ends a run: with what the server itself says, the button of a draft, and the checkpoint for the next run.

The server speaks when a run would end without a text, and where a text leaves out what it may not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from segment_copilot.copilot.conversation.checkpoint import Signer
from segment_copilot.copilot.conversation.workspace import counts_told
from segment_copilot.copilot.guards.claims import claims_write
from segment_copilot.copilot.guards.numbers import Given
from segment_copilot.copilot.models import AssistantMessage, ToolResults, UserMessage
from segment_copilot.copilot.runs.beginning import Beginning
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.run_events import Limit, Outcome
from segment_copilot.copilot.stream.transcript import Emit, Transcript
from segment_copilot.copilot.tools.context import Memory, component_event
from segment_copilot.copilot.tools.display import button
from segment_copilot.copilot.tools.drafts import QUOTA_REACHED

_CLAIMED: Final = "The text says that something was saved. Nothing was."
_NOTHING_SAVED: Final = "Nothing has been saved: the copilot drafts, a person saves."
_NEARLY_ALL: Final = 95  # percent
_NUMBER: Final = re.compile(r"\d(?:[\d.,\u00a0\u202f]*\d)?")
_NOBODY: Final = re.compile(
    r"\b(?:nobody|no one|none|no (?:\w+ )?users?|empty|zero|nadie|ning[uú]n\w*|cero)\b", re.IGNORECASE
)
_UNSUPPORTED: Final = "No look-up, no draft and no person said this number: {}."
_LIMITS: Final[dict[Limit, str]] = {
    "max_turns": "I stopped here: this question needs more steps than one answer may take.",
    "max_tool_calls": "I stopped here: this question needs more look-ups than one answer may make.",
    "max_cost": "I stopped here: this answer has reached what one may cost.",
    "max_tokens": "I stopped here: the answer grew longer than one may be.",
    "repeated_calls": "I stopped here: I was asking for the same thing again and again.",
}


class Checkpoints:
    """Seals one run's thread wherever the next run can go on from."""

    def __init__(
        self, beginning: Beginning, memory: Memory, *, signer: Signer, tenant_id: int, thread_id: str, emit: Emit
    ) -> None:
        self._beginning = beginning
        self._memory = memory
        self._signer = signer
        self._tenant_id = tenant_id
        self._thread_id = thread_id
        self._emit = emit

    def write(self, *, unfinished: bool = False) -> None:
        """Send the thread as it is now; nothing when it is too large for a checkpoint."""
        checkpoint = self._beginning.checkpoint(
            self._tenant_id,
            self._thread_id,
            drafts=tuple(replace(one, conditions=UNSET) for one in self._memory.drafts.values()),  # counts of now
            question=self._memory.question,
            unfinished=unfinished,
        )
        token = self._signer.seal(checkpoint)
        if token is not None:
            self._emit(run_events.Checkpointed(token))


class Ending:
    """Says what a run left unsaid, and leaves its thread as the next run finds it."""

    def __init__(
        self, beginning: Beginning, memory: Memory, *, transcript: Transcript, checkpoints: Checkpoints
    ) -> None:
        self._beginning = beginning
        self._memory = memory
        self._transcript = transcript
        self._checkpoints = checkpoints

    def conclude(
        self, outcome: Outcome, limit: Limit | None = None, *, declined: Sequence[run_events.Unmapped] | None = None
    ) -> None:
        """Write the server's own words, the button and the checkpoint of a run that ends well.

        Where the model itself *declined* something, its text says what it cannot do and is kept.
        """
        words = self._own_words(outcome, limit, declined=declined)
        if words:
            self._transcript.whole_text(words)
        if self._memory.question is not None:  # behind its text: a frontend draws the options where they come
            self._transcript.emit(self._memory.question)
        self._offer_latest_draft()
        if self._memory.question is not None:
            words = ""  # the call asks it
        self._beginning.thread.close(
            [self._transcript.final_text, self._transcript.written_text],
            own=words,
            whole=(outcome != "refused" or declined is not None) and limit != "max_tokens",
        )
        self._checkpoints.write()

    def _own_words(
        self, outcome: Outcome, limit: Limit | None, *, declined: Sequence[run_events.Unmapped] | None
    ) -> str:
        text, question = self._transcript.final_text, self._memory.question
        if question is not None:  # in a history only texts count: the next run must find it there
            return "" if question.question in text else question.question
        drafts = list(self._memory.drafts.values())
        if not text or (outcome == "refused" and declined is None):
            return closing_words(outcome, limit, drafts)
        counted = self._memory.latest("preview_segment")
        sentences = [uncounted_extreme(text, drafts, counted)]
        if numbers := self._unsupported_numbers(text, declined or ()):
            named = ", ".join(numbers)
            self._transcript.emit(run_events.Warned("unsupported_number", _UNSUPPORTED.format(named)))
            # Where a count is told already, the person sees which number is right.
            sentences += [] if sentences[0] else [unchecked(named, drafts, counted, looked=bool(self._memory.results))]
        sentences += [one for one in _over_quota(drafts) if one not in text]
        if claims_write(text):
            self._transcript.emit(run_events.Warned("claims_write", _CLAIMED))
            sentences.append(_NOTHING_SAVED)
        return " ".join(sentence for sentence in sentences if sentence)

    def _unsupported_numbers(self, text: str, declined: Sequence[run_events.Unmapped]) -> tuple[str, ...]:
        """Return the numbers in what the model wrote that no tool, no draft and no person said.

        The reasons of what was *declined* are the server's, limits of its own among them.
        """
        messages = self._beginning.thread.messages
        drafts = list(self._memory.drafts.values())
        given = Given()
        for message in messages:
            match message:
                case UserMessage():
                    given.add(message.text, counts_told(message.workspace))
                case ToolResults():
                    given.add(*(msgspec.json.decode(result.content) for result in message.results))
                case AssistantMessage():
                    given.add_asked(*(dict(call.arguments) for call in message.tool_calls))
        given.add(*(found.document for found in self._memory.results.values()))
        given.add(*(_facts(one) for one in (*self._memory.earlier_drafts.values(), *drafts)))
        given.add(*(one.reason for one in declined))
        if self._memory.question is not None:
            given.add(msgspec.to_builtins(self._memory.question))
        written = [text, *self._memory.captions]
        written += [sentence for one in drafts for sentence in (one.description, *one.assumptions)]
        return tuple(dict.fromkeys(number for one in written for number in given.unsupported(one)))

    def _offer_latest_draft(self) -> None:
        """Draw the button, where the run made a draft, drew no button itself, and the frontend can."""
        drafts = list(self._memory.drafts.values())
        if not drafts or self._memory.offered_drafts or not self._beginning.draws("CreateSegmentCTA"):
            return
        component_id = self._memory.new_id("component")
        self._transcript.emit(component_event(button(drafts[-1]), component_id=component_id, tool_call_id=UNSET))


def _over_quota(drafts: Sequence[Draft]) -> list[str]:
    """Return what the last draft says of a quota that it passes: a person learns it before saving fails."""
    return [found.detail for found in drafts[-1].warnings if found.code == QUOTA_REACHED] if drafts else []


def _facts(draft: Draft) -> Mapping[str, Any]:
    """Return what the server itself says in *draft*: its name, description and assumptions are the model's words."""
    found = msgspec.to_builtins(draft)
    return {key: found[key] for key in ("definition", "words", "preview", "tier_reason", "warnings", "revision")}


def closing_words(outcome: Outcome, limit: Limit | None, drafts: Sequence[Draft]) -> str:
    """Return what the server says for a run that said nothing."""
    if outcome == "refused":
        return "I cannot help with this request. I can answer questions about your segments and events, and draft segments."
    sentences = [_LIMITS[limit]] if limit else []
    if drafts:
        sentences.append(_draft_in_words(drafts[-1]))
    elif not limit:
        sentences.append("I have nothing to add to what is shown.")
    return " ".join(sentences)


def unchecked(numbers: str, drafts: Sequence[Draft], counted: Mapping[str, Any] | None, *, looked: bool) -> str:
    """Return the sentence that tells a person which *numbers* nobody said, and what was counted instead."""
    are = "are" if ", " in numbers else "is"
    if not looked:
        return f"I did not look anything up for this answer: {numbers} {are} not checked."
    stand = "stand" if are == "are" else "stands"
    said = f"{numbers} {stand} in no look-up of this answer and {are} not checked."
    if drafts:
        preview = drafts[-1].preview
        return f"{said} The draft matches {preview.count:,} of {preview.universe:,} users."
    if counted is not None:
        return f"{said} The last count: {counted['matched_users']:,} of {counted['universe']:,} users."
    return said


def uncounted_extreme(text: str, drafts: Sequence[Draft], counted: Mapping[str, Any] | None) -> str:
    """Return a sentence on how many users the last draft matches, else the last count (*counted*), if it must be text.

    It must when that is nobody or nearly everybody and *text* does not tell it; otherwise the sentence is empty.
    """
    if drafts:
        preview = drafts[-1].preview
        return _extreme(text, f"The draft “{drafts[-1].name}”", preview.count, preview.universe)
    if counted is None:
        return ""
    return _extreme(text, "The last count", counted["matched_users"], counted["universe"])


def _extreme(text: str, subject: str, count: int, universe: int) -> str:
    if 0 < count <= universe * _NEARLY_ALL / 100:
        return ""
    numbers = {re.sub(r"\D", "", number) for number in _NUMBER.findall(text)}
    if str(count) in numbers or (count == 0 and _NOBODY.search(text)):
        return ""
    who = "everybody" if count == universe else "nearly everybody"
    return f"{subject} matches {who if count else 'nobody'}: {count:,} of {universe:,} users."


def _draft_in_words(draft: Draft) -> str:
    preview = draft.preview
    return (
        f"I drafted the segment “{draft.name}”: {draft.words} "
        f"It matches {preview.count:,} of {preview.universe:,} users. "
        + "".join(f"{sentence} " for sentence in _over_quota([draft]))
        + "Nothing is saved yet."
    )
