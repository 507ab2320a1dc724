"""Answers about an audience that is not saved: a draft, a count, a question about its words, a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from segment_copilot.english.answers.words import card, listed
from segment_copilot.english.outcomes import Asked, Drafted, Refused, Unplaced
from segment_copilot.english.plan import ASK, PREVIEW, PROPOSE, Answer, Call, Context, Unmapped, say
from segment_copilot.english.questions.intents import Understood, content
from segment_copilot.english.words.lexer import read
from segment_copilot.language import Definition, encode
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.describe import describe, in_percent

_CTA: Final = "display_create_segment_cta"
_NAME: Final = 80
_LABEL: Final = 80
_VALUE: Final = 200
_KEPT: Final = 4  # words before the first that differs
_LINE: Final = 500
_TOLD: Final = 3
_NEAR: Final = 4
_NOT_DONE: Final = "What else your message asks of me is not part of the segment, and I did not do it."
_PEOPLE: Final = "These are the people who did it, not how often it was done."
_HELP: Final = (
    "I can draft a segment from what people did or never did, how often, how much and when, and from their traits."
)
_EMPTY: Final = (
    "Nothing has arrived here yet, neither an event nor a trait, so no words can be placed: "
    "send some first (`POST /api/ingestion/track/`, or `segment-copilot import`)."
)
_SAVE: Final = "Nothing is saved yet: save the draft, or tell me what to change."


class Request(Struct, frozen=True):
    """A request is what was understood of an audience: the outcome, and the *quotes* by which its words are told.

    *orders* when the message also asks something of the answer, which is not done; *things* when what people did was to be
    counted, and not people.
    """

    outcome: Drafted
    quotes: tuple[Mapping[str, Any], ...] = ()
    orders: bool = False
    things: bool = False


def document_of(definition: Definition) -> dict[str, Any]:
    """Return a definition as the tools take it."""
    return msgspec.json.decode(encode(definition))


def draft(asked: Request, context: Context) -> Answer:
    """Draft a segment and offer its button. What the draft shows by itself is not said again."""
    drafted = asked.outcome
    words = describe(drafted.definition, context.segment_names)
    arguments = {
        "name": drafted.name[:_NAME] or words[:_NAME],
        "description": words[:_LINE],
        "definition": document_of(drafted.definition),
        "assumptions": list(drafted.assumptions[:10]),
        "unmapped": [],
    }
    quotes = {"reading": list(asked.quotes)} if asked.quotes else {}
    proposed = yield Call(PROPOSE, arguments | quotes)
    yield Call(_CTA, {"draft_id": proposed["draft_id"]})
    return (*drafted_words(proposed), _NOT_DONE if asked.orders else "", _SAVE)


def drafted_words(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is said beside a draft: its name, and what each condition does where nobody or nearly everybody matches."""
    matched = f"{document['count']:,} of {document['universe']:,} users"
    alone = [f"{item['words']}: {item['matched_users']:,}" for item in document.get("conditions") or ()]
    emptied: Mapping[str, Any] = document.get("emptied_by") or {}
    return (
        f"I drafted “{document['name']}”: {matched}.",
        listed("Each condition by itself matches:", alone),
        str(emptied.get("detail", "")),
    )


def count(asked: Request, context: Context) -> Answer:
    """Count an audience without drafting it."""
    del context
    drafted = asked.outcome
    counted = yield Call(PREVIEW, {"definition": document_of(drafted.definition)})
    matched = counted["matched_users"]
    yield card(drafted.name or "Users", matched, "users")
    share = f" ({in_percent(counted['percent'])})" if isinstance(counted.get("percent"), int | float) else ""
    alone = [f"{item['words']}: {item['matched_users']:,}" for item in counted.get("conditions") or ()]
    return (
        f"{matched:,} of {counted['universe']:,} users match{share}: {str(counted.get('words') or drafted.name).rstrip('.')}.",
        _PEOPLE if asked.things else "",
        f"I assumed: {' '.join(drafted.assumptions)}" if drafted.assumptions else "",
        listed("Each condition by itself matches:", alone),
        *(f"Note: {one['detail']}" for one in counted.get("warnings") or () if one.get("detail")),
    )


def everybody(asked: Understood, context: Context) -> Answer:
    """Count all users: everybody has had no event or more, and a group without conditions is none."""
    del asked, context
    counted = yield Call(PREVIEW, {"definition": _EVERYBODY})
    yield card("All users", counted["matched_users"], "users")
    return (f"There are {counted['matched_users']:,} users.",)


_EVERYBODY: Final = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "*", "operator": "gte", "value": 0}],
}


def ask(asked: Asked, context: Context) -> Answer:
    """Ask which of several readings is meant, by the tool or in plain text where there is none."""
    labels = [option.label for option in asked.options]
    shown = short(labels)
    if ASK in context.tools and context.tools_allowed:
        options = [
            {"label": label, "value": whole[:_VALUE]} | ({"effect": whole[:_VALUE]} if label != whole else {})
            for label, whole in zip(shown, labels, strict=True)
        ]
        yield Call(ASK, {"question": asked.question[:300], "options": options})
        return ()
    return (asked.question, "\n".join(f"{number}. {label}" for number, label in enumerate(labels, 1)))


def offer(refused: Refused, text: str, context: Context) -> Answer:
    """Say which words of *text* could not be placed, and ask whether the rest of it is meant without them."""
    (told, *more) = _told(refused, text)
    question = f"{' '.join((told, *more))} Without {'that' if not more else 'these'}, do you mean this?"
    return ask(Asked(question, refused.without), context)


def short(labels: Sequence[str]) -> list[str]:
    """Return labels as they are offered: of long ones the part in which they differ, cut between words."""
    if all(len(label) <= _LABEL for label in labels):
        return list(labels)
    words = [label.split() for label in labels]
    end = min(map(len, words)) if len(words) > 1 else 0  # one alone differs from nothing, and is told from its start
    same = next((at for at, row in enumerate(zip(*words, strict=False)) if len(set(row)) > 1), end)
    first = max(0, same - _KEPT)
    cut = [f"{'…' if first else ''}{' '.join(row[first:])}" for row in words]
    return [one if len(one) <= _LABEL else f"{one[: _LABEL - 1].rsplit(maxsplit=1)[0]}…" for one in cut]


def refuse(outcome: Refused, text: str, catalog: Catalog) -> Answer:
    """Say which words of *text* could not be placed, and what would work."""
    if not outcome.too_long and not catalog.event_types and not catalog.traits:
        return say(_EMPTY, refuses=True)
    unmapped = [Unmapped(one.text, one.reason, one.names) for one in _joined(outcome.unplaced, text)]
    return say(*_told(outcome, text), _helped(outcome, text), refuses=True, unmapped=unmapped)


def _told(outcome: Refused, text: str) -> list[str]:
    """Return which words could not be placed, and why."""
    told = [f"“{one.text}”: {one.reason}{_nearest(one.names)}." for one in _joined(outcome.unplaced, text)[:_TOLD]]
    if len(told) == 1:
        return [f"I could not place {told[0]}"]
    return [listed("I could not place:", told)] if told else [outcome.reason]


def _helped(outcome: Refused, text: str) -> str:
    """Return what can be drafted, where nothing of *text* could be placed."""
    placed = len(content(read(text))) > sum(len(content(read(one.text))) for one in outcome.unplaced)
    return "" if placed or not outcome.unplaced else _HELP


def _joined(unplaced: Sequence[Unplaced], text: str) -> tuple[Unplaced, ...]:
    """Return words that stand a word or two apart, and are there for the same reason, as one phrase of *text*."""
    found: list[Unplaced] = []
    for one in unplaced:
        last = found[-1] if found and found[-1].reason == one.reason else None
        between = (
            re.escape(last.text) + r"(?:\s+[^\s,.;:!?]+){0,2}\s+" + re.escape(one.text) if last is not None else ""
        )
        phrase = re.search(between, text) if between else None
        if last is not None and phrase is not None:
            found[-1] = Unplaced(phrase.group(), one.reason, tuple(dict.fromkeys((*last.names, *one.names))))
        else:
            found.append(one)
    return tuple(found)


def _nearest(names: tuple[str, ...]) -> str:
    return f" (nearest: {', '.join(f'`{name}`' for name in names[:_NEAR])})" if names else ""
