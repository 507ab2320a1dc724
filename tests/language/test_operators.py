"""The table of operators, and everything that keeps an entry for each of them: what a new row lacks is named here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args
from zoneinfo import ZoneInfo

import pytest

from evals.fixtures import edges
from evals.graders.drafts import SEEKING_NO_TEXT
from evals.proof.mutants import other_numbers, other_operators, other_values
from segment_copilot.compiler.stored import judge_test, stored_of
from segment_copilot.language import PropertyTest, parse
from segment_copilot.language.catalog import Answers, Probe, Property
from segment_copilot.language.checks import check_typed_test
from segment_copilot.language.describe import describe
from segment_copilot.language.lint import lint
from segment_copilot.language.operators import (
    DATETIMES,
    EVERY_TYPE,
    OPERATORS,
    OPPOSITE_NUMBER,
    POSITIVE_OF,
    DateOperator,
    NumberOperator,
    Operator,
    PropertyOperator,
    RecencyOperator,
    ValueType,
    holds,
    operators_of,
)
from segment_copilot.language.value_types import EPOCH_UNITS, resolve_type
from tests.support.language import reference_values as reference
from tests.support.language.compiled_text import WORLD, compiled
from tests.support.language.reference_times import Clock
from tests.support.language.strategies import Draw

Json = dict[str, Any]

AS_OF = datetime(2026, 6, 15, 12, tzinfo=UTC)
ROWS = tuple(OPERATORS.values())
POSITIVE = {row.name for row in ROWS if row.positive}
LANGUAGE_PAGE = Path(__file__).parents[2] / "docs" / "language.md"
EXAMPLES: dict[ValueType, tuple[Any, Any]] = {
    "string": ("pear", "plum"),
    "number": (5, 7),
    "boolean": (False, True),
    **dict.fromkeys(DATETIMES, ("2026-06-01", "2026-06-07")),
    "list": ("pear", "plum"),
}
"""Of each type two values that a test may compare with, in order."""


def operands(row: Operator, value_type: ValueType) -> Json:
    first, second = EXAMPLES[value_type]
    match row.takes:
        case "nothing":
            return {}
        case "one":
            return {"value": first}
        case "two":
            return {"value": first, "value2": second}
        case "any" | "all":
            return {"value": [first, second]}
        case "length":
            return {"value": "30d"}
        case "window":
            return {"value": {"last": "30d"}}
        case "season":
            return {"value": {"month": 6}}


def trait_test(row: Operator, value_type: ValueType) -> Json:
    """A test of a trait; the type is left out where any type is asked."""
    told = {} if row.types == EVERY_TYPE else {"value_type": value_type}
    return {"type": "user_property", "property": "p", "operator": row.name} | operands(row, value_type) | told


def whole(test: Json) -> Json:
    return {"logic": "AND", "conditions": [test]}


EVERY_TEST = [
    pytest.param(trait_test(row, value_type), id=f"{row.name} of {value_type}")
    for row in ROWS
    for value_type in sorted(row.types)
]


def names(rows: Iterable[Operator]) -> set[str]:
    return {row.name for row in rows}


# The table itself


OF_EVERY_TYPE = {"is_set", "is_not_set", "is_empty", "is_not_empty"}


def test_a_name_stands_in_the_table_and_in_the_types_of_the_nodes():
    assert set(get_args(PropertyOperator)) == set(OPERATORS)
    assert set(get_args(DateOperator)) == operators_of("datetime") - OF_EVERY_TYPE
    assert set(get_args(NumberOperator)) == names(row for row in ROWS if row.amount)
    assert set(get_args(RecencyOperator)) == set(get_args(NumberOperator)) & POSITIVE


def test_there_is_one_set_of_value_types():
    assert set(get_args(ValueType)) == EVERY_TYPE == set(EXAMPLES)
    assert {"datetime", *EPOCH_UNITS} == DATETIMES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_complement_takes_the_same_and_one_of_the_two_is_positive(row: Operator):
    if row.complement is None:
        assert row.positive
        return
    other = OPERATORS[row.complement]
    assert (other.complement, other.positive) == (row.name, not row.positive)
    assert (other.takes, other.types, other.seeks, other.sign) == (row.takes, row.types, row.seeks, row.sign)
    assert row.opposite == row.complement


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_words_of_an_operator_have_room_for_what_it_takes(row: Operator):
    room = {"nothing": set[str](), "two": {"{0}", "{1}"}}.get(row.takes, {"{0}"})
    phrases = [one for one in (row.phrase, row.phrase_of_dates, row.phrase_of_texts) if one is not None]
    for words in [text for one in phrases for text in (one.affirmation, one.denial)] + [row.amount] * bool(row.amount):
        assert set(re.findall(r"\{.\}", words)) == room, words


@pytest.mark.parametrize("row", [row for row in ROWS if row.several], ids=lambda row: row.name)
def test_the_operator_of_several_values_takes_a_list_where_the_one_takes_a_value(row: Operator):
    several = OPERATORS[cast("str", row.several)]
    assert (row.takes, several.takes) == ("one", "any")
    assert several.positive == row.positive
    assert several.types & row.types


@pytest.mark.parametrize("operator", get_args(NumberOperator))
def test_an_amount_passes_a_test_or_its_opposite(operator: NumberOperator):
    for number in (0, 1, 2, 2.5, 3, 4):
        by_hand = reference.compares({"operator": operator}, number, [1, 3])
        assert holds(operator, number, 1, 3) is by_hand
        assert holds(OPPOSITE_NUMBER[operator], number, 1, 3) is not by_hand


# What reads it


@pytest.mark.parametrize("test", EVERY_TEST)
def test_every_type_that_has_an_operator_is_described_linted_and_compiled(test: Json):
    parsed = parse(whole(test))
    assert parsed.definition is not None, parsed.findings
    assert describe(parsed.definition, {}).startswith("Users whose p ")
    lint(parsed.definition, as_of=AS_OF, timezone="UTC")
    assert all(query.sql for query in compiled(whole(test)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_type_that_has_not_an_operator_refuses_it(row: Operator):
    for value_type in EVERY_TYPE - row.types:
        test = PropertyTest("p", row.name, **operands(row, value_type))
        (found,) = check_typed_test("", test, value_type)
        assert found.code == "operator_not_allowed"
        assert set(found.suggestions) == operators_of(value_type)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_text_that_nobody_has_is_noticed_wherever_an_operator_looks_for_a_value_or_a_part_of_one(row: Operator):
    nowhere = {Probe(row.name, "plum"): False for row in ROWS}
    kind: ValueType = "list" if row.types == {"list"} else "string"
    known = Property("p", (kind,), samples=("apricot", "peach"), answers=Answers(passed=nowhere))
    stored = stored_of((), "p", [known])
    assert stored is not None
    wanted = {"whole": "peach", "part": "ric", "start": "apri", "end": "ach", None: "x"}[row.seeks]

    def unseen(text: str) -> list[str]:
        test = PropertyTest("p", row.name, [text] if row.takes_list else text)
        judged = judge_test("", test, resolve_type(test, None), stored)
        return [one.code for one in judged.findings if one.code == "unseen_value"]

    assert unseen(wanted) == []
    assert unseen("plum") == (["unseen_value"] if row.seeks in {"whole", "part"} else [])


# What keeps an entry for each


def test_the_reference_has_a_meaning_for_each_positive_operator():
    assert reference.NEGATIVE == POSITIVE_OF
    assert set(reference.MEANINGS) | set(reference.ORDER) | set(reference.DATES) == POSITIVE
    assert set(reference.DATES) == (operators_of("datetime") - OF_EVERY_TYPE) & POSITIVE
    assert set(reference.ORDER) == (operators_of("number") - OF_EVERY_TYPE) & POSITIVE


def test_random_definitions_have_every_operator():
    draw = Draw(5, WORLD)
    assert {draw.property_test()["operator"] for _ in range(3_000)} == set(OPERATORS)


def test_the_language_page_lists_the_operators_of_each_type():
    text = LANGUAGE_PAGE.read_text().split("## Operators\n")[1]
    listed = " ".join(re.findall(r"`([a-z_\s]+)`", text.split("`between` takes")[0])).split()
    assert sorted(listed) == sorted(OPERATORS)
    told: dict[str, set[str]] = {}
    for types, cell in re.findall(
        r"^\| ([a-z_, ]+) \| (.+) \|$", text.split("| type |")[1].split("\n\n")[0], flags=re.MULTILINE
    ):
        found = re.fullmatch(r"(?:as (\w+),? ?(?:and |whose .*)?)?([a-z_ ]*)", cell)
        assert found is not None, cell
        for value_type in types.split(", "):
            told[value_type] = {*found[2].split(), *told.get(found[1], set())}
    assert told == {value_type: operators_of(value_type) - OF_EVERY_TYPE for value_type in EVERY_TYPE}


# The evaluation, which knows the service only from outside


def made_for(row: Operator) -> ValueType:
    """The type that the evaluation tests with the operator: numbers where it orders, else the plainest."""
    plain: list[ValueType] = ["string", "boolean", "list", "datetime"]
    ordered = row.sign not in {None, "="} and "number" in row.types
    return "number" if ordered else next(one for one in plain if one in row.types)


@pytest.mark.parametrize("row", [row for row in ROWS if row.takes != "nothing"], ids=lambda row: row.name)
def test_a_wrong_definition_is_made_of_what_an_operator_takes(row: Operator):
    test = trait_test(row, made_for(row))
    changed = [mutant for _, mutant in (*other_operators(test), *other_numbers(test), *other_values(test))]
    assert [one for one in changed if one != test]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_evaluation_has_values_on_both_sides_of_a_test(row: Operator):
    value_type = made_for(row)
    test = {name: value for name, value in trait_test(row, value_type).items() if name != "type"}
    samples = {"list": [["x"], ["y"]], "number": [5, 9]}.get(value_type, ["pear", "plum", "x"])
    good, bad = edges.values(test, samples, AS_OF, ZoneInfo("UTC"))
    assert good
    assert bad
    if value_type == "datetime":  # on which side of a date each lies is left to the engine
        return
    clock = Clock(AS_OF, ZoneInfo("UTC"))
    for values, passing in ((good, True), (bad, False)):
        for value in values:
            stored = reference.MISSING if value is edges.MISSING else value
            assert reference.passes(test, stored, clock=clock) is passing, value


def test_the_evaluation_looks_for_the_texts_that_operators_look_for():
    assert names(row for row in ROWS if row.takes != "nothing" and not row.seeks) == SEEKING_NO_TEXT
