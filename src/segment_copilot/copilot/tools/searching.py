"""The tool here finds the segments that a person means, by what they are called, what they say and what they look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct
from rapidfuzz import fuzz, process

from segment_copilot.audiences.segments import Segment
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.language import names_of
from segment_copilot.lists import Window

_SEARCHED: Final = 2_000  # of the newest segments
_ALIKE: Final = 80  # percent of two words: a plural, a typo
_IN_NAME: Final = 3
_LOOKED_AT: Final = 2
_SAID: Final = 1
_BEGINNING: Final = 200  # characters of a text; get_segment_detail has the whole
_NAMES: Final = 8
_NOISE: Final = frozenset(["a", "an", "and", "are", "at", "by", "did", "do", "for", "had", "has", "have", "in", "is", "of", "on", "or", "people", "segment", "segments", "that", "the", "to", "user", "users", "who", "with"])  # fmt: skip


class SegmentMatch(Struct, frozen=True):
    """Holds a segment and why it was found: *looks_at* are the first event types, properties and traits of its definition."""

    id: int
    name: str
    description: str
    words: str
    looks_at: tuple[str, ...]
    tier: str
    status: str
    member_count: int | None
    last_computed_at: datetime | None
    matched: tuple[str, ...]  # words of the query that it has


class SegmentMatches(Struct, frozen=True):
    """Holds the best first; *total* counts all that have a word of the query, *searched* all that were looked at."""

    segments: tuple[SegmentMatch, ...]
    total: int
    searched: int
    truncated: bool


async def search_segments(
    context: ToolContext,
    query: Annotated[str, Meta(min_length=1, max_length=200)],
    limit: Annotated[int, Meta(ge=1, le=50)] = 5,
) -> SegmentMatches:
    """Find saved segments by words: in their name, their description, what they say, or the event types, properties and traits they look at. Use it before drafting, to see whether the audience exists already.

    Args:
        query: A few words, for example an event type, a property, a value or a part of a name.
        limit: How many to return.
    """
    page = await context.use_cases.segments.list(context.tenant, Window(_SEARCHED), order="newest")
    wanted = _words(query)
    ranked = [(score, found) for segment in page.results for score, found in [_match(segment, wanted)] if score]
    ranked.sort(key=lambda item: (-item[0], -(item[1].member_count or 0), item[1].id))
    best = tuple(found for _, found in ranked[:limit])
    truncated = len(best) < len(ranked) or len(page.results) < page.count
    return SegmentMatches(best, len(ranked), len(page.results), truncated)


def _match(segment: Segment, wanted: Sequence[str]) -> tuple[float, SegmentMatch]:
    looks_at = names_of(segment.definition) if segment.definition else ()
    texts = [
        (_IN_NAME, _words(segment.name)),
        (_LOOKED_AT, _words(" ".join(looks_at))),
        (_SAID, _words(f"{segment.description} {segment.words}")),
    ]
    weights = {word: max((weight for weight, there in texts if _has(there, word)), default=0) for word in wanted}
    found = SegmentMatch(
        id=segment.id,
        name=segment.name,
        description=_beginning(segment.description),
        words=_beginning(segment.words),
        looks_at=looks_at[:_NAMES],
        tier=segment.tier,
        status=segment.status,
        member_count=segment.member_count,
        last_computed_at=segment.last_computed_at,
        matched=tuple(word for word, weight in weights.items() if weight),
    )
    return sum(weights.values()), found


def _beginning(text: str) -> str:
    return text if len(text) <= _BEGINNING else f"{text[:_BEGINNING]}…"


def _has(words: Sequence[str], word: str) -> bool:
    return process.extractOne(word, words, scorer=fuzz.ratio, score_cutoff=_ALIKE) is not None


def _words(text: str) -> list[str]:
    """Return each word once, in lower case; an underscore parts words, and words that say nothing go unless there is no other."""
    found = list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))
    return [word for word in found if word not in _NOISE] or found
