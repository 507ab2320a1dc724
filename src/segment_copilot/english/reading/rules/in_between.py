"""Rules of what must not come between two steps: "with no order in between", "no visit between the trial and the contract"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import structs

from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import Clause, Joined, Reading, clauses, join
from segment_copilot.english.reading.rules.implied import is_step
from segment_copilot.english.reading.rules.ordering import chain, in_a_row, in_turn, is_denied, split
from segment_copilot.english.reading.rules.sharing import ANDS, Between, Rule, both, leans
from segment_copilot.language import EventMatch, EventSequence

_TWO: Final = 2  # steps


def _none_between(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Searched, then viewed a product, with no visit to the cart in between; two failures without a payment between them."""
    del between
    words = _between_words(found) & (two.left | two.pronoun)
    after = two.tree if isinstance(two.tree, Clause) else None
    if not words & two.left or after is None or after.positive or not after.counts or one.tree is None:
        return
    match: Any = EventMatch(event_type=after.event, where=list(after.where)) if after.where else after.event
    for before, first, name in in_a_row(one.tree):
        change: dict[str, Any] = {"strict": True} if after.event == "*" else {"none_between": [match]}
        node = structs.replace(cast("EventSequence", first.condition), **change)
        made = structs.replace(first, condition=node, used=first.used | after.used | words)
        features = {f"none_between:{name}": 1, "none_between": 1, "left:word": -float((words & two.left).bit_count())}
        kept = {
            "left": (one.left & ~in_turn(found)) | two.left & ~words,
            "pronoun": one.pronoun | two.pronoun & ~words,
        }
        yield both(one, two, features, tree=join("AND", before, made), **kept)


def _between_words(found: Anchors) -> int:
    said = {"between", "them", "two", "those", "meantime", "meanwhile", "both", "events", "steps"}
    return sum(1 << at for at, token in enumerate(found.tokens) if token.lower in said)


def _between_two(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Cancelled, without a failed payment between the start and the cancellation: none of it between two steps."""
    del between, found
    rest, denied = split(one.tree, last=True) if one.tree is not None else (None, None)
    steps = [part for part in clauses(two.tree) if is_step(part)]
    if denied is None or not is_denied(denied) or leans(one) or leans(two) or two.exclude or len(steps) != _TWO:
        return
    plain = isinstance(two.tree, Joined) and two.tree.logic == "AND" and len(two.tree.parts) == _TWO
    made = chain(steps) if plain else None
    if made is None:
        return
    match: Any = EventMatch(event_type=denied.event, where=list(denied.where)) if denied.where else denied.event
    node = structs.replace(cast("EventSequence", made.condition), none_between=[match])
    events = {step.event for step in steps}
    kept = [part for part in clauses(rest) if not (part.event in events and not part.where and is_step(part))]
    said = sum(part.used for part in clauses(rest) if part not in kept)
    clause = structs.replace(made, condition=node, used=made.used | denied.used | said)
    yield both(one, two, {"between_two": 1}, tree=join("AND", *kept, clause), exclude=one.exclude)


RULES: Final = (
    Rule("none_between", ANDS, _none_between),
    Rule("between_two", frozenset({"between"}), _between_two),
)
"""Every way to say that something did not come between."""
