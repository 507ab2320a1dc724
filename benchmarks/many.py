"""Definitions of many different conditions of one type, as a Dynamic segment or a careful person has them.

`planning.py` times how they are planned, and tests/language/test_planning.py looks at the form of their SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

TYPES: dict[str, Callable[[int], Json]] = {
    "user_property": lambda n: {"type": "user_property", "property": f"p{n}", "operator": "eq", "value": f"v{n}"},
    "event_count": lambda n: {"type": "event_count", "event_type": f"e{n}", "value": 2, "window_days": 30},
    "recency": lambda n: {"type": "recency", "event_type": f"e{n}", "operator": "gt", "window_days": 30},
    "event_time": lambda n: {"type": "event_time", "event_type": f"e{n}", "operator": "in_last", "value": "30d"},
    "monetary": lambda n: {
        "type": "monetary", "event_type": f"e{n}", "property": "x", "metric": "sum", "operator": "gt", "value": n + 1
    },
    "event_property": lambda n: {
        "type": "event_property", "event_type": f"e{n}", "property": "x", "operator": "gt", "value": n
    },
    "event_periods": lambda n: {
        "type": "event_periods", "event_type": f"e{n}", "period": "week", "last": 8, "operator": "gte", "value": 2
    },
    "event_periods of several": lambda n: {
        "type": "event_periods", "event_type": "e", "period": "week", "last": 8, "operator": "gte", "value": 1,
        "min_per_period": n + 2,
    },
    "event_sequence": lambda n: {"type": "event_sequence", "events": [f"e{n}", f"e{n + 1}"]},
    "sample": lambda n: {"type": "sample", "salt": f"s{n}", "from": 0, "to": 50},
}  # fmt: skip
"""Of each type a condition with a number; no two numbers share a read where the type allows it."""

FORMS = ("AND", "OR", "AND of negated", "OR of negated")
IN_A_GROUP = 100


def many(kind: str, number: int) -> list[Json]:
    """So many conditions of a type; of all types in turn if it is "mixed"."""
    writers = list(TYPES.values()) if kind == "mixed" else [TYPES[kind]]
    return [writers[index % len(writers)](index) for index in range(number)]


def formed(form: str, conditions: list[Json]) -> Json:
    """Conditions under one logic, in groups where they are more than a group may have."""
    logic, negate = form.split(maxsplit=1)[0], form.endswith("negated")
    told = [condition | {"negate": condition.get("negate", False) != negate} for condition in conditions]
    if len(told) > IN_A_GROUP:
        parts = [told[start : start + IN_A_GROUP] for start in range(0, len(told), IN_A_GROUP)]
        told = [{"type": "group", "logic": logic, "conditions": part} for part in parts]
    return {"logic": logic, "conditions": told}
