"""Questions about how this works: saving, segments, tiers, the time zone. Each has one fixed answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from segment_copilot.english.plan import Context, Plan, Result, Say, Turn
from segment_copilot.english.times import dates

_ANSWERS: Final = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (
            r"\bhow (do|can|could|would|should|to)\b.*\b(create|make|build|save|store|add|draft|set up|define)\b.*\b(segments?|audiences?|draft|it|one|this)\b",
            "Describe the people in a sentence, for example 'users who placed at least 5 orders in the last 90 days': I draft the segment, and you save the draft.",
        ),
        (
            r"\bhow (do|can|could) (i|we|you)\b.*\b(edit|change|update|delete|remove|recompute|refresh|export|send|sync|connect)\b",
            "I only read, count and draft: segments and connectors are changed in the workspace or by its API. A draft on the table I can change when you say what should be different.",
        ),
        (r"\bwhat (is|are|does|do) (a |an |the )?(segments?|audiences?)( mean)?\W*$", "A segment is a saved description of users: conditions on what they did and on their traits. Its members are those who match."),
        (
            r"\b(what|which|explain|difference)\b.*\bdynamic( |-|_)?plus\b|\bwhat (is|are|does|do)\b.*\b(tiers?|dynamic)\b.*\b(mean|segment|tier)|\bwhat (does|do|is) (a )?(tier|dynamic|dynamic segment)s?( mean)?\W*$",
            "A dynamic segment tests traits alone, so its members stay current by themselves; a dynamic plus segment also looks at events and is computed on request and every few hours.",
        ),
    )
)  # fmt: skip
_CLOCK: Final = re.compile(r"\b(what|which) time ?zone\b|\bwhat( is|'s)? (today'?s? |the )?(date|day)( is it| today| now)?\b\W*$|\bwhat (day|time|date) is (it|today)\b|\bwhat( is|'s) the (time|date)\b|\bwhat( is|'s) today\b")  # fmt: skip
_CHATTER: Final = re.compile(r"^\W*(please |can you |could you )*(tell|write|sing|translate|calculate|draw|play|compose|imagine|sum up|solve)\b(?!.*\b(users?|customers?|segments?|events?|orders?|members?|people|about)\b)")  # fmt: skip


class Clock(Struct, frozen=True):
    """Which day it is, and where."""

    def turn(self, results: Sequence[Result], context: Context) -> Turn:
        """Say it."""
        del results
        now = dates.local(context.as_of, context.timezone)
        return Turn(
            (
                f"It is {now:%A %-d %B %Y, %H:%M}; days and weeks are counted in {context.timezone}, and weeks begin on Monday.",
            )
        )


def read_about_this(text: str) -> Plan | None:
    """The plan for a question about how this works; None for any other."""
    lower = text.strip().lower()
    if _CLOCK.search(lower):
        return Clock()
    return next((Say((said,)) for pattern, said in _ANSWERS if pattern.search(lower)), None)


def chatters(text: str) -> bool:
    """Whether something is asked for that has nothing to do with a workspace: a joke, a script."""
    return bool(_CHATTER.match(text.lower()))
