"""A request holds what a client asks: the conversation so far, what the person is looking at, and options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from segment_copilot.documents import unstorable
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.decode import is_timezone
from segment_copilot.language.lengths import EARLIEST, LATEST, Instant

MAX_HISTORY_CHARACTERS = 400_000
MAX_ANSWER_CHARACTERS = 2_000
_DECLINED = "I would rather not answer that. Go on without it."

ComponentName = Literal["MetricCard", "SegmentTable", "EventVolumeChart", "CreateSegmentCTA"]
Identifier = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_.:-]+$")]


class ChatMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """A message holds what one side said. Only the text counts: earlier tool results are never taken from a client."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(max_length=100_000)]
    id: Annotated[str, Meta(max_length=256)] | None = None


class CopilotContext(Struct, frozen=True, forbid_unknown_fields=True):
    """Says when and where the question is asked, and what the person is looking at."""

    as_of: Instant | None = None
    timezone: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    segment_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    draft: Mapping[str, Any] | None = None


class CopilotOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Says how the client wants to be answered.

    *components* are what the frontend can draw (default: all); *model* must be the one this service runs.
    """

    model: Annotated[str, Meta(max_length=128)] | None = None
    effort: Literal["low", "medium", "high"] | None = None
    max_turns: Annotated[int, Meta(ge=1, le=1000)] | None = None
    components: tuple[ComponentName, ...] | None = None
    reasoning: Literal["none", "summary"] = "none"


class ResumeEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """Says what became of a question that ended an earlier run. *payload* of a resolved one: `{"answer": …}` or the text."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    status: Literal["resolved", "cancelled"]
    payload: str | Mapping[str, Any] | None = None

    @property
    def answer(self) -> str | None:
        """Return the person's words; None when the payload has none."""
        text = self.payload.get("answer") if isinstance(self.payload, Mapping) else self.payload
        return text if isinstance(text, str) and text.strip() else None

    @property
    def message(self) -> str:
        """Return the answer as the person's next message, for a thread that does not know the question."""
        return self.answer or "" if self.status == "resolved" else _DECLINED


class CopilotRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A request is one question with its history. *resume* answers the question that ended the run before.

    *checkpoint* is the last token of the thread; where it cannot be taken, a warning says so and the messages count.
    """

    messages: Annotated[tuple[ChatMessage, ...], Meta(min_length=1, max_length=200)]
    thread_id: Identifier | None = None
    checkpoint: Annotated[str, Meta(max_length=400_000)] | None = None
    resume: Annotated[tuple[ResumeEntry, ...], Meta(max_length=20)] = ()
    context: CopilotContext = CopilotContext()
    options: CopilotOptions = CopilotOptions()


def check_request(request: CopilotRequest, *, model: str) -> None:
    """Refuse what types cannot: raises InvalidInput with every finding, before a stream is opened."""
    findings: list[Finding] = []
    last = len(request.messages) - 1
    speaks = request.messages[last].role == "user" and request.messages[last].content.strip()
    if not speaks and not request.resume and not request.checkpoint:
        findings.append(
            Finding(f"/messages/{last}", "invalid_history", "The last message must be the user's, and say something.")
        )
    findings += _check_texts(request)
    if sum(len(message.content) for message in request.messages) > MAX_HISTORY_CHARACTERS:
        findings.append(Finding("/messages", "history_too_long", "Send at most 400,000 characters of history."))
    if (zone := request.context.timezone) is not None and not is_timezone(zone):
        findings.append(
            Finding("/context/timezone", "unknown_timezone", "Use an IANA name, for example Europe/Madrid.")
        )
    if (as_of := request.context.as_of) is not None and not EARLIEST <= as_of <= LATEST:
        findings.append(Finding("/context/as_of", "out_of_range", "Use an instant between 1900 and 2299, in UTC."))
    if request.context.draft is not None and len(msgspec.json.encode(request.context.draft)) > 256 * 1024:
        findings.append(Finding("/context/draft", "too_large", "A draft holds at most 256 KiB."))
    if request.options.model not in (None, model):
        findings.append(Finding("/options/model", "unknown_model", "This service runs another model.", (model,)))
    if findings:
        raise InvalidInput("The copilot cannot take this request; each finding says where.", findings=findings)


def _check_texts(request: CopilotRequest) -> Iterator[Finding]:
    for index, message in enumerate(request.messages):
        place = f"/messages/{index}/content"
        yield from (Finding(place, "invalid_text", flaw.detail) for flaw in unstorable(message.content))
    for index, entry in enumerate(request.resume):
        if entry.status == "resolved" and entry.answer is None:
            yield Finding(f"/resume/{index}/payload", "invalid_answer", 'Answer with {"answer": "…"}.')
        elif any(unstorable(entry.message)) or len(entry.message) > MAX_ANSWER_CHARACTERS:
            detail = f"An answer is text of at most {MAX_ANSWER_CHARACTERS:,} characters, without NUL."
            yield Finding(f"/resume/{index}/payload", "invalid_answer", detail)
