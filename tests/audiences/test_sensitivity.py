"""What an audience would be at other values: each is the number of a preview of its own, and they are near."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from msgspec import UNSET

from segment_copilot.access.tenants import Tenant
from segment_copilot.audiences.previews import Previews
from segment_copilot.audiences.sensitivity import VARIED, ConditionCount
from segment_copilot.language import decode
from segment_copilot.language.neighbours import chosen, length_variations, number_variations
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember
from tests.support.searches import IS_FULL, some

pytestmark = pytest.mark.shared

Json = dict[str, Any]
DAY = timedelta(days=1)


def history(random: Random) -> list[Any]:
    found = list[Any]()
    for number in range(60):
        user = f"u{number}"
        age, due = random.choice([18, 20, 25, 30, 41, 67]), random.choice(["2026-04-20", "2026-05-20", "2026-07-01"])
        found.append((user, "context_identified", 200 * DAY, {"age": age, "due": due}))
        for _ in range(random.randrange(8)):
            ago = random.choice([1, 3, 6, 7, 8, 20, 27, 30, 33, 50]) * DAY
            found.append(
                (user, random.choice(["buy", "buy", "view"]), ago, {"total": random.choice([5, 10, 40, 50, 60])})
            )
    return found


CONDITIONS: list[Json] = [
    {"type": "event_count", "event_type": "buy", "value": 3, "window_days": 30},
    {"type": "event_count", "event_type": "buy"},
    {"type": "event_count", "event_type": "view", "operator": "lt", "value": 2, "window": {"last": "2w"}},
    {"type": "event_count", "event_type": "view", "operator": "eq", "value": 0, "window_days": 7},
    {"type": "recency", "event_type": "buy", "operator": "gt", "window_days": 7},
    {"type": "recency", "event_type": "view", "operator": "lte", "window_days": 30},
    {"type": "monetary", "event_type": "buy", "property": "total", "metric": "sum", "operator": "gte", "value": 100},
    {"type": "monetary", "event_type": "buy", "property": "total", "metric": "max", "operator": "gt", "value": 45}
    | {"window_days": 30},
    {"type": "event_property", "event_type": "buy", "property": "total", "operator": "gte", "value": 40},
    {"type": "event_time", "event_type": "buy", "operator": "in_last", "value": "30d"},
    {"type": "event_periods", "event_type": "buy", "period": "week", "last": 8, "operator": "gte", "value": 2},
    {"type": "user_property", "property": "age", "operator": "gte", "value": 25},
    {"type": "user_property", "property": "age", "operator": "lt", "value": 30.5},
    {"type": "user_property", "property": "due", "operator": "in_last", "value": "30d"},
    {"type": "user_property", "property": "due", "operator": "in_window", "value": {"last": "30d", "days": "complete"}},
]
WITHOUT: list[Json] = [
    {"type": "user_property", "property": "age", "operator": "between", "value": 18, "value2": 30},
    {"type": "event_sequence", "events": ["view", "buy"], "window_days": 7},
    {"type": "sample", "salt": "a", "from": 0, "to": 50},
]


def drawn(random: Random) -> Json:
    def condition() -> Json:
        return deepcopy(random.choice([*CONDITIONS, *WITHOUT[:1]])) | (
            {"negate": True} if random.random() < 0.25 else {}
        )

    group = {"type": "group", "logic": random.choice(["AND", "OR"]), "conditions": [condition(), condition()]}
    counted = group | {"logic": "AT_LEAST", "at_least": 2, "conditions": [condition(), condition(), condition()]}
    whole: Json = {"logic": random.choice(["AND", "OR"]), "conditions": [condition(), random.choice([group, counted])]}
    return whole if random.random() < 0.5 else whole | {"exclude": {"logic": "OR", "conditions": [condition()]}}


def at(definition: Json, pointer: str) -> Json:
    found: Any = definition
    for step in pointer.split("/")[1:]:
        found = found[int(step)] if step.isdigit() else found[step]
    return found


def with_value(definition: Json, pointer: str, value: Any, *, is_window: bool) -> Json:
    """The definition with one value of one condition changed, and nothing else."""
    changed = deepcopy(definition)
    condition = at(changed, pointer)
    has_number = isinstance(condition.get("value"), int | float) or condition["type"] == "event_count"
    if has_number and not is_window:
        condition["value"] = value
    elif "window_days" in condition:
        condition["window_days"] = value
    elif "window" in condition:
        condition["window"]["last"] = value
    elif isinstance(condition["value"], dict):
        condition["value"]["last"] = value
    else:
        condition["value"] = value
    return changed


@pytest.fixture
def previews(resources: Resources) -> Previews:
    return resources.previews


def neighbours(conditions: Any) -> list[tuple[ConditionCount, Any, bool]]:
    told = list[tuple[ConditionCount, Any, bool]]()
    for one in conditions:
        for found, is_window in ((one.neighbours, False), (one.window_neighbours, True)):
            told += [] if found is UNSET else [(one, neighbour, is_window) for neighbour in found]
    return told


@pytest.mark.search
@pytest.mark.parametrize("seed", some(range(12), one_in=4))
async def test_each_is_the_number_of_a_preview_of_its_own(
    resources: Resources, previews: Previews, tenant: Tenant, remember: Remember, seed: int
):
    random = Random(seed)  # noqa: S311  # repeatable
    await remember(tenant, history(random))
    for definition in [drawn(random)]:
        plain = await previews.preview(tenant, definition, as_of=NOW, breakdown=True)
        varied = await previews.preview(tenant, definition, as_of=NOW, sensitivity=True)
        explained = await resources.explanations.definition(tenant, definition, as_of=NOW, sensitivity=True)
        assert (varied.matched_users, varied.universe) == (plain.matched_users, plain.universe)
        assert varied.sample_user_ids == plain.sample_user_ids
        assert varied.conditions == explained.conditions
        assert [(one.pointer, one.words, one.matched_users) for one in varied.conditions or ()] == [
            (one.pointer, one.words, one.matched_users) for one in plain.conditions or ()
        ]
        told = neighbours(varied.conditions)
        assert len(told) > 5
        for condition, neighbour, is_window in told if IS_FULL else random.sample(told, 6):
            changed = with_value(definition, condition.pointer, neighbour.value, is_window=is_window)
            alone = await previews.preview(tenant, changed, as_of=NOW, limit=0)
            assert neighbour.matched_users == alone.matched_users, (definition, condition.pointer, neighbour)


async def test_every_condition_with_a_number_or_a_length_has_five(
    previews: Previews, tenant: Tenant, remember: Remember
):
    await remember(tenant, history(Random(1)))  # noqa: S311
    definition = {"logic": "OR", "conditions": [*CONDITIONS, *WITHOUT]}
    found = (await previews.preview(tenant, definition, as_of=NOW, sensitivity=True)).conditions
    assert found is not UNSET
    for condition, one in zip(definition["conditions"], found, strict=True):
        if condition in WITHOUT:
            assert (one.neighbours, one.window_neighbours) == (UNSET, UNSET), condition
            continue
        assert one.neighbours is not UNSET
        assert len(one.neighbours) == 5, condition
        assert (one.window_neighbours is not UNSET) == (
            isinstance(one.neighbours[0].value, int | float)
            and ("window" in condition or ("window_days" in condition and condition["type"] != "recency"))
        ), condition
    ages = found[CONDITIONS.index({"type": "user_property", "property": "age", "operator": "gte", "value": 25})]
    assert [one.value for one in ages.neighbours or ()] == [18, 20, 25, 30, 41]  # as they are stored


async def test_of_very_many_conditions_the_first_have_neighbours(
    previews: Previews, tenant: Tenant, remember: Remember
):
    await remember(tenant, history(Random(1)))  # noqa: S311
    definition = {"logic": "OR", "conditions": [CONDITIONS[0] | {"value": number} for number in range(1, 31)]}
    found = (await previews.preview(tenant, definition, as_of=NOW, sensitivity=True)).conditions
    assert [one.neighbours is not UNSET for one in found or ()] == [number < VARIED for number in range(30)]


def leaf(condition: Json) -> Any:
    return decode({"logic": "AND", "conditions": [condition]}).conditions[0]


@pytest.mark.parametrize(
    ("condition", "numbers"),
    [
        ({"type": "event_count", "event_type": "a", "value": 2}, [1, 2, 3, 4, 5, 6, 7]),
        ({"type": "event_count", "event_type": "a", "operator": "eq", "value": 0}, [0, 1, 2, 3, 4, 5]),
        ({"type": "event_count", "event_type": "a", "value": 50}, [25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75]),
        (CONDITIONS[10] | {"value": 7}, [2, 3, 4, 5, 6, 7, 8]),  # of eight weeks
        (CONDITIONS[6] | {"value": 500}, [250, 300, 350, 400, 450, 500, 550, 600, 650, 700, 750]),
        (CONDITIONS[6] | {"value": 0.5}, [0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75]),
        (CONDITIONS[6] | {"value": 0}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_numbers_that_are_tried(condition: Json, numbers: list[float]):
    assert [one.value for one in number_variations(leaf(condition), [])] == numbers


@pytest.mark.parametrize(
    ("days", "lengths"),
    [
        (30, [24, 27, 30, 33, 36]),
        (7, [5, 6, 7, 8, 9]),
        (1, [1, 2, 3, 4, 5]),
        (0, [0, 1, 2, 3, 4]),
        (2, [1, 2, 3, 4, 5]),
    ],
)
def test_lengths_that_are_tried(days: int, lengths: list[int]):
    assert [one.value for one in length_variations(leaf(CONDITIONS[4] | {"window_days": days}))] == lengths


def test_values_at_which_the_number_changes_come_first():
    assert chosen(3, [9, 9, 5, 5, 5, 5, 2]) == [1, 2, 3, 4, 6]
    assert chosen(0, [9, 9, 9, 9, 8, 8, 7]) == [0, 1, 2, 4, 6]
    assert chosen(2, [1, 1, 1, 1, 1]) == [0, 1, 2, 3, 4]
