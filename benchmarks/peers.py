"""The usual peer shape: one subquery of user ids per condition, joined with INTERSECT, EXCEPT and UNION DISTINCT.

Written from a definition, for the kinds of conditions that `audiences/` holds, on one of two storages:

* `layout`: our own sort order and JSON payloads, with string ids;
* `usual`: sorted by tenant, user and time, with payloads as text.

Numbers are read as the language reads them, in both; sums are of doubles. A sequence is windowFunnel.
"""

from __future__ import annotations

from typing import Any, Literal

from shapes import NUMBER, Shape, write_out

Storage = Literal["layout", "usual"]
Json = dict[str, Any]

SYMBOLS = {"eq": "=", "gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}
DAY = 86_400_000_000


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
        tests += [f"{self.text('payload', test['property'])} = '{test['value']}'" for test in item.get("where", [])]
        sql = f"SELECT user_id FROM peer_{self.storage}_events WHERE {' AND '.join(tests)} GROUP BY user_id"
        return f"{sql} HAVING {having}" if having else sql

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
        return (
            f"SELECT user_id FROM peer_{self.storage}_events WHERE tenant_id = {{tenant}} "
            f"AND event_type IN ({names}) AND occurred_at <= {{as_of}} "
            f"GROUP BY user_id HAVING {funnel} = {len(item['events'])}"
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
        text, keys = self.text(column, path), _keys(path)
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
