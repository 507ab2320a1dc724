"""A question's words, sorted: the segments and time spans it names, the number it asks for, the noun it is about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from segment_copilot.english.linking.index import Index
from segment_copilot.english.questions.names import Mention, segments_in
from segment_copilot.english.times.dates import MONTHS, WEEKDAYS
from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.times.windows import Window, window
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems
from segment_copilot.language.catalog import SegmentName

EVENTS: Final = stems("event activity ingestion")
SEGMENTS: Final = stems("segment")
CONNECTORS: Final = stems("connector activation integration destination sync connection synced connected connect")
SCHEMAS: Final = stems("schema taxonomy")
PROPERTIES: Final = stems("property field attribute payload column parameter trait")
TREND: Final = stems(
    "trend growth grow grew evolve evolution history historical change develop development shrink shrank progress progression "
    "trajectory timeline over-time decline rise fall drop increase decrease growing shrinking"
)
ASKING: Final = stems(
    "what which who whose show list give tell how many much often number see display chart can could you want need get find "
    "plot draw graph look count there do did does have has had is are was were be will would please know let any anything "
    "currently now right moment today's exactly across every each all total overall altogether combined us me our my your i we "
    "it's quick quickly simply just also again one sentence word short briefly then that this those these fetch share report "
    "workspace tenant project really actually think seem sure hm well anyway say said answer question like table card text print write"
)  # fmt: skip
"""Words that ask, and name nothing."""
_MOST_ROWS: Final = 100
_DAILY: Final = (
    ("per", "day"), ("by", "day"), ("each", "day"), ("every", "day"), ("a", "day"), ("day", "by", "day"), ("day", "to", "day"),
    ("daily",), ("per", "date"), ("by", "date"), ("over", "time"), ("day", "over", "day"), ("for", "each", "day"),
)  # fmt: skip
_COARSE: Final = {"hourly", "weekly", "monthly", "yearly", "quarterly"}


class Question(Struct, frozen=True):
    """The words of a question, sorted by what they may be about."""

    tokens: tuple[Token, ...]
    words: frozenset[str]  # the stems of *rest*
    lowers: frozenset[str]  # every word as written
    windows: tuple[Window, ...]
    number: int | None
    mentions: tuple[Mention, ...]
    rest: tuple[Token, ...]  # without the segments' names, the windows and "per day"
    index: Index
    focus: str  # the first noun that says what is asked about: people segments events connectors schemas
    daily: bool = False
    ever: bool = False  # "in total", "of all time"
    user: str = ""  # the id of the single user it is about
    viewed: int | None = None  # the segment the person is looking at

    @property
    def window(self) -> Window | None:
        """The first time span."""
        return self.windows[0] if self.windows else None

    @property
    def segments(self) -> tuple[SegmentName, ...]:
        """The segments named, in order."""
        return tuple(dict.fromkeys(mention.segment for mention in self.mentions))

    @property
    def segment(self) -> SegmentName | None:
        """The one segment it is about: the first named, or the one that is looked at where it says "this segment"."""
        if self.mentions:
            return self.mentions[0].segment
        return self.index.catalog.segments.get(self.viewed) if self.viewed is not None and self._points else None

    @property
    def _points(self) -> bool:
        """Whether it says "this segment", "it", "the segment"."""
        text = f" {' '.join(token.lower for token in self.tokens)} "
        return any(f" {said} " in text for said in _POINTING)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended in names."""
        return tuple(mention.note for mention in self.mentions if mention.note)

    @property
    def first(self) -> str:
        """The first word, politeness aside."""
        return next((token.lower for token in self.tokens if token.lower not in _POLITE), "")

    @property
    def head(self) -> Token | None:
        """The noun right behind "which", "what" or "how many"."""
        for token in self.rest:
            if token.kind in {"word", "name", "quoted"} and token.stem not in ASKING | NOISE:
                return token
        return None

    def has(self, *groups: frozenset[str]) -> bool:
        """Whether a word of each group occurs."""
        return all(bool(self.words & group) for group in groups)

    def says(self, *phrases: str) -> bool:
        """Whether one of the phrases occurs, word for word."""
        text = f" {' '.join(token.lower for token in self.tokens)} "
        return any(f" {phrase} " in text for phrase in phrases)

    def left(self, *groups: frozenset[str]) -> tuple[Token, ...]:
        """The words that neither asking nor the groups explain."""
        spent = ASKING | NOISE | frozenset[str]().union(*groups)
        return tuple(token for token in self.rest if token.kind != "sign" and not self._spent(token, spent))

    def _spent(self, token: Token, spent: frozenset[str]) -> bool:
        if token.kind == "word":
            return token.stem in spent
        return token.kind == "number" and token.value == self.number

    @property
    def how_many(self) -> bool:
        """Whether a number is asked for."""
        phrases = ("how many", "number of", "count of", "how often", "how much", "total number", "how large", "how big")
        return self.says(*phrases) or self.first == "count"

    @property
    def people(self) -> bool:
        """Whether it is about people by a word that says so."""
        return self.focus == "people" or bool(self.words & (PEOPLE - stems("account those one contact lead")))


_POLITE: Final = {"please", "can", "could", "you", "hi", "hello", "hey", "ok", "okay", "so", "and", ",", "now", "then", "just", "would", "i", "want", "to",
                  "know", "like", "need", "d", "me", "tell", "see", "let", "us"}  # fmt: skip
_POINTING: Final = (
    "this segment", "the segment", "that segment", "this one", "this audience", "this", "it", "its", "here", "this group", "current segment"
)  # fmt: skip


def sort_question(
    tokens: tuple[Token, ...], index: Index, today: date, *, user: str = "", viewed: int | None = None
) -> Question:
    """Sort a question's words by what they may be about."""
    tokens = tuple(word("segments") if token.lower in _LISTS else token for token in tokens)
    mentions = segments_in(tokens, index)
    named = {at for mention in mentions for at in range(mention.first, mention.after)}
    kept = tuple(token for at, token in enumerate(tokens) if at not in named)
    windows: list[Window] = []
    rest: list[Token] = []
    daily = ever = False
    at = 0
    while at < len(kept):
        read = _day_before(kept, at, today) or window(kept, at, today) or _bare_window(kept, at, today)
        ends = _daily(kept, at) or _coarse_step(kept, at)
        if read:
            ever |= read[0].kind == "ever"
            windows += [read[0]] if read[0].kind not in {"ever", "same"} else []
            at = read[1]
        elif ends:
            daily, at = daily or not _coarse_step(kept, at), ends
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
    return Question(
        tokens=tokens, words=frozenset(token.stem for token in rest), lowers=frozenset(token.lower for token in tokens),
        windows=tuple(windows), number=number, mentions=mentions, rest=tuple(rest), index=index, focus=_focus(rest),
        daily=daily, ever=ever, user=user, viewed=viewed,
    )  # fmt: skip


def window_spans(tokens: tuple[Token, ...], today: date) -> tuple[tuple[int, int], ...]:
    """Where the time spans stand: from which token up to which."""
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(tokens):
        read = _day_before(tokens, at, today) or window(tokens, at, today) or _bare_window(tokens, at, today)
        if read and read[0].kind not in {"ever", "same"}:
            spans.append((at, read[1]))
        at = read[1] if read else at + 1
    return tuple(spans)


def _daily(tokens: tuple[Token, ...], at: int) -> int:
    """The position after "per day"; 0 for anything else."""
    for words in _DAILY:
        if lowers(tokens, at, len(words)) == words:
            return at + len(words)
    return 0


def _coarse_step(tokens: tuple[Token, ...], at: int) -> int:
    """The position after "per week"; 0 for anything else."""
    words = lowers(tokens, at, 2)
    return at + 2 if len(words) > 1 and words[0] in {"per", "by", "each", "every"} and words[1] in _STEPS else 0


_STEPS: Final = {"hour", "week", "month", "year", "quarter", "weekday"}


def _day_before(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """Of "the day before yesterday"."""
    start = at + 1 if lowers(tokens, at, 1) == ("the",) else at
    if lowers(tokens, start, 3) != ("day", "before", "yesterday"):
        return None
    day = today - timedelta(days=2)
    text = "the day before yesterday"
    return Window("range", text=text, first=day, after=day + timedelta(days=1)), start + 3


def _bare_window(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window, int] | None:
    """Of a "30-day" trend, which brings no preposition, and of "orders May 2026", "Monday's orders"."""
    if at + 2 < len(tokens) and tokens[at].kind == "number" and tokens[at + 1].lower == "-":
        joined = (*tokens[:at], _LAST, tokens[at], *tokens[at + 2 :])
        read = window(joined, at, today)
        return (read[0], read[1]) if read else None
    token = tokens[at]
    dated = (
        token.kind == "date" or token.lower in WEEKDAYS or _is_month(token) or token.lower in {"q1", "q2", "q3", "q4"}
    )
    if not dated and not (
        token.kind == "number" and lowers(tokens, at + 1, 1) and lowers(tokens, at + 1, 1)[0] in MONTHS
    ):
        return None
    read = window((*tokens[:at], _IN, *tokens[at:]), at, today)
    return (read[0], read[1] - 1) if read else None


def _is_month(token: Token) -> bool:
    return token.lower in MONTHS and token.text[:1].isupper() and (len(token.lower) > len("may") or token.text == "May")


_LISTS: Final = {"audiences", "cohorts"}
_LAST: Final = word("last")
_IN: Final = word("in")


def coarse(question: Question) -> str:
    """A step that events are not counted by: "weekly", "per month"; "" for none."""
    by = next((unit for unit in _STEPS if question.says(f"per {unit}", f"by {unit}", f"each {unit}", f"every {unit}", f"a {unit}")), "")  # fmt: skip
    return by or next(iter(question.lowers & _COARSE), "")


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
            and token.lower not in {"those", "one", "ones", "account", "accounts", "contact", "lead"}
            and following not in TREND | SCHEMAS | PROPERTIES
        ):
            return "people"
    return ""
