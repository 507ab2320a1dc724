"""The plan that ends in an edited draft: the patch, the button, and one sentence on what changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from segment_copilot.english.answers.drafting import CTA, PROPOSE, draft_sentences
from segment_copilot.english.answers.telling import unable
from segment_copilot.english.audience.draft import Proposal
from segment_copilot.english.edits.drafted import Drafted, Json
from segment_copilot.english.edits.spots import spots
from segment_copilot.english.edits.which import in_words
from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Call, Context, Result, Turn, latest
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode
from segment_copilot.language.describe import describe, entitle

_READ_AS = re.compile(r"is read as (?:at least|exactly) (\d+)")
REVISE = "revise_segment"


class Revise(Struct, frozen=True):
    """Change what *base* is to *definition* by *operations*. *said* is what changed, in sentences."""

    base: Drafted
    definition: Json
    operations: tuple[Json, ...]
    said: tuple[str, ...]
    name: str = ""
    notes: tuple[str, ...] = ()
    title: str = ""  # what the definition would be called now, by nobody's choice
    sentence: str = ""  # who is in it now

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """The next turn."""
        tool = REVISE if self.base.known and REVISE in context.tools else PROPOSE
        revised = latest(results, tool)
        if revised is None:
            arguments = self._patch() if tool == REVISE else self.proposal().arguments()
            if not context.tools_allowed:
                return Turn(("I cannot change this draft now: no more look-ups are allowed in this answer.",))
            return Turn(calls=(Call(tool, arguments),))
        if revised.failed:
            return unable(f"I understood the change, but it could not be drafted: {revised.message}", revised)
        if latest(results, CTA) is None and context.tools_allowed and CTA in context.tools:
            return Turn(calls=(Call(CTA, {"draft_id": revised.document["draft_id"]}),))
        _, *rest = draft_sentences(revised.document, self.notes)
        kept = "The saved segment stays as it is until you save this." if self.base.saved else ""
        return Turn((*self.said, *rest[:-1], kept, rest[-1]))

    def proposal(self) -> Proposal:
        """The whole definition as a new draft."""
        name = self._called() or "New segment"
        return Proposal(name[:80], self._description(), dict(self.definition), self._assumed(), self._named)

    def edited(self) -> Drafted:
        """What is on the table after it."""
        return Drafted(
            self.definition, self._called(), self.base.known, self.base.segment_id, (*self.base.operations, *self.operations),
            self._assumed(), self.base.counted, self.base, self._named,
        )  # fmt: skip

    @property
    def _named(self) -> bool:
        return bool(self.name) or self.base.named

    def _called(self) -> str:
        """The name that fits what it is now: a person's stays, ours is made anew when the definition is another."""
        if self.name:
            return self.name
        keeps = self._named or self.base.segment_id is not None or not self.operations
        return self.base.name if keeps else self.title or self.base.name

    def _patch(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"patch": [dict(one) for one in (*self.base.operations, *self.operations)]}
        if self.base.segment_id is not None:
            arguments["segment_id"] = self.base.segment_id
        if self.name:
            arguments["name"] = self.name
        if (assumed := self._assumed()) != self.base.assumptions:
            arguments["assumptions"] = list(assumed)
        return arguments

    def _assumed(self) -> tuple[str, ...]:
        """What is assumed now: what was before, unless its number is gone, and what this change adds."""
        numbers = {str(value) for spot in spots(self.definition) for value in spot.node.values()}
        read = [(one, _READ_AS.search(one)) for one in self.base.assumptions]
        kept = [one for one, found in read if found is None or found[1] in numbers]
        return tuple(dict.fromkeys((*kept, *self.notes)))[:10]

    def _description(self) -> str:
        return (self.sentence or "An edited draft.")[:500]


def changes(base: Drafted, after: Json, index: Index) -> tuple[str, ...]:
    """What is another, condition by condition, in sentences; what a saved segment says is not told again, it was not read here."""
    before = base.definition
    old, new = _told(before, index), _told(after, index)
    gone = [one for one in old if one not in new]
    come = [one for one in new if one not in old]
    said: list[str] = []
    for left_out in (False, True):
        went = [words for words, out in gone if out == left_out]
        came = [words for words, out in come if out == left_out]
        kind = "left out" if left_out else ""
        if len(went) == len(came) and base.saved:
            said += [f"Now{' left out' if left_out else ''}: {one}." for one in came]
        elif len(went) == len(came):
            said += [f"Changed: {_whose(one, kind)} is now: {other}." for one, other in zip(went, came, strict=True)]
        else:
            said += [f"Taken away: {_whose(one, kind)}." for one in went]
            said += [f"Left out now: {one}." if left_out else f"Added: {one}." for one in came]
    if str(before.get("logic", "")).upper() != str(after.get("logic", "")).upper():
        said.append(
            "Any one of these is enough now." if str(after["logic"]).upper() == "OR" else "All of these must hold now."
        )
    return tuple(said) or ("Changed how the conditions are joined.",)


def in_short(definition: Json, index: Index) -> tuple[str, str]:
    """What a definition would be called, and who is in it; "" both when the language refuses it."""
    names = {number: one.name for number, one in index.catalog.segments.items()}
    try:
        read = decode(definition)
    except InvalidDefinition:
        return "", ""
    return entitle(read, names), describe(read, names)


def _whose(words: str, kind: str) -> str:
    return f"{kind}: {words}" if kind else words


def _told(definition: Json, index: Index) -> list[tuple[str, bool]]:
    return [(in_words(spot.condition, index), spot.excluded) for spot in spots(definition) if spot.whole]
