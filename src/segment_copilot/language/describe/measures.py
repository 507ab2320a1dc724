"""Says measures, and how one compares with another: "at least 10% of the number of times they opened an email"."""

from __future__ import annotations

from typing import Final, cast

from msgspec import UNSET

from segment_copilot.language.describe.phrases import (
    escape_controls,
    join_words,
    tell_action,
    tell_number,
    tell_window,
)
from segment_copilot.language.measure_checks import RANKED
from segment_copilot.language.nodes import Measure, MeasureCompare, MeasureName, MeasureOperator, Rank
from segment_copilot.language.operators import OPPOSITE_NUMBER, holds

_MEASURES: Final[dict[MeasureName, str]] = {
    "count": "the number of times they {0}",
    "days_active": "the number of days on which they {0}",
    "count_distinct": "the number of different values of {1} over all the times they {0}",
    "sum": "the sum of {1} over all the times they {0}",
    "avg": "the average {1} over all the times they {0}",
    "min": "the lowest {1} over all the times they {0}",
    "max": "the highest {1} over all the times they {0}",
}
_COMPARED: Final[dict[MeasureOperator, str]] = {
    "eq": "is exactly",
    "neq": "is anything but",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
}
_MISSING: Final = frozenset({"avg", "min", "max"})


def tell_measure(measure: Measure) -> str:
    """Say what is measured: "the sum of total over all the times they placed an order this month"."""
    path = "" if measure.property is UNSET else escape_controls(measure.property)
    told = _MEASURES[measure.measure].format(tell_action(measure), path)
    return f"{told}{tell_window(UNSET, measure.window)}"


def tell_comparison(leaf: MeasureCompare) -> str:
    """Say how the measures compare; a negation as the opposite. Over nothing counts and sums are 0, the others missing."""
    operator = cast("MeasureOperator", OPPOSITE_NUMBER[leaf.operator]) if leaf.negate else leaf.operator
    needed = [
        escape_controls(one.property) for one in (leaf.left, leaf.right) if one.measure in _MISSING and one.property
    ]
    note = ""
    if needed:
        is_in = (leaf.operator == "neq") != leaf.negate
        note = f" (people without any {join_words(needed)} are {'' if is_in else 'not '}included)"
    elif holds(operator, 0, 0):
        note = " (people for whom both are 0 are included)"
    return f"for whom {tell_measure(leaf.left)} {_COMPARED[operator]} {_tell_factor(leaf.factor)}{tell_measure(leaf.right)}{note}"


def tell_rank(leaf: Rank) -> str:
    """Say which part of all users it is: the rest of a definition does not change who is ranked."""
    which, value = next((name, value) for name in RANKED if (value := getattr(leaf, name)) is not UNSET)
    part = f"{which.removesuffix('_percent')} {tell_number(value)}{'%' if which.endswith('percent') else ''}"
    nothing = "who never did" if leaf.by.property is UNSET else f"without any {escape_controls(leaf.by.property)}"
    are_in, note = ("are not", "included") if leaf.negate else ("are", "not ranked")
    return f"who {are_in} in the {part} of all users by {tell_measure(leaf.by)} (people {nothing} are {note})"


def _tell_factor(factor: float) -> str:
    """Say how many times something, with a space behind it: "half ", "10% of ", "3 times "."""
    if factor == 1:
        return ""
    if factor in _FACTORS:
        return _FACTORS[factor]
    return f"{tell_number(factor * 100)}% of " if 0 < factor < 1 else f"{tell_number(factor)} times "


_FACTORS: Final = {0.5: "half ", 2: "twice "}
