"""Says what a draft takes for granted where its words left something open: for whom, of which condition, in which money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segment_copilot.english.reading.amounts import CURRENCIES
from segment_copilot.english.reading.anchors import Anchors
from segment_copilot.language import Condition, Definition, EventCount, Group, Monetary, Recency, encode

_SEVERAL: Final = 2
_BEYOND: Final = frozenset({"gt", "gte"})


def assumed(found: Anchors, definition: Definition) -> tuple[str, ...]:
    """Return what a sentence's *definition* takes for granted, in sentences."""
    return tuple(dict.fromkeys((*_scope(found, definition), *_never(definition), *_money(found, definition))))


def _scope(found: Anchors, definition: Definition) -> Iterator[str]:
    """Yield the time at the end of a sentence that might be meant for the conditions before it too."""
    counted = [one for one in definition.conditions if isinstance(one, EventCount | Monetary)]
    timed = [one for one in counted if one.window or one.window_days]
    if len(counted) < _SEVERAL or len(timed) != 1 or timed[0] is not definition.conditions[-1]:
        return
    said = found.sentence.said(
        [at for one in found.windows if one.end == len(found.tokens) for at in (one.start, one.end - 1)]
    )
    if said:
        yield f"“{said}” is read as belonging to the last condition only: before it, all history counts."


def _never(definition: Definition) -> Iterator[str]:
    """Yield who is left out because there is no last time of theirs."""
    for one in _conditions(definition.conditions):
        if isinstance(one, Recency) and one.operator in _BEYOND and not one.negate:
            names = [one.event_type] if isinstance(one.event_type, str) else one.event_type
            what = "any event" if "*" in names else " or ".join(f"`{name}`" for name in names)
            of_this_kind = " of this kind" if one.where else ""
            yield f"People who never had {what}{of_this_kind} are not included; say “or never” to include them."


def _conditions(conditions: list[Condition]) -> Iterator[Condition]:
    for one in conditions:
        yield from _conditions(one.conditions) if isinstance(one, Group) else (one,)


def _money(found: Anchors, definition: Definition) -> Iterator[str]:
    """Yield the currency that was said and is not tested: amounts are compared as they are stored."""
    for sign in dict.fromkeys(one.quantity.currency for one in found.quantities if one.quantity.currency):
        if f'"{CURRENCIES.get(sign, sign)}"'.encode() not in encode(definition):
            yield f"{sign} is not converted: amounts are compared as they are stored."
