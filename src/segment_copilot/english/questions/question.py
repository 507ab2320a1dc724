"""A question's words, sorted: the segments, time spans, numbers and users that it names, and the words that are left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from msgspec import Struct
from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.english.linking.names import Names
from segment_copilot.english.plan import Context
from segment_copilot.english.times import dates
from segment_copilot.english.times.phrases import quantity
from segment_copilot.english.times.said import times_said
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems
from segment_copilot.english.words.stems import is_past
from segment_copilot.language.catalog import SegmentName

_BESIDE: Final = stems("segment audience cohort")
_MOST_ROWS: Final = 100
_WHOLE_WEEK: Final = (("monday", "to", "sunday"), ("mon", "to", "sun"), ("monday", "through", "sunday"))
"""Beside "last week" this says no other time."""
_SHORTEST: Final = 5  # letters of a name that may hold a slip
_LONG: Final = 9  # letters of a name that may hold two
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SAID_ID: Final = re.compile(
    r"\b(?:user|customer|member|contact|person|profile|client|visitor)(?:\s+(?:id|number|no\.?))?\s+[#\"'`“]?"
    r"(?P<id>[\w.:-]*\d[\w.:-]*|(?<=[\"'`“])[\w.:@-]+)[\"'`”]?",
    re.IGNORECASE,
)
_BARE_ID: Final = re.compile(r"(?<![\w-])[A-Za-z]{1,12}[_-]\d[\w-]*(?![\w-])")


class Mention(Struct, frozen=True):
    """A mention is a segment and the places of the tokens that name it; *note* shows a name that was mended."""

    segment: SegmentName
    first: int
    after: int
    note: str = ""


class Question:
    """The tokens of a message and what they mention. *user* is the id of a single user that was taken out of it, *notes* tell slips."""

    def __init__(
        self, tokens: Sequence[Token], context: Context, *, user: str = "", notes: tuple[str, ...] = ()
    ) -> None:
        self.tokens = tuple(tokens)
        self.lowers = tuple(token.lower for token in self.tokens)
        self._places: dict[str, list[int]] = {}
        for at, lower in enumerate(self.lowers):
            self._places.setdefault(lower, []).append(at)
        self.known: dict[object, Any] = {}  # what words were found to name: many ways ask for the same
        self.context = context
        self.names = context.names
        self.user = user
        self.mentions = segments_in(self.tokens, self.names)
        self.notes = (*notes, *(one.note for one in self.mentions if one.note))
        named = {at for mention in self.mentions for at in range(mention.first, mention.after)}
        named |= {at for phrase in _WHOLE_WEEK for at in self.phrase_at(phrase)}
        self._spans = tuple(
            (found, first, after)
            for first, after, found, bare, _ in times_said(
                self.tokens, dates.local_date(context.as_of, context.timezone)
            )
            if not bare and named.isdisjoint(range(first, after))
        )
        timed = {at for _, first, after in self._spans for at in range(first, after)}
        self.windows = tuple(found for found, _, _ in self._spans if found.kind not in {"ever", "same"})
        self.ever = any(found.kind == "ever" for found, _, _ in self._spans)
        self.taken = frozenset(named | timed)
        self.compared = frozenset(_comparisons(self.tokens)) - self.taken
        self.free = tuple(at for at, token in enumerate(self.tokens) if at not in self.taken and token.kind != "sign")

    @cached_property
    def tells(self) -> bool:
        """Return whether it speaks of people and what they did, and does not ask: "users who …", "ordered in May and June"."""
        if self.tokens and is_past(self.lowers[0]) and self.lowers[0] not in _ASKS and self.lowers[-1] != "?":
            return True
        for at in self.free:
            token, behind = self.tokens[at], self.lowers[at + 1 : at + 2]
            if token.lower == "who":
                return True
            if token.stem in _WHOM or token.lower in {"those", "ones", "anyone", "everyone"}:
                return behind in _THAT
            if token.stem in _NUMBERS or (at == self.free[0] and token.lower in {"is", "are", "did", "has", "have"}):
                return False
        return False

    @property
    def begins_in_the_past(self) -> bool:
        """Tell whether its first word says what was done, and so orders nothing: "exported at least 3 reports"."""
        return bool(self.tokens) and is_past(self.lowers[0])

    @property
    def segments(self) -> tuple[SegmentName, ...]:
        """The segments named, in order."""
        return tuple(dict.fromkeys(mention.segment for mention in self.mentions))

    @cached_property
    def number_at(self) -> int | None:
        """Return where the number stands that may say how many are asked for."""
        for at in self.free:
            token = self.tokens[at]
            if token.kind == "number" and 0 < token.value <= _MOST_ROWS and float(token.value).is_integer():
                return at
        return None

    @property
    def number(self) -> int | None:
        """The number that may say how many are asked for."""
        return None if self.number_at is None else int(self.tokens[self.number_at].value)

    def phrase_at(self, phrase: tuple[str, ...]) -> tuple[int, ...]:
        """Return the places of the words of *phrase* where they stand side by side; () where they do not."""
        for at in self._places.get(phrase[0], ()):
            if self.lowers[at : at + len(phrase)] == phrase:
                return tuple(range(at, at + len(phrase)))
        return ()


_ASKS: Final = frozenset({"did", "had"})
_WHOM: Final = PEOPLE
_THAT: Final = tuple(
    (one,) for one in ("who", "that", "whose", "with", "without", "having", "aged", "in", "from", "not", "which")
)
_NUMBERS: Final = stems("many number count percentage share much")


def _comparisons(tokens: tuple[Token, ...]) -> Iterator[int]:
    """Yield the places of comparisons with a number: "at least 3"."""
    for at in range(len(tokens)):
        read = quantity(tokens, at)
        if read is not None and read[1] > at + 1:
            yield from range(at, read[1])


def user_in(text: str) -> tuple[str, str, bool]:
    """Return the id of a single user in *text*, the text without it, and whether it is surely one; "" for none."""
    for pattern in (_SAID_ID, _EMAIL, _BARE_ID):
        found = pattern.search(text)
        if found:
            user = found.groupdict().get("id") or found.group()
            return user.rstrip(".:-"), f"{text[: found.start()]} {text[found.end() :]}".strip(), pattern is not _BARE_ID
    return "", text, False


# Segments


def segments_in(tokens: tuple[Token, ...], names: Names) -> tuple[Mention, ...]:
    """Return the segments named, in order: exact names, and only where there are none, names with a slip or in part."""
    taken: set[int] = set()
    found: list[Mention] = []
    for mention in sorted(_exact(tokens, names), key=lambda one: one.first - one.after):
        if taken.isdisjoint(range(mention.first, mention.after)):
            found.append(mention)
            taken |= set(range(mention.first, mention.after))
    if not found:
        near = _with_slip(tokens, names) or _in_part(tokens, names)
        found = [near] if near else []
    return tuple(sorted(found, key=lambda one: one.first))


def _exact(tokens: tuple[Token, ...], names: Names) -> Iterator[Mention]:
    plain = [at for at, token in enumerate(tokens) if token.kind != "sign"]
    for before, at in pairwise(plain):
        numbered = tokens[at].kind == "number" and tokens[before].stem in _BESIDE  # "segment 4"
        if numbered and (by_id := names.catalog.segments.get(int(tokens[at].value))) is not None:
            yield Mention(by_id, at, at + 1)
    for number, name in names.segment_stems.items():
        segment = names.catalog.segments[number]
        for at, token in enumerate(tokens):
            if token.kind == "quoted" and token.lower == segment.name.lower():
                yield Mention(segment, at, at + 1)
        for first in range(len(plain)):
            run = plain[first : first + len(name)]
            if name and tuple(tokens[at].stem for at in run) == name and _is_meant(tokens, run, segment.name):
                yield Mention(segment, run[0], run[-1] + 1)


def _is_meant(tokens: tuple[Token, ...], run: list[int], name: str) -> bool:
    """Return whether a single word is meant as the name: written as it is, next to "segment", or after "in"."""
    if len(run) > 1:
        return True
    around = {tokens[at].stem for at in (run[0] - 1, run[0] + 1) if 0 <= at < len(tokens)}
    before = tokens[run[0] - 1].lower if run[0] else ""
    return bool(around & _BESIDE) or tokens[run[0]].text == name or before in {"for", "of", "in", "is", "the"}


def _with_slip(tokens: tuple[Token, ...], names: Names) -> Mention | None:
    """Return the one name that a run of words spells but for a letter or two: "High LVT"."""
    near: list[tuple[int, Mention]] = []
    for segment in names.catalog.segments.values():
        wanted = segment.name.casefold()
        size, most = len(wanted.split()), 2 if len(wanted) >= _LONG else 1
        for first in range(len(tokens) - size + 1 if len(wanted) >= _SHORTEST else 0):
            run = tokens[first : first + size]
            said = " ".join(token.lower for token in run)
            distance = DamerauLevenshtein.distance(said, wanted, score_cutoff=most)
            if 0 < distance <= most:
                note = f"I read “{written(run)}” as the segment {segment.name}."
                near.append((distance, Mention(segment, first, first + size, note)))
    near.sort(key=lambda one: one[0])
    return near[0][1] if len(near) == 1 or (near and near[0][0] < near[1][0]) else None


def _in_part(tokens: tuple[Token, ...], names: Names) -> Mention | None:
    """Return the one name of which the words before "segment" are a part: "the LTV segment"."""
    for at, token in enumerate(tokens):
        first = at
        while token.stem in _BESIDE and first and _tells(tokens[first - 1]):
            first -= 1
        said = {one.stem for one in tokens[first:at]}
        fitting = [number for number, name in names.segment_stems.items() if said and said <= set(name)]
        if len(fitting) == 1:
            segment = names.catalog.segments[fitting[0]]
            return Mention(segment, first, at, f"I read “{written(tokens[first:at])}” as the segment {segment.name}.")
    return None


def _tells(token: Token) -> bool:
    return token.kind in {"word", "name"} and token.stem not in NOISE | PEOPLE
