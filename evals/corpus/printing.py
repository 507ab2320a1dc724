"""Writes a definition on one line: `count(order_placed)≥3 in 90d & country=US`. `notation` reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from segment_copilot.language import Definition
from segment_copilot.language.canonical import settle

SIGNS: Final[Mapping[str, str]] = {"eq": "=", "neq": "≠", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}
NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
BARE_VALUE: Final = re.compile(r"(?:[\w/@:#%+$€£-]|\.(?!\.))+")
BARE_EVENT: Final = re.compile(r"\*|[\w][\w/-]*")
BARE_PATH: Final = re.compile(r"[\w][\w-]*(?:\.[\w][\w-]*)*")
BARE_NAME: Final = re.compile(r"[^\W\d][\w-]*")
RESERVED: Final = frozenset({"not", "in", "segment", "without", "strict", "within", "compare", "top", "bottom", "-"})
_CONSTANTS: Final = frozenset({"true", "false", "null"})
_RANKED: Final = ("top", "bottom", "top_percent", "bottom_percent")

Fields = Mapping[str, Any]


def write_definition(definition: Definition, segments: Mapping[int, str] | None = None) -> str:
    """Return *definition* on one line; *segments* are the names of saved segments by id."""
    return _Printer(segments or {}).definition(settle(msgspec.to_builtins(definition)))


def quoted(text: str) -> str:
    """Return *text* as a JSON string that holds none of the signs that part the fields of a line."""
    return json.dumps(text, ensure_ascii=False).replace("=>", "=\\u003e").replace("||", "|\\u007c")


def _name(text: str, bare: re.Pattern[str]) -> str:
    return text if bare.fullmatch(text) and text not in RESERVED else quoted(text)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        ((kind, path),) = cast("dict[str, str]", value).items()
        return f"{kind}({_name(path, BARE_PATH)})"
    if not isinstance(value, str):
        return json.dumps(value)
    is_bare = BARE_VALUE.fullmatch(value) and not NUMBER.fullmatch(value) and value not in _CONSTANTS | RESERVED
    return value if is_bare else quoted(value)


class _Printer:
    def __init__(self, segments: Mapping[int, str]) -> None:
        self._segments = segments

    def definition(self, fields: Fields) -> str:
        text = self._joined(fields)
        if "exclude" in fields:
            text += f" - {self._joined(fields['exclude'])}"
        return text + (f" @{fields['timezone']}" if "timezone" in fields else "")

    def _joined(self, fields: Fields) -> str:
        sign = " & " if fields["logic"] == "AND" else " | "
        return sign.join(self._condition(condition) for condition in fields["conditions"])

    def _group(self, fields: Fields) -> str:
        if fields["logic"] != "AT_LEAST":
            return f"({self._joined(fields)})"
        conditions = "; ".join(self._condition(condition) for condition in fields["conditions"])
        return f"{fields['at_least']} of ({conditions})"

    def _condition(self, fields: Fields) -> str:
        return ("not " if fields.get("negate") else "") + self._positive(fields)

    def _positive(self, fields: Fields) -> str:
        match fields["type"]:
            case "group":
                return self._group(fields)
            case "segment_membership":
                return self._membership(fields)
            case _:
                return _of_events(fields) or _of_all(fields)

    def _membership(self, fields: Fields) -> str:
        numbers = fields.get("segment_ids") or [fields["segment_id"]]
        names = [_name(self._segments[one], BARE_NAME) if one in self._segments else str(one) for one in numbers]
        several = "any " if "segment_ids" in fields else ""
        return f"{'not ' if fields.get('operator') == 'not_in' else ''}in {several}segment {','.join(names)}"


def _of_events(fields: Fields) -> str:
    """Write a condition about the events of one type; nothing for any other."""
    match fields["type"]:
        case "event_count":
            test = _amount({"operator": "gte", "value": 1, **fields})
            return f"count({_event(fields)}){test}{_window(fields)}"
        case "recency":
            return f"last({_event(fields)}){_days(fields)}"
        case "event_time":
            return f"{fields.get('occurrence', 'first')}({_event(fields)}){_test(fields)}"
        case "monetary":
            return f"{fields['metric']}({_property(fields)}){_amount(fields)}{_window(fields)}"
        case "event_property":
            name = fields.get("occurrence", "latest")
            window = _window(fields)
            comma = "," if window and _is_window(fields.get("value")) else ""  # `from` of one and `to` of the other
            return f"{name}({_property(fields)}){_test(fields)}{comma}{window}"
        case "event_periods":
            each = f" each {fields['min_per_period']}" if "min_per_period" in fields else ""
            return f"periods({_event(fields)}){_amount(fields)} of {fields['last']} {fields['period']}s{each}"
        case _:
            return ""


def _of_all(fields: Fields) -> str:
    match fields["type"]:
        case "user_property":
            return _name(fields["property"], BARE_PATH) + _test(fields)
        case "event_sequence":
            return _sequence(fields)
        case "measure_compare":
            factor = f"{json.dumps(fields['factor'])} * " if "factor" in fields else ""
            left, right = _measure(fields["left"]), _measure(fields["right"])
            return f"compare {left} {SIGNS[fields['operator']]} {factor}{right}"
        case "rank":
            which = next(name for name in _RANKED if name in fields)
            part = f"{fields[which]}{'%' if which.endswith('percent') else ''}"
            return f"{which.removesuffix('_percent')} {part} by {_measure(fields['by'])}"
        case "sample":
            return f"sample({quoted(fields['salt'])}) {fields['from']}..{fields['to']}"
        case other:
            raise ValueError(f"There is no notation for {other}.")


def _measure(fields: Fields) -> str:
    measured = _property(fields) if "property" in fields else _event(fields)
    return f"{fields['measure']}({measured}){_window(fields)}"


def _event(fields: Fields) -> str:
    names: str | list[str] = fields["event_type"]
    written = "|".join(_name(name, BARE_EVENT) for name in ([names] if isinstance(names, str) else names))
    return written + _where(fields.get("where")) + _at(fields.get("at"))


def _at(at: Any) -> str:
    if not at:
        return ""
    days = " " + ",".join(at["weekdays"]) if "weekdays" in at else ""
    return f" at{days}{' {}-{}'.format(*at['hours']) if 'hours' in at else ''}"


def _property(fields: Fields) -> str:
    return f"{_event(fields)}{' ' if 'at' in fields else ''}.{_name(fields['property'], BARE_PATH)}"


def _where(where: Any) -> str:
    if not where:
        return ""
    tests: Sequence[Fields] = where["conditions"] if isinstance(where, Mapping) else where
    sign = " | " if isinstance(where, Mapping) and where["logic"] == "OR" else " & "
    return f"[{sign.join(_property_test(test) for test in tests)}]"


def _property_test(fields: Fields) -> str:
    negated = "not " if fields.get("negate") else ""
    if "any_of" in fields:
        inner = " & ".join(_property_test(one) for one in fields["conditions"])
        return f"{negated}{_name(fields['any_of'], BARE_PATH)} any({inner})"
    return negated + _name(fields["property"], BARE_PATH) + _test(fields)


def _test(fields: Fields) -> str:
    text = _amount(fields)
    if "value_type" in fields:
        text += f" as {fields['value_type']}"
    return text + (" any-case" if fields.get("ignore_case") else "")


def _amount(fields: Fields) -> str:
    operator, value = fields["operator"], fields.get("value")
    if operator in {"between", "not_between"}:
        return f"{' not' if operator == 'not_between' else ''} {_value(value)}..{_value(fields['value2'])}"
    if operator in SIGNS:
        return f"{SIGNS[operator]}{_value(value)}"
    if value is None:
        return f" {operator}"
    if _is_window(value):
        return f" {operator}{_when(cast('Fields', value))}"
    values: list[Any] = value if isinstance(value, list) else [value]
    return f" {operator} {','.join(_value(item) for item in values)}"


def _is_window(value: Any) -> bool:
    return isinstance(value, Mapping) and not {"trait", "property"} & {*cast("Fields", value)}


def _days(fields: Fields) -> str:
    if fields["operator"] == "between":
        return f" {fields['window_days']}d..{fields['value2']}d"
    return f"{SIGNS[fields['operator']]}{fields['window_days']}d"


def _window(fields: Fields) -> str:
    if "window_days" in fields:
        return f" in {fields['window_days']}d"
    return _when(fields["window"]) if "window" in fields else ""


def _when(window: Fields) -> str:
    if "last" in window:
        days = f" {window['days'].replace('_', ' ')}" if "days" in window else ""
        return f" in {window['last']}{days}"
    if "month" in window:
        return f" month {window['month']}"
    if "period" in window:
        return f" {window['period'].replace('_', ' ')}"
    if "between" in window:
        return f" {'..'.join(window['between'])} ago"
    return "".join(f" {name} {window[name]}" for name in ("from", "to") if name in window)


def _sequence(fields: Fields) -> str:
    parts = [" > ".join(_step(step) for step in fields["events"])]
    if "none_between" in fields:
        parts.append("without " + ", ".join(_step(match) for match in fields["none_between"]))
    if fields.get("strict"):
        parts.append("strict")
    if "same" in fields:
        parts.append("same " + ", ".join(_name(path, BARE_PATH) for path in fields["same"]))
    searched = f" all{_when(fields['search_window'])}" if "search_window" in fields else ""
    return f"seq({'; '.join(parts)}){_window(fields)}{searched}"


def _step(step: str | Fields) -> str:
    if isinstance(step, str):
        return _name(step, BARE_EVENT)
    return _event(step) + (f" within {step['within']}" if "within" in step else "")
