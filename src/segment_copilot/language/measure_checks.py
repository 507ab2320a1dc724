"""Checks measures and what is asked of them. Every function yields findings; none raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from segment_copilot.errors import Finding
from segment_copilot.language.checks import check_event_types, check_where
from segment_copilot.language.local_times import check_at
from segment_copilot.language.nodes import Measure, MeasureCompare, Rank
from segment_copilot.language.operand_checks import check_path
from segment_copilot.language.value_types import as_decimals
from segment_copilot.language.window_checks import check_window

OF_EVENTS: Final = frozenset({"count", "days_active"})
"""The measures that look at no property."""

FACTOR_DECIMALS: Final = 6
MAX_FACTOR: Final = 10**12  # times any sum of any user it stays within 256 bits, in which all is exact


RANKED: Final = ("top", "bottom", "top_percent", "bottom_percent")
MOST_RANKED: Final = range(1, 10_000_001)
SHARE_DECIMALS: Final = 3


def check_compared(pointer: str, leaf: MeasureCompare) -> Iterator[Finding]:
    """Check both measures, and the factor between them."""
    yield from check_measure(f"{pointer}/left", leaf.left)
    yield from check_measure(f"{pointer}/right", leaf.right)
    if not abs(leaf.factor) <= MAX_FACTOR:
        detail = f"A factor lies between -{MAX_FACTOR:,} and {MAX_FACTOR:,}."
        yield Finding(f"{pointer}/factor", "out_of_range", detail)
    elif as_decimals(leaf.factor, FACTOR_DECIMALS) is None:
        detail = f"A factor has at most {FACTOR_DECIMALS} decimals: it is multiplied exactly."
        yield Finding(f"{pointer}/factor", "too_many_decimals", detail)


def check_rank(pointer: str, leaf: Rank) -> Iterator[Finding]:
    """Check the measure, and that it is said once how many, within its limits."""
    yield from check_measure(f"{pointer}/by", leaf.by)
    given = {name: value for name in RANKED if (value := getattr(leaf, name)) is not UNSET}
    if len(given) != 1:
        code = "missing_field" if not given else "unread_field"
        yield Finding(pointer, code, f"Give exactly one of {', '.join(RANKED[:-1])} and {RANKED[-1]}.")
    for name, value in given.items():
        here = f"{pointer}/{name}"
        if name in {"top", "bottom"}:
            if value not in MOST_RANKED:
                detail = f"{name} is a whole number from {MOST_RANKED[0]} to {MOST_RANKED[-1]:,}."
                yield Finding(here, "out_of_range", detail)
        elif not 0 < value <= 100:  # noqa: PLR2004  # per cent
            yield Finding(here, "out_of_range", f"{name} is more than 0 and at most 100.")
        elif as_decimals(value, SHARE_DECIMALS) is None:
            detail = f"{name} has at most {SHARE_DECIMALS} decimals: it is taken exactly."
            yield Finding(here, "too_many_decimals", detail)


def check_measure(pointer: str, measure: Measure) -> Iterator[Finding]:
    """Check which events a measure looks at, and that it has a property where it needs one."""
    yield from check_event_types(f"{pointer}/event_type", measure.event_type)
    yield from check_where(f"{pointer}/where", measure.where)
    yield from check_at(f"{pointer}/at", measure.at)
    if measure.window is not UNSET:
        yield from check_window(f"{pointer}/window", measure.window)
    if measure.measure in OF_EVENTS:
        if measure.property is not UNSET:
            detail = f"{measure.measure} looks at no property; leave it out."
            yield Finding(f"{pointer}/property", "unread_field", detail)
    elif measure.property is UNSET:
        yield Finding(pointer, "missing_field", f"{measure.measure} needs a property: whose values are measured.")
    else:
        yield from check_path(f"{pointer}/property", measure.property)
