"""The smallest cases of tests of the items of a list, read by the SQL in every shape and by hand."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.compiler import bind
from segment_copilot.language import canonical, decode, parse
from segment_copilot.language.catalog import Catalog, EventType, Property
from segment_copilot.language.describe import describe_condition
from segment_copilot.language.equivalence import form_of
from segment_copilot.language.lint import lint
from segment_copilot.language.names import event_properties_of
from segment_copilot.stores.clickhouse import ClickHouse
from tests.language.test_regressions import AS_OF, Case, compiled_members, event, identify, store
from tests.support.language.data_sets import WAYS
from tests.support.language.reference import members

Json = dict[str, Any]


def bought(*tests: Json, any_of: str = "items", **fields: Any) -> Json:
    return {
        "type": "event_count",
        "event_type": "view",
        "where": [{"any_of": any_of, "conditions": list(tests), **fields}],
    }


def asked(operator: str, value: Any = None, path: str = "sku", **fields: Any) -> Json:
    return {"property": path, "operator": operator} | ({} if value is None else {"value": value}) | fields


A, B = {"sku": "A", "price": 5}, {"sku": "B", "price": 50}
CARTS = [
    event("a", items=[A, B]),
    event("b", items=[{"sku": "A", "price": 50}]),
    event("c", items=[{"sku": "A", "price": "50"}, None, "A"]),
    event("d", items=[]),
    event("e", items=A),
    event("f", items="A"),
    event("g"),
    event("h", items=[{"sku": None, "price": {"sku": "A"}}, [A]]),
    identify("i"),
]

CASES = [
    Case("one item passes all", bought(asked("eq", "A"), asked("gt", 10, "price")), CARTS, "bc"),
    Case("or one passes one, and another another", {"type": "event_count", "event_type": "view", "where": [{"any_of": "items", "conditions": [asked("eq", "A")]}, {"any_of": "items", "conditions": [asked("gt", 10, "price")]}]}, CARTS, "abc"),
    Case("none does: also where there is no list", bought(asked("eq", "A"), asked("gt", 10, "price"), negate=True), CARTS, "adefgh"),
    Case("an item that is not so", bought(asked("neq", "A")), CARTS, "ach"),
    Case("a test of an item turned round", bought(asked("eq", "A", negate=True)), CARTS, "ach"),
    Case("nothing under the path", bought(asked("is_not_set")), CARTS, "ch"),
    Case("something under the path", bought(asked("is_set")), CARTS, "abc"),
    Case("the item itself", bought(asked("eq", "A", ".")), CARTS, "c"),
    Case("an item that is null is missing", bought(asked("is_not_set", path=".")), CARTS, "c"),
    Case("any text", bought(asked("in", ["B", "C"]), asked("lt", 100, "price")), CARTS, "a"),
    Case("a list of texts", bought(asked("starts_with", "a", ".", ignore_case=True), any_of="tags"), [event("a", tags=["Ab", "c"]), event("b", tags=["ca"]), event("c", tags="ab"), event("d", tags=[["ab"]])], "a"),
    Case("numbers as they are written", bought(asked("eq", 10, "."), any_of="n"), [event("a", n=[10.0]), event("b", n=["1e1"]), event("c", n=["010"]), event("d", n=[True, 100])], "ab"),
    Case("truth", bought(asked("is_true", path="gift")), [event("a", items=[{"gift": True}]), event("b", items=[{"gift": "true"}]), event("c", items=[{"gift": 1}, {"gift": False}])], "a"),
    Case("lists in items", bought(asked("contains_all", ["s", 1][:1], "sizes"), asked("contains", 2, "sizes")), [event("a", items=[{"sizes": ["s", 2]}]), event("b", items=[{"sizes": ["s"]}, {"sizes": [2]}]), event("c", items=[{"sizes": "s"}])], "a"),
    Case("dates in items", bought(asked("in_last", "7d", "due")), [event("a", items=[{"due": "2026-06-10"}]), event("b", items=[{"due": "2026-06-01"}]), event("c", items=[{"due": "soon"}])], "a"),
    Case("keys with a dot, and objects in objects", bought(asked("eq", 1, r"a\.b.c")), [event("a", items=[{"a.b": {"c": 1}}]), event("b", items=[{"a": {"b": {"c": 1}}}]), event("c", items=[{"a.b": [{"c": 1}]}])], "a"),
    Case("an object in which nothing is set is nothing", bought(asked("is_set", path="of")), [event("a", items=[{"of": {"x": {"y": 0}}}]), event("b", items=[{"of": {}}]), event("c", items=[{"of": {"x": None, '": 1': {}}}]), event("d", items=[{"of": []}]),
            event("e", items=[1, {"of": {"x": None}}, [{"of": {"x": {}}}]])], "ad"),
    Case("empty is missing, no text or no list", bought(asked("is_empty", path="x")), [event("a", items=[{"x": ""}]), event("b", items=[{"x": []}]), event("c", items=[{}]), event("d", items=[{"x": 0}, {"x": " "}, {"x": {"y": 1}}])], "abc"),
    Case("an item's price beside the event's", bought({"property": "price", "operator": "gt", "value": {"property": "total"}, "value_type": "number"}), [event("a", total=9, items=[{"price": 1}, {"price": 10}]), event("b", total=9, items=[{"price": 9, "total": 1}]), event("c", items=[{"price": 10}])], "a"),
    Case("an item beside a trait", bought({"property": "sku", "operator": "eq", "value": {"trait": "wish"}, "value_type": "string"}), [*CARTS, identify("a", wish="B"), identify("b", wish="B"), identify("c", wish="A")], "ac"),
    Case("in a step of a sequence", {"type": "event_sequence", "events": [{"event_type": "view", "where": [{"any_of": "items", "conditions": [asked("eq", "B")]}]}, "cart"]}, [event("a", 9, items=[A, B]), event("a", 5, "cart"), event("b", 9, items=[A]), event("b", 5, "cart")], "a"),
    Case("beside a test of the event, one of both is enough", {"type": "event_count", "event_type": "view", "where": {"logic": "OR", "conditions": [{"any_of": "items", "conditions": [asked("eq", "B")]}, asked("eq", 1, "x")]}}, [event("a", items=[B]), event("b", x=1), event("c", items=[A], x=2)], "ab"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
async def test_both_readings_find(module_clickhouse: ClickHouse, number):
    case = CASES[number]
    await store(module_clickhouse, number + 1, case.history)
    definition = {"logic": "AND", "conditions": [case.condition]}
    assert members(definition, case.history, as_of=case.as_of, tenant_zone=case.timezone) == set(case.expected)
    for way in WAYS[:2]:
        assert await compiled_members(module_clickhouse, number + 1, case, way) == set(case.expected), way


@pytest.mark.parametrize(
    ("where", "pointer", "code"),
    [
        ({}, "", "missing_field"),
        ({"any_of": "items"}, "", "missing_field"),
        ({"conditions": [asked("eq", "A")]}, "", "missing_field"),
        ({"any_of": "items", "conditions": []}, "/conditions", "empty_group"),
        ({"any_of": "items", "conditions": [asked("eq", "A")] * 101}, "where", "too_many_conditions"),
        ({"any_of": "a..b", "conditions": [asked("eq", "A")]}, "/any_of", "bad_path"),
        ({"any_of": ".", "conditions": [asked("eq", "A")]}, "/any_of", "bad_path"),
        ({"any_of": "items", "conditions": [asked("eq", "A")], "operator": "eq"}, "/operator", "unread_field"),
        ({"any_of": "items", "conditions": [asked("eq", "A")], "property": "x"}, "/property", "unread_field"),
        ({"any_of": "items", "conditions": [asked("eq")]}, "/conditions/0", "missing_field"),
        ({"any_of": "items", "conditions": [asked("gt", True)]}, "/conditions/0/operator", "operator_not_allowed"),
        ({"any_of": "items", "conditions": [{"any_of": "x", "conditions": [asked("eq", 1)]}]}, "/conditions/0/any_of", "unread_field"),
        (asked("eq", "A", "."), "/property", "bad_path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_is(where, pointer, code):
    document = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "view", "where": [where]}]}
    parsed = parse(document)
    findings = [*parsed.findings]
    if not findings:
        with pytest.raises(Exception) as refused:
            bind(parsed, Catalog(), {})
        findings = [*refused.value.findings]  # type: ignore[attr-defined]
    here = "/conditions/0/where" if pointer == "where" else f"/conditions/0/where/0{pointer}"
    assert (here, code) in [(one.pointer, one.code) for one in findings]


def condition_of(document: Json) -> Any:
    return decode({"logic": "AND", "conditions": [document]}).conditions[0]


def test_words():
    told = describe_condition(condition_of(bought(asked("eq", "A"), asked("gt", 10, "price", negate=True))), {})
    assert (
        told
        == "who did “view” (where one of items is such that (its sku is “A” and its price is not more than 10 (or is unknown)))"
    )
    told = describe_condition(condition_of(bought(asked("eq", "A", "."), negate=True)), {})
    assert told == "who did “view” (where none of items is such that (it is “A”))"


def test_a_list_is_looked_for_under_the_name():
    plain = {"view": EventType("view", properties={"items": Property("items", types=("string",), samples=("A",))})}
    bound = bind(parse({"logic": "AND", "conditions": [bought(asked("eq", "A"))]}), Catalog(event_types=plain), {})
    assert [(one.pointer, one.code) for one in bound.warnings if one.code == "value_type_unseen"] == [
        ("/conditions/0/where/0/any_of", "value_type_unseen")
    ]
    assert event_properties_of(bound.definition) == (("view", "items"),)


def test_equal_tests_in_another_order_are_one_form():
    one, other = (
        decode({"logic": "AND", "conditions": [bought(*tests)]})
        for tests in ((asked("eq", "A"), asked("gt", 10, "price")), (asked("gt", 10.0, "price"), asked("in", ["A"])))
    )
    assert form_of(one) == form_of(other)
    assert form_of(one) != form_of(decode({"logic": "AND", "conditions": [bought(asked("eq", "A"))]}))
    assert canonical(one) != canonical(other)


def test_items_that_nothing_can_be_are_told():
    nobody = decode({"logic": "AND", "conditions": [bought(asked("eq", "A"), asked("eq", "B"))]})
    found = lint(nobody, as_of=AS_OF, timezone="UTC")
    assert {one.code for one in found} == {"contradiction"}
    apart = decode({"logic": "AND", "conditions": [{"type": "event_count", "event_type": "view", "where": [{"any_of": "items", "conditions": [asked("eq", one)]} for one in "AB"]}]})  # fmt: skip
    assert lint(apart, as_of=AS_OF, timezone="UTC") == ()
