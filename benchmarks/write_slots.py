"""Write `best.sql` for the audiences that are too long to write by hand: `python benchmarks/write_slots.py`.

The shape that was fastest for many conditions: one branch per event type, joined by UNION ALL, each giving every user
one number with a bit per condition; the tree is then tested with masks. A trait has two: its current values, and from
the history those of users whose current value is later than `as_of` or not exact. The files it writes are committed and
read like the others; running it again changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from functools import reduce
from typing import Any

import msgspec

from shapes import AUDIENCES

Json = dict[str, Any]
LONG = ("11_forty_leaves",)


class Slots:
    """Bits by the events or the trait they are decided from."""

    def __init__(self) -> None:
        self.bits: dict[tuple[str, str], list[tuple[int, Json]]] = defaultdict(list)
        self.count = 0

    def take(self, item: Json) -> int:
        """A bit for a condition."""
        bit = 1 << self.count
        self.count += 1
        table = "traits" if item["type"] == "user_property" else "events"
        self.bits[table, item["property"] if table == "traits" else item["event_type"]].append((bit, item))
        return bit

    def tree(self, group: Json) -> str:
        """The tests of a group; its positive conditions are one mask."""
        mask, tests = 0, list[str]()
        for item in group["conditions"]:
            if item["type"] == "group":
                tests.append(f"({self.tree(item)})")
            elif is_none(item):
                tests.append(f"bitAnd(slots, {self.take(item)}) = 0")
            else:
                mask |= self.take(item)
        if mask:
            tests.insert(0, f"bitAnd(slots, {mask}) {'!= 0' if group['logic'] == 'OR' else f'= {mask}'}")
        return f" {group['logic']} ".join(tests)


def is_none(item: Json) -> bool:
    """Whether the condition is that nothing happened; its slot says that something did."""
    return item["type"] == "event_count" and item["operator"] == "eq" and item["value"] == 0


def is_existence(item: Json) -> bool:
    """Whether one event decides."""
    once = item["type"] == "event_count" and (is_none(item) or item["value"] == 1)
    return once or (item["type"] == "recency" and item["operator"] == "lte")


def earliest(item: Json) -> int | None:
    """How many days back events matter; None is for ever."""
    if item["type"] == "recency":
        return {"between": item.get("value2"), "lte": item["window_days"]}.get(item["operator"])
    return item.get("window_days")


def event_test(item: Json, widest: int | None) -> str:
    """Which of a branch's events count."""
    days = earliest(item)
    tests = [f"occurred_at >= {{d{days}}}"] if days != widest else []
    tests += [f"payload.{test['property']}.:String = '{test['value']}'" for test in item.get("where", [])]
    return " AND ".join(tests)


def decided(item: Json, widest: int | None) -> str:
    """The test of one user's events of a type."""
    test = event_test(item, widest)
    match item["type"]:
        case "monetary":
            value = "millionths(payload.total)"
            summed = f"sumIf({value}, {test})" if test else f"sum({value})"
            return f"{summed} >= {item['value'] * 1_000_000}"
        case "event_property":
            return f"argMax(ifNull(payload.{item['property']}.:String = '{item['value']}', 0), time_and_id())"
        case "recency" if item["operator"] == "lte":
            return f"max(occurred_at) >= {{d{item['window_days']}}}"
        case "recency" if item["operator"] == "between":
            return f"max(occurred_at) BETWEEN {{d{item['value2']}}} AND {{d{item['window_days']}}}"
        case "recency":
            return f"max(occurred_at) < {{d{item['window_days']}}}"
        case _:
            return f"{f'countIf({test})' if test else 'count()'} >= {item['value'] or 1}"


def trait_test(item: Json) -> str:
    """The test of one value of a trait."""
    match item["operator"]:
        case "is_true":
            return "ifNull(value.v.:Bool, 0)"
        case "gte":
            return f"ifNull(number(value.v) >= {item['value']}, 0)"
        case _:
            return f"ifNull(value.v.:String = '{item['value']}', 0)"


def event_branch(name: str, bits: list[tuple[int, Json]]) -> str:
    """One SELECT of the union."""
    items = [item for _, item in bits]
    where = f"event_type = '{name}' AND occurred_at <= {{as_of}}"
    days = [earliest(item) for item in items]
    widest = None if None in days else max(day for day in days if day is not None)
    if widest is not None:
        where += f" AND occurred_at >= {{d{widest}}}"
    if all(is_existence(item) for item in items):
        return selected("events", added([(bit, event_test(item, widest)) for bit, item in bits]), where)
    return grouped("events", added([(bit, decided(item, widest)) for bit, item in bits]), where)


def trait_branches(name: str, bits: list[tuple[int, Json]]) -> str:
    """Two of them: of all tests the latest value decides, so in the history one argMax is for all their bits."""
    tests = added([(bit, trait_test(item)) for bit, item in bits])
    where = f"property = '{name}'"
    later = f"SELECT user_key FROM traits_current WHERE tenant_id = {{tenant}} AND {where} AND (occurred_at > {{as_of}} OR NOT is_exact)"
    where += " AND occurred_at <= {as_of}"
    current = selected("traits_current FINAL", tests, f"{where} AND is_exact")
    past = grouped("traits", f"argMax({tests}, time_and_id())", f"{where}\n    AND user_key IN ({later})")
    return f"{current}\n  UNION ALL\n{past}"


def added(tests: list[tuple[int, str]]) -> str:
    """The bits of the tests that hold."""
    summed = "\n    + ".join(f"if({test}, {bit}, 0)" if test else f"{bit}" for bit, test in tests)
    return f"toUInt64({summed})"


def selected(table: str, bits: str, where: str) -> str:
    """A row an event or a current value."""
    return f"  SELECT user_key,\n    {bits} AS bits\n  FROM {table}\n  WHERE tenant_id = {{tenant}} AND {where}"


def grouped(table: str, bits: str, where: str) -> str:
    """A row a user."""
    return f"{selected(table, bits, where)}\n  GROUP BY user_key\n  HAVING bits != 0"


def best(definition: Json) -> str:
    """The whole query."""
    slots = Slots()
    tree = slots.tree(definition)
    if "exclude" in definition:
        tree = f"({tree})\n  AND NOT ({slots.tree(definition['exclude'])})"
    branches = [
        (trait_branches if table == "traits" else event_branch)(name, bits)
        for (table, name), bits in slots.bits.items()
    ]
    joined = reduce(lambda text, more: f"{text}\n  UNION ALL\n{more}", branches)
    return (
        "SELECT user_key\nFROM (\n  SELECT user_key, groupBitOr(bits) AS slots\n  FROM (\n"
        f"{joined}\n  )\n  GROUP BY user_key\n)\nWHERE {tree}\n"
    )


def main() -> None:
    """Write the files."""
    for name in LONG:
        definition = msgspec.json.decode((AUDIENCES / name / "definition.json").read_bytes())
        (AUDIENCES / name / "best.sql").write_text(best(definition), "utf-8")


if __name__ == "__main__":
    main()
