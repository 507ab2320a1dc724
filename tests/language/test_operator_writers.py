"""Every operator of the language is written by a row of a table of the compiler, and no row is for anything else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from segment_copilot.compiler import CompiledQuery, compile_definition, render_members
from segment_copilot.compiler.aggregates import COMPARISONS
from segment_copilot.compiler.dates import SPANS
from segment_copilot.compiler.predicates import BOOLEAN_WRITERS, LIST_WRITERS, NUMBER_WRITERS, STRING_WRITERS
from segment_copilot.language import parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.nodes import Metric
from segment_copilot.language.operators import (
    EVERY_TYPE,
    LENGTHS,
    OPERATORS,
    POSITIVE_OF,
    WINDOWS,
    NumberOperator,
    operators_of,
)

AS_EQ = {"is_true", "is_false"}
"""Planned as `eq`, with the value they say."""

OF_ANY_TYPE = {"is_set", "is_not_empty", "contains"}
"""What is stored decides, not a type: each is a kind of test by itself."""

VALUES: dict[str, Any] = {"string": "a", "number": 2, "boolean": True, "list": "a"}


def operands(type_: str, operator: str) -> dict[str, Any]:
    takes = OPERATORS[operator].takes
    if takes == "nothing":
        return {}
    if takes in {"window", "season"}:
        return {"value": {"period": "this_week"}}
    value = "30d" if takes == "length" else VALUES.get(type_, "2026-01-01")
    return {"value": value if takes in {"one", "length"} else [value, value]}


def written(type_: Any) -> set[str]:
    """What is left of the operators of a type when the planner has made them positive."""
    positives = {POSITIVE_OF.get(operator, operator) for operator in operators_of(type_)}
    return {"eq" if operator in AS_EQ else operator for operator in positives - OF_ANY_TYPE}


def compiled(condition: dict[str, Any]) -> CompiledQuery:
    definition = {"logic": "AND", "conditions": [condition]}
    as_of = datetime(2026, 6, 15, 12, tzinfo=UTC)
    return render_members(
        compile_definition(parse(definition), catalog=Catalog(), references={}, tenant_id=1, as_of=as_of).plan
    )


def test_every_operator_of_a_type_has_a_row_and_no_other_has():
    assert NUMBER_WRITERS.keys() == written("number")
    assert BOOLEAN_WRITERS.keys() == written("boolean")
    assert STRING_WRITERS.keys() == written("string")
    assert LIST_WRITERS.keys() == written("list")
    for type_ in ("datetime", "epoch_s", "epoch_ms"):
        assert (
            SPANS.keys() == written(type_) - LENGTHS - WINDOWS
        )  # these are counted from `as_of`, not read from a value
    assert COMPARISONS.keys() == set(get_args(NumberOperator))


def test_every_operator_is_compiled_for_every_type_that_has_it():
    for type_ in EVERY_TYPE:
        for operator in operators_of(type_):
            test = {"type": "user_property", "property": "p", "operator": operator, "value_type": type_}
            query = compiled(test | operands(type_, operator))
            assert "property = " in query.sql


def test_every_comparison_of_a_number_is_compiled_for_counts_and_for_every_metric():
    for operator in get_args(NumberOperator):
        count = {"type": "event_count", "event_type": "e", "operator": operator} | operands("number", operator)
        assert "count()" in compiled(count).sql
        for metric in get_args(Metric):
            amount = count | {"type": "monetary", "property": "p", "metric": metric}
            assert "GROUP BY" in compiled(amount).sql
