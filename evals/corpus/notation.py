"""Reads definitions from the line that `printing` writes, and says where a line cannot be read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from evals.cases import BadCase
from evals.corpus.printing import BARE_EVENT, BARE_NAME, BARE_PATH, BARE_VALUE, NUMBER, SIGNS
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import Definition, decode
from segment_copilot.language.nodes import DatePeriodName, MeasureName, Metric, Weekday
from segment_copilot.language.operators import OPERATORS, ValueType

Fields = dict[str, Any]

_OPERATOR_OF: Final = {sign: name for name, sign in SIGNS.items()} | {
    ">=": "gte",
    "<=": "lte",
    "!=": "neq",
    "<>": "neq",
}
_SIGN: Final = re.compile(r">=|<=|!=|<>|[=≠>≥<≤]")
_HEAD: Final = re.compile(rf"(count|last|first|latest|any|every|periods|seq|sample|{'|'.join(get_args(Metric))})\s*\(")
_OTHER: Final = re.compile(r"(?:trait|property)\(")
_MEASURE: Final = re.compile(rf"({'|'.join(get_args(MeasureName))})\s*\(")
_RANKED: Final = re.compile(rf"(?:top|bottom)\s+{NUMBER.pattern}\s*%?\s+by\b")
_AT: Final = re.compile(r"at\b")
_WEEKDAYS: Final = re.compile(r"(?:{days})(?:\s*,\s*(?:{days}))*\b".format(days="|".join(get_args(Weekday))))
_HOURS: Final = re.compile(r"\d\d:\d\d\s*-\s*\d\d:\d\d")
_COUNTED: Final = re.compile(r"(\d+) of\s*\(")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_LENGTH: Final = re.compile(r"\d+(?:mo|[mhdwy])\b")
_DAYS: Final = re.compile(r"(\d+)d\b")
_PERIOD: Final = re.compile("|".join(name.replace("_", " ") for name in get_args(DatePeriodName)))
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[\w:.+-]*")
_TYPE: Final = re.compile("|".join(get_args(ValueType)))
_ZONE: Final = re.compile(r"@([\w/+-]+)")
_WORD: Final = re.compile(r"[\w*]+")


class NotationError(BadCase):
    """Tells in a sentence what cannot be read, and before which part of the line."""


def parse_definition(text: str, segments: Mapping[str, int] | None = None) -> Definition:
    """Return the definition that *text* writes; *segments* are the ids of saved segments by name.

    Raises:
        NotationError: *text* is not in the notation, or says what the language does not allow.
    """
    document = _Reader(text, segments or {}).definition()
    try:
        return decode(document)
    except InvalidDefinition as error:
        raise NotationError(" ".join(finding.detail for finding in error.findings)) from error


class _Reader:
    """Goes through one line from left to right."""

    def __init__(self, text: str, segments: Mapping[str, int]) -> None:
        self._text = text.strip()
        self._place = 0
        self._segments = segments

    # What stands next.

    def _spaces(self) -> None:
        while self._text[self._place : self._place + 1].isspace():
            self._place += 1

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        """Return what stands here when it has this form, and go behind it."""
        self._spaces()
        found = pattern.match(self._text, self._place)
        if not found or not found[0]:
            return None
        self._place = found.end()
        return found[0]

    def _said(self, words: str) -> bool:
        """Return whether these words or signs stand here, and go behind them."""
        self._spaces()
        end = self._place + len(words)
        if not self._text.startswith(words, self._place):
            return False
        if words[-1].isalnum() and (self._text[end : end + 1].isalnum() or self._text[end : end + 1] == "_"):
            return False
        self._place = end
        return True

    def _must(self, pattern: re.Pattern[str], wanted: str) -> str:
        found = self._take(pattern)
        if found is None:
            raise self._error(wanted)
        return found

    def _must_say(self, sign: str) -> None:
        if not self._said(sign):
            raise self._error(f"“{sign}”")

    def _error(self, wanted: str) -> NotationError:
        self._spaces()
        here = self._text[self._place : self._place + 24]
        return NotationError(f"Expected {wanted} before “{here}”." if here else f"Expected {wanted} at the end.")

    def _quoted(self) -> str | None:
        found = self._take(_STRING)
        if found is None:
            return None
        try:
            return json.loads(found)
        except ValueError as error:
            raise NotationError(f"{found} is not a JSON string: write \\\\ for a backslash.") from error

    def _name(self, bare: re.Pattern[str], wanted: str) -> str:
        found = self._quoted()
        return self._must(bare, wanted) if found is None else found

    def _value(self) -> Any:
        if kind := self._take(_OTHER):
            path = self._name(BARE_PATH, "a path")
            self._must_say(")")
            return {kind[:-1]: path}
        found = self._quoted()
        if found is not None:
            return found
        text = self._must(BARE_VALUE, "a value (in double quotes when it has spaces or signs)")
        if NUMBER.fullmatch(text) or text in {"true", "false"}:
            return json.loads(text)
        return text

    # Definitions and what they join.

    def definition(self) -> Fields:
        found = self._joined()
        if self._said("- "):
            found["exclude"] = self._joined()
        if zone := self._take(_ZONE):
            found["timezone"] = zone[1:]
        self._spaces()
        if self._place < len(self._text):
            raise self._error("“&”, “|”, “-” or the end")
        return found

    def _joined(self) -> Fields:
        conditions = [self._condition()]
        sign = "&" if self._said("&") else "|" if self._said("|") else ""
        if sign:
            conditions.append(self._condition())
            while self._said(sign):
                conditions.append(self._condition())
            self._spaces()
            if self._text[self._place : self._place + 1] in {"&", "|"}:
                raise self._error("parentheses, since & and | are mixed,")
        return {"logic": "OR" if sign == "|" else "AND", "conditions": conditions}

    def _condition(self) -> Fields:
        if self._said("not in any segment"):
            return self._memberships("not_in")
        if self._said("in any segment"):
            return self._memberships("in")
        if self._said("not in segment"):
            return self._membership("not_in")
        if self._said("not "):
            found = self._condition()
            if found.get("negate"):
                raise NotationError("“not” stands twice before one condition.")
            return found | {"negate": True}
        if self._said("in segment"):
            return self._membership("in")
        if counted := self._take(_COUNTED):
            return self._counted(int(counted.split()[0]))
        if ranked := self._take(_RANKED):
            return self._rank(ranked)
        if self._said("compare "):
            return self._comparison()
        if self._said("("):
            found = self._joined()
            self._must_say(")")
            return {"type": "group", **found}
        if head := self._take(_HEAD):
            return self._call(head[:-1].strip())
        return {"type": "user_property", "property": self._name(BARE_PATH, "a condition"), **self._test()}

    def _counted(self, least: int) -> Fields:
        conditions = [self._condition()]
        while self._said(";"):
            conditions.append(self._condition())
        self._must_say(")")
        return {"type": "group", "logic": "AT_LEAST", "at_least": least, "conditions": conditions}

    def _memberships(self, operator: str) -> Fields:
        found = [self._segment()]
        while self._said(","):
            found.append(self._segment())
        return {"type": "segment_membership", "segment_ids": found, "operator": operator}

    def _membership(self, operator: str) -> Fields:
        return {"type": "segment_membership", "segment_id": self._segment(), "operator": operator}

    def _segment(self) -> int:
        name = self._quoted()
        if name is None and (number := self._take(re.compile(r"\d+\b"))):
            return int(number)
        name = name or self._must(BARE_NAME, "a segment's name")
        if name not in self._segments:
            known = ", ".join(f"“{one}”" for one in self._segments) or "none"
            raise NotationError(f"There is no segment “{name}”; there are {known}.")
        return self._segments[name]

    def _rank(self, ranked: str) -> Fields:
        which, number, *_ = ranked.removesuffix("by").replace("%", " %").split()
        name = f"{which}_percent" if "%" in ranked else which
        return {"type": "rank", name: json.loads(number), "by": self._measure()}

    def _comparison(self) -> Fields:
        left, sign = self._measure(), self._must(_SIGN, "a sign (= ≠ > ≥ < ≤)")
        factor: Fields = {}
        if number := self._take(NUMBER):
            factor = {"factor": json.loads(number)}
            self._must_say("*")
        sides = {"left": left, "operator": _OPERATOR_OF[sign], "right": self._measure()}
        return {"type": "measure_compare", **sides, **factor}

    def _measure(self) -> Fields:
        name = self._must(_MEASURE, f"a measure: {', '.join(get_args(MeasureName))}")[:-1].strip()
        match = self._match()
        path: Fields = {"property": self._name(BARE_PATH, "a property")} if self._said(".") else {}
        self._must_say(")")
        window = self._window()
        if days := window.pop("window_days", None):
            window["window"] = {"last": f"{days}d"}
        return {"measure": name, **match, **path, **window}

    # Conditions that look like calls.

    def _call(self, name: str) -> Fields:
        match name:
            case "seq":
                return self._sequence()
            case "sample":
                salt = self._name(BARE_NAME, "the split's name")
                self._must_say(")")
                start, end = self._value(), self._end()
                return {"type": "sample", "salt": salt, "from": start, "to": end}
            case _:
                match = self._match()
                path = self._name(BARE_PATH, "a property") if self._said(".") else None
                self._must_say(")")
                return match | (self._of_events(name) if path is None else self._of_property(name, path))

    def _of_events(self, name: str) -> Fields:
        match name:
            case "count":
                return {"type": "event_count", **self._test(), **self._window()}
            case "periods":
                return {"type": "event_periods", **self._test(), **self._periods()}
            case "last":
                return self._recency() or {"type": "event_time", "occurrence": "last", **self._test()}
            case "first":
                return {"type": "event_time", **self._test()}
            case _:
                raise NotationError(f"{name} is of a property: {name}(event.property).")

    def _of_property(self, name: str, path: str) -> Fields:
        if name in {"count", "periods", "last"}:
            raise NotationError(
                f"{name} is of an event; of a property there are latest, first, any, every and {_METRICS}."
            )
        if name in get_args(Metric):
            return {"type": "monetary", "metric": name, "property": path, **self._test(), **self._window()}
        test = self._test()
        parted = OPERATORS[test["operator"]].takes in {"window", "season"} and self._said(",")
        window = self._window()
        if parted and not window:
            raise self._error("a window")
        return {"type": "event_property", "occurrence": name, "property": path, **test, **window}

    def _recency(self) -> Fields | None:
        before = self._place
        sign = self._take(_SIGN)
        near = self._take(_DAYS)
        if near is None:
            self._place = before
            return None
        days = int(near[:-1])
        if sign is None:
            self._must_say("..")
            far = self._must(_DAYS, "days such as 30d")
            return {"type": "recency", "operator": "between", "window_days": days, "value2": int(far[:-1])}
        return {"type": "recency", "operator": _OPERATOR_OF[sign], "window_days": days}

    def _periods(self) -> Fields:
        self._must_say("of")
        last = self._must(re.compile(r"\d+"), "how many periods")
        period = self._must(re.compile("day|week|month"), "days, weeks or months")
        self._take(re.compile(r"(?<=\w)s\b"))
        fields: Fields = {"last": int(last), "period": period}
        if self._said("each"):
            fields["min_per_period"] = int(self._must(re.compile(r"\d+"), "how many in each"))
        return fields

    def _sequence(self) -> Fields:
        steps = [self._step()]
        while self._said(">"):
            steps.append(self._step())
        fields: Fields = {"type": "event_sequence", "events": steps}
        while self._said(";"):
            if self._said("strict"):
                fields["strict"] = True
            elif self._said("same"):
                fields["same"] = [self._name(BARE_PATH, "a property")]
                while self._said(","):
                    fields["same"].append(self._name(BARE_PATH, "a property"))
            elif self._said("without"):
                fields["none_between"] = [self._step()]
                while self._said(","):
                    fields["none_between"].append(self._step())
            else:
                raise self._error("“strict”, “same” or “without”")
        self._must_say(")")
        fields |= self._window()
        if self._said("all"):
            searched = self._window()
            if not searched:
                raise self._error("a window")
            fields["search_window"] = searched.get("window") or {"last": f"{searched['window_days']}d"}
        return fields

    def _step(self) -> str | Fields:
        match = self._match()
        if self._said("within"):
            match["within"] = self._must(_LENGTH, "a length such as 2d")
        return match if set(match) != {"event_type"} or isinstance(match["event_type"], list) else match["event_type"]

    def _match(self) -> Fields:
        names = [self._name(BARE_EVENT, "an event")]
        while self._said("|"):
            names.append(self._name(BARE_EVENT, "an event"))
        fields: Fields = {"event_type": names if len(names) > 1 else names[0]}
        if self._said("["):
            tests = [self._property_test()]
            sign = "&" if self._said("&") else "|" if self._said("|") else ""
            if sign:
                tests.append(self._property_test())
                while self._said(sign):
                    tests.append(self._property_test())
            self._must_say("]")
            fields["where"] = {"logic": "OR", "conditions": tests} if sign == "|" else tests
        if self._take(_AT):
            fields["at"] = self._at()
        return fields

    def _at(self) -> Fields:
        found: Fields = {}
        if days := self._take(_WEEKDAYS):
            found["weekdays"] = re.split(r"\s*,\s*", days)
        if hours := self._take(_HOURS):
            found["hours"] = re.split(r"\s*-\s*", hours)
        if not found:
            raise self._error("weekdays or hours: at sat,sun 18:00-23:00")
        return found

    def _property_test(self) -> Fields:
        negate: Fields = {"negate": True} if self._said("not ") else {}
        path = self._name(BARE_PATH, "a property")
        if not self._said("any("):
            return {"property": path, **self._test(), **negate}
        tests = [self._property_test()]
        while self._said("&"):
            tests.append(self._property_test())
        self._must_say(")")
        return {"any_of": path, "conditions": tests, **negate}

    # Tests and windows.

    def _test(self) -> Fields:
        fields = self._compared()
        if self._said("as"):
            fields["value_type"] = self._must(_TYPE, "a type")
        if self._said("any-case"):
            fields["ignore_case"] = True
        return fields

    def _compared(self) -> Fields:
        if sign := self._take(_SIGN):
            return {"operator": _OPERATOR_OF[sign], "value": self._value()}
        before = self._place
        word = self._take(_WORD)
        row = OPERATORS.get(word or "")
        if row is None:
            if word != "not":
                self._place = before
            start = self._value()
            operator = "not_between" if word == "not" else "between"
            return {"operator": operator, "value": start, "value2": self._end()}
        if row.takes == "nothing":
            return {"operator": row.name}
        if row.takes == "two":
            return {"operator": row.name, "value": self._value(), "value2": self._end()}
        if row.takes in {"window", "season"}:
            return {"operator": row.name, "value": self._of_dates()}
        values = [self._value()]
        while row.takes_list and self._said(","):
            values.append(self._value())
        return {"operator": row.name, "value": values if row.takes_list else values[0]}

    def _of_dates(self) -> Fields:
        """Return when a stored date is: a window, or a month."""
        if self._said("month"):
            return {"month": self._value()}
        found = self._window()
        if "window_days" in found:
            return {"last": f"{found['window_days']}d"}
        if not found:
            raise self._error("a window such as next month or in 30d")
        return found["window"]

    def _end(self) -> Any:
        self._spaces()
        if not self._text.startswith("..", self._place):
            raise self._error("a test (= ≠ > ≥ < ≤, an operator's name, or a range such as 10..20)")
        self._place += 2
        return self._value()

    def _window(self) -> Fields:
        before = self._place
        if self._said("in") and (length := self._take(_LENGTH)):
            days = _DAYS.fullmatch(length)
            if self._said("complete"):
                return {"window": {"last": length, "days": "complete"}}
            if self._said("with today"):
                return {"window": {"last": length, "days": "with_today"}}
            return {"window_days": int(days[1])} if days else {"window": {"last": length}}
        self._place = before
        if period := self._take(_PERIOD):
            return {"window": {"period": period.replace(" ", "_")}}
        if far := self._take(_LENGTH):
            self._must_say("..")
            near = self._must(_LENGTH, "a length such as 7d")
            self._must_say("ago")
            return {"window": {"between": [far, near]}}
        ends = {name: self._must(_INSTANT, "a date such as 2026-06-01") for name in ("from", "to") if self._said(name)}
        return {"window": ends} if ends else {}


_METRICS: Final = ", ".join(get_args(Metric))
