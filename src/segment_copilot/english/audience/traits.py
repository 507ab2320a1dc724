"""Clauses about what a user is: traits with their values, ages, dates of traits."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf, Node, Problem, joined
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.values import Item, Test, mention, opposite, tests
from segment_copilot.english.times.date_tests import date_tests, fixed
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import LIGHT, NOISE, PLAIN_PEOPLE, stems
from segment_copilot.language.operators import POSITIVE_OF
from segment_copilot.language.value_types import EPOCH_UNITS

_AROUND = (
    LIGHT
    | PLAIN_PEOPLE
    | stems(
        "live base locate reside come belong use marketing hold year old aged acquire arrive choose accept agree say trait value living located"
    )
)


def read_traits(chunk: Chunk, index: Index) -> Node | Problem | None:
    """The trait conditions of a clause when they explain all of it; a problem when a trait is named with a value it lacks."""
    items = _with_ages(chunk.items, _age_lead(chunk))
    if chunk.window:
        return _dated(chunk, items, index)
    found, unknown = tests(items, index.traits, frozenset())
    used = frozenset[int]().union(*(test.used for test in found), *(value.used for value in unknown))
    rest = [item for at, item in enumerate(items) if at not in used]
    if unknown and not any(_matters(item) for item in rest):
        return refusals.unknown_value(unknown[0])
    if not found and (there := _presence(items, index)) is not None:
        found, rest = [there], [item for at, item in enumerate(items) if at not in there.used]
        chunk = structs.replace(chunk, negated=chunk.negated != any(item.none for item in chunk.quantities))
        rest = [item for item in rest if not (isinstance(item, Quantity) and item.none)]
    if not found or unknown or any(_matters(item) for item in rest):
        return None
    nodes = tuple(trait_leaf(test, chunk) for test in found)
    return joined("OR" if chunk.negated and len(nodes) > 1 else "AND", nodes)


def _presence(items: tuple[Item, ...], index: Index) -> Test | None:
    """A trait named alone: "with a city", "no loyalty tier"."""
    for field in index.traits:
        for at in range(len(items)):
            length, coverage = mention(items, at, field, set())
            said = {word.stem for word in items[at : at + length] if isinstance(word, Token)}
            if length and coverage >= 1 and not (field.boolean or field.answers or said & _AGES):
                return Test(field, "is_set", None, frozenset(range(at, at + length)), named=True)
    return None


_AGES = stems("old aged older younger new")
"""Words that say how old somebody is, not that an age is known."""


def places(index: Index) -> frozenset[str]:
    """The traits that say where somebody is."""
    wanted = stems("country city region state town province continent zip")
    return frozenset(field.path for field in index.traits if set(field.words) & wanted)


def _matters(item: Item) -> bool:
    return isinstance(item, Quantity) or (item.kind != "sign" and item.stem not in NOISE and item.stem not in _AROUND)


def trait_leaf(test: Test, chunk: Chunk) -> Leaf:
    """The condition of one test; negation by the test's own negative operator."""
    read = opposite(test) if chunk.negated else test
    notes = tuple(note for note in (test.note, _missing_note(read)) if note)
    return Leaf({"type": "user_property", **read.json()}, chunk.text, notes, negated=chunk.negated)


def _missing_note(test: Test) -> str:
    if test.operator in {"neq", "not_in", "does_not_contain"}:
        return f"people without `{test.field.path}` are included"
    return ""


_OLDEST = 120
_AGE_LEADS = {"over", "under", "above", "below", "between", "aged"}
_AFTER_AGE = {"in", "from", "on", "living", "based", "with", "who"}


def _age_lead(chunk: Chunk) -> str:
    """What stands in front; of "they are under 35" it is "under"."""
    words = [token.lower for token in chunk.tokens if token.lower not in {"who", "that", "they", "not"}]
    return words[1] if len(words) > 1 and words[0] in {"are", "is", "be"} else chunk.lead


def _with_ages(items: tuple[Item, ...], chunk_lead: str) -> tuple[Item, ...]:
    """Put "age" in front of "older than 30" and "under 25 years old"."""
    aged: list[Item] = []
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        old = isinstance(following, Token) and following.lower == "old"
        alone = (
            all(isinstance(one, Token) and one.lower in {"are", "is", "be"} for one in items[:at])
            and chunk_lead in _AGE_LEADS
            and (following is None or (isinstance(following, Token) and following.lower in _AFTER_AGE))
        )
        said = old or "older" in getattr(item, "text", "") or "younger" in getattr(item, "text", "")
        if (
            isinstance(item, Quantity)
            and not (item.times or item.currency or item.none or item.value > _OLDEST)
            and (said or alone)
        ):
            aged.append(word("age"))
        aged.append(item)
    return tuple(
        item
        for at, item in enumerate(aged)
        if not (isinstance(item, Token) and item.lower == "old" and at and isinstance(aged[at - 1], Quantity))
    )


def _dated(chunk: Chunk, items: tuple[Item, ...], index: Index) -> Node | Problem | None:
    """A trait that holds a date, with a window: "signed up in the last 30 days", "joined since 2026-01-01"."""
    window = chunk.window
    for field in index.traits:
        if not (field.dated or field.unreadable == "date") or window is None:
            continue
        for at in range(len(items)):
            length, _ = mention(items, at, field, set())
            rest = [*items[:at], *items[at + length :]]
            rest = [item for item in rest if not (isinstance(item, Token) and item.stem in _DATES)]
            yearly = [item for item in rest if isinstance(item, Token) and item.stem in _YEARLY]
            if length and not any(_matters(item) for item in rest if item not in yearly):
                if not field.dated:
                    return refusals.not_read(chunk.text, field)
                return _yearly(field, window, chunk) if yearly or _turns(field) else _date_leaf(field, window, chunk)
    return None


_DATES = stems("date day time")
_YEARLY = stems("anniversary birthday")


def _turns(field: Field) -> bool:
    """Whether its day of the year counts, not its year."""
    return bool(set(field.words) & stems("birth birthday birthdate anniversary dob"))


def _yearly(field: Field, window: Window, chunk: Chunk) -> Leaf | Problem:
    """Of "whose birthday is in the next 7 days"."""
    if window.kind != "next" or window.length is None or window.length.unit in {"m", "h"} or chunk.negated:
        detail = "a day that comes round every year can be tested with 'in the next 30 days'"
        return Problem("unsupported", chunk.text, detail)
    test = {"operator": "anniversary_in_next", "value": window.length.json}
    note = f"the day of the year of `{field.path}` counts, whatever its year"
    return Leaf({"type": "user_property", "property": field.path, **test}, chunk.text, (note,))


def _date_leaf(field: Field, window: Window, chunk: Chunk) -> Node | Problem:
    tests_ = date_tests(window, negated=chunk.negated)
    if not tests_:
        detail = (
            "a date can be compared with a day, a span of days, or 'in the last 30 days' and 'more than 30 days ago'"
        )
        return Problem("unsupported", chunk.text, detail)
    made: list[dict[str, Any]] = [{"type": "user_property", "property": field.path, **test} for test in tests_]
    for condition in made:
        if condition["operator"] in {"eq", "neq"} or field.known.declared == "string":
            declared = field.known.declared
            condition["value_type"] = declared if declared in EPOCH_UNITS else "datetime"  # else a day is its own text
    notes = fixed(window)
    passes = made[0]["operator"] in POSITIVE_OF
    if passes and chunk.negated:
        notes = (*notes, f"people without `{field.path}` are included")
    elif passes:
        made.insert(0, {"type": "user_property", "property": field.path, "operator": "is_set"})
    found = [Leaf(condition, chunk.text, notes, negated=chunk.negated) for condition in made]
    return joined("AND", tuple(found))
