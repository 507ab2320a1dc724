"""The smallest cases of sequences whose steps have the same values, read by the SQL in every shape and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.compiler import bind, compile_definition, read_evidence, render_evidence
from segment_copilot.language import Definition, canonical, decode, parse
from segment_copilot.language.catalog import Catalog, EventType, Property
from segment_copilot.language.changes import changes
from segment_copilot.language.describe import describe_condition
from segment_copilot.language.equivalence import form_of
from segment_copilot.language.lint import lint
from segment_copilot.language.names import event_properties_of, names_of
from segment_copilot.stores.clickhouse import ClickHouse
from tests.language.test_regressions import AS_OF, Case, compiled_members, event, identify, store
from tests.support.language.data_sets import WAYS
from tests.support.language.reference import Event, members

Json = dict[str, Any]


def steps(*events: Any, same: Any = ("sku",), **fields: Any) -> Json:
    return {"type": "event_sequence", "events": list(events), "same": list(same)} | fields


def did(user_id: str, *skus: Any, **more: Any) -> list[Event]:
    """`view`, `cart`, `buy`, a minute apart each, of these; `...` is nothing."""
    return [
        event(user_id, 9 - number, name, **({} if sku is ... else {"sku": sku}), **more)
        for number, (name, sku) in enumerate(zip(("view", "cart", "buy"), skus, strict=False))
    ]


ALL = ("view", "cart", "buy")
CASES = [
    Case("of one product", steps(*ALL), [*did("a", "A", "A", "A"), *did("b", "A", "A", "B"), *did("c", "A", "B", "B"), *did("d", "B", "A", "B")], "a"),
    Case("and those who are not", steps(*ALL, negate=True), [*did("a", "A", "A", "A"), *did("b", "A", "A", "B"), identify("i")], "bi"),
    Case("of one of several, between those of others", steps(*ALL), [event("a", 9, "view", sku="A"), event("a", 8, "view", sku="B"), event("a", 7, "cart", sku="A"), event("a", 6, "view", sku="A"), event("a", 5, "buy", sku="A"),
            event("b", 9, "view", sku="A"), event("b", 8, "cart", sku="B"), event("b", 7, "view", sku="B"), event("b", 6, "buy", sku="A")], "a"),
    Case("what is missing is like nothing", steps(*ALL), [*did("a", ..., ..., ...), *did("b", None, None, None), *did("c", "", "", ""), *did("d", ["A"], ["A"], ["A"]), *did("e", {"x": 1}, {"x": 1}, {"x": 1})], "c"),
    Case("by its type", steps("view", "cart"), [*did("a", 1, 1.0), *did("b", 1, "1"), *did("c", 1, True), *did("d", "true", True), *did("e", False, False), *did("f", 0, -0.0), *did("g", 0, False), *did("h", "A", "a"), *did("i", 2**53, 2**53 + 1)], "aefi"),
    Case("several at once", steps("view", "cart", same=["sku", "of.shop"]), [*did("a", "A", "A", of={"shop": 1}), *did("b", "A", "A"), *did("c", "A", "B", of={"shop": 1}), event("d", 9, "view", sku="A", of={"shop": 1}), event("d", 8, "cart", sku="A", of={"shop": 2}),
            event("d", 7, "cart", sku="B", of={"shop": 1})], "a"),
    Case("what two paths hold together is not the same", steps("view", "cart", same=["x", "y"]), [event("a", 9, "view", x="A", y="sB"), event("a", 8, "cart", x="As", y="B"), event("b", 9, "view", x="A", y="B"), event("b", 8, "cart", x="A", y="B")], "b"),
    Case("within a time", steps("view", {"event_type": "cart", "within": "2m"}), [event("a", 9, "view", sku="A"), event("a", 7, "cart", sku="A"), event("b", 9, "view", sku="A"), event("b", 8, "view", sku="B"), event("b", 6, "cart", sku="A")], "a"),
    Case("from first to last", steps(*ALL, window={"last": "2m"}), [*did("a", "A", "A", "A"), event("b", 9, "view", sku="A"), event("b", 8, "view", sku="B"), event("b", 7, "cart", sku="A"), event("b", 6, "buy", sku="A")], "a"),
    Case("nothing between: also of others, and of none", steps("view", "cart", none_between=["back"]), [event("a", 9, "view", sku="A"), event("a", 5, "cart", sku="A"), event("b", 9, "view", sku="A"), event("b", 7, "back", sku="B"), event("b", 5, "cart", sku="A"), event("c", 9, "view", sku="A"), event("c", 7, "back"), event("c", 5, "cart", sku="A"),
            event("d", 9, "back"), event("d", 8, "view", sku="A"), event("d", 5, "cart", sku="A"), event("d", 4, "back")], "ad"),
    Case("strictly", steps("view", "cart", strict=True), [event("a", 9, "view", sku="A"), event("a", 5, "cart", sku="A"), event("b", 9, "view", sku="A"), event("b", 7, "view", sku="B"), event("b", 5, "cart", sku="A"), event("c", 9, "view", sku="A"), event("c", 7, "other"), event("c", 5, "cart", sku="A")], "a"),
    Case("a step that may be another", steps("view", "view", "*"), [event("a", 9, "view", sku="A"), event("a", 8, "view", sku="B"), event("a", 7, "view", sku="A"), event("a", 6, "back", sku="A"), event("b", 9, "view", sku="A"), event("b", 8, "view", sku="A"), event("b", 7, "view", sku="B")], "a"),
    Case("at one instant is not later", steps("view", "cart"), [event("a", 9, "view", sku="A"), event("a", 9, "cart", sku="A"), event("b", 9, "view", sku="A"), event("b", 9, "view", sku="B"), event("b", 8, "cart", sku="A")], "b"),
    Case("the first of the steps counts too", steps({"event_type": "view", "where": [{"property": "sku", "operator": "neq", "value": "A"}]}, "cart"), [*did("a", "A", "A"), *did("b", "B", "B"), *did("c", ..., "A")], "b"),
    Case("with an identify, whose traits are its values", steps("context_identified", "view"), [event("a", 9, "context_identified", sku="A"), event("a", 8, "view", sku="A"), event("b", 9, "context_identified", sku="A"), event("b", 8, "view", sku="B")], "a"),
    Case("in a search window", steps("view", "cart", search_window={"last": "8m"}), [event("a", 9, "view", sku="A"), event("a", 7, "cart", sku="A"), event("b", 8, "view", sku="A"), event("b", 7, "cart", sku="A")], "b"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_both_readings_find(module_clickhouse: ClickHouse, number):
    case = CASES[number]
    await store(module_clickhouse, number + 1, case.history)
    definition = {"logic": "AND", "conditions": [case.condition]}
    assert members(definition, case.history, as_of=case.as_of) == set(case.expected)
    for way in WAYS[:2]:
        assert await compiled_members(module_clickhouse, number + 1, case, way) == set(case.expected), way


@pytest.mark.parametrize(
    ("same", "pointer", "code"),
    [
        ([], "", "empty_list"),
        (["a..b"], "/0", "bad_path"),
        (["a", "*\\"], "/1", "bad_path"),
        (["a", 1], "/1", "wrong_type"),
        ("a", "", "wrong_type"),
        ([f"p{number}" for number in range(101)], "", "list_too_long"),
    ],
)
def test_what_is_wrong_is_told_where_it_is(same, pointer, code):
    parsed = parse(
        {"logic": "AND", "conditions": [{"type": "event_sequence", "events": ["view", "cart"], "same": same}]}
    )
    assert (f"/conditions/0/same{pointer}", code) in [(one.pointer, one.code) for one in parsed.findings]


def of(*conditions: Json) -> Definition:
    return decode({"logic": "AND", "conditions": list(conditions)})


def test_words():
    told = describe_condition(of(steps(*ALL, window_days=7)).conditions[0], {})
    assert told == "who did “view”, then did “cart”, then did “buy”, all with the same sku, all within 7 days"
    told = describe_condition(of(steps("view", "cart", same=["sku", "shop"], negate=True)).conditions[0], {})
    assert told == "who are not among those who did “view”, then did “cart”, both with the same sku and the same shop"


def test_names_are_those_of_every_step():
    step = {"event_type": ["cart", "buy"], "where": [{"property": "total", "operator": "gt", "value": 5}]}
    definition = of(steps("view", step, same=["sku", "shop"]))
    found = {("view", "sku"), ("view", "shop"), ("cart", "sku"), ("cart", "shop"), ("buy", "sku"), ("buy", "shop"), ("cart", "total"), ("buy", "total")}  # fmt: skip
    assert set(event_properties_of(definition)) == found
    assert {"sku", "shop"} <= set(names_of(definition))


def test_what_no_step_has_is_told():
    known = {
        name: EventType(name, event_count=1, properties=properties)
        for name, properties in (
            ("view", {"sku": Property("sku", types=("string",)), "n": Property("n", types=("number",))}),
            ("cart", {"sku": Property("sku", types=("list",)), "n": Property("n", types=("string", "number"))}),
        )
    }

    def warned(*same: str) -> list[tuple[str, str]]:
        bound = bind(
            parse({"logic": "AND", "conditions": [steps("view", "cart", same=same)]}), Catalog(event_types=known), {}
        )
        return [(one.pointer, one.code) for one in bound.warnings]

    assert warned("n") == []
    assert warned("n", "sku") == [("/conditions/0/same/1", "value_type_unseen")]
    assert warned("skus") == [("/conditions/0/same/0", "unknown_name")]


def test_one_order_of_paths_is_as_good_as_another():
    one, other = of(steps(*ALL, same=["b", "a", "b"])), of(steps(*ALL, same=["a", "b"]))
    assert canonical(one) == canonical(other)
    assert form_of(one) == form_of(other)
    plain = of({"type": "event_sequence", "events": list(ALL)})
    assert form_of(one) != form_of(plain)
    assert [change.change for change in changes(plain, one, {})] == ["changed"]


def test_steps_that_ask_for_other_values_have_none_in_common():
    def asked(operator: str, value: Any, name: str = "view") -> Json:
        return {"event_type": name, "where": [{"property": "sku", "operator": operator, "value": value}]}

    def told(*events: Any, same: Any = ("sku",)) -> list[tuple[str, str]]:
        found = lint(of(steps(*events, same=same)), as_of=AS_OF, timezone="UTC")
        return [(one.pointer, one.code) for one in found]

    assert told(asked("eq", "A"), asked("eq", "B")) == [("/conditions/0/same/0", "contradiction")]
    assert told(asked("gt", 5), "cart", asked("lt", 2)) == [("/conditions/0/same/0", "contradiction")]
    assert told(asked("eq", "A"), asked("neq", "B")) == []
    assert told(asked("eq", "A"), asked("eq", "B"), same=["shop"]) == []


async def test_events_that_no_step_asks_for_explain_nothing(module_clickhouse: ClickHouse):
    history = [
        event("a", 9, "view", sku="A"),
        event("a", 8, "back", sku="A"),
        event("a", 7, "view"),
        event("a", 6, "cart", sku="A"),
        event("a", 5, "cart", sku=["A"]),
    ]
    tenant = len(CASES) + 1
    await store(module_clickhouse, tenant, history)
    parsed = parse({"logic": "AND", "conditions": [steps("view", "cart", none_between=["buy", "back"])]})
    plan = compile_definition(parsed, catalog=Catalog(), references={}, tenant_id=tenant, as_of=AS_OF).plan
    query = render_evidence(plan, user_id="a")
    rows = (await module_clickhouse.fetch(query.sql, query.params, purpose="preview", user="a")).rows
    (verdict,) = read_evidence(plan, rows).verdicts
    assert not verdict.matches
    assert [one.event_type for one in verdict.evidence.contributions] == ["cart", "view"]
