"""Finds values near the number or the length of a condition, and the condition with each of them in its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from segment_copilot.language.lengths import parse_length
from segment_copilot.language.nodes import (
    DateWindow,
    EventCount,
    EventPeriods,
    EventProperty,
    EventTime,
    Leaf,
    Monetary,
    Recency,
    UserProperty,
    Window,
)
from segment_copilot.language.operators import LENGTHS, RANGES
from segment_copilot.language.window_checks import MAX_DAYS

NEIGHBOURS: Final = 5
"""So many values are told, the condition's own among them."""

_TRIED: Final = 5  # numbers on each side, of which those are told at which the number of people changes
_FEW: Final = 10  # of fewer the next whole numbers are near; of more a tenth


class Variation(Struct, frozen=True):
    """A variation is a condition with one value of it in the place of its own."""

    value: float | str
    leaf: Leaf


def number_variations(leaf: Leaf, stored: Sequence[float]) -> tuple[Variation, ...]:
    """Return the condition with its number and with some on both sides of it, in order; none where it has not one number.

    *stored* are the numbers that its property has, if they are known: then those next to its own are taken.
    """
    match leaf:
        case EventCount() | Monetary(metric="count_distinct"):
            least, most = _least_count(leaf.operator), None
        case EventPeriods(min_per_period=1):
            least, most = _least_count(leaf.operator), leaf.last
        case Monetary() | UserProperty() | EventProperty():
            least, most = None, None
        case _:
            return ()
    own = leaf.value
    if isinstance(own, bool) or not isinstance(own, int | float) or leaf.operator in RANGES or leaf.operator in LENGTHS:
        return ()
    if least is None:
        numbers = [*stored] if stored else [_plus(own, step) for step in range(-_TRIED, _TRIED + 1)]
        numbers = [number for number in numbers if own < 0 or number >= 0]
    else:
        step = 1 if own < _FEW else round(own / _FEW)
        numbers = [own + times * step for times in range(-_TRIED, _TRIED + 1)]
        numbers = [number for number in numbers if number >= least and (most is None or number <= most)]
    below = sorted(number for number in set(numbers) if number < own)
    above = sorted(number for number in set(numbers) if number > own)
    # Each number that is stored tells people apart, so that more need not be tried; where one side has few, the other fills up.
    tried = NEIGHBOURS // 2 if stored and min(len(below), len(above)) >= NEIGHBOURS // 2 else _TRIED
    below, above = below[-tried:], above[:tried]
    return tuple(Variation(number, replace(leaf, value=number)) for number in (*below, own, *above))


def _least_count(operator: str) -> int:
    """Return the least number of a count with which a test tells anybody from others."""
    return 1 if operator in {"gte", "lt"} else 0


def _plus(own: float, times: int) -> float:
    """Return the number so many steps farther, each about a tenth of it."""
    if own == 0:
        return float(times)
    size = 10.0 ** math.floor(math.log10(abs(own) / _FEW))
    step = round(abs(own) / _FEW / size) * size
    farther = round(own + times * step, 9)
    return int(farther) if isinstance(own, int) and farther.is_integer() else farther


def length_variations(leaf: Leaf) -> tuple[Variation, ...]:
    """Return the condition with its length of time and with some near it, in order; none where it has not one.

    They are near, because a longer one makes the store read more.
    """
    match leaf:
        case Recency() if leaf.operator not in RANGES:
            return _days(leaf.window_days, lambda days: replace(leaf, window_days=days))
        case UserProperty() | EventProperty() | EventTime() if leaf.operator in LENGTHS and isinstance(leaf.value, str):
            return _lengths(leaf.value, lambda length: replace(leaf, value=length))
        case UserProperty() | EventProperty() | EventTime() if (
            isinstance(leaf.value, DateWindow) and leaf.value.last is not UNSET
        ):
            window = leaf.value
            return _lengths(leaf.value.last, lambda length: replace(leaf, value=replace(window, last=length)))
        case EventCount() | Monetary() | EventProperty():
            return _of_window(
                leaf.window_days,
                leaf.window,
                lambda days: replace(leaf, window_days=days),
                lambda window: replace(leaf, window=window),
            )
        case _:
            return ()


def _of_window(
    days: int | UnsetType,
    window: Window | UnsetType,
    of_days: Callable[[int], Leaf],
    of_window: Callable[[Window], Leaf],
) -> tuple[Variation, ...]:
    if days is not UNSET:
        return _days(days, of_days)
    if window is not UNSET and window.last is not UNSET:
        return _lengths(window.last, lambda length: of_window(replace(window, last=length)))
    return ()


def _days(own: int, changed: Callable[[int], Leaf]) -> tuple[Variation, ...]:
    return tuple(Variation(days, changed(days)) for days in _near(own))


def _lengths(own: str, changed: Callable[[str], Leaf]) -> tuple[Variation, ...]:
    length = parse_length(own, least=0)
    found = [f"{count}{length.unit}" for count in _near(length.count)]
    return tuple(Variation(one, changed(one)) for one in found)


def _near(own: int) -> list[int]:
    """Return whole numbers around one, itself among them: the next ones, or tenths of it."""
    step = 1 if own < _FEW else round(own / _FEW)
    first = max(min(own, 1), own - 2 * step) if own else 0
    while first < own and (own - first) % step:
        first += 1
    return [number for number in range(first, first + NEIGHBOURS * step, step) if number <= MAX_DAYS]


def chosen(own: int, counts: Sequence[Any]) -> list[int]:
    """Return the places of the variations that are told: those next to its own at which the count changes come first.

    Args:
        own: The place of the condition's own value.
        counts: How many people there are at each place.
    """
    below = _changes_first(range(own - 1, -1, -1), counts, own)
    above = _changes_first(range(own + 1, len(counts)), counts, own)
    half = (NEIGHBOURS - 1) // 2
    taken = [*below[: max(half, NEIGHBOURS - 1 - len(above))], *above[: max(half, NEIGHBOURS - 1 - len(below))]]
    return sorted([own, *taken])


def _changes_first(places: Sequence[int], counts: Sequence[Any], own: int) -> list[int]:
    told, changing, rest = counts[own], list[int](), list[int]()
    for place in places:
        (changing if counts[place] != told else rest).append(place)
        told = counts[place]
    return [*changing, *rest]
