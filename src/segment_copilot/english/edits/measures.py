"""Numbers and time spans of a draft: which one is meant, and what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from msgspec import structs

from segment_copilot.english.edits import patches
from segment_copilot.english.edits.fragments import Fragment
from segment_copilot.english.edits.patches import Op, Unfit
from segment_copilot.english.edits.spots import Json, Spot, same_span
from segment_copilot.english.edits.targets import Target
from segment_copilot.english.edits.which import Chooser, Unsure, handle
from segment_copilot.english.plan import Option
from segment_copilot.english.times.phrases import Length, Quantity, Unit
from segment_copilot.english.times.windows import Window


def set_measures(spots: Sequence[Spot], target: Target, new: Fragment, choose: Chooser) -> list[Op]:
    """Set the number, the comparison or the time span of what *target* means to what *new* says."""
    made: list[Op] = []
    if new.quantity is not None:
        made += _set_number(spots, target, new.quantity, choose)
    elif new.operator is not None:
        spot = choose(numbered(spots, target, None), f"set the comparison of {{}} to {new.text}")
        made += patches.set_operator(spot, new.operator)
    if new.window is not None:
        made += set_span(spots, target, new.window, choose)
    return made


def _set_number(spots: Sequence[Spot], target: Target, number: Quantity, choose: Chooser) -> list[Op]:
    if target.part == "window" and not number.times and float(number.value).is_integer():
        days = Window("last", text=f"{number.value} days", length=Length(int(number.value), "d"))
        unit = _unit(spots)
        return set_span(
            spots, target, structs.replace(days, length=Length(int(number.value), unit)) if unit else days, choose
        )
    found = numbered(spots, target, number)
    spans = _spans(spots, target)
    if (
        target.open
        and number.bare
        and not number.currency
        and not number.times
        and (near := _nearer(number.value, found, spans))
    ):
        raise Unsure(
            f"Should {number.text} be the number or the time span?",
            [
                Option(f"The number: {number.text}", f"set the number of {handle(found[0])} to {number.text}"),
                Option(
                    f"The time span: {number.text} {near}", f"set the window of {handle(spans[0])} to {number.text}"
                ),
            ],
            "{}",
        )
    if not found and spans and not number.currency and not number.times:
        return _set_number(spots, structs.replace(target, part="window"), number, choose)
    if not found:
        raise Unfit("There is no number in the draft that this could change.")
    return patches.set_number(choose(found, f"set {{}} to {number.text}"), number)


_FAR, _CLOSE = 8, 4


def _nearer(value: float, numbers: Sequence[Spot], spans: Sequence[Spot]) -> str:
    """The unit of a time span that a lone number is far nearer to than to any threshold; "" where it is not."""
    if not value or not numbers or any(_ratio(value, spot.node.get("value", 1)) < _FAR for spot in numbers):
        return ""
    for spot in spans:
        told = f"{spot.span['window_days']}d" if spot.span and "window_days" in spot.span else _last(spot.span or {})
        digits = told.rstrip("mhdwoy")
        if digits.isdecimal() and _ratio(value, int(digits)) <= _CLOSE:
            return Length(2, told[len(digits) :]).words.split()[1]  # pyright: ignore[reportArgumentType]
    return ""


def _ratio(one: float, other: object) -> float:
    if not isinstance(other, int | float) or not other or not one:
        return 1
    return max(one / other, other / one)


def _unit(spots: Sequence[Spot]) -> Unit | None:
    """The unit that all time spans of the draft share, where it is not days: the 2 of "make it 2" for 6 weeks."""
    told = {_last(span).lstrip("0123456789") for spot in spots if (span := spot.span) and "window" in span}
    plain = any(spot.span and "window_days" in spot.span for spot in spots)
    units: dict[str, Unit] = {"h": "h", "w": "w", "mo": "mo", "y": "y"}
    return units.get(next(iter(told))) if len(told) == 1 and not plain else None


def numbered(spots: Sequence[Spot], target: Target, number: Quantity | None) -> tuple[Spot, ...]:
    """The spots whose number may be meant: those whose number somebody said before those with none, inclusions first."""
    found = [spot for spot in spots if spot.slot is not None and (spot.slot != "days" or target.words or target.place)]
    if (number and number.currency) or target.part == "amount":
        found = [spot for spot in found if spot.slot in {"amount", "number"}]
    elif number and number.times:
        found = [spot for spot in found if spot.slot == "count"] or found
    whole = [spot for spot in found if spot.whole]
    if (target.words or target.place) and whole and not (number and number.currency) and target.part != "amount":
        found = whole
    told = [spot for spot in found if spot.told]
    included = [spot for spot in found if not spot.negative and not spot.excluded]
    return tuple([spot for spot in told if not spot.excluded] or told or included or found)


def set_span(spots: Sequence[Spot], target: Target, window: Window, choose: Chooser) -> list[Op]:
    """Set the time span of what *target* means; spans that are the same are one, unless the target tells them apart."""
    found = _spans(spots, target)
    if window.kind not in {"last", "ago"} and not target.words:
        found = [spot for spot in found if spot.kind != "recency"] or found
    ask = f"set the window of {{}} to {window.text if window.kind != 'last' else window.words()}"
    if not found:
        able = [spot for spot in spots if spot.whole and spot.may_span]
        plain = [spot for spot in able if not spot.negative and not spot.excluded] or able
        if not plain:
            raise Unfit("There is nothing in the draft that a time span could bound.")
        found = plain if target.several else [choose(plain, ask)]
    elif not (target.several or _alike(found)):
        found = [choose(found, ask)]
    return [one for spot in found for one in patches.set_span(spot, window)]


def _spans(spots: Sequence[Spot], target: Target) -> list[Spot]:
    """The conditions with a time span, those that leave people out only where nothing else has one."""
    found = list(
        {
            spot.home: structs.replace(spot, pointer=spot.home, node=spot.condition)
            for spot in spots
            if spot.span is not None
        }.values()
    )
    return [spot for spot in found if not spot.excluded] or found if not target.excluded else found


def _alike(spots: Sequence[Spot]) -> bool:
    return all(spot.span == spots[0].span for spot in spots)


def without_span(spots: Sequence[Spot], target: Target, choose: Chooser) -> list[Op]:
    """Look at all history."""
    found = [spot for spot in _spans(spots, target) if spot.may_span or spot.kind == "event_sequence"]
    if not found:
        raise Unfit("Nothing in the draft has a time span that could be taken away.")
    if not (target.several or _alike(found)):
        found = [choose(found, "remove the window of {}")]
    return [one for spot in found for one in patches.set_span(spot, Window("ever"))]


def scale(spots: Sequence[Spot], target: Target, factor: float, plus: Fragment | None, choose: Chooser) -> list[Op]:
    """Multiply a number or time span, or add to it: "double it", "by 2", "by 10 days", "by 20 %"."""
    length = plus.window.length if plus and plus.window else None
    sign = -1 if factor < 0 else 1
    if length is not None or target.part == "window":
        found = _spans(spots, target)
        if not found:
            raise Unfit("Nothing in the draft has a time span.")
        if not _alike(found) and not target.several:
            found = [choose(found, "the window of {}")]
        made: list[Op] = []
        for spot in found:
            span = _stretched(spot, abs(factor), sign * length.count if length else 0, length.unit if length else "")
            made += patches.set_span(spot, span)
        return made
    number = sign * plus.quantity.value if plus and plus.quantity else 0
    found_numbers = numbered(spots, target, plus.quantity if plus else None)
    if not found_numbers:
        return scale(spots, structs.replace(target, part="window"), factor, plus, choose)
    return patches.scaled(choose(found_numbers, "the number of {}"), abs(factor), number)


def _last(span: Json) -> str:
    told = cast("Json", next(iter(span.values()), None) or {})
    return str(told.get("last", ""))


def _stretched(spot: Spot, factor: float, plus: int, unit: str) -> Window:
    span = spot.span or {}
    told = f"{span['window_days']}d" if "window_days" in span else _last(span)
    digits = told.rstrip("mhdwoy")
    own = told[len(digits) :]
    if not digits.isdecimal() or (unit and own not in (unit, "d")):
        raise Unfit(
            "That time span cannot be stretched by this much; please say the new one, for example 'the last 60 days'."
        )
    days = {"d": 1, "w": 7, "mo": 30, "y": 365}
    more = plus * days[unit] if unit and unit != own and unit in days else plus
    count = int(digits) * factor + more
    if count < 1 or not float(count).is_integer():
        raise Unfit("That leaves no whole time span; please say the new one, for example 'the last 60 days'.")
    return Window("last", text=f"{count:g}{own}", length=Length(int(count), own))  # pyright: ignore[reportArgumentType]


def with_number(spots: Sequence[Spot], number: Quantity) -> tuple[Spot, ...]:
    """The spots that compare with exactly that number."""
    found = [
        spot
        for spot in spots
        if spot.slot is not None
        and spot.node.get("window_days" if spot.slot == "days" else "value", 1) == number.value
        and (number.bare or number.operator == spot.node.get("operator", "gte"))
    ]
    return tuple(spot for spot in found if spot.slot != "days") or tuple(found)


def with_span(spots: Sequence[Spot], window: Window) -> tuple[Spot, ...]:
    """The conditions that look at exactly that time span."""
    return tuple(spot for spot in spots if spot.whole and same_span(spot.span, window))


def with_count(spots: Sequence[Spot], number: float) -> tuple[Spot, ...]:
    """The conditions whose time span has that many of its units: the 90 of "change 90 to 60"."""
    spans = [
        (spot, f"{spot.span['window_days']}d" if "window_days" in spot.span else _last(spot.span))
        for spot in spots
        if spot.whole and spot.span
    ]
    return tuple(spot for spot, told in spans if told.rstrip("mhdwoy") == f"{number:g}")


def saying(spots: Sequence[Spot], old: Fragment) -> tuple[Spot, ...]:
    """The spots that say what is replaced."""
    if old.window is not None:
        return with_span(spots, old.window)
    if old.quantity is not None:
        return with_number(spots, old.quantity)
    return tuple(spot for spot in spots if spot.slot and spot.node.get("operator", "gte") == old.operator)


def in_unit_of(old: Fragment, new: Fragment) -> Fragment:
    """The 14 of "45 days instead of 14" is a time span too."""
    if old.quantity is None or old.windows or new.window is None or new.window.length is None:
        return old
    length = structs.replace(new.window.length, count=int(old.quantity.value))
    return structs.replace(old, quantities=(), windows=(structs.replace(new.window, length=length, text=old.text),))
