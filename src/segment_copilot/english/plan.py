"""Plays an answer turn by turn: it asks for look-ups one after the other, and says its sentences when it has them all.

An answer is a generator: it yields the calls that it needs, is sent their documents, and returns what to say. Each turn
plays it from its beginning over the results so far, so that the same results always give the same turn.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.english.linking.names import Names
from segment_copilot.language.catalog import Catalog

PROPOSE: Final = "propose_segment"
REVISE: Final = "revise_segment"
PREVIEW: Final = "preview_segment"
ASK: Final = "ask_user"
CHART: Final = "display_event_chart"

_UNDRAWN: Final = "display_"
_COULD_NOT: Final = {
    PROPOSE: "I understood the audience, but it could not be drafted: {}",
    REVISE: "I understood the change, but it could not be made: {}",
    PREVIEW: "I understood the question, but it could not be counted: {}",
}
_STOPPED: Final = "I stopped before I could look that up: no more look-ups are allowed in this answer."


class Call(Struct, frozen=True):
    """A call names a tool and its arguments."""

    name: str
    arguments: Mapping[str, Any]


class Unmapped(Struct, frozen=True):
    """A part of a request that was refused: its words, why, and the names that might have been meant."""

    text: str
    reason: str
    names: tuple[str, ...] = ()


class Turn(Struct, frozen=True):
    """A turn says sentences, then makes calls; without calls it is the last.

    *refused* when nothing was done of what was asked; *unmapped* says of which part.
    """

    sentences: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    refused: bool = False
    unmapped: tuple[Unmapped, ...] = ()


Answer = Generator[Call | tuple[Call, ...], Any, Sequence[str] | Turn]
"""Yields a call (and is sent its document) or several at once (a list of them); returns what is said at the end."""


class Result(Struct, frozen=True):
    """A result is what a call of this question gave."""

    call_id: str
    name: str
    document: Mapping[str, Any]
    failed: bool = False


class Base(Struct, frozen=True):
    """A base is what the person looks at or was shown last: a draft, or a saved segment.

    *in_view* when the server has it too, so that a tool finds it without being told. *named* when a person gave the
    name, which then stays whatever is changed; *earlier* is what it was before the last change.
    """

    definition: Mapping[str, Any]
    name: str = ""
    segment_id: int | None = None
    in_view: bool = False
    assumptions: tuple[str, ...] = ()
    named: bool = False
    earlier: Base | None = None


class Context(Struct, frozen=True):
    """Holds what an answer may look at besides the question."""

    names: Names
    as_of: datetime
    timezone: str
    tools: frozenset[str]
    tools_allowed: bool = True
    base: Base | None = None

    @property
    def catalog(self) -> Catalog:
        """Return what exists in the tenant."""
        return self.names.catalog

    @property
    def segment_names(self) -> Mapping[int, str]:
        """Return the names of the segments by their ids."""
        return {number: one.name for number, one in self.catalog.segments.items()}


def play(answer: Answer, results: Sequence[Result], context: Context) -> Turn:
    """Return the next turn of *answer*. A look-up that failed ends it; what cannot be drawn is left out.

    A chart is of the look-up before it, whose id it is given here.
    """
    left = list(results)
    sent: Any = None
    of = ""
    while True:
        try:
            wanted = answer.send(sent)
        except StopIteration as end:
            return end.value if isinstance(end.value, Turn) else Turn(tuple(filter(None, end.value)))
        calls = wanted if isinstance(wanted, tuple) else (wanted,)
        found = [_take(call.name, left) for call in calls]
        if calls[0].name.startswith(_UNDRAWN):
            if found[0] is None and context.tools_allowed and calls[0].name in context.tools:
                drawn = {"tool_call_id": of} if calls[0].name == CHART else {}
                return Turn(calls=(Call(calls[0].name, {**calls[0].arguments, **drawn}),))
            sent = None
            continue
        if None in found:
            return Turn(calls=calls) if context.tools_allowed else Turn((_STOPPED,))
        if (broken := next((one for one in found if one is not None and one.failed), None)) is not None:
            return _unable(broken)
        of = next(one.call_id for one in found if one is not None)
        documents = [one.document for one in found if one is not None]
        sent = documents if isinstance(wanted, tuple) else documents[0]


def say(*sentences: str, refuses: bool = False, unmapped: Sequence[Unmapped] = ()) -> Answer:
    """Return an answer that looks nothing up."""
    yield from ()
    return Turn(tuple(filter(None, sentences)), refused=refuses, unmapped=tuple(unmapped))


def read_document(content: str) -> Mapping[str, Any]:
    """Return a tool result's JSON; empty when it is no object."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}


def _take(name: str, left: list[Result]) -> Result | None:
    """Take the first result of that tool."""
    found = next((one for one in left if one.name == name), None)
    if found is not None:
        left.remove(found)
    return found


class _Finding(Struct):
    detail: str = ""
    suggestions: list[str] = []


class _Error(Struct):
    """A tool's error, as far as it is said."""

    message: str = "the tool gave no reason"
    retry: str = ""
    findings: list[_Finding] = []


def _unable(result: Result) -> Turn:
    """Say why a tool gave nothing; it is a refusal where the request was what it failed of."""
    try:
        error = msgspec.convert(result.document.get("error"), _Error)
    except msgspec.ValidationError:
        error = _Error()
    details = dict.fromkeys(part for part in (error.message, *(one.detail for one in error.findings)) if part)
    nearest = dict.fromkeys(name for one in error.findings for name in one.suggestions)
    told = " ".join(details) + (f" Nearest: {', '.join(nearest)}." if nearest else "")
    sentence = _COULD_NOT.get(result.name, "I could not look that up: {}").format(told)
    if error.retry != "adjust":
        return Turn((sentence,))
    unmapped = [Unmapped("", one.detail, tuple(one.suggestions)) for one in error.findings if one.detail]
    return Turn((sentence,), refused=True, unmapped=tuple(unmapped) or (Unmapped("", error.message),))
