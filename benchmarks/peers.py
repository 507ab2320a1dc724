"""The usual peer shape: one subquery of user ids per condition, joined with INTERSECT, EXCEPT and UNION DISTINCT.

Written from a definition, for the kinds of conditions that `audiences/` holds, on one of two storages:

* `layout`: our own sort order and JSON payloads, with string ids;
* `usual`: sorted by tenant, user and time, with payloads as text.

Numbers are read as the language reads them, in both; sums are of doubles. A sequence is windowFunnel, by user and value where
something is the same at all steps. Everybody is ranked by window functions; two measures are two sums of one read.
"""

from __future__ import annotations

from typing import Any, Literal

from shapes import NUMBER, Shape, write_out

Storage = Literal["layout", "usual"]
Json = dict[str, Any]

SYMBOLS = {"eq": "=", "gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}
DAY = 86_400_000_000
PAST = "tenant_id = {tenant} AND occurred_at <= {as_of}"


def peer_sql(shape: Shape, storage: Storage) -> str:
    """`SELECT user_id …` of the members."""
    peer = _Peer(storage, shape.references)
    return write_out(peer.definition(shape.definition))


class _Peer:
    """One query being written."""

    def __init__(self, storage: Storage, references: dict[int, Json]) -> None:
        self.storage = storage
        self.references = references

    def definition(self, definition: Json) -> str:
        sql = self.group(definition)
        if "exclude" in definition:
            sql = f"{_wrapped(sql)} EXCEPT {_wrapped(self.group(definition['exclude']))}"
        return sql

    def group(self, group: Json) -> str:
        """Those that take away come last, from what the others leave or from everybody."""
        parts = [self.condition(item) for item in group["conditions"]]
        if group["logic"] == "OR":
            whole = [f"{self.users()} EXCEPT {_wrapped(sql)}" if negated else sql for sql, negated in parts]
            return " UNION DISTINCT ".join(_wrapped(sql) for sql in whole)
        kept = [sql for sql, negated in parts if not negated] or [self.users()]
        text = " INTERSECT ".join(_wrapped(sql) for sql in kept)
        for taken in (sql for sql, negated in parts if negated):
            text = f"{_wrapped(text)} EXCEPT {_wrapped(taken)}"
        return text

    def condition(self, item: Json) -> tuple[str, bool]:
        """A condition, and whether it takes away."""
        match item["type"]:
            case "group":
                return self.group(item), False
            case "segment_membership":
                return self.definition(self.references[item["segment_id"]]), item["operator"] == "not_in"
            case "user_property":
                return self.trait(item), False
            case "event_sequence":
                return self.sequence(item), False
            case "rank":
                return self.rank(item), False
            case "measure_compare":
                return self.compared(item), False
            case "event_count" if item["operator"] == "eq" and item["value"] == 0:
                return self.events(item, ""), True
            case _:
                return self.events(item, self.having(item)), False

    def having(self, item: Json) -> str:
        match item["type"]:
            case "event_count":
                return f"count() {SYMBOLS[item['operator']]} {item['value']}"
            case "monetary":
                return f"sum({self.number('payload', item['property'])}) {SYMBOLS[item['operator']]} {item['value']}"
            case "event_property":
                value = self.text("payload", item["property"])
                return f"argMax(ifNull({value} = '{item['value']}', 0), (occurred_at, event_id))"
            case "event_periods":
                return f"uniqExact(toMonday(occurred_at)) {SYMBOLS[item['operator']]} {item['value']}"
            case "recency":
                near = f"{{d{item['window_days']}}}"
                if item["operator"] == "between":
                    return f"max(occurred_at) BETWEEN {{d{item['value2']}}} AND {near}"
                turned = {"lte": ">=", "gt": "<"}[item["operator"]]  # fewer days ago is later
                return f"max(occurred_at) {turned} {near}"
        raise ValueError(item["type"])

    def events(self, item: Json, having: str) -> str:
        tests = ["tenant_id = {tenant}", f"event_type = '{item['event_type']}'", "occurred_at <= {as_of}"]
        if item["type"] == "event_periods":
            tests.append(f"occurred_at >= {{w{item['last'] - 1}}}")
        elif item["type"] != "recency" and "window_days" in item:
            tests.append(f"occurred_at >= {{d{item['window_days']}}}")
        tests += [self.where(test) for test in item.get("where", [])]
        sql = f"SELECT user_id FROM peer_{self.storage}_events WHERE {' AND '.join(tests)} GROUP BY user_id"
        return f"{sql} HAVING {having}" if having else sql

    def where(self, test: Json) -> str:
        """A test of an event: of a text, or of the items of a list."""
        if "any_of" not in test:
            return f"{self.text('payload', test['property'])} = '{test['value']}'"
        items = "ifNull(toJSONString(payload.items), '')" if self.storage == "layout" else "payload, 'items'"
        tests = " AND ".join(self.of_item(one) for one in test["conditions"])
        return f"arrayExists(item -> {tests}, JSONExtractArrayRaw({items}))"

    def of_item(self, test: Json) -> str:
        """A test of an item, which is JSON text."""
        if test["operator"] == "is_true":
            return f"JSONExtractBool(item, '{test['property']}')"
        return (
            f"ifNull({_number_in_text('item', repr(test['property']))} {SYMBOLS[test['operator']]} {test['value']}, 0)"
        )

    def measure(self, measure: Json, test: str) -> str:
        """A count or a sum of the events that pass the test."""
        if measure["measure"] == "count":
            return "count()"
        return f"sumIf({self.number('payload', measure['property'])}, {test})"

    def rank(self, item: Json) -> str:
        """Everybody in order, by window functions."""
        amounts = f"SELECT user_id, {self.measure(item['by'], '')} AS amount FROM peer_{self.storage}_events WHERE {PAST} GROUP BY user_id"
        ordered = f"SELECT user_id, row_number() OVER (ORDER BY amount DESC, user_id ASC) AS place, count() OVER () AS ranked FROM ({amounts})"
        return f"SELECT user_id FROM ({ordered}) WHERE place <= ceil(ranked * {item['top_percent']} / 100)"

    def compared(self, item: Json) -> str:
        """Two sums of the same events in two windows."""
        left, right = item["left"], item["right"]
        days = left["window"]["last"].removesuffix("d")
        far, near = (length.removesuffix("d") for length in right["window"]["between"])
        sides = [
            self.measure(left, f"occurred_at >= {{d{days}}}"),
            self.measure(right, f"occurred_at BETWEEN {{d{far}}} AND {{d{near}}}"),
        ]
        tests = f"{PAST} AND event_type = '{left['event_type']}' AND occurred_at >= {{d{far}}}"
        compared = " ".join(
            [f"ifNull({sides[0]}, 0)", SYMBOLS[item["operator"]], f"{item['factor']} * ifNull({sides[1]}, 0)"]
        )
        return f"SELECT user_id FROM peer_{self.storage}_events WHERE {tests} GROUP BY user_id HAVING {compared}"

    def trait(self, item: Json) -> str:
        match item["operator"]:
            case "is_true":
                test = self.flag("value", "v")
            case "gte":
                test = f"ifNull({self.number('value', 'v')} >= {item['value']}, 0)"
            case _:
                test = f"ifNull({self.text('value', 'v')} = '{item['value']}', 0)"
        return (
            f"SELECT user_id FROM peer_{self.storage}_traits WHERE tenant_id = {{tenant}} "
            f"AND property = '{item['property']}' AND occurred_at <= {{as_of}} "
            f"GROUP BY user_id HAVING argMax({test}, (occurred_at, event_id))"
        )

    def sequence(self, item: Json) -> str:
        names = ", ".join(f"'{name}'" for name in item["events"])
        steps = ", ".join(f"event_type = '{name}'" for name in item["events"])
        funnel = f"windowFunnel({item['window_days'] * DAY})(toUInt64(toUnixTimestamp64Micro(occurred_at)), {steps})"
        held = [self.text("payload", path) for path in item.get("same", [])]
        grouped = ", ".join(["user_id", *(f"{text} AS same_{index}" for index, text in enumerate(held))])
        is_there = "".join(f" AND ifNull({text}, '') != ''" for text in held)
        return (
            f"SELECT {'DISTINCT ' if held else ''}user_id FROM peer_{self.storage}_events WHERE tenant_id = {{tenant}} "
            f"AND event_type IN ({names}) AND occurred_at <= {{as_of}}{is_there} "
            f"GROUP BY {grouped} HAVING {funnel} = {len(item['events'])}"
        )

    def users(self) -> str:
        return "SELECT user_id FROM peer_users WHERE tenant_id = {tenant} AND first_seen <= {as_of}"

    # Values

    def text(self, column: str, path: str) -> str:
        if self.storage == "layout":
            return f"{column}.{path}.:String"
        return f"JSONExtractString({column}, {_keys(path)})"

    def flag(self, column: str, path: str) -> str:
        if self.storage == "layout":
            return f"ifNull({column}.{path}.:Bool, 0)"
        return f"JSONExtractBool({column}, {_keys(path)})"

    def number(self, column: str, path: str) -> str:
        if self.storage == "layout":
            return f"number({column}.{path})"
        return _number_in_text(column, _keys(path))


def _number_in_text(column: str, keys: str) -> str:
    text = f"JSONExtractString({column}, {keys})"
    return (
        f"if(JSONType({column}, {keys}) = 'String', if(match({text}, {NUMBER}), toFloat64OrNull({text}), NULL), "
        f"JSONExtract({column}, {keys}, 'Nullable(Float64)'))"
    )


def _wrapped(sql: str) -> str:
    return (
        f"(SELECT user_id FROM ({sql}))"
        if " EXCEPT " in sql or " INTERSECT " in sql or " UNION " in sql
        else f"({sql})"
    )


def _keys(path: str) -> str:
    return ", ".join(f"'{step}'" for step in path.split("."))
