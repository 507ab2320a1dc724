"""Sets a side of a condition that a draft has: its number, its time span, its values, an end of its range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from msgspec import UNSET, structs

from segment_copilot.english.edits import ways
from segment_copilot.english.edits.aspects import (
    WINDOWED,
    events_of,
    has_window,
    is_number,
    length_of,
    numbers_of,
    retested,
    tests_field,
    tests_of,
    whole,
    with_number,
    with_own_test,
    with_test,
    with_values,
    with_window,
)
from segment_copilot.english.edits.meant import LEAST, Change, Made, Parts, any_of, leaves_said, own_value, placed
from segment_copilot.english.edits.said import Desk, Part
from segment_copilot.english.edits.targets import Target, spoken, targets
from segment_copilot.english.edits.tree import Place, Unfit, put
from segment_copilot.english.linking.names import Value
from segment_copilot.english.reading.amounts import may_count
from segment_copilot.english.reading.anchors import QuantityAnchor
from segment_copilot.english.reading.spans import union
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.times.windows import Window as When
from segment_copilot.language import Condition, EventCount, Monetary, PropertyTest, Recency, UserProperty
from segment_copilot.language.operators import NumberOperator

SAME: Final = 6
"""The rank of values that a draft tests already."""


_APART: Final = {"with", "for", "to", "by", "from", "instead", "not", "than", "but"}
"""Words between two values that do not make a list of them: "guest with member"."""


_METRIC: Final = {"distinct": "count_distinct"}


def set_to(desk: Desk, parts: Parts) -> list[Made]:
    """Make it 5; change the window to 60 days; the country should be Spain; Germany instead."""
    new = parts["new"]
    if (
        (new.negated and new.says({"only", "just"}))
        or (new.negated and not new.values and new.says({","}))
        or (spoken(new).condition and spoken(new).place)
    ):
        return []
    if "gone" in parts and all(one.open for one in targets(desk, parts["gone"])):
        return []
    among = targets(desk, parts["old"]) if "old" in parts else tuple(Target(place, open=True) for place in desk.places)
    if "old" in parts and any(one.open for one in among):
        return []
    made = [one for target in among for one in set_in(desk, new, target)]
    if "old" in parts and spoken(parts["old"]).all and len({target.place.path for target in among}) > 1:
        return _everywhere(desk, new, among)
    if not made and "old" in parts and spoken(parts["old"]).place and spoken(parts["old"]).condition:
        raise Unfit(f"“{new.text}” does not fit there: {desk.words(among[0].place)}.", final=True)
    if made or (among and not among[0].open):
        return made
    return merged(desk, new)


def _everywhere(desk: Desk, new: Part, among: Sequence[Target]) -> list[Made]:
    definition = desk.definition
    timed = [target for target in among if has_window(target.place.node)] if new.windows else among
    for target in timed or among:
        fitted = fit_in(desk, new, target)
        definition = put(definition, target.place.path, fitted[0]) if fitted else definition
    return [Made(definition)]


def set_in(desk: Desk, new: Part, target: Target) -> list[Made]:
    """Return the draft in which all that words say is set in one condition."""
    fitted = fit_in(desk, new, target)
    return placed(desk, target.place, fitted[0], fitted[1] + target.rank) if fitted else []


def fit_in(desk: Desk, new: Part, target: Target) -> tuple[Condition, float] | None:
    """Return the condition with all that the words say set in it, and how well that fits; None where some does not."""
    place = target.place
    node, used, rank = place.node, 0, 0.0
    several = new.quantities and new.says({"either", "both"})  # "either of the two" is no number
    if several or len(new.windows) > 1 or len(new.quantities) > 1 or len(new.metrics) > 1:
        return None
    for one in new.metrics if isinstance(node, Monetary) else ():
        node, used = structs.replace(node, metric=cast("Any", _METRIC.get(one.kind, one.kind))), used | one.mask
    for one in new.windows:
        short = one.window.length is not None and one.window.length.unit in {"m", "h"}
        lasts = short and isinstance(node, Monetary)  # "four minutes" of a time that is measured is no window
        made = (
            with_window(node, one.window) if not lasts and (target.side in {"", "window"} or not target.open) else None
        )
        if made is None:
            return None
        rank += 4 if has_window(place.node) else 0
        node, used = made, used | one.mask
    for one in new.quantities:
        if one.quantity.value2 is None and (target.side == "window" or (spoken(new).window and not new.windows)):
            length = length_of(node) if not new.windows else None
            long = When("last", length=Length(int(one.quantity.value), length.unit)) if length else None
            made = with_window(node, long) if long else None
        else:
            counts = may_count(one) and not new.has("subject") and not _is_amount(new, one)
            counts = (counts or isinstance(node, UserProperty | Monetary)) and not _is_nothing(new, node, one)
            made = with_number(node, one.quantity) if counts else None
        if made is None:
            return None
        rank += _likely_number(place.node, one.quantity.currency)
        node, used = made, used | one.mask
    valued = _valued(new, target, node)
    if valued is None:
        return None
    node, told, more = valued
    words = spoken(new)
    ends = sum(1 << at for at, token in enumerate(new.found.tokens) if ways.is_part(token.stem, "end"))
    used |= told | desk.explained(new, place) | words.words & ~ends
    behind = new.values and new.negated and new.negated > new.values[0].mask
    if (
        (words.condition and target.open)
        or words.exclusion
        or behind
        or new.content & ~used
        or (new.negated and not new.values)
    ):
        return None
    return node, rank + more + (desk.explained(new, place) & new.content & ~told).bit_count() - 3 * place.excluded


def _is_nothing(new: Part, node: Condition, one: QuantityAnchor) -> bool:
    """Return whether a "no" is no number here: "no age" compares none, and "no, this month" counts nothing."""
    alone = bool(new.windows) and not new.content & ~union((*new.windows, one))
    return one.quantity.none and (isinstance(node, UserProperty | Monetary) or alone)


def _is_amount(new: Part, one: QuantityAnchor) -> bool:
    """Return whether a number is of what happened, and counts nothing: "refunds of 50", "the amount 24.00", "the 500s", "error 500"."""
    before, found = one.start - 1, new.found
    typed = found.sentence.text[slice(found.sentence.spans[one.start][0], found.sentence.spans[one.end - 1][1])]
    named = before >= 0 and found.tokens[before].lower == "of" and bool(found.evidence[before - 1])
    named = named or new.says({"amount", "amounts", "price", "prices"})
    return named or "." in typed.strip(".") or (typed[-2:-1].isdigit() and typed.endswith("s"))


def _likely_number(node: Condition, currency: str) -> float:
    if isinstance(node, Recency):
        return 0
    if isinstance(node, Monetary):
        return 4 if currency else 3
    return 3 if any(numbers_of(node)) and isinstance(node, EventCount) else 2


def _valued(new: Part, target: Target, node: Condition) -> tuple[Condition, int, float] | None:
    """Return the condition with the values that the words name; None where it has no place for one of them."""
    groups: dict[str, list[Value]] = {}
    used, rank = 0, 0.0
    for anchor in new.values:
        if anchor.mask & union((*new.windows, *new.quantities)):
            continue
        value = own_value(anchor.values, node)
        if value is None:
            return None
        groups.setdefault(value.place.path, []).append(value)
        used |= anchor.mask
    if used and max(map(len, groups.values())) > 1 and new.says(_APART):
        return None
    for values in groups.values():
        tested = tests_field(node, values[0].place)
        said = list(dict.fromkeys(one.value for one in values))
        if tested is not None:
            if tested.test.operator in {"neq", "not_in"} and not new.negated and {*said} <= {*tested.values}:
                return None  # "Spain should be in" of all but Spain: not Spain alone
            if not new.negated and target.values and len(tested.values) > len(target.values):
                said = [
                    one
                    for old in tested.values
                    for one in (said if old == target.values[0] else [] if old in target.values else [old])
                ]
            test = with_values(tested.test, list(dict.fromkeys(said)), "neq" if new.negated else "")
            made = retested(node, tested, test)
            rank += SAME
        else:
            made = with_test(node, any_of(values, negated=bool(new.negated)))
            rank += 1
        if made is None:
            return None
        node = made
    return node, used | (new.negated if groups else 0), rank


def merged(desk: Desk, new: Part) -> list[Made]:
    """Return the draft with one condition said anew: "at least 5 orders in 60 days" of one that counts orders."""
    made: list[Made] = []
    for node in leaves_said(desk, new, LEAST) if new.again is None else ():
        for place in desk.places:
            number = any(one.quantity.value == getattr(node, "value", None) for one in new.quantities)
            merged = merge(place.node, node, said_number=number)
            if merged is not None and not place.excluded:
                made += placed(desk, place, merged, 0.0)
    return made


def merge(old: Condition, new: Condition, *, said_number: bool = False) -> Condition | None:
    """Return *old* with all that *new* says; None where they are not about the same."""
    if type(old) is not type(new) or events_of(old) != events_of(new):
        return None
    if any(
        getattr(old, name, None) != getattr(new, name, None) for name in ("property", "metric", "period", "occurrence")
    ):
        return None
    if isinstance(new, UserProperty) or not isinstance(new, (*WINDOWED, Recency)):
        return new
    fields = {name: getattr(new, name) for name in ("operator", "value", "value2", "negate") if hasattr(new, name)}
    if isinstance(new, EventCount) and (new.operator, new.value) == ("gte", 1):
        if not said_number and not _says_less(new):
            return None
        fields = fields if said_number else {}
    if has_window(new):
        fields |= {name: getattr(new, name, UNSET) for name in ("window", "window_days") if hasattr(new, name)}
    made: Condition = structs.replace(cast("Any", old), **fields)
    for tested in tests_of(new):
        if isinstance(tested.test, PropertyTest) and tested.at is not None:
            changed = with_own_test(made, tested.test)
            if changed is None:
                return None
            made = changed
    return made


def _says_less(new: EventCount) -> bool:
    return new.where is not UNSET or has_window(new)


def at(operator: NumberOperator) -> Change:
    """Return the change to a number at which it is enough, or at which it ends: "2 orders are enough", "cap it at 10"."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        new, made = parts["new"], list[Made]()
        for place in desk.places if new.quantities else ():
            fitted = fit_in(desk, new, Target(place, open=True))
            if fitted is not None and hasattr(fitted[0], "operator") and is_number(fitted[0]):
                how = {"operator": operator} if new.quantities[0].quantity.bare else {}
                made += placed(desk, place, structs.replace(cast("Any", fitted[0]), **how), fitted[1])
        return made if new.quantities else set_to(desk, parts)

    return change


def bound(*, upper: bool) -> Change:
    """Return the change to the one end of a number, whatever the other: "upper bound 8", "at most 12 of them"."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        new, made = parts.get("new"), list[Made]()
        for place in desk.places:
            recent = isinstance(place.node, Recency)
            said = [float(one.quantity.value) for one in new.quantities] if new else []
            if new and recent and not said:
                said = [float(one.window.length.count) for one in new.windows if one.window.length]
            unfit = new and (len(said) != 1 or (new.windows and not recent) or _left(desk, new, place))
            changed = (
                None if unfit or place.excluded else _ended(place.node, whole(said[0]) if said else None, upper=upper)
            )
            made += placed(desk, place, changed, 0.0) if changed is not None else []
        return made

    return change


def _left(desk: Desk, new: Part, place: Place) -> int:
    """Return the words that say neither a number nor a time, nor anything of a condition."""
    return new.content & ~union((*new.quantities, *new.windows)) & ~desk.explained(new, place)


def _ended(node: Any, value: Any, *, upper: bool) -> Condition | None:
    """Return a condition on a number with another end; without one where there is no *value*."""
    name = "window_days" if isinstance(node, Recency) else "value"
    low: Any = getattr(node, name, UNSET)
    high: Any = getattr(node, "value2", UNSET)
    if isinstance(low, list):
        if node.operator != "between":
            return None
        low, high = cast("list[Any]", low)
    if not (isinstance(node, Recency) or is_number(node)) or low is UNSET:
        return None
    if node.operator == "between":
        ends: list[Any] = [low, value] if upper else [value, high]
        if value is None:
            return structs.replace(
                node, **{"operator": "gte" if upper else "lte", name: low if upper else high, "value2": UNSET}
            )
        return structs.replace(node, **{name: ends[0], "value2": ends[1]}) if ends[0] <= ends[1] else None
    if value is None or isinstance(node, Recency):
        return None
    if (node.operator in {"lt", "lte"}) == upper or node.operator in {"eq", "neq"}:
        return structs.replace(node, value=value)
    if node.operator in {"gte", "lte"} and (low <= value if upper else value <= low):
        return structs.replace(node, operator="between", value=low if upper else value, value2=value if upper else low)
    return None


def moved(by: Callable[[float, float], float]) -> Change:
    """Return the change that moves a number or a window *by* some rule from what it is."""

    def change(desk: Desk, parts: Parts) -> list[Made]:
        everywhere = (Target(one, open=True) for one in desk.places)
        found = targets(desk, parts["target"]) if "target" in parts else everywhere
        return [made for one in found if not one.place.excluded for made in _moved(desk, one, parts.get("new"), by)]

    return change


def _moved(desk: Desk, target: Target, new: Part | None, by: Callable[[float, float], float]) -> list[Made]:
    node: Any = target.place.node
    length, made = length_of(node), None
    said = new.windows[0].window.length if new is not None and new.windows else None
    step = new.quantities[0].quantity.value if new is not None and new.quantities else None
    if new is not None and _left(desk, new, target.place):
        return []
    if said is not None or target.side == "window":
        count = int(by(length.count, said.count if said else step or 0)) if length else 0
        if length is not None and count > 0 and (said is None or said.unit == length.unit):
            made = with_window(node, When("last", length=Length(count, length.unit)))
    elif (new is None or step is not None) and is_number(node) and not isinstance(node.value, list):
        value = by(node.value, step or 0)
        made = structs.replace(node, value=whole(value)) if value >= 0 else None
    return placed(desk, target.place, made, target.rank) if made is not None else []
