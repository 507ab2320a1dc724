"""What is stored in another type is tested for what is meant, or refused with how it is stored; never another audience."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from segment_copilot.english.outcomes import Asked
from segment_copilot.english.plan import Turn
from segment_copilot.english.reading.audience import read_audience
from segment_copilot.english.talk import Conversation, Reader
from segment_copilot.language.catalog import Catalog, EventType, Property

AS_OF = datetime(2026, 6, 30, tzinfo=UTC)
KINDS = {str: "string", bool: "boolean", int: "number", float: "number"}


def properties(known: Mapping[str, list[Any]]) -> dict[str, Property]:
    types: dict[str, Any] = {
        path: tuple(sorted({KINDS[type(one)] for one in values})) for path, values in known.items()
    }
    return {path: Property(path, types[path], samples=tuple(values)) for path, values in known.items()}


def shop(traits: Mapping[str, list[Any]] = {}, order: Mapping[str, list[Any]] = {}) -> Catalog:
    orders = EventType("order_placed", event_count=9, properties=properties(order))
    return Catalog(event_types={"order_placed": orders}, traits=properties(traits))


def answer(text: str, traits: Mapping[str, list[Any]] = {}, order: Mapping[str, list[Any]] = {}) -> Turn:
    asked = Conversation((text,), (), shop(traits, order), AS_OF, "UTC", frozenset({"propose_segment"}))
    return Reader().answer(asked)


def condition(turn: Turn) -> dict[str, Any]:
    (found,) = turn.calls[0].arguments["definition"]["conditions"]
    return found


@pytest.mark.parametrize("values", [["yes", "no"], ["Y", "N"], [1, 0], ["TRUE", "FALSE"], ["SUBSCRIBED", "UNSUBSCRIBED"], ["yes"]])  # fmt: skip
def test_a_consent_is_tested_for_the_value_that_says_yes(values: list[Any]):
    for text in ("Users who accept marketing", "Users whose accepts_marketing is true"):
        found = condition(answer(text, {"accepts_marketing": values}))
        assert (found["operator"], found["value"]) == ("eq", values[0]), text
    for text in ("Users who do not accept marketing", "people who haven't accepted marketing"):
        refused = condition(answer(text, {"accepts_marketing": values}))  # nor has whoever has not been asked
        assert (refused["operator"], refused["value"]) == ("neq", values[0]), text


def test_two_spellings_of_yes_are_both_meant():
    found = condition(answer("Users with newsletter", {"newsletter": ["yes", "no", "Yes"]}))

    assert (found["operator"], found["value"].lower(), found["ignore_case"]) == ("eq", "yes", True)


def test_several_words_for_yes_are_all_meant():
    found = condition(answer("Users with newsletter", {"newsletter": ["yes", "no", "true"]}))

    assert (found["operator"], sorted(found["value"])) == ("in", ["true", "yes"])


@pytest.mark.parametrize("values", [["gold", "no"], [1], ["yes", "no", "maybe"]])
def test_values_that_say_something_else_are_no_consent(values: list[Any]):
    assert condition(answer("Users with a loyalty", {"loyalty": values}))["operator"] == "is_set"


def test_numbers_that_are_texts_are_numbers():
    spent = condition(answer("Users who spent more than 100", order={"total": ["89.95", "20.05"]}))
    score = condition(answer("Users whose score is more than 10", {"score": ["7", "12"]}))

    assert (spent["type"], spent["property"], spent["value"]) == ("monetary", "total", 100)
    assert (score["operator"], score["value"]) == ("gt", 10)


@pytest.mark.parametrize(
    ("text", "traits", "order", "stored"),
    [
        ("Users whose renewal is in the last 30 days", {"renewal": ["06/20/2026"]}, {}, "06/20/2026"),
        ("Users whose spend is more than 1000", {"spend": ["$30,875", "$950"]}, {}, "$30,875"),
        ("Users who placed an order with total above 1000", {}, {"total": ["1,089.95", "80.00"]}, "1,089.95"),
        ("Users who ordered for more than 100 in total", {}, {"total": ["1,089.95", "80.00"]}, "1,089.95"),
        ("Orders with total above 1000", {}, {"total": ["1,089.95", "80.00"]}, "1,089.95"),
    ],
)
def test_what_is_not_read_as_a_number_or_date_is_told_and_counts_nothing(
    text: str, traits: Any, order: Any, stored: str
):
    told = answer(text, traits, order)

    assert told.calls == ()
    assert stored in " ".join(told.sentences)
    assert "not read as" in " ".join(told.sentences)


@pytest.mark.parametrize("codes", [["P-0012", "P-7"], ["SKU-1"], ["08001", "28013"], ["ABC 12"]])
def test_codes_are_no_amounts(codes: list[Any]):
    catalog = shop(order={"product_id": codes})
    outcome = read_audience("Users who ordered 3 or more products", catalog, AS_OF, "UTC")

    assert isinstance(outcome, Asked)
    nodes = [option.draft.definition.conditions[0] for option in outcome.options]
    told = {(type(one).__name__, getattr(one, "metric", "")) for one in nodes}
    assert told == {("Monetary", "count_distinct"), ("EventCount", "")}


def test_how_often_is_still_counted_beside_such_amounts():
    found = condition(answer("Users who ordered more than 3 times", order={"total": ["1,089.95"]}))

    assert (found["type"], found["operator"], found["value"]) == ("event_count", "gt", 3)


@pytest.mark.parametrize("text", ["Users who live in Zwole", "Users whose city is Zwole"])
def test_a_wrong_value_gets_the_nearest_and_never_a_list_of_others(text: str):
    towns = [f"Town{number:03d}" for number in range(20)]

    near, far = answer(text, {"city": [*towns, "Zwolle"]}), answer(text, {"city": towns})

    assert condition(near)["value"] == "Zwolle"
    assert far.calls == ()
    assert "Town" not in " ".join(far.sentences)
