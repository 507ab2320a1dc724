"""Rules that join two parts of which one leans on the other: it borrows an event, points back, or comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from msgspec import UNSET, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import (
    Clause,
    Features,
    Fragment,
    Joined,
    Reading,
    changed,
    clauses,
    join,
    last_event,
    replaced,
    timed,
)
from segment_copilot.english.reading.rules.implied import needed
from segment_copilot.english.reading.rules.joins import join_both
from segment_copilot.english.reading.rules.ordering import later, then, without
from segment_copilot.english.reading.rules.sharing import (
    ANDS,
    Between,
    Rule,
    again,
    both,
    leans,
    shared,
)
from segment_copilot.english.reading.rules.told import clause, counted, lapsed
from segment_copilot.english.reading.spans import Span, reading
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.language import EventCount, Recency
from segment_copilot.language.nodes import PropertyTest

# What points back


def _borrow(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered in the last 30 days but not in the last 7; at least 5 orders but fewer than 10; bought jackets but not shoes."""
    part, before = two.fragment, last_event(one.tree)
    if (
        part is None
        or part.order
        or before is None
        or leans(one)
        or not isinstance(before.condition, EventCount | Recency)
        or (isinstance(before.condition, Recency) and part.window is None)
        or between.main == "except"
    ):
        return
    logic: Literal["AND", "OR"] = "OR" if between.main == "or" else "AND"
    for node, features in _borrowed(before, part, found):
        made = clause(node, part.used, tuple(node.where) if node.where is not UNSET else (), positive=not part.negative)  # type: ignore[arg-type]
        made = structs.replace(made, counts=True)
        if part.since:
            for tree, name in later(before, made, part.used):
                yield both(
                    one,
                    two,
                    {**features, f"{name}:borrowed": 1.0},
                    tree=join("AND", without(one.tree, before, tree), tree),
                    exclude=one.exclude,
                    pronoun=one.pronoun,
                )
            continue
        if part.window is not None:
            made = (
                again(structs.replace(made, window=part.window), before.window)
                if part.window.kind == "same" and before.window
                else timed(made, part.window)
            )
        told = {**features, f"borrow:{between.main}:{'N' if not made.positive else 'P'}": 1.0}
        if between.main in {"then", "after", "before"}:
            yield from then(
                one,
                structs.replace(two, tree=made, fragment=None, pronoun=0, features=told, parts=(two,)),
                between,
                found,
            )
            continue
        for left, right, kept in shared(one.tree, made, between.main, found):
            yield both(
                one,
                two,
                {**told, **kept},
                tree=needed(join(logic, left, right)),
                exclude=one.exclude,
                pronoun=one.pronoun,
            )


def _borrow_ahead(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """At least 1 but less than 4 orders: the event is named in the second part."""
    part, after = one.fragment, next((part for part in clauses(two.tree) if part.event), None)
    if (
        part is None
        or part.order
        or part.quantity is None
        or after is None
        or leans(two)
        or not isinstance(after.condition, EventCount)
    ):
        return
    logic: Literal["AND", "OR"] = "OR" if between.main == "or" else "AND"
    for node, features in _borrowed(after, part, found):
        made = structs.replace(clause(node, part.used, after.where, positive=not part.negative), counts=False)
        told = {**features, f"borrow_ahead:{between.main}": 1.0}
        for left, right, kept in shared(made, two.tree, between.main, found):
            yield both(one, two, {**told, **kept}, tree=join(logic, left, right), exclude=two.exclude)


def _borrowed(before: Clause, part: Fragment, found: Anchors) -> Iterator[tuple[EventCount, Features]]:
    properties = {test.property for test in part.tests}
    kept = tuple(test for test in before.where if test.property not in properties)
    where = (*kept, *part.tests)
    amount: Quantity | None = part.quantity.quantity if part.quantity is not None else None
    if (
        part.tests
        and not any(test.property in {other.property for other in before.where} for test in part.tests)
        and not found.names.has(before.event, properties)
    ):
        return
    features: dict[str, float] = {
        "borrow": 1,
        "borrow:value": float(bool(part.tests)),
        "borrow:number": float(amount is not None),
    }
    if amount is None:
        yield counted(before.event, where, "gte", 1, None, negative=part.negative), features
    elif not amount.currency:
        negative = part.negative and not amount.none
        yield counted(before.event, where, amount.operator, amount.value, amount.value2, negative=negative), features


def _pointing(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Got the mailing and never opened it; "it" is what was spoken of before: the tests that both events can pass."""
    before, after = last_event(one.tree), next((part for part in clauses(two.tree) if part.event), None)
    if not two.pronoun or before is None or after is None or two.tree is None or leans(one):
        return
    tests = tuple(
        test
        for test in before.where
        if found.names.has(after.event, {test.property})
        and test.property not in {mine.property for mine in after.where}
    )
    features: dict[str, float] = {
        "pronoun": 1,
        "left:pronoun": -1,
        "pronoun:tests": float(bool(tests)),
        "pronoun:lost": float(bool(before.where) and not tests),
    }
    pointed = structs.replace(
        two,
        pronoun=0,
        tree=changed(two.tree, lambda part: _with(part, after, tests)),
        parts=(two,),
        features=features,
        score=two.score,
    )
    yield from join_both(one, pointed, between, found)
    if between.main in {"then", "and", "comma"}:
        yield from then(one, pointed, between, found)


def _with(part: Clause, which: Clause, tests: tuple[PropertyTest, ...]) -> Clause:
    if part is not which or not tests or not hasattr(part.condition, "where"):
        return part
    where = (*part.where, *tests)
    return structs.replace(part, condition=structs.replace(part.condition, where=list(where)), where=where)


def _object_behind(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Viewed but did not buy shoes: what stands behind the second verb is meant for the first too."""
    before, after = last_event(one.tree), next((part for part in clauses(two.tree) if part.event), None)
    if (
        before is None
        or after is None
        or one.tree is None
        or leans(one)
        or leans(two)
        or before.where
        or not after.where
    ):
        return
    tests = tuple(test for test in after.where if found.names.has(before.event, {test.property}))
    if not tests or not before.counts or one.left:
        return
    features: dict[str, float] = {"object_behind": 1, f"object_behind:{between.main}": 1}
    given = structs.replace(
        one, tree=changed(one.tree, lambda part: _with(part, before, tests)), features=features, parts=(one,)
    )
    yield from join_both(given, two, between, found)


def _again_in(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered in April and in May; paid yesterday or today; not in April or May: the same once more, at another time."""
    del found
    before, window = last_event(one.tree), two.window
    said = before is not None and before.timed and isinstance(before.condition, EventCount)
    if not said or before is None or window is None or one.tree is None or leans(one) or not before.window:
        return
    if not before.positive and between.main == "comma":  # "did not buy in May, did in June"
        return
    bare = structs.replace(before.condition, window=UNSET, window_days=UNSET)
    other = timed(structs.replace(before, condition=bare, timed=False, window=None), window.window, window.mask)
    if not other.timed:
        return
    logic: Literal["AND", "OR"] = "OR" if between.main == "or" and before.positive else "AND"
    features = {"again_in": 1.0, f"again_in:{logic}:{'P' if before.positive else 'N'}": 1.0}
    tree = replaced(one.tree, before, Joined(logic, (before, other)))
    yield both(one, two, features, tree=tree, exclude=one.exclude, window=None)


# Not lately, but before


def earlier(span: Span) -> Iterator[Reading]:
    """But before yes; they used to; had visits before: that somebody who does not do it lately once did."""
    words = {span.lower(at) for at in range(span.start, span.end)}
    told = words & {"before", "previously", "formerly", "earlier"} or {"used", "to"} <= words
    if not told or span.windows or span.quantities or span.negations or span.values or span.start == 0 == span.end:
        return
    known = sum(1 << at for at in range(span.start, span.end) if span.lower(at) in lexicon.words("earlier"))
    for event, mask in ((("", 0)), *((one.event, one.mask) for one in span.mentions)):
        part = Fragment(span.mask, order="earlier", event=event)
        used = known | mask | span.pronouns
        yield reading(span, "earlier", None, used, "event" if event else "", {}, fragment=part)


def _earlier(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Has not visited in 30 days, but did before: the last time was longer ago than that."""
    del found
    for mark, other in ((two, one), (one, two)):
        part, before = mark.fragment, last_event(other.tree)
        if part is None or part.order != "earlier" or before is None or other.tree is None or leans(other):
            continue
        made = lapsed(before) if part.event in {"", before.event} else None
        if made is not None:
            tree = replaced(other.tree, before, structs.replace(made, used=made.used | part.used))
            features = {"earlier": 1, f"earlier:{'named' if part.event else 'plain'}": 1, f"earlier:{between.main}": 1}
            yield both(one, two, features, tree=tree, exclude=other.exclude, pronoun=other.pronoun)


RULES: Final = (
    Rule("earlier", ANDS, _earlier),
    Rule("again_in", frozenset({"and", "or", "comma"}), _again_in),
    Rule("borrow", frozenset(), _borrow),
    Rule("borrow_ahead", frozenset({"and", "or", "but"}), _borrow_ahead),
    Rule("pointing", ANDS | {"then"}, _pointing),
    Rule("object_behind", frozenset({"and", "but"}), _object_behind),
)
"""Every way to lean on another part."""
