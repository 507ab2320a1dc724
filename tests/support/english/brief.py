"""A definition on one line, so that a table of sentences and meanings can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SIGNS = {"eq": "=", "neq": "≠", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


def brief(definition: Mapping[str, Any]) -> str:
    """`count(order_placed)≥1 in 7d & country=US - in segment 1`."""
    text = _joined(definition["logic"], definition["conditions"])
    if "exclude" in definition:
        text += f" - {_joined(definition['exclude']['logic'], definition['exclude']['conditions'])}"
    return text


def _joined(logic: str, conditions: Sequence[Mapping[str, Any]]) -> str:
    return (" & " if logic == "AND" else " | ").join(_one(condition) for condition in conditions)


def _one(condition: Mapping[str, Any]) -> str:
    not_ = "not " if condition.get("negate") else ""
    match condition["type"]:
        case "group":
            return f"{not_}({_joined(condition['logic'], condition['conditions'])})"
        case "event_count":
            counted = {"operator": "gte", "value": 1, **condition}  # what goes without saying
            return f"{not_}count({_event(counted)}){_compared(counted)}{_window(counted)}"
        case "recency":
            days = {**condition, "value": f"{condition['window_days']}d"}
            return f"{not_}last({_event(condition)}){_compared(days)}"
        case "monetary":
            metric = f"{condition['metric']}({_event(condition)}.{condition['property']})"
            return f"{not_}{metric}{_compared(condition)}{_window(condition)}"
        case "user_property":
            return not_ + _tested(condition)
        case "segment_membership":
            return f"{not_}{condition.get('operator', 'in').replace('_', ' ')} segment {condition['segment_id']}"
        case "event_sequence":
            return f"{not_}{_sequence(condition)}"
        case "event_periods":
            span = f" of {condition['last']} {condition['period']}s"
            return f"{not_}periods({_event(condition)}){_compared(condition)}{span}"
        case "event_time":
            return f"{not_}{condition.get('occurrence', 'first')}({_event(condition)}){_compared(condition)}"
        case _:
            return f"{not_}{dict(condition)}"


def _sequence(condition: Mapping[str, Any]) -> str:
    steps = [_step(step) if isinstance(step, Mapping) else step for step in condition["events"]]
    lying = _window({"window": condition["search_window"]}) if "search_window" in condition else ""
    return f"seq({' > '.join(steps)}){_window(condition)}{lying and f' all{lying}'}"


def _step(step: Mapping[str, Any]) -> str:
    return _event(step) + (f" within {step['within']}" if "within" in step else "")


def _event(condition: Mapping[str, Any]) -> str:
    where = condition.get("where")
    return condition["event_type"] + (f"[{', '.join(_tested(test) for test in where)}]" if where else "")


def _tested(test: Mapping[str, Any]) -> str:
    return test["property"] + _compared(test)


def _compared(test: Mapping[str, Any]) -> str:
    operator, value = test["operator"], test.get("value")
    if operator in {"between", "not_between"}:
        return f"{' not' if operator == 'not_between' else ''} {value}..{test['value2']}"
    if isinstance(value, list):
        value = ",".join(str(item) for item in value)
    if operator in _SIGNS:
        return f"{_SIGNS[operator]}{value}"
    return f" {operator}" + ("" if value is None else f" {value}")


def _window(condition: Mapping[str, Any]) -> str:
    if "window_days" in condition:
        return f" in {condition['window_days']}d"
    if "window" not in condition:
        return ""
    window = condition["window"]
    match list(window):
        case ["last"]:
            return f" in {window['last']}"
        case ["period"]:
            return f" {window['period'].replace('_', ' ')}"
        case ["between"]:
            return f" {'..'.join(window['between'])} ago"
        case _:
            return "".join(f" {name} {window[name]}" for name in ("from", "to") if name in window)
