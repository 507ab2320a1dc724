"""What a turn does: call tools, or say something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from segment_copilot.english.edits.drafted import Drafted
from segment_copilot.english.linking.index import Index
from segment_copilot.language.catalog import Catalog


class Call(Struct, frozen=True):
    """A tool to call."""

    name: str
    arguments: Mapping[str, Any]


class Unmapped(Struct, frozen=True):
    """One part of a request that was refused, in the person's words, why, and the names that might have been meant."""

    text: str
    reason: str
    names: tuple[str, ...] = ()


class Turn(Struct, frozen=True):
    """One turn: sentences to say, and calls to make after them. Without calls it is the last.

    *refused* when nothing was done of what was asked: the sentences say why, and *unmapped* which part of it.
    """

    sentences: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    refused: bool = False
    unmapped: tuple[Unmapped, ...] = ()


class Result(Struct, frozen=True):
    """What a call of this question gave."""

    call_id: str
    name: str
    document: Mapping[str, Any]
    failed: bool = False

    @property
    def message(self) -> str:
        """Why it failed, and what would fit."""
        try:
            error = msgspec.convert(self.document.get("error"), _Error)
        except msgspec.ValidationError:
            return "the tool gave no reason"
        said = " ".join(
            dict.fromkeys(part for part in (error.message, *(one.detail for one in error.findings)) if part)
        )
        nearest = dict.fromkeys(name for one in error.findings for name in one.suggestions)
        return f"{said} Nearest: {', '.join(nearest)}." if nearest else said

    @property
    def unmapped(self) -> tuple[Unmapped, ...]:
        """What of the request it could not be given; none when it failed for another reason than the request."""
        try:
            error = msgspec.convert(self.document.get("error"), _Error)
        except msgspec.ValidationError:
            return ()
        if error.retry != "adjust":
            return ()
        found = tuple(Unmapped("", one.detail, tuple(one.suggestions)) for one in error.findings if one.detail)
        return found or (Unmapped("", error.message),)


class _Finding(Struct):
    detail: str = ""
    suggestions: list[str] = []


class _Error(Struct):
    """A tool's error, as far as it is said."""

    message: str = ""
    retry: str = ""
    findings: list[_Finding] = []


class Context(Struct, frozen=True):
    """What a plan may look at besides the question."""

    index: Index
    as_of: datetime
    timezone: str
    tools: frozenset[str]
    tools_allowed: bool = True
    drafted: Drafted | None = None  # what an edit would change
    recent: bool = True  # whether that is what was spoken of last

    @property
    def catalog(self) -> Catalog:
        """What exists in the tenant."""
        return self.index.catalog


class Plan(Protocol):
    """How one question is answered, turn by turn, from the results so far. Pure: the same results give the same turn."""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        ...


class Say(Struct, frozen=True):
    """An answer that needs no tool. *refuses* when it says what cannot be done; *unmapped* is of what, "" of all of it."""

    sentences: tuple[str, ...]
    refuses: bool = False
    unmapped: tuple[Unmapped, ...] = ()

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """Say it."""
        del results, context  # a plan's signature
        return Turn(self.sentences, refused=self.refuses, unmapped=self.unmapped)


def declined(sentences: Sequence[str], unmapped: Sequence[Unmapped] = ()) -> Say:
    """The plan that says what cannot be done."""
    return Say(tuple(sentences), refuses=True, unmapped=tuple(unmapped))


class Option(Struct, frozen=True):
    """One answer to a question. *value* is what the person would say to pick it: it also stands for the words asked about."""

    label: str
    value: str
    effect: str = ""


class Ask(Struct, frozen=True):
    """A question to the person. *phrase* is what it is about, in the words of the request; the answer takes its place.

    *template* makes a phrase of an answer that is only a number, an amount or a length of time: `{}` stands for it.
    """

    question: str
    phrase: str
    options: tuple[Option, ...] = ()
    template: str = ""
    before: tuple[str, ...] = ()  # what to say before it
    around: str = ""  # the whole request with `{}` where the answer stands, when it takes the place of no words

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """Ask by the tool, or in plain text where there is none."""
        asked = latest(results, ASK)
        if asked is None and context.tools_allowed and ASK in context.tools:
            options = [msgspec.to_builtins(option) for option in self.options]
            for option in options:
                if not option["effect"]:
                    del option["effect"]
            return Turn(self.before, (Call(ASK, {"question": self.question, "options": options}),))
        if asked is not None and not asked.failed:
            return Turn()
        listed = tuple(f"{number}. {option.label}" for number, option in enumerate(self.options, 1))
        return Turn((*self.before, self.question, *listed))


ASK = "ask_user"


def latest(results: Sequence[Result], name: str) -> Result | None:
    """The latest result of a tool, failed or not."""
    return next((result for result in reversed(results) if result.name == name), None)


def read_document(content: str) -> Mapping[str, Any]:
    """A tool result's JSON; empty when it is not an object."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
