"""Names of saved segments in a question: as written, with a slip, or in part; and ids of users."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from rapidfuzz.distance import DamerauLevenshtein

from segment_copilot.english.budget import spend
from segment_copilot.english.linking.index import Index
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems
from segment_copilot.language.catalog import SegmentName

SEGMENT_WORDS: Final = stems("segment group list audience cohort")
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
    """A segment that a question names, and the places of the tokens that name it. *note* shows a name that was mended."""

    segment: SegmentName
    first: int
    after: int
    note: str = ""


def segments_in(tokens: tuple[Token, ...], index: Index) -> tuple[Mention, ...]:
    """The segments named, in order: exact names first; only where there are none, names with a slip or in part."""
    taken: set[int] = set()
    found: list[Mention] = []
    for mention in sorted(_exact(tokens, index), key=lambda one: one.first - one.after):
        if taken.isdisjoint(range(mention.first, mention.after)):
            found.append(mention)
            taken |= set(range(mention.first, mention.after))
    if not found:
        near = _with_slip(tokens, index) or _in_part(tokens, index)
        found = [near] if near else []
    return tuple(sorted(found, key=lambda one: one.first))


def _exact(tokens: tuple[Token, ...], index: Index) -> Iterator[Mention]:
    plain = [at for at, token in enumerate(tokens) if token.kind != "sign"]
    for number, name in index.segments.items():
        spend(len(tokens))
        segment = index.catalog.segments[number]
        for at, token in enumerate(tokens):
            if token.kind == "quoted" and token.lower == segment.name.lower():
                yield Mention(segment, at, at + 1)
        for first in range(len(plain)):
            run = plain[first : first + len(name)]
            if name and tuple(tokens[at].stem for at in run) == name and _is_name(tokens, run, segment.name):
                yield Mention(segment, run[0], run[-1] + 1)


def _is_name(tokens: tuple[Token, ...], run: list[int], name: str) -> bool:
    """Whether a single word is meant as the name: written as it is, or next to "segment"."""
    if len(run) > 1:
        return True
    around = {tokens[at].stem for at in (run[0] - 1, run[0] + 1) if 0 <= at < len(tokens)}
    before = tokens[run[0] - 1].lower if run[0] else ""
    return bool(around & SEGMENT_WORDS) or tokens[run[0]].text == name or before in {"for", "of", "in", "is", "the"}


def _with_slip(tokens: tuple[Token, ...], index: Index) -> Mention | None:
    """The one name that a run of words spells but for a letter or two: "High LVT"."""
    near: list[tuple[int, Mention]] = []
    for segment in index.catalog.segments.values():
        wanted = segment.name.casefold()
        size = len(wanted.split())
        spend(len(tokens))
        for first in range(len(tokens) - size + 1):
            run = tokens[first : first + size]
            said = " ".join(token.lower for token in run)
            distance = DamerauLevenshtein.distance(said, wanted)
            if len(wanted) >= _SHORTEST and distance <= (2 if len(wanted) >= _LONG else 1) and said != wanted:
                note = f"I read {written(run)!r} as the segment {segment.name}"
                near.append((distance, Mention(segment, first, first + size, note)))
    near.sort(key=lambda one: one[0])
    alone = len(near) == 1 or (len(near) > 1 and near[0][0] < near[1][0])
    return near[0][1] if alone else None


def _in_part(tokens: tuple[Token, ...], index: Index) -> Mention | None:
    """The one name of which the words beside "segment" are a part: "the LTV segment"."""
    for at, token in enumerate(tokens):
        if token.stem not in SEGMENT_WORDS - stems("list group"):
            continue
        first = at
        while (
            first
            and tokens[first - 1].kind in {"word", "name"}
            and tokens[first - 1].stem not in NOISE | PEOPLE | _TELLING
        ):
            first -= 1
        said = {token.stem for token in tokens[first:at]}
        fitting = [number for number, name in index.segments.items() if said and said <= set(name)]
        if len(fitting) == 1:
            segment = index.catalog.segments[fitting[0]]
            return Mention(segment, first, at, f"I read {written(tokens[first:at])!r} as the segment {segment.name}")
    return None


_TELLING: Final = stems(
    "which what show list give tell describe explain every each largest smallest newest oldest empty static dynamic saved "
    "existing big small many another similar new static failed"
)


def user_in(text: str) -> tuple[str, str, bool]:
    """The id of a single user in a question and the question without it; whether it is surely one ("user 42", an address), not perhaps another code. "" for none."""
    for pattern in (_SAID_ID, _EMAIL, _BARE_ID):
        found = pattern.search(text)
        if found:
            user = found.groupdict().get("id") or found.group()
            rest = f"{text[: found.start()]} {text[found.end() :]}".strip()
            return user.rstrip(".:-"), rest, pattern is not _BARE_ID
    return "", text, False


def reference(said: Sequence[Token]) -> str:
    """Words that may be a segment's name, for a tool to say what is near."""
    return written([token for token in said if token.stem not in SEGMENT_WORDS])
