"""Rules of which of the events are meant: the latest, the first, each of them, none but these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.amounts import test_of, value_tests
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.english.reading.meanings import Clause, Fragment, Joined, Reading, Tree, join, last_event
from segment_copilot.english.reading.rules.sharing import ANDS, Between, both, leans
from segment_copilot.english.reading.rules.sharing import Rule as Joining
from segment_copilot.english.reading.rules.told import Rule, Said, all_tests, clause, is_countable, lies, said
from segment_copilot.english.reading.spans import Mention, Span, one_tree, reading, union
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.language import EventCount, EventProperty
from segment_copilot.language.nodes import PropertyTest

_OCCURRENCES: Final = {"last": "latest", "first": "first", "every": "every", "only": "every"}


def _one_event(span: Span, mention: Mention) -> Iterator[Reading]:
    """The last order used a coupon; the first order was over 100; every order was over 100; only ever bought shoes."""
    measured = any(at.bare and at.mask & one.mask for at in span.windows for one in span.quantities)
    for bare in (True, False) if measured else (True,):  # "took more than 24 hours" is no window
        told = said(span, mention, bare=bare)
        if told is not None and is_countable(told.window):
            when = told.window.mask if told.window else 0
            yield from _one_of(span, mention, structs.replace(told, used=told.used | when))


def _one_of(span: Span, mention: Mention, told: Said) -> Iterator[Reading]:
    if told.negative and any(one.kind == "only" for one in span.orders):
        return
    for kind in dict.fromkeys(one.kind for one in span.orders):
        words = union(one for one in span.orders if one.kind == kind)
        if told.negative and kind == "every" and not _is_not_every(span, words):
            continue
        for plan in all_tests(span, mention, told):
            tests = (*told.tests, *plan.tests)
            used = told.used | plan.used | words
            features = {**told.features, **plan.features, "of:only": float(kind == "only")}
            for which, where, how in _tested(tests):
                parts = [
                    clause(_node(mention.event, one, where, kind, negative=told.negative), used, where, told.window, positive=not told.negative)
                    for one in which
                ]  # fmt: skip
                yield reading(
                    span, f"of_{_OCCURRENCES[kind]}", one_tree(parts), used, "event", {**features, f"of:{how}": 1}
                )


def _is_not_every(span: Span, words: int) -> bool:
    """Return whether "every" itself is denied: "not all of their orders"."""
    return any(span.lower(one.end) and words >> one.end & 1 for one in span.negations)


def _tested(
    tests: tuple[PropertyTest, ...],
) -> Iterator[tuple[tuple[PropertyTest, ...], tuple[PropertyTest, ...], str]]:
    """Yield which tests the one event must pass, and which tell the events that it is one of."""
    if tests:
        yield tests, (), "one" if len(tests) == 1 else "all"
    if len(tests) == 2:  # noqa: PLR2004
        yield tests[1:], tests[:1], "where"
        yield tests[:1], tests[1:], "where_behind"


def _node(
    event: str, test: PropertyTest, where: tuple[PropertyTest, ...], kind: str, *, negative: bool
) -> EventProperty:
    return EventProperty(
        event_type=event, property=test.property, operator=test.operator, value=test.value, value2=test.value2,
        ignore_case=test.ignore_case, occurrence=cast("Any", _OCCURRENCES[kind]), negate=negative, where=list(where) or UNSET,
    )  # fmt: skip


# Of what was spoken of before


def one_of_them(span: Span) -> Iterator[Reading]:
    """The most recent one by card; above a hundred on the latest: one of the events that were spoken of before."""
    kinds = dict.fromkeys(one.kind for one in span.orders if one.kind in {"first", "last"})
    numbers = [one for one in span.quantities if span.lower(one.start) != "one"]
    if len(kinds) != 1 or len(span.windows) > 1 or len(span.negations) > 1 or len(numbers) > 1:
        return
    number = numbers[0] if numbers else None
    words = union(span.orders) | union(span.negations) | union(span.quantities)
    if span.windows:
        used = words | span.windows[0].mask
        part = Fragment(used, window=span.windows[0].window, order=next(iter(kinds)))
        if not span.negations and number is None:
            yield reading(span, "one_of_them", None, used, "event", {"one_of_them:window": 1}, fragment=part)
        return
    events = dict.fromkeys(value.place.event for anchor in span.values for value in anchor.values if value.place.event)
    for event in (*events, *(("",) if number else ())):
        tests = value_tests(span, event, words) if event else None
        used = words | (tests.used if tests else 0)
        if bool(tests and tests.tests) != bool(number):
            part = Fragment(used, bool(span.negations), number, tests.tests if tests else (), order=next(iter(kinds)))
            yield reading(
                span, "one_of_them", None, used, "event", {"one_of_them:number": float(bool(number))}, fragment=part
            )


def _of_them(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """The first order was below 25, the latest above 100; first login by card, the most recent one by cash."""
    part, before = two.fragment, last_event(one.tree)
    if part is None or part.order not in {"first", "last"} or before is None or leans(one):
        return
    if part.window is not None:
        tree = lies(before.event, before.where, part.order, part.window, part.used)
        if tree is not None:
            features = {"of_them:window": 1.0, f"of_them:{between.main}": 1.0}
            yield both(one, two, features, tree=join("AND", one.tree, tree), exclude=one.exclude, pronoun=one.pronoun)
        return
    for test in _tests_of_them(part, before, found):
        node = _node(before.event, test, (), part.order, negative=part.negative)
        made = clause(node, part.used, (), positive=not part.negative)
        features = {"of_them": 1, f"of_them:{between.main}": 1}
        yield both(one, two, features, tree=join("AND", one.tree, made), exclude=one.exclude, pronoun=one.pronoun)


def _tests_of_them(part: Fragment, before: Clause, found: Anchors) -> tuple[PropertyTest, ...]:
    if part.tests:
        return part.tests if found.names.has(before.event, {test.property for test in part.tests}) else ()
    node, amount = before.condition, cast("Quantity", part.quantity.quantity)
    money = found.names.money(before.event)
    named = node.property if isinstance(node, EventProperty) and isinstance(node.value, int | float) else None
    path = named or (money.path if money is not None else None)
    return (test_of(path, amount),) if path is not None else ()


# Nothing else


def nothing_else(span: Span) -> Iterator[Reading]:
    """Nothing else; never anywhere else; in no other club: that what was said before is all there is."""
    words = {span.lower(at) for at in range(span.start, span.end)}
    if not span.negations and not any(one.quantity.none for one in span.quantities):
        return
    if (
        not words & {"else", "other", "others", "elsewhere", "otherwise"}
        or "between" in words
        or span.windows
        or span.values
    ):
        return
    used = (
        union(span.negations)
        | union(one for one in span.quantities if one.quantity.none)
        | span.having(lexicon.stems("else"))
    )
    used |= union(one for one in span.fields if one.place.event) | union(
        one for one in span.orders if one.kind == "only"
    )
    for mask in dict.fromkeys((0, *(mention.mask for mention in span.mentions))):
        part = Fragment(used | mask, order="else")
        yield reading(span, "nothing_else", None, used | mask, "event", {}, fragment=part)


def _but_these(one: Reading, two: Reading, between: Between, found: Anchors) -> Iterator[Reading]:
    """Only ever visits Playa, never another club; booked spinning and nothing else: each of them was of this kind."""
    del found
    part, tree = two.fragment, one.tree
    if part is None or tree is None or leans(one):
        return
    *before, last = tree.parts if isinstance(tree, Joined) and tree.logic == "AND" else (tree,)
    said_so = isinstance(last, Clause) and (part.order == "else" or _is_of_other_values(part, last))
    made = _each(last) if said_so and isinstance(last, Clause) else None
    if made is not None:
        made = structs.replace(made, used=made.used | part.used)
        how = "every" if isinstance(cast("Clause", last).condition, EventProperty) else "count"
        features = {f"nothing_else:{how}": 1, f"nothing_else:{between.main}": 1}
        yield both(one, two, features, tree=_joined(before, made), exclude=one.exclude, pronoun=one.pronoun)


def _is_of_other_values(part: Fragment, before: Clause) -> bool:
    """Return whether a part denies other values of what each event was said to have: "only by card, never by cash"."""
    node = before.condition
    if (
        not isinstance(node, EventProperty)
        or node.occurrence != "every"
        or not part.negative
        or part.window is not None
    ):
        return False
    return (
        bool(part.tests)
        and part.quantity is None
        and all(test.property == node.property and test.value != node.value for test in part.tests)
    )


def _joined(before: list[Tree], made: Tree) -> Tree | None:
    return join("AND", *before, made)


def _each(part: Clause) -> Clause | None:
    """Return what says that each of the events passes the test that some of them were said to pass."""
    node = part.condition
    if isinstance(node, EventProperty) and node.occurrence == "every":
        return part
    if (
        not isinstance(node, EventCount)
        or not part.positive
        or (node.operator, node.value) != ("gte", 1)
        or len(part.where) != 1
    ):
        return None
    when = {name: value for name in ("window", "window_days") if (value := getattr(node, name))}
    every = structs.replace(_node(part.event, part.where[0], (), "every", negative=False), **when)
    return structs.replace(part, condition=every, counts=False)


RULES: Final = (Rule("one_event", _one_event),)
"""Every way to say which of the events it was."""
JOINS: Final = (
    Joining("of_them", ANDS | {"then"}, _of_them),
    Joining("but_these", ANDS | {"or"}, _but_these),
)
"""Every way to go on about the events that were spoken of."""
