"""Rules that join two parts of which one leans on the other: it borrows an event, points back, or comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, cast

from msgspec import UNSET, structs

from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.times.windows import Window as Said
from segment_copilot.english.times.windows import since
from segment_copilot.english_next.anchors import Anchors
from segment_copilot.english_next.events import clause, counted
from segment_copilot.english_next.joins import join_both
from segment_copilot.english_next.meanings import (
    Clause,
    Features,
    Fragment,
    Reading,
    Tree,
    changed,
    clauses,
    join,
    last_event,
    timed,
)
from segment_copilot.english_next.sharing import (
    ANDS,
    Between,
    Rule,
    again,
    both,
    leans,
    shared,
)
from segment_copilot.language import EventCount, EventMatch, EventSequence, Step
from segment_copilot.language.nodes import PropertyTest, Window

# What points back


def _borrow(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered in the last 30 days but not in the last 7; at least 5 orders but fewer than 10; bought jackets but not shoes."""
    part, before = two.fragment, last_event(one.tree)
    if (
        part is None
        or before is None
        or leans(one)
        or not isinstance(before.condition, EventCount)
        or between.main == "except"
    ):
        return
    logic: Literal["AND", "OR"] = "OR" if between.main == "or" else "AND"
    for node, features in _borrowed(before, part, found):
        made = clause(node, part.used, tuple(node.where) if node.where is not UNSET else (), positive=not part.negative)  # type: ignore[arg-type]
        made = structs.replace(made, counts=True)
        if part.since:
            for tree, name in _later(before, made, part.used):
                yield both(
                    one,
                    two,
                    {**features, f"{name}:borrowed": 1.0},
                    tree=join("AND", one.tree, tree),
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
            yield from _then(
                one,
                structs.replace(two, tree=made, fragment=None, pronoun=0, features=told, parts=(two,)),
                between,
                found,
            )
            continue
        for left, right, kept in shared(one.tree, made, between.main):
            yield both(
                one, two, {**told, **kept}, tree=join(logic, left, right), exclude=one.exclude, pronoun=one.pronoun
            )


def _borrow_ahead(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """At least 1 but less than 4 orders: the event is named in the second part."""
    part, after = one.fragment, next((part for part in clauses(two.tree) if part.event), None)
    if (
        part is None
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
        for left, right, kept in shared(made, two.tree, between.main):
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
        yield from _then(one, pointed, between, found)


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


def _since(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Ordered 60 to 90 days ago and no order since: from the end of that time on; without a time, never after it."""
    del between
    before = last_event(one.tree)
    after = two.tree if isinstance(two.tree, Clause) else None
    if not two.left or before is None or after is None:
        return
    words = sum(1 << at for at, token in enumerate(found.tokens) if token.lower in _LATER and two.left >> at & 1)
    if not words or not after.event or leans(one):
        return
    for tree, name in _later(before, after, words):
        pointed = structs.replace(
            two,
            tree=tree,
            left=two.left & ~words,
            parts=(two,),
            features={name: 1, "left:word": -float(words.bit_count())},
        )
        yield both(one, pointed, {}, tree=join("AND", one.tree, tree), exclude=one.exclude)


_LATER: Final = frozenset({"since", "afterwards", "thereafter"})


def _later(before: Clause, after: Clause, words: int) -> Iterator[tuple[Tree, str]]:
    window = since(before.window) if before.window is not None else None
    if window is not None:
        moved = timed(after, window, words)
        if moved != after:
            yield moved, "since:window"
    elif not after.timed and _step(before) and after.counts:
        events = cast("Any", [*_steps(before), *_steps(after)])
        lying = cast("EventCount", before.condition).window if before.window is not None else UNSET
        node = EventSequence(events=events, negate=not after.positive, search_window=lying if after.positive else UNSET)
        yield Clause(node, before.used | after.used | words, positive=after.positive, timed=True), "since:sequence"


def _none_between(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Searched, then viewed a product, with no visit to the cart in between; nothing else in between."""
    del between
    if not two.left or one.tree is None:
        return
    before, first = _split(one.tree, last=True)
    words = sum(
        1 << at
        for at, token in enumerate(found.tokens)
        if token.lower in {"between", "them", "two"} and two.left >> at & 1
    )
    after = two.tree if isinstance(two.tree, Clause) else None
    if (
        first is None
        or not isinstance(first.condition, EventSequence)
        or not words
        or after is None
        or after.positive
        or not after.counts
    ):
        return
    match: Any = EventMatch(event_type=after.event, where=list(after.where)) if after.where else after.event
    change: dict[str, Any] = {"strict": True} if after.event == "*" else {"none_between": [match]}
    made = structs.replace(
        first, condition=structs.replace(first.condition, **change), used=first.used | after.used | words
    )
    yield both(
        one,
        two,
        {"none_between": 1, "left:word": -float(words.bit_count())},
        tree=join("AND", before, made),
        left=one.left | two.left & ~words,
        pronoun=one.pronoun,
    )


# One after the other


def _then(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Viewed a product, then added it to the cart; ordered after opening an email; within a day of it."""
    if one.tree is None or two.tree is None or leans(one) or leans(two) or one.exclude or two.exclude:
        return
    before, first = _split(one.tree, last=True)
    after, second = _split(two.tree, last=False)
    near = between.window.window if between.window else None
    following = second is not None and isinstance(second.condition, EventSequence)
    if between.main in {"and", "comma"} and not (between.main == "comma" and following):
        said = second.window if second is not None else None
        if said is None or said.lead != "within" or said.rolling or said.kind != "last":
            return
    if first is None or second is None or not (_step(first) and _step(second)):
        return
    if between.main in {"after", "within_of"}:
        first, second = second, first
    made = _sequence(first, second, near)
    if made is not None:
        features = {
            f"then:{between.main}:{'list' if following else 'two'}": 1.0,
            "then:windows": float(first.timed) + float(second.timed),
        }
        words = sum(1 << at for at, token in enumerate(found.tokens) if token.lower == "first")
        tree = join("AND", before, structs.replace(made, used=made.used | between.used), after)
        yield both(one, two, features, tree=tree, left=(one.left | two.left) & ~words)


def _split(tree: Tree, *, last: bool) -> tuple[Tree | None, Clause | None]:
    """Return the last (or first) part of a tree, and what is beside it."""
    if isinstance(tree, Clause):
        return None, tree
    part = tree.parts[-1 if last else 0]
    rest = tree.parts[:-1] if last else tree.parts[1:]
    return (join("AND", *rest), part) if tree.logic == "AND" and isinstance(part, Clause) else (None, None)


def _step(part: Clause) -> bool:
    if isinstance(part.condition, EventSequence):
        return True
    return (
        isinstance(part.condition, EventCount)
        and part.positive
        and part.condition.operator == "gte"
        and part.condition.value == 1
        and part.event != "*"
    )


def _sequence(first: Clause, second: Clause, near: Said | None) -> Clause | None:
    steps = [*_steps(first), *_steps(second)]
    span: Any = UNSET
    lying: Any = UNSET
    for said in (near, first.window, second.window):
        if said is None or said.kind == "ever":
            continue
        if said.kind == "last" and said.length and not said.rolling and said.lead in {"within", "in"}:
            if said.length.unit in {"mo", "y"}:
                return None
            span = Window(last=said.length.json)
        else:
            fields = said.json()
            lying = (
                Window(last=f"{fields['window_days']}d")
                if "window_days" in fields
                else cast("Any", timed(second, said).condition).window
            )
    for part in (first, second):
        if isinstance(part.condition, EventSequence):
            span = part.condition.window if span is UNSET else span
            lying = part.condition.search_window if lying is UNSET else lying
    node = EventSequence(events=cast("Any", steps), window=span, search_window=lying)
    return Clause(node, first.used | second.used, timed=True)


def _steps(part: Clause) -> list[str | Step]:
    if isinstance(part.condition, EventSequence):
        return list(part.condition.events)
    return [Step(event_type=part.event, where=list(part.where)) if part.where else part.event]


RULES: Final = (
    Rule("borrow", frozenset(), _borrow),
    Rule("borrow_ahead", frozenset({"and", "or", "but"}), _borrow_ahead),
    Rule("pointing", ANDS | {"then"}, _pointing),
    Rule("object_behind", frozenset({"and", "but"}), _object_behind),
    Rule("since", ANDS, _since),
    Rule("none_between", ANDS, _none_between),
    Rule("then", frozenset({"then", "after", "before", "within_of", "and", "comma"}), _then),
)
"""Every way to lean on another part."""
