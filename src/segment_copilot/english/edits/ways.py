"""The ways of asking for each kind of change, read from a file: what stands around the words that say what and to what."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.words.stems import stem

_FILE: Final = resources.files("segment_copilot.english") / "lexicon" / "edits.toml"
_CLASS: Final = re.compile(r"@(\w+)")
_SLOT: Final = re.compile(r"\{(\w+)\}")
_ITEM: Final = re.compile(r"\{\w+\}\??|\([^()]*\)\??|\S+")
_NARROW: Final = 60
"""Words of a step: a longer one is no change of a draft."""

Slots = Mapping[str, tuple[int, int]]


class Way(Struct, frozen=True):
    """One way of saying a kind of change. *sure* where nothing but a change can be meant."""

    kind: str
    pattern: re.Pattern[str]
    sure: bool


class Fit(Struct, frozen=True):
    """A way that fits: where the words of each of its slots stand."""

    kind: str
    sure: bool
    slots: Slots


@cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@cache
def table() -> tuple[Way, ...]:
    """Return every way, in the order in which they are tried."""
    return tuple(
        Way(row["kind"], _compiled(way), bool(row.get("sure", True)))
        for row in _document()["change"]
        for way in row["ways"]
    )


def _compiled(way: str) -> re.Pattern[str]:
    classes: Mapping[str, str] = _document()["words"]
    opened = _CLASS.sub(lambda found: f"({classes[found[1]]})", way)
    return re.compile("".join(_item(item) for item in _ITEM.findall(opened)))


def _item(item: str) -> str:
    optional = item.endswith("?") and len(item) > 1
    plain = item.removesuffix("?") if optional else item
    slot = _SLOT.fullmatch(plain)
    if slot:
        made = f"(?P<{slot[1]}>.+? )"
    elif plain.startswith("("):
        said = sorted((one.strip() for one in plain[1:-1].split("|")), key=len, reverse=True)
        made = "(?:" + "|".join(f"{re.escape(one)} " for one in said) + ")"
    else:
        made = f"{re.escape(plain)} "
    return f"(?:{made})?" if optional else made


def fits(found: Anchors, start: int, end: int) -> Iterator[Fit]:
    """Yield the ways that fit the words from *start* up to *end*, those that say more first."""
    if end - start > _NARROW:
        return
    starts: list[int] = []
    text = ""
    for token in found.tokens[start:end]:
        starts.append(len(text))
        text += token.lower.replace(" ", "_") + " "
    at = {offset: start + place for place, offset in enumerate([*starts, len(text)])}
    for way in table():
        match = way.pattern.fullmatch(text)
        if match is not None:
            slots = {
                name: (at[match.start(name)], at[match.end(name)]) for name, said in match.groupdict().items() if said
            }
            yield Fit(way.kind, way.sure, slots)


def lead(found: Anchors, start: int, end: int) -> int:
    """Return where a step begins: behind words such as "please", "can you", "ok now"; never inside of what is mentioned."""
    phrases, polite, held = _phrases("lead"), _phrases("polite"), _mentioned(found)
    while start < end - 1:
        lowers = [token.lower for token in found.tokens[start : min(end - 1, start + 5)]]
        size = next((size for size in range(len(lowers), 0, -1) if " ".join(lowers[:size]) in phrases), 0) or (
            lowers[0] in polite
        )
        if not size or held & ((1 << start + size) - (1 << start)):
            return start
        start += size
    return start


def tail(found: Anchors, start: int, end: int) -> int:
    """Return where a step ends: before "please", "thanks", ", if you would be so kind"."""
    phrases, polite, held = _phrases("tail"), _phrases("polite"), _mentioned(found)
    while end > start + 1:
        lowers = [token.lower for token in found.tokens[max(start + 1, end - 10) : end]]
        size = next((size for size in range(min(5, len(lowers)), 0, -1) if " ".join(lowers[-size:]) in phrases), 0)
        cut = max((at for at, word in enumerate(lowers) if word in {",", ".", "!", ";", "—"}), default=-1)
        if not size and cut >= 0 and all(word in polite | phrases for word in lowers[cut + 1 :]):
            size = len(lowers) - cut
        if not size or held & ((1 << end) - (1 << end - size)):
            return end
        end -= size
    return end


def _mentioned(found: Anchors) -> int:
    held = 0
    for one in (*found.windows, *found.segments, *(one for one in found.quantities if not one.quantity.none)):
        held |= one.mask
    return held


@cache
def _phrases(name: str) -> frozenset[str]:
    return frozenset(one.strip() for one in _document()["words"][name].split("|"))


@cache
def _stems(name: str) -> frozenset[str]:
    return frozenset(stem(one) for one in _document()["target"][name].split())


def names_kind(key: str, kind: str) -> bool:
    """Return whether a word names conditions of a type: "spend", "inactivity"."""
    return key in _kinds().get(kind, frozenset())


@cache
def _kinds() -> Mapping[str, frozenset[str]]:
    return {name: frozenset(stem(word) for word in said.split()) for name, said in _document()["type"].items()}


def is_part(key: str, name: str) -> bool:
    """Return whether a word is one for a side of a condition: "window", "threshold", "condition", "exclusion"."""
    return key in _stems(name)


def place_of(word: str) -> int:
    """Return which of several a word says: 1 for "first", -1 for "last"; 0 for any other word."""
    places: Mapping[str, int] = _document()["ordinal"]
    return places.get(word, 0)


def filler(found: Anchors) -> int:
    """Return the words that mean nothing in a change: "draft", "instead", "whole"."""
    said = _phrases("filler")
    return sum(1 << at for at, token in enumerate(found.tokens) if token.lower in said and not _is_name(found, at))


def _is_name(found: Anchors, at: int) -> bool:
    return any(one.mask >> at & 1 for one in found.values) and found.tokens[at].text[:1].isupper()


def words(name: str) -> frozenset[str]:
    """Return the phrases of a class."""
    return _phrases(name)


def begins(found: Anchors, name: str) -> bool:
    """Return whether a message begins with a phrase of a class, words such as "please" aside or not."""
    starts = {0, lead(found, 0, len(found.tokens))}
    lowers = [token.lower for token in found.tokens]
    return any(" ".join(lowers[start : start + size]) in _phrases(name) for start in starts for size in range(1, 6))
