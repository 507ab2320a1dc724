"""A question's words, sorted: the segment and time span it names, the number it asks for, the noun it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from segment_copilot.catalog import SegmentName
from segment_copilot.copilot.models.offline.index import Index
from segment_copilot.copilot.models.offline.lexer import Token
from segment_copilot.copilot.models.offline.lexicon import PEOPLE, stems
from segment_copilot.copilot.models.offline.windows import Window, window

EVENTS = stems("event activity")
SEGMENTS = stems("segment")
CONNECTORS = stems("connector activation integration destination sync connection")
SCHEMAS = stems("schema taxonomy")
TREND = stems(
    "trend growth grow grew evolve evolution history historical change develop development shrink progress progression trajectory timeline over-time"
)
SEGMENT_WORDS = SEGMENTS | stems("group list audience cohort")


_MOST_ROWS = 100


class Question(Struct, frozen=True):
    """The words of a question, sorted by what they may be about."""

    tokens: tuple[Token, ...]
    words: frozenset[str]
    lowers: frozenset[str]
    window: Window | None
    number: int | None
    segment: SegmentName | None
    rest: tuple[Token, ...]  # without the segment's name and the window
    index: Index
    focus: str  # the first noun that says what is asked about: people segments events connectors schemas

    def has(self, *groups: frozenset[str]) -> bool:
        """Whether a word of each group occurs."""
        return all(bool(self.words & group) for group in groups)

    @property
    def how_many(self) -> bool:
        """Whether a number is asked for."""
        text = " ".join(token.lower for token in self.tokens)
        return (
            any(said in text for said in ("how many", "number of", "count of", "how often", "how much", "total number"))
            or self.tokens[0].lower == "count"
        )


def sort_question(tokens: tuple[Token, ...], index: Index, today: date) -> Question:
    """Sort a question's words by what they may be about."""
    segment, kept = _segment(tokens, index)
    found: Window | None = None
    rest: list[Token] = []
    at = 0
    while at < len(kept):
        read = window(kept, at, today) or _bare_window(kept, at, today)
        if read and read[0].kind != "ever":
            found = found or read[0]
            at = read[1]
        else:
            rest.append(kept[at])
            at += 1
    number = next(
        (
            int(token.value)
            for token in rest
            if token.kind == "number" and 0 < token.value <= _MOST_ROWS and float(token.value).is_integer()
        ),
        None,
    )
    words = frozenset(token.stem for token in rest)
    return Question(
        tokens,
        words,
        frozenset(token.lower for token in tokens),
        found,
        number,
        segment,
        tuple(rest),
        index,
        _focus(rest),
    )


def _bare_window(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """Of "last 30 days" is read as such; "30-day" and "weekly" trends bring no preposition."""
    if at + 2 < len(tokens) and tokens[at].kind == "number" and tokens[at + 1].lower == "-":
        return window((*tokens[:at], Token("word", "last", "last", "last"), *tokens[at:]), at, today) and _shifted(
            tokens, at, today
        )
    return None


def _shifted(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    read = window((*tokens[:at], Token("word", "last", "last", "last"), *tokens[at:]), at, today)
    return (read[0], read[1] - 1) if read else None


def _segment(tokens: tuple[Token, ...], index: Index) -> tuple[SegmentName | None, tuple[Token, ...]]:
    """The longest run of words that is a segment's name, and the tokens without it."""
    best: tuple[int, int, int] | None = None
    stemmed = [token.stem for token in tokens]
    for number, name in index.segments.items():
        plain = [at for at, token in enumerate(tokens) if token.kind != "sign"]
        for first in range(len(plain)):
            run = plain[first : first + len(name)]
            if (
                name
                and tuple(stemmed[at] for at in run) == name
                and (best is None or len(name) > best[0])
                and _is_name(tokens, run, index.catalog.segments[number].name)
            ):
                best = (len(name), number, first)
    quoted = [
        (at, segment)
        for at, token in enumerate(tokens)
        if token.kind == "quoted"
        for segment in index.catalog.segments.values()
        if segment.name.lower() == token.lower
    ]
    if quoted:
        return quoted[0][1], tuple(token for at, token in enumerate(tokens) if at != quoted[0][0])
    if best is None:
        return None, tokens
    plain = [at for at, token in enumerate(tokens) if token.kind != "sign"]
    taken = set(range(plain[best[2]], plain[best[2] + best[0] - 1] + 1))
    return index.catalog.segments[best[1]], tuple(token for at, token in enumerate(tokens) if at not in taken)


def _is_name(tokens: tuple[Token, ...], run: list[int], name: str) -> bool:
    """Whether a single word is meant as the name: written as it is, or next to "segment"."""
    if len(run) > 1 or not run:
        return bool(run)
    around = {tokens[at].stem for at in (run[0] - 1, run[0] + 1) if 0 <= at < len(tokens)}
    before = tokens[run[0] - 1].lower if run[0] else ""
    return bool(around & SEGMENT_WORDS) or tokens[run[0]].text == name or before in {"for", "of", "in", "is", "the"}


def _focus(tokens: Sequence[Token]) -> str:
    for at, token in enumerate(tokens):
        following = tokens[at + 1].stem if at + 1 < len(tokens) else ""
        if token.stem in EVENTS:
            return "schemas" if following in SCHEMAS else "events"
        if token.stem in SEGMENTS:
            return "segments"
        if token.stem in CONNECTORS:
            return "connectors"
        if token.stem in SCHEMAS:
            return "schemas"
        if (
            token.stem in PEOPLE
            and token.lower not in {"those", "ones", "account", "accounts"}
            and following not in TREND | SCHEMAS
        ):
            return "people"
    return ""
