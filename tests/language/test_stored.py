"""A test that nothing stored can pass, because a type or a spelling is another, is warned of, with what would find it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from segment_copilot.compiler import bind
from segment_copilot.compiler.bind import Bound
from segment_copilot.events import rows as stored
from segment_copilot.events.names import ObservedNames, find_new_names
from segment_copilot.language import parse
from segment_copilot.language.catalog import (
    IDENTIFY,
    MAX_SAMPLES,
    Answers,
    Catalog,
    EventType,
    Probe,
    Property,
    Question,
    Spellings,
)
from segment_copilot.language.operators import POSITIVE_OF
from tests.support.language.reference import Event, members
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

WORLD = world(AS_OFS, ZONES)


def trait(*samples: Any, types: tuple[str, ...] = (), **more: Any) -> Property:
    kinds = {str: "string", bool: "boolean", int: "number", float: "number"}
    seen: Any = types or tuple(sorted({kinds[type(one)] for one in samples}))
    return Property("p", seen, samples=samples, **more)


def bound(known: Property, **test: Any) -> Bound:
    condition = {"type": "user_property", "property": "p", **test}
    return bind(parse({"logic": "AND", "conditions": [condition]}), Catalog(traits={"p": known}), {})


def codes(known: Property, **test: Any) -> list[str]:
    return [one.code for one in bound(known, **test).warnings]


DATES = trait("2026-06-20", "2026-06-20T13:14:58Z")


@pytest.mark.parametrize(
    ("known", "test", "says"),
    [
        (trait("06/20/2026"), {"operator": "in_last", "value": "30d"}, "06/20/2026"),
        (trait("06/20/2026"), {"operator": "not_in_last", "value": "30d"}, "2026-06-20T13:14:58Z"),
        (trait(1781956498), {"operator": "after", "value": "2026-01-01"}, 'value_type "epoch_s"'),
        (trait(1781956498000), {"operator": "after", "value": "2026-01-01"}, 'value_type "epoch_ms"'),
        (trait(1781956498), {"operator": "before", "value": "2026-01-01", "value_type": "epoch_ms"}, "1970"),
        (trait(1781956498), {"operator": "in_last", "value": "30d", "value_type": "epoch_ms"}, "epoch_s"),
        (trait(1781956498000), {"operator": "before", "value": "2026-01-01", "value_type": "epoch_s"}, "epoch_ms"),
        (trait(1781956498), {"operator": "in_window", "value": {"period": "next_month"}, "value_type": "epoch_ms"}, "1970"),
        (trait(1781956498), {"operator": "in_window", "value": {"last": "30d"}, "value_type": "epoch_ms"}, "epoch_s"),
        (trait("06/20/2026"), {"operator": "in_window", "value": {"period": "tomorrow"}}, "2026-06-20"),
        (trait("06/20/2026"), {"operator": "anniversary_in", "value": {"month": 6}}, "2026-06-20"),
        (trait(True, False), {"operator": "eq", "value": "true"}, "eq true"),
        (trait(True, False), {"operator": "neq", "value": "no"}, "eq false"),
        (trait(True, False), {"operator": "in", "value": ["true"]}, "eq true"),
        (trait(True, False), {"operator": "contains", "value": "true"}, "eq true"),
        (trait(42, 7), {"operator": "eq", "value": "42"}, "eq 42"),
        (trait(42, 7), {"operator": "starts_with", "value": "4"}, "a text"),
        (trait("$1,089.95"), {"operator": "gt", "value": 1000}, "plain JSON numbers"),
        (trait("$1,089.95"), {"operator": "between", "value": [1, 5], "negate": True}, "$1,089.95"),
        (trait("yes", "no"), {"operator": "is_true"}, 'eq "yes"'),
        (trait("Y", "N"), {"operator": "is_false"}, 'eq "N"'),
        (trait(0, 1), {"operator": "eq", "value": True}, "eq 1"),
        (trait("vip", types=("list",)), {"operator": "eq", "value": "vip"}, "contains"),
        (trait("vip"), {"operator": "contains_any", "value": ["vip"]}, "eq and in"),
        (trait("vip"), {"operator": "contains", "value": 3}, "a list"),
    ],
)  # fmt: skip
def test_a_type_that_nothing_stored_has_is_told_with_what_is_stored(known: Property, test: dict[str, Any], says: str):
    (found,) = bound(known, **test).warnings

    assert (found.code, found.pointer) == ("value_type_unseen", "/conditions/0/property")
    assert says in found.detail


@pytest.mark.parametrize(
    ("known", "test"),
    [
        (DATES, {"operator": "in_last", "value": "30d"}),
        (trait("06/20/2026", "2026-06-20"), {"operator": "in_last", "value": "30d"}),
        (trait("42"), {"operator": "eq", "value": 42}),
        (trait(42), {"operator": "eq", "value": 7}),
        (trait(1781956498), {"operator": "before", "value": "1970-01-15", "value_type": "epoch_ms"}),
        (trait(1781956498), {"operator": "in_window", "value": {"to": "1970-02-01"}, "value_type": "epoch_ms"}),
        (trait(1781956498), {"operator": "in_window", "value": {"period": "next_month"}, "value_type": "epoch_s"}),
        (trait(1781956498000), {"operator": "before", "value": "2026-01-01", "value_type": "epoch_ms"}),
        (trait(True), {"operator": "eq", "value": True}),
        (trait("yes"), {"operator": "is_set"}),
        (trait(3, types=("list",)), {"operator": "contains", "value": 3}),
        (trait("pro", "free"), {"operator": "matches_regex", "value": "^q"}),
        (trait("pro", "free"), {"operator": "starts_with", "value": "q"}),
        (Property("p", declared="number"), {"operator": "eq", "value": 3}),
    ],
)  # fmt: skip
def test_a_test_that_something_stored_could_pass_is_not_remarked_on(known: Property, test: dict[str, Any]):
    assert bound(known, **test).warnings == ()


def test_a_value_in_another_case_is_told_with_the_one_that_is_stored():
    (found,) = bound(trait("ES", "FR"), operator="eq", value="es").warnings

    assert (found.code, found.pointer, found.suggestions[0]) == ("unseen_value", "/conditions/0/value", "ES")
    assert codes(trait("ES", "FR"), operator="eq", value="es", ignore_case=True) == []
    assert codes(trait("ES", "FR"), operator="not_in", value=["ES", "IT"]) == ["unseen_value"]


def test_a_date_that_is_compared_as_text_is_told_of_its_type():
    (found,) = bound(trait("2026-06-01T06:30:00Z"), operator="eq", value="2026-06-01").warnings

    assert found.code == "unseen_value"
    assert 'value_type "datetime"' in found.detail


def test_nothing_far_is_offered_for_a_value():
    (found,) = bound(trait("Amsterdam", "Utrecht", "Delft", "Leiden"), operator="eq", value="Tokyo").warnings

    assert found.suggestions == ()
    assert "Amsterdam" not in found.detail


def test_a_property_that_is_a_trait_or_of_another_event_is_told_where_it_is():
    stage, total = Property("stage", ("string",), samples=("prod",)), Property("total", ("number",), samples=(3,))
    catalog = Catalog(
        traits={"stage": stage},
        event_types={
            "open": EventType("open", event_count=1, properties={"x": Property("x", ("number",))}),
            "order": EventType("order", event_count=1, properties={"total": total}),
        },
    )
    conditions: list[dict[str, Any]] = [
        {"type": "event_property", "event_type": "open", "property": "stage", "operator": "eq", "value": "prod"},
        {"type": "event_count", "event_type": "open", "where": [{"property": "total", "operator": "gt", "value": 3}]},
        {"type": "user_property", "property": "total", "operator": "gt", "value": 3},
    ]

    found = bind(parse({"logic": "AND", "conditions": conditions}), catalog, {}).warnings

    assert [(one.pointer, one.code, one.suggestions) for one in found if one.code == "named_elsewhere"] == [
        ("/conditions/0/property", "named_elsewhere", ("user_property",)),
        ("/conditions/1/where/0/property", "named_elsewhere", ("order",)),
        ("/conditions/2/property", "named_elsewhere", ("order",)),
    ]
    assert sum(one.code == "unknown_name" for one in found) == 3
    assert "prod" in next(one.detail for one in found if one.code == "named_elsewhere")


def test_an_aggregate_of_texts_that_are_no_numbers_is_told():
    total = Property("total", ("string",), samples=("1,089.95", "$2,500"))
    catalog = Catalog(event_types={"order": EventType("order", event_count=2, properties={"total": total})})

    def told(metric: str) -> list[str]:
        sums = {"type": "monetary", "event_type": "order", "property": "total", "metric": metric, "operator": "lt", "value": 9}  # fmt: skip
        return [one.code for one in bind(parse({"logic": "AND", "conditions": [sums]}), catalog, {}).warnings]

    assert told("sum") == told("median") == ["value_type_unseen"]
    assert told("count_distinct") == []


# What the samples leave open

MANY = tuple(f"Town{number:03d}" for number in range(MAX_SAMPLES))


def test_a_value_beyond_the_samples_is_a_question_and_no_warning():
    found = bound(trait(*MANY), operator="in", value=["Zwolle", "Town001"])

    assert found.warnings == ()
    assert found.questions == (Question((), "p", texts=frozenset({"zwolle", "town001"})),)


def test_the_answer_tells_whether_it_is_stored_and_how():
    def told(value: str, **counts: int) -> list[tuple[str, tuple[str, ...]]]:
        answers = Answers({value.lower(): Spellings(counts, near=("Zwolle",))})
        found = bound(trait(*MANY, answers=answers), operator="eq", value=value)
        assert found.questions == ()
        return [(one.code, one.suggestions) for one in found.warnings]

    assert told("Zwolle", Zwolle=3) == []
    assert told("Zwole") == [("unseen_value", ("Zwolle",))]
    assert told("ZWOLLE", Zwolle=3, zwolle=1) == [("unseen_value", ("Zwolle", "zwolle"))]
    assert told("Zwolle", Zwolle=3, zwolle=1) == [("other_spellings", ("zwolle",))]


def test_two_spellings_among_the_samples_are_told_and_their_counts_asked_for():
    known = trait("Paris", "paris", "Lyon")

    first = bound(known, operator="eq", value="Paris")
    again = bound(trait(*known.samples, answers=Answers({"paris": Spellings({"Paris": 120, "paris": 3})})), operator="eq", value="Paris")  # fmt: skip

    assert [one.code for one in first.warnings] == ["other_spellings"]
    assert first.questions == (Question((), "p", texts=frozenset({"paris"})),)
    assert again.questions == ()
    assert "'Paris' (120), 'paris' (3)" in again.warnings[0].detail
    assert codes(known, operator="in", value=["Paris", "paris"]) == codes(known, operator="eq", value="Lyon") == []


@pytest.mark.parametrize(
    ("test", "probe"),
    [
        ({"operator": "gt", "value": 3}, Probe("gte", -1.7976931348623157e308, "number")),
        ({"operator": "in_last", "value": "3d"}, Probe("gte", "1900-01-01", "datetime")),
        ({"operator": "does_not_contain", "value": "xyz"}, Probe("contains", "xyz")),
        ({"operator": "starts_with", "value": "town00"}, Probe("starts_with", "town00")),
    ],
)
def test_whether_anything_passes_is_asked_and_the_answer_believed(test: dict[str, Any], probe: Probe):
    asked = bound(trait(*MANY), **test)

    def told(passes: bool) -> list[str]:  # noqa: FBT001
        return codes(trait(*MANY, answers=Answers(passed={probe: passes})), **test)

    assert asked.warnings == ()
    assert asked.questions == (Question((), "p", probes=frozenset({probe})),)
    assert told(passes=True) == []
    assert len(told(passes=False)) == 1


# Laws, of any history: what was stored is all that is known


def observed(history: list[Event]) -> Catalog:
    rows = [stored.Event(1, str(at), one.user_id, one.event_type, one.occurred_at, json.dumps(one.payload)) for at, one in enumerate(history)]  # fmt: skip
    names = find_new_names(rows, known=ObservedNames()).paths
    event_types = {
        name: EventType(
            name,
            event_count=1,
            properties={
                path: Property(path, tuple(sorted(seen.kinds)), samples=tuple(one for _, one in seen.samples))
                for path, seen in paths.items()
                if path
            },
        )
        for (_, name), paths in names.items()
    }
    traits = event_types.pop(IDENTIFY, EventType(IDENTIFY)).properties
    return Catalog(event_types=event_types, traits=traits)


def drawn(seed: int) -> tuple[list[Event], Catalog, list[dict[str, Any]]]:
    draw = Draw(seed, WORLD)
    history = [event for user in ("ana", "ben", "cai") for event in draw.history(user)]
    tests = [draw.one([draw.user_property, draw.event_property])() | draw.negate() for _ in range(8)]
    return history, observed(history), tests


@pytest.mark.parametrize("seed", range(40))
def test_a_warning_never_changes_what_a_definition_means(seed: int):
    _, catalog, tests = drawn(seed)
    for test in tests:
        parsed = parse({"logic": "AND", "conditions": [test]})
        assert bind(parsed, catalog, {}).definition == bind(parsed, Catalog(), {}).definition


def test_a_warned_of_test_matches_nobody_when_it_is_made_positive():
    seen = Counter[str]()
    for seed in range(250):
        history, catalog, tests = drawn(seed)
        for test in tests:
            warnings = bind(parse({"logic": "AND", "conditions": [test]}), catalog, {}).warnings
            told = [one for one in warnings if one.code in {"value_type_unseen", "unseen_value"}]
            told = [one for one in told if "/where/" not in one.pointer]  # what a filter refuses may be wanted
            value = test.get("value", [])
            texts = {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)}
            is_whole = told and (told[0].code == "value_type_unseen" or len(told) == len(texts))
            if not is_whole or "lies in 1970" in told[0].detail:
                continue
            seen[told[0].code] += 1
            positive = {**test, "operator": POSITIVE_OF.get(test["operator"], test["operator"]), "negate": False}
            if test["type"] == "event_property":
                positive["occurrence"] = "any"
            definition = {"logic": "AND", "conditions": [positive]}
            assert members(definition, history, as_of=WORLD.as_ofs[0]) == set(), (test, told)
    assert min(seen["value_type_unseen"], seen["unseen_value"]) > 20
