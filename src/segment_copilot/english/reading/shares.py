"""Reads shares of people: "half of", "10% of", "the remaining 90 %", and the name of the split that they are of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from segment_copilot.english.words.lexer import Token

_WORDS: Final = {"half": 50.0, "third": 100 / 3, "quarter": 25.0, "fifth": 20.0, "tenth": 10.0}
_UPPER: Final = {"upper", "other", "second", "remaining", "rest", "last", "latter", "top"}
_PERCENT: Final = {"%", "percent", "pct", "percentage"}
_KEYS: Final = {
    "key",
    "keyed",
    "salt",
    "salted",
    "seed",
    "split",
    "test",
    "name",
    "named",
    "call",
    "called",
    "experiment",
    "holdout",
    "labelled",
}
_SLICES: Final = frozenset({"bucket", "buckets", "slots", "slice", "split", "sample"})
_TIMES: Final = {"a", "hour", "year", "month", "day", "dozen", "an", "the", "of"}


class Share(Struct, frozen=True):
    """Some of the people: from *low* up to *high* percent, said by the tokens from *start* up to *end*."""

    start: int
    end: int
    low: float
    high: float

    @property
    def mask(self) -> int:
        """The positions of its words."""
        return (1 << self.end) - (1 << self.start)


class Salt(Struct, frozen=True):
    """The name of a split."""

    text: str
    mask: int


def shares(tokens: tuple[Token, ...]) -> Iterator[Share]:
    """Yield the shares that a sentence speaks of."""
    at = 0
    while at < len(tokens):
        read = _percent(tokens, at) or _part(tokens, at)
        if read is None:
            at += 1
            continue
        low, high, end = read
        start = at - (at > 0 and tokens[at - 1].lower in _UPPER | {"first", "lower", "one", "a", "random", "stable"})
        if low == 0 and at > 0 and tokens[at - 1].lower in _UPPER:
            low, high = 100 - high, 100.0
        yield Share(start, end, low, high)
        at = end


def _lower(tokens: tuple[Token, ...], at: int) -> str:
    return tokens[at].lower if 0 <= at < len(tokens) else ""


def _percent(tokens: tuple[Token, ...], at: int) -> tuple[float, float, int] | None:
    """10%; 0 to 50 percent; 33 per cent."""
    if tokens[at].kind != "number":
        return None
    low, high, end = 0.0, tokens[at].value, at + 1
    if _lower(tokens, end) == "%" and _lower(tokens, end + 1) in {"-", "to"}:
        end += 1
    if _lower(tokens, end) in {"-", "to"} and end + 1 < len(tokens) and tokens[end + 1].kind == "number":
        low, high, end = high, tokens[end + 1].value, end + 2
    before = {_lower(tokens, at - 1), _lower(tokens, at - 2)}
    of_split = before & _SLICES or (":" in before and not _KEYS.isdisjoint(token.lower for token in tokens))
    if _lower(tokens, end) in _PERCENT:
        end += 1
    elif _lower(tokens, end) == "per" and _lower(tokens, end + 1) == "cent":
        end += 2
    elif end == at + 1 or not of_split:
        return None
    return (low, high, end) if 0 <= low < high <= 100 else None  # noqa: PLR2004


def _part(tokens: tuple[Token, ...], at: int) -> tuple[float, float, int] | None:
    """Half of the newsletter; the first half; a third of."""
    share = _WORDS.get(_lower(tokens, at))
    whole = _lower(tokens, at + 1) == "of" and _lower(tokens, at + 2) not in {"a", "an", "dozen"}
    half = _lower(tokens, at) == "half" and (
        _lower(tokens, at - 1) in _UPPER | {"first", "lower"} or _lower(tokens, at + 1) in {"the", "our", "my"}
    )
    if share is None or not (whole or half) or _lower(tokens, at + 1) in {"year", "hour", "an", "a"}:
        return None
    if any(_lower(tokens, at + step) in {"year", "month", "june", "2025", "2026", "hour"} for step in (2, 3)):
        return None
    return 0.0, round(share, 2), at + 1


def salt(tokens: tuple[Token, ...]) -> Salt | None:
    """Return the name of a split: what is quoted, else the word behind "key" or "seed"."""
    quoted = [at for at, token in enumerate(tokens) if token.kind == "quoted"]
    if len(quoted) == 1:
        return Salt(tokens[quoted[0]].text, 1 << quoted[0])
    for at, token in enumerate(tokens[:-1]):
        if token.lower in {"key", "keyed", "salt", "seed"}:
            after = at + 1 + (_lower(tokens, at + 1) in {":", "=", "is"})
            if after < len(tokens) and tokens[after].kind in {"name", "word"}:
                return Salt(tokens[after].text, 1 << after)
    return None


def words_about(tokens: tuple[Token, ...]) -> int:
    """Return the positions of words that speak of a split and say nothing else."""
    found = 0
    for at, token in enumerate(tokens):
        if token.lower in _KEYS | {
            "random",
            "stable",
            "share",
            "bucket",
            "buckets",
            "group",
            "control",
            "sample",
            "treatment",
            "only",
            "equal",
            "two",
            "users",
            "it",
            "each",
            "halves",
            "half",
        }:
            found |= 1 << at
    return found
