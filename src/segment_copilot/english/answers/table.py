"""The answers by their names in intents.toml, and those that say a word about the copilot itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from segment_copilot.english.answers import drafts
from segment_copilot.english.answers import events as answers_events
from segment_copilot.english.answers import lists as answers_lists
from segment_copilot.english.answers import segments as answers_segments
from segment_copilot.english.plan import Answer, Context, Unmapped, say
from segment_copilot.english.questions.intents import Understood, content
from segment_copilot.english.times import dates
from segment_copilot.english.words.lexer import read, written

_ABILITIES: Final = (
    "I can draft a segment from a description (what people did or never did, how often, how much and when, their traits, other segments, "
    "exclusions), count an audience, and answer questions about segments, events, their schemas and connectors."
)


def abilities(asked: Understood, context: Context) -> Answer:
    """Say what can be asked here."""
    del context
    return say(*asked.intent.say, _ABILITIES)


def spoken(asked: Understood, context: Context) -> Answer:
    """Say what the table says."""
    del context
    return say(*asked.intent.say, *asked.intent.refuse, refuses=bool(asked.intent.refuse))


def acknowledged(asked: Understood, context: Context) -> Answer:
    """Take a thank-you for what it is; a draft that lies there is not saved by it."""
    del asked
    waits = context.base is not None and context.base.segment_id is None
    return say("Good. Nothing is saved yet: save the draft when it is right." if waits else "You are welcome.")


def clock(asked: Understood, context: Context) -> Answer:
    """Say which day it is, and where."""
    del asked
    now = dates.local(context.as_of, context.timezone)
    zone = f"days and weeks are counted in {context.timezone}, and weeks begin on Monday."
    return say(f"It is {now:%A %-d %B %Y, %H:%M}; {zone}")


def assumptions(asked: Understood, context: Context) -> Answer:
    """Say what was assumed in the draft."""
    del asked
    known = context.base.assumptions if context.base else ()
    return say(*known) if known else say("Nothing was assumed: every condition of the draft is said in your words.")


def cannot(asked: Understood, context: Context) -> Answer:
    """Say what nothing here can do, and which segments are about it."""
    related = _related(set(asked.slots.said), context)
    there = f"There {'is the segment' if len(related) == 1 else 'are the segments'} {' and '.join(related)}, whose conditions and members I can show."  # fmt: skip
    reason = f"I cannot {asked.intent.settings['what']}."
    return say(reason, there if related else "", refuses=True, unmapped=[Unmapped("", reason, related)])


def unanswered(text: str) -> Answer:
    """Say that a question is about nothing that is known here."""
    about = written(content(read(text))) or text
    return say(
        f"I can only answer questions about the users, events, segments and connectors of this workspace, and found nothing in it for “{about}”.",
        refuses=True,
    )


def _related(said: set[str], context: Context) -> tuple[str, ...]:
    named = [one.name for one in context.catalog.segments.values()]
    telling = {word for word in said if len(word) > _SHORT}
    return tuple(name for name in named if telling & set(name.lower().split()))[:3]


_SHORT: Final = 4

ANSWERS: Final[Mapping[str, Callable[[Understood, Context], Answer]]] = {
    "say": spoken,
    "abilities": abilities,
    "acknowledged": acknowledged,
    "clock": clock,
    "assumptions": assumptions,
    "cannot": cannot,
    "everybody": drafts.everybody,
    "size": answers_segments.size,
    "computed": answers_segments.computed,
    "conditions": answers_segments.conditions,
    "explanation": answers_segments.explanation,
    "members": answers_segments.members,
    "membership": answers_segments.membership,
    "comparison": answers_segments.comparison,
    "trend": answers_segments.trend,
    "movement": answers_segments.movement,
    "segments": answers_lists.segments,
    "search": answers_lists.search,
    "connectors": answers_lists.connectors,
    "schemas": answers_lists.schemas,
    "schema": answers_lists.schema,
    "traits": answers_lists.traits,
    "no_event": answers_lists.no_event,
    "volume": answers_events.volume,
    "spans": answers_events.spans,
    "top": answers_events.top,
    "arrived": answers_events.arrived,
    "recent": answers_events.recent,
    "latest": answers_events.latest,
    "values": answers_events.values,
    "origin": answers_events.origin,
}
"""Each answers one kind of question. The answer of the intent "count" is an audience's: answers_drafts.py."""
