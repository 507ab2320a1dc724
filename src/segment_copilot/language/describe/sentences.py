"""Writes definitions as sentences and conditions as phrases; a negation becomes the opposite where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from msgspec import UNSET, UnsetType

from segment_copilot.language import (
    Condition,
    Definition,
    EventCount,
    EventMatch,
    EventPeriods,
    EventProperty,
    EventSequence,
    EventTime,
    Group,
    Leaf,
    MeasureCompare,
    Monetary,
    Rank,
    Recency,
    Sample,
    SegmentMembership,
    Step,
    UserProperty,
)
from segment_copilot.language.checks import STEPS, as_date_test
from segment_copilot.language.describe.measures import tell_comparison, tell_rank
from segment_copilot.language.describe.phrases import (
    escape_controls,
    join_words,
    tell_action,
    tell_days,
    tell_length,
    tell_notes,
    tell_number,
    tell_test,
    tell_test_and_notes,
    tell_window,
)
from segment_copilot.language.nodes import EventCondition
from segment_copilot.language.operators import OPERATORS, OPPOSITE_NUMBER, POSITIVE_OF, NumberOperator, holds
from segment_copilot.language.value_types import to_millionths

_INCLUDED: Final = " (people who never did are included)"
_NOT_INCLUDED: Final = " (people who never did are not included)"
_METRICS: Final = {
    "sum": "whose {0} adds up to {1}",
    "avg": "whose average {0} is {1}",
    "min": "whose lowest {0} is {1}",
    "max": "whose highest {0} is {1}",
    "median": "whose median {0} is {1}",
}


def describe(definition: Definition, segment_names: Mapping[int, str]) -> str:
    """Return the definition as one sentence. *segment_names* names the segments it refers to."""
    words = _Words(segment_names)
    sentence = f"Users {words.joined(definition.logic, definition.conditions)}"
    if definition.exclude is not UNSET:
        sentence += f"; leaving out users {words.joined(definition.exclude.logic, definition.exclude.conditions)}"
    return f"{sentence}."


def describe_condition(condition: Condition, segment_names: Mapping[int, str]) -> str:
    """Return one condition as a phrase that follows "users": "who …", "whose …" or "for whom …"."""
    return _Words(segment_names).condition(condition)


class _Words:
    def __init__(self, segment_names: Mapping[int, str]) -> None:
        self.segment_names = segment_names

    def joined(self, logic: str, conditions: Sequence[Condition]) -> str:
        if len(conditions) == 1 and isinstance(only := conditions[0], Group) and not only.negate:
            return self._group(only) if only.logic == "AT_LEAST" else self.joined(only.logic, only.conditions)
        return f", {logic.lower()} ".join(self.condition(condition) for condition in conditions)

    def condition(self, condition: Condition) -> str:
        """Say a negation as the opposite; where there is none, as not being among those."""
        match condition:
            case Group():
                return self._group(condition)
            case SegmentMembership():
                return self._membership(condition)
            case Sample():
                return _sample(condition)
            case UserProperty():
                return f"whose {escape_controls(condition.property)} {tell_test(condition, negate=condition.negate)}"
            case EventSequence():
                return _sequence(condition)
            case MeasureCompare():
                return tell_comparison(condition)
            case Rank():
                return tell_rank(condition)
            case EventCount() | Recency() | EventTime() | Monetary() | EventProperty() | EventPeriods():
                return _of_events(condition)
            case _:
                assert_never(condition)

    def _group(self, group: Group) -> str:
        if group.logic == "AT_LEAST" and len(group.conditions) > 1:
            return self._counted(group)
        inside = self.joined(group.logic, group.conditions)
        return f"who are not among those ({inside})" if group.negate else self._bracketed(group)

    def _counted(self, group: Group) -> str:
        """Say how many of several hold; those of a negation are too few."""
        conditions = "; ".join(self.condition(condition) for condition in group.conditions)
        least = group.at_least or 0
        counted = ("none" if least == 1 else f"fewer than {least}") if group.negate else f"at least {least}"
        return f"who meet {counted} of these {len(group.conditions)} conditions ({conditions})"

    def _bracketed(self, group: Group) -> str:
        if len(group.conditions) == 1:
            return self.condition(group.conditions[0])
        return f"({self.joined(group.logic, group.conditions)})"

    def _membership(self, leaf: SegmentMembership) -> str:
        is_in = (leaf.operator == "in") != leaf.negate
        names = {one: self.segment_names.get(one) for one in leaf.targets}
        if len(names) == 1:
            ((segment_id, name),) = names.items()
            named = f"the segment “{escape_controls(name)}”" if name else f"segment {segment_id}"
            return f"who {'are' if is_in else 'are not'} in {named}"
        told = [f"“{escape_controls(name)}”" if name else str(segment_id) for segment_id, name in names.items()]
        return f"who are in {'any' if is_in else 'none'} of the segments {join_words(told, 'and')}"


# Leaves


def _of_events(leaf: EventCondition) -> str:
    match leaf:
        case EventCount():
            return _count(leaf)
        case Recency():
            return _recency(leaf)
        case EventTime():
            return _event_time(leaf)
        case EventPeriods():
            return _periods(leaf)
        case Monetary():
            return _monetary(leaf)
        case EventProperty():
            return _event_property(leaf)
        case _:
            assert_never(leaf)


def _count(leaf: EventCount) -> str:
    window = tell_window(leaf.window_days, leaf.window)
    low, high = _pair(leaf.value, leaf.value2)
    operator = OPPOSITE_NUMBER[leaf.operator] if leaf.negate else leaf.operator
    never, once = holds(operator, 0, low, high), holds(operator, 1, low, high)
    if never and not once and operator in {"eq", "lt", "lte", "between"}:
        done = tell_action(leaf, perfect=True)
        return f"who have not {done}{window}{_INCLUDED}" if window else f"who have never {done}"
    did = tell_action(leaf)
    if (operator, low) in {("gte", 1), ("gt", 0), ("neq", 0)}:
        return f"who {did}{window}"
    return f"who {did} {_times(operator, low, high)}{window}{_INCLUDED if never else ''}"


def _times(operator: NumberOperator, low: float, high: float | None) -> str:
    """Say how often: "at least 3 times", "more than once", "any number of times but 2"."""
    if operator == "neq":
        return f"any number of times but {tell_number(low)}"
    counted = _how_many(operator, low, high)
    return counted.removesuffix("1") + "once" if counted.endswith(" 1") and operator != "lt" else f"{counted} times"


def _how_many(operator: NumberOperator, low: float, high: float | None) -> str:
    """Say a test of a whole number, none of which is below 0."""
    if operator == "not_between" and high is not None and low <= 0:
        operator, low = "gt", high
    if operator == "between" and low == high:
        operator = "eq"
    phrase = OPERATORS[operator].amount.format(tell_number(low), tell_number(high))
    return phrase.replace("less", "fewer").replace("anything", "any number")


def _recency(leaf: Recency) -> str:
    did = tell_action(leaf)
    done = tell_action(leaf, perfect=True)
    days = tell_days(leaf.window_days)
    far = leaf.window_days if leaf.value2 is UNSET else leaf.value2
    operator: NumberOperator = leaf.operator
    if leaf.negate and operator not in {"eq", "between"}:
        operator = OPPOSITE_NUMBER[operator]
    if operator in {"gt", "gte"}:
        lapse = f"for more than {days}" if operator == "gt" else f"for {days} or more"
        return f"who have not {done} {lapse}{_INCLUDED if leaf.negate else _NOT_INCLUDED}"
    ago = {
        "lt": f"less than {days} ago",
        "lte": f"at most {days} ago",
        "eq": f"{days} ago, in whole days" if leaf.window_days else "less than 1 day ago",
        "between": f"from {leaf.window_days:,} to {tell_days(far)} ago"
        if far > leaf.window_days
        else f"exactly {days} ago",
    }[operator]
    if not leaf.negate:
        return f"who last {did} {ago}"
    return (
        f"who last {did} {ago}, or never did"
        if operator in {"lt", "lte"}
        else f"who are not among those who last {did} {ago}{_INCLUDED}"
    )


def _event_time(leaf: EventTime) -> str:
    phrase, _ = tell_test_and_notes(as_date_test(leaf), negate=leaf.negate, past=True)
    never = _INCLUDED if (leaf.operator in POSITIVE_OF) != leaf.negate else ""
    return f"for whom the {leaf.occurrence} time they {tell_action(leaf)} {phrase}{never}"


def _periods(leaf: EventPeriods) -> str:
    low, high = _pair(leaf.value, leaf.value2)
    operator = OPPOSITE_NUMBER[leaf.operator] if leaf.negate else leaf.operator
    never, once = holds(operator, 0, low, high), holds(operator, 1, low, high)
    this = "today" if leaf.period == "day" else f"this {leaf.period}"
    least = "" if leaf.min_per_period == 1 else f" {_times('gte', leaf.min_per_period, None)}"
    if leaf.last == 1 and never != once:
        if once:
            return f"who {tell_action(leaf)}{least} {this}"
        return f"who have not {tell_action(leaf, perfect=True)}{least} {this}{_INCLUDED}"
    least = f"{least} a {leaf.period}" if least else ""
    periods = f"{leaf.last:,} {leaf.period}{'s' if leaf.last > 1 else ''}"
    if never and not once and operator in {"eq", "lt", "lte", "between"}:
        counted = "none"
    elif operator in {"eq", "gte"} and low == leaf.last:
        counted = "every one"
    else:
        counted = _how_many(operator, low, high)
    did = tell_action(leaf)
    return f"who {did}{least} in {counted} of the last {periods}, {this} included{_INCLUDED if never else ''}"


def _sample(leaf: Sample) -> str:
    are = "are not" if leaf.negate else "are"
    return f"who {are} in the part from {tell_number(leaf.from_)}% up to {tell_number(leaf.to)}% of the random split “{escape_controls(leaf.salt)}”"


def _monetary(leaf: Monetary) -> str:
    """Say a test of an aggregate: over nothing, sums and numbers of values are 0, averages and the like are missing."""
    low, high = _pair(leaf.value, leaf.value2)
    operator = OPPOSITE_NUMBER[leaf.operator] if leaf.negate else leaf.operator
    if leaf.metric == "sum":
        none_passes = holds(operator, 0, to_millionths(low), None if high is None else to_millionths(high))
    elif leaf.metric == "count_distinct":
        none_passes = holds(operator, 0, low, high)
    else:
        none_passes = (leaf.operator in POSITIVE_OF) != leaf.negate
    amount = OPERATORS[operator].amount.format(tell_number(low), tell_number(high))
    did, window = tell_action(leaf), tell_window(leaf.window_days, leaf.window)
    note = ""
    if none_passes or operator in {"lt", "lte"}:
        note = f" (people without any {escape_controls(leaf.property)} are {'' if none_passes else 'not '}included)"
    if leaf.metric == "count_distinct":
        values = "value" if operator == "eq" and low == 1 else "values"
        amount = amount.replace("less", "fewer").replace("anything", "any number")
        return f"who {did} with {amount} different {values} of {escape_controls(leaf.property)}{window}{note}"
    return f"{_METRICS[leaf.metric].format(escape_controls(leaf.property), amount)} over all the times they {did}{window}{note}"


def _event_property(leaf: EventProperty) -> str:
    did, window = tell_action(leaf), tell_window(leaf.window_days, leaf.window)
    if leaf.occurrence in {"latest", "first"}:  # missing without the event: the negation is the opposite test
        phrase, notes = tell_test_and_notes(leaf, negate=leaf.negate, past=True)
        notes = [*notes, "or they never did"] if (leaf.operator in POSITIVE_OF) != leaf.negate else notes
        when = "last" if leaf.occurrence == "latest" else "first"
        return f"whose {escape_controls(leaf.property)} {phrase} the {when} time they {did}{window}{tell_notes(notes)}"
    if leaf.negate and leaf.operator in POSITIVE_OF:  # not even one that is not: all are; not all are not: one is
        phrase, when = (
            tell_test(leaf, negate=True, past=True),
            "every time" if leaf.occurrence == "any" else "at least once when",
        )
        return f"whose {escape_controls(leaf.property)} {phrase} {when} they {did}{window}{_INCLUDED}"
    phrase = tell_test(leaf, negate=False, past=True)
    match leaf.occurrence, leaf.negate:
        case "any", False:
            return f"whose {escape_controls(leaf.property)} {phrase} at least once when they {did}{window}"
        case "any", True:
            return f"whose {escape_controls(leaf.property)} at no time {phrase} when they {did}{window}{_INCLUDED}"
        case _, False:
            return f"whose {escape_controls(leaf.property)} {phrase} every time they {did}{window}{_NOT_INCLUDED}"
        case _, True:
            return f"whose {escape_controls(leaf.property)} not always {phrase} when they {did}{window}{_INCLUDED}"


def _sequence(leaf: EventSequence) -> str:
    steps = [_step(step) for step in leaf.events]
    span = ""
    if leaf.window_days is not UNSET:
        span = f", all within {tell_days(leaf.window_days)}"
    elif leaf.window is not UNSET and leaf.window.last is not UNSET:
        span = f", all within {tell_length(leaf.window.last)}"
    between = ", with no other event in between" if leaf.strict else ""
    if leaf.none_between is not UNSET:
        others = [_step(match, perfect=True) for match in leaf.none_between]
        between += f"{' and' if between else ','} without having {join_words(others)} in between"
    same = ""
    if leaf.same is not UNSET:
        held = join_words((f"the same {escape_controls(path)}" for path in leaf.same), "and")
        same = f", {'both' if len(steps) == STEPS[0] else 'all'} with {held}"
    when = "" if leaf.search_window is UNSET else f", all of it{tell_window(UNSET, leaf.search_window)}"
    phrase = f"who {', then '.join(steps)}{same}{span}{between}{when}"
    return f"who are not among those {phrase}" if leaf.negate else phrase


def _step(step: str | Step | EventMatch, *, perfect: bool = False) -> str:
    if isinstance(step, str):
        return tell_action(EventMatch(step), perfect=perfect)
    did = tell_action(step, perfect=perfect)
    return f"within {tell_length(step.within)} {did}" if isinstance(step, Step) and step.within is not UNSET else did


def _pair(value: float | list[int | float], value2: float | UnsetType) -> tuple[float, float | None]:
    if isinstance(value, list):
        return value[0], value[1]
    return value, None if value2 is UNSET else value2


def describe_value(leaf: Leaf, value: float | str, *, is_length: bool) -> str:
    """Return a number or a length that a condition could have: "5 times", "3 weeks", "27 days", "500"."""
    if isinstance(value, str):
        return tell_length(value)
    if is_length:
        return tell_days(int(value))
    number, plural = tell_number(value), "" if value == 1 else "s"
    if isinstance(leaf, EventPeriods):
        return f"{number} {leaf.period}{plural}"
    return f"{number} time{plural}" if isinstance(leaf, EventCount) else number
