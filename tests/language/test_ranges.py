"""A range whose ends are the wrong way round is refused, where the type says so, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from segment_copilot.language.checks import check_typed_test
from segment_copilot.language.decode import is_timezone, parse
from segment_copilot.language.nodes import PropertyTest
from segment_copilot.language.value_types import ValueType

Json = dict[str, Any]

COUNT: Json = {"type": "event_count", "event_type": "x"}
TRAIT: Json = {"type": "user_property", "property": "p"}
MONEY: Json = {"type": "monetary", "event_type": "x", "property": "p", "metric": "sum"}
PERIODS: Json = {"type": "event_periods", "event_type": "x", "period": "week", "last": 9}
IN_WHERE: Json = {"property": "p"}


def codes(condition: Json) -> list[tuple[str, str]]:
    if condition.get("type") is None:
        condition = COUNT | {"where": [condition]}
    return [(one.code, one.pointer) for one in parse({"logic": "AND", "conditions": [condition]}).findings]


@pytest.mark.parametrize("operator", ["between", "not_between"])
@pytest.mark.parametrize(
    "leaf", [COUNT, TRAIT, MONEY, PERIODS, IN_WHERE], ids=["count", "trait", "sum", "periods", "where"]
)
def test_a_range_whose_lower_end_comes_last_is_refused(leaf, operator):
    inside = "/conditions/0" if "type" in leaf else "/conditions/0/where/0"
    assert codes(leaf | {"operator": operator, "value": 5, "value2": 1}) == [("reversed_range", f"{inside}/value2")]
    assert codes(leaf | {"operator": operator, "value": [5, 1]}) == [("reversed_range", f"{inside}/value")]
    assert codes(leaf | {"operator": operator, "value": [1, 5]}) == []
    assert codes(leaf | {"operator": operator, "value": 5, "value2": 5}) == []


def test_texts_and_days_have_an_order_too_and_instants_wait_for_their_type():
    assert [code for code, _ in codes(TRAIT | {"operator": "between", "value": ["b", "a"]})] == ["reversed_range"]
    assert [code for code, _ in codes(TRAIT | {"operator": "between", "value": ["2026-02-01", "2026-01-01"]})]
    assert codes(TRAIT | {"operator": "between", "value": ["a", "B"], "ignore_case": True}) == []
    later = ["2026-01-01T05:00:00+05:00", "2026-01-01T01:00:00Z"]
    assert codes(TRAIT | {"operator": "between", "value": later}) == []


def test_instants_are_compared_as_instants():
    def found(value_type: ValueType, *ends: str) -> list[str]:
        test = PropertyTest("p", "between", list(ends), value_type=value_type)
        return [one.code for one in check_typed_test("", test, value_type)]

    assert found("datetime", "2026-01-01T05:00:00+05:00", "2026-01-01T01:00:00Z") == []
    assert found("datetime", "2026-01-01T01:00:00Z", "2026-01-01T05:00:00+05:00") == ["reversed_range"]
    assert found("datetime", "2026-01-02", "2026-01-01T23:00:00Z") == [], "that depends on the tenant's zone"


@pytest.mark.parametrize("name", ["", "localtime", "posixrules", "Mars/Base", "../etc/passwd", "europe"])
def test_a_time_zone_is_one_of_the_world_not_of_this_machine(name):
    assert not is_timezone(name)
    assert is_timezone("Europe/Madrid")
    assert is_timezone("UTC")
