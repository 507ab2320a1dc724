"""Reads the words of English that the rules know: one file a kind, so that a newcomer adds a phrase by adding a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from segment_copilot.english.words.files import lines, table, words
from segment_copilot.english.words.lexer import Token, read
from segment_copilot.english.words.stems import stem

Phrase = tuple[str, ...]
_SEEN: Final = 50  # times in the list's texts: what is rarer may be a slip itself


@cache
def stems(name: str) -> frozenset[str]:
    """Return the stems of the words of a file."""
    return frozenset(stem(word) for word in words(name))


@cache
def swallowed(kind: str) -> frozenset[str]:
    """Return the stems of the words that rules of a kind may take along."""
    said: str = table("swallowed")[kind]
    return frozenset(stem(word) for word in said.split())


@cache
def phrases(name: str, part: str = "") -> Mapping[Phrase, str]:
    """Return phrases in lower case, as the words they are read as, with their kind."""
    kinds: Mapping[str, list[str]] = table(name)[part] if part else table(name)
    found: dict[Phrase, str] = {}
    for kind, said in kinds.items():
        for phrase in said:
            found.setdefault(tuple(token.lower for token in read(phrase)), kind)
    return found


def standing(name: str, part: str, lowers: Sequence[str], start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Yield from where to where phrases of a file's part stand in words, the longest at each place, and what each says."""
    known = phrases(name, part)
    sizes = sorted({len(phrase) for phrase in known}, reverse=True)
    at = start
    while at < end:
        found = ((size, known.get(tuple(lowers[at : at + size]))) for size in sizes if at + size <= end)
        size, kind = next(((size, kind) for size, kind in found if kind is not None), (1, None))
        if kind is not None:
            yield at, at + size, kind
        at += size


@cache
def endings(name: str) -> tuple[Phrase, ...]:
    """Return the phrases of a file, a line each, the longest first."""
    found = (tuple(token.lower for token in read(line)) for line in lines(f"{name}.txt"))
    return tuple(sorted(found, key=len, reverse=True))


@cache
def rewrites() -> Mapping[str, tuple[tuple[Phrase, tuple[Token, ...]], ...]]:
    """Return shorthand and idioms with the plain words for them, by their first word, the longest first."""
    found: dict[str, list[tuple[Phrase, tuple[Token, ...]]]] = {}
    for line in (*lines("abbreviations.txt"), *lines("foreign.txt"), *lines("idioms.txt"), *lines("courtesy.txt")):
        said, _, plain = line.partition("|")
        key = tuple(token.lower for token in read(said.replace(" - ", "-")))
        found.setdefault(key[0], []).append((key, read(plain.strip())))
    return {first: tuple(sorted(rows, key=lambda row: -len(row[0]))) for first, rows in found.items()}


@cache
def alike() -> Mapping[Phrase, tuple[Phrase, ...]]:
    """Return the stems of a value → those of others that name the same."""
    found: dict[Phrase, tuple[Phrase, ...]] = {}
    for line in lines("values.txt"):
        group = tuple(tuple(stem(part) for part in word.split("-")) for word in line.split())
        for one in group:
            found[one] = (*found.get(one, ()), *(other for other in group if other != one))
    return found


@cache
def english_words() -> frozenset[str]:
    """Return the words of English, by a list of texts' words: what stands in it is no slip."""
    found = find_spec("spellchecker")
    if found is None or found.origin is None:
        return frozenset()
    packed = (Path(found.origin).parent / "resources" / "en.json.gz").read_bytes()
    counts: dict[str, int] = json.loads(gzip.decompress(packed))
    return frozenset(word for word, count in counts.items() if count >= _SEEN)


@cache
def known() -> frozenset[str]:
    """Return every word of the files: those that a slip may have been meant for."""
    listed = {word for name in ("light", "people", "commands", "negations", "pronouns") for word in words(name)}
    tables = [phrases("joints"), phrases("orders"), phrases("metrics", "plain"), phrases("metrics", "money")]
    listed |= {word for table in tables for phrase in table for word in phrase}
    return frozenset(word for word in listed if word.isalpha())
