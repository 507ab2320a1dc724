"""The text of compiled definitions, and definitions with one string in every place that takes any."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from segment_copilot.compiler import (
    Bounds,
    CompiledQuery,
    Conditions,
    Person,
    Plan,
    Shape,
    Span,
    TraitTable,
    compile_definition,
    leaves,
    moves_between,
    ranks_of,
    render_amount,
    render_before,
    render_copies,
    render_counts,
    render_distribution,
    render_evidence,
    render_is_member,
    render_keys,
    render_members,
    render_membership_insert,
    render_narrowing,
    render_persons,
    render_preview,
    render_preview_of_many,
    with_bounds,
)
from segment_copilot.language import decode, parse
from segment_copilot.language.catalog import Catalog
from segment_copilot.language.operators import DATETIMES, OPERATORS, operators_of
from tests.support.language.strategies import AS_OFS, EVENT_TYPES, ZONES, Draw, world

Json = dict[str, Any]

WORLD = world(AS_OFS[:1], ZONES[:2])
NAME = EVENT_TYPES[0]
RUN_ID = UUID(int=1)
REFERENCES: Mapping[int, Json] = {1: {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "view"}]}}
_DATES = operators_of("datetime") - operators_of("number")


def definitions(number: int) -> list[Json]:
    draw = Draw(99, WORLD)
    return [draw.definition((1,)) for _ in range(number)]


def planned(
    definition: Json,
    *,
    as_of: datetime = AS_OFS[0],
    tenant_id: int = 1,
    references: Mapping[int, Json] = REFERENCES,
) -> Plan:
    """The plan of *definition* in a tenant of which nothing is known."""
    decoded = {id_: decode(segment) for id_, segment in references.items()}
    return compile_definition(
        parse(definition), catalog=Catalog(), references=decoded, tenant_id=tenant_id, as_of=as_of
    ).plan


def compiled(
    definition: Json,
    *,
    as_of: datetime = AS_OFS[0],
    tenant_id: int = 1,
    user_id: str = "u",
    references: Mapping[int, Json] = REFERENCES,
) -> list[CompiledQuery]:
    """Every query that the compiler makes of *definition*, or of a part of it."""
    plan = planned(definition, as_of=as_of, tenant_id=tenant_id, references=references)
    return [*compiled_whole(plan, user_id), *compiled_for_shards(plan, user_id)]


def compiled_whole(plan: Plan, user_id: str = "u") -> list[CompiledQuery]:
    """Every query that asks for the whole of a definition."""
    shapes: tuple[Shape, ...] = ("chain", "bitmasks")
    tables: tuple[TraitTable, ...] = ("current", "history")
    return [
        *(render_members(plan, shape=shape, traits=traits) for shape in shapes for traits in tables),
        *(render_keys(plan, shape=shape) for shape in shapes),
        render_preview(plan, sample=10),
        render_preview_of_many(plan, leaves(plan.root), sample=10),
        render_counts(plan, leaves(plan.root)),
        render_narrowing(plan, Conditions("AND", (plan.root,), (plan.root,)), leaves(plan.root)),
        render_membership_insert(plan, segment_id=1, run_id=RUN_ID),
        render_is_member(plan, user_id=user_id),
        render_evidence(plan, user_id=user_id),
    ]


def compiled_for_shards(plan: Plan, user_id: str) -> list[CompiledQuery]:
    """Every query that finds the bounds of the plan's ranks over shards, and that has them."""
    slots = ranks_of(plan)
    bounded = with_bounds(plan, {slot: Bounds(9, 3, "2", user_id, 2) for slot in slots})
    of_each = [
        query
        for slot in slots
        for query in (
            render_distribution(plan, slot, Span("3", "1"), steps=8),
            render_distribution(plan, slot, Span(user_id, user_id), steps=8, at="2"),
            render_amount(plan, slot, Person(user_id, (user_id,))),
            render_before(plan, slot, amount="2", user_id=user_id),
        )
    ]
    return [*of_each, *([render_members(bounded), render_evidence(bounded, user_id=user_id)] if slots else [])]


def compiled_for_touched(definition: Json, *, as_of: datetime = AS_OFS[0]) -> list[CompiledQuery]:
    """Every query that finds and copies the users whom a day touched or moved."""
    since = as_of - timedelta(days=1)
    plan = planned(definition, as_of=as_of)
    moves = moves_between(planned(definition, as_of=since), plan)
    return [*render_persons(plan, moves or (), since=since), *render_copies([plan])]


# One string in every place.


def with_strings(item: Any, text: str) -> Any:
    """*item* with every name, and every string that is compared as one, replaced by *text*."""
    if isinstance(item, list):
        return [with_strings(one, text) for one in item]
    if not isinstance(item, dict):
        return item
    changed = {key: with_strings(value, text) for key, value in item.items()}
    for name in item.keys() & {"property", "trait", "any_of"}:
        changed[name] = as_path(text)
    if "event_type" in item:
        changed["event_type"] = with_names(item["event_type"], text)
    for name in item.keys() & {"events", "none_between"}:
        changed[name] = [with_names(step, text) if isinstance(step, str) else step for step in changed[name]]
    if "same" in item:
        changed["same"] = [as_path(text)]
    if "salt" in item:
        changed["salt"] = text or "s"
    if "operator" in item and compares_strings(item):
        for name in item.keys() & {"value", "value2"}:
            changed[name] = with_text(changed[name], re.escape(text) if item["operator"] == "matches_regex" else text)
    return changed


def as_path(text: str) -> str:
    r"""The path of the key *text*: no key holds `%2E`, and none is empty."""
    return as_key(text).replace("\\", "\\\\").replace(".", "\\.")


def as_key(text: str) -> str:
    return (text or "p").replace("%2E", "%2e")


def with_names(names: Any, text: str) -> Any:
    """A list keeps its length; what is no usual name stays."""
    if isinstance(names, list):
        return [with_names(name, text) for name in names]
    return as_name(text) if names in EVENT_TYPES else names


def as_name(text: str) -> str:
    """An event type has a name, and `"*"` is none."""
    return text if text not in {"", "*"} else "e"


def with_text(value: Any, text: str) -> Any:
    if isinstance(value, list):
        return [with_text(one, text) for one in value]
    return text if isinstance(value, str) else value


def compares_strings(test: Json) -> bool:
    """Whether any other string may stand in its place: a date may not always."""
    if test.get("value_type") not in {None, "string", "list"}:
        return False
    if test["operator"] in _DATES or test.get("type") == "event_time":
        return False
    ordered = test["operator"] in {"gt", "gte", "lt", "lte", "between", "not_between"}
    return not ordered or test.get("value_type") == "string"


# Every place that there is.


DATES: dict[str, Any] = {
    "length": "30d",
    "window": {"period": "this_month"},
    "season": {"month": 6},
    "one": "2026-06-01",
}
"""What the operators of dates alone compare with: nothing that another string could stand for."""


def string_tests() -> list[Json]:
    """Every operator that compares with a string, in both cases; every other operator once, for the property's name."""
    tests: list[Json] = []
    for row in OPERATORS.values():
        operator = {"operator": row.name}
        if row.takes == "nothing":
            tests.append(operator)
        elif row.types == DATETIMES:
            tests.append(operator | {"value": DATES[row.takes]})
        else:
            told = {"value_type": "string"} if "string" in row.types else {}
            wanted = operator | {"value": "a" if row.takes == "one" else ["a", "a"]} | told
            tests += [wanted, wanted | {"ignore_case": True}]
    pair = {"operator": "between", "value": "a", "value2": "a", "value_type": "string"}
    numbers = [{"operator": "gt", "value": 5}, {"operator": "contains", "value": 5}]
    return [{"property": "p"} | test for test in [*tests, pair, *numbers]]


def beside_tests(*, of_event: bool) -> list[Json]:
    """Every operator that compares with another stored value, as texts where it can."""
    tests: list[Json] = []
    for row in OPERATORS.values():
        if row.takes_other:
            told = {"value_type": "string" if "string" in row.types else "datetime"}
            test = {"property": "p", "operator": row.name, "value": {"trait": "p"}} | told
            tests += [test, test | {"value": {"property": "p"}}] if of_event else [test]
    return tests


def in_every_place() -> Json:
    """A definition that has every place for a string at least once."""
    tests = string_tests()
    pair = next(test for test in tests if "value2" in test)
    beside = beside_tests(of_event=True)
    of_items = {"any_of": "p", "conditions": [*tests, *beside]}
    match = {"event_type": NAME, "where": [tests[0]]}
    leaves: list[Json] = [
        *({"type": "user_property"} | test for test in [*tests, *beside_tests(of_event=False)]),
        *(
            {"type": "event_property", "event_type": NAME, "occurrence": occurrence} | test
            for occurrence, test in zip(("latest", "first", "any", "every"), [*tests[:3], pair], strict=True)
        ),
        *({"type": "event_property", "event_type": NAME} | test for test in beside[:2]),
        {"type": "event_count", "event_type": NAME, "where": {"logic": "OR", "conditions": [of_items, *beside]}},
        {"type": "event_count", "event_type": [NAME, NAME], "where": {"logic": "OR", "conditions": tests}},
        {"type": "event_count", "window_days": 30} | match,
        {"type": "recency", "operator": "lte", "window_days": 30} | match,
        {"type": "event_time", "operator": "after", "value": "2026-01-01"} | match,
        {"type": "event_periods", "period": "day", "last": 30, "operator": "gte", "value": 1} | match,
        *(
            {"type": "monetary", "property": "p", "metric": metric, "operator": "gte", "value": 1} | match
            for metric in ("sum", "count_distinct")
        ),
        {"type": "event_sequence", "events": [NAME, match | {"within": "1d"}, NAME], "none_between": [match]},
        {"type": "event_sequence", "events": [{"event_type": [NAME, NAME]}, NAME], "none_between": [NAME]},
        {"type": "event_sequence", "events": [NAME, NAME], "same": [NAME]},
        {
            "type": "measure_compare",
            "left": {"measure": "sum", "property": "p"} | match,
            "operator": "gt",
            "right": {"measure": "count_distinct", "property": "p", "event_type": [NAME, "b"]},
        },
        {"type": "rank", "by": {"measure": "max", "property": "p"} | match, "top": 5},
        {"type": "sample", "salt": "a", "from": 0, "to": 50},
    ]
    return {"logic": "OR", "conditions": leaves, "exclude": {"logic": "AND", "conditions": [leaves[0], leaves[-1]]}}
