"""Says what the numbers and values of a part of a sentence may tell of an event type: how often, how much, which of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType, structs

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import SECONDS, Place, money_rank, stems_of
from segment_copilot.english.linking.names import Value
from segment_copilot.english.reading.anchors import Anchor, FieldAnchor, QuantityAnchor, ValueAnchor, mask
from segment_copilot.english.reading.meanings import Features
from segment_copilot.english.reading.spans import Mention, Span, longest, union
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.stems import is_past, stem
from segment_copilot.language.nodes import PropertyTest, Scalar
from segment_copilot.language.operators import OPERATORS, PropertyOperator

_SIZES: Final = frozenset(
    [
        "bigger",
        "larger",
        "higher",
        "greater",
        "lower",
        "smaller",
        "cheaper",
        "exceeding",
        "exceeds",
        "exceed",
        "exceeded",
        "better",
        "above",
        "below",
    ]
)
_AGES: Final = frozenset(["older", "younger", "old"])
_WORTH: Final = frozenset(
    stem(word)
    for word in [
        "worth",
        "costing",
        "cost",
        "total",
        "totalling",
        "totaling",
        "value",
        "amount",
        "priced",
        "of",
        "at",
        "for",
    ]
)
_PRICED: Final = frozenset({"worth", "costing", "cost", "priced", "total", "totalling", "totaling"})
CURRENCIES: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
"""A sign of money → its code."""
_NEAR: Final = 3


class Tests(Struct, frozen=True):
    """Tests of the events that are meant, and the words that said them."""

    tests: tuple[PropertyTest, ...]
    used: int
    features: Features
    each: tuple[PropertyTest, ...] = ()  # of values joined by "and": each of them of an event of its own


class Plan(Struct, frozen=True):
    """Return what each number of a part says: how often, or a test."""

    count: QuantityAnchor | None
    tests: tuple[PropertyTest, ...]
    used: int
    features: Features


def test_of(path: str, said: Quantity) -> PropertyTest:
    """Return the comparison with a property."""
    operator = "eq" if said.bare else said.operator
    upper = UNSET if said.value2 is None else said.value2
    return PropertyTest(path, operator, said.value, upper)


def measured(span: Span, place: Place, one: QuantityAnchor) -> tuple[QuantityAnchor, int] | None:
    """Return a number in the unit of a field ("2 hours" of minutes), and the word for the unit; none where it has another."""
    unit = SECONDS.get(span.found.tokens[one.end].stem) if one.end < span.end and not one.quantity.times else None
    if unit is None:
        return one, 0
    if place.second is None or (unit >= SECONDS["day"] and place.second > 1 / SECONDS["hour"]):
        return None  # days are when, where minutes are counted
    scale = unit * place.second
    low, high = one.quantity.value * scale, one.quantity.value2 and one.quantity.value2 * scale
    scaled = structs.replace(one.quantity, value=_whole(low), value2=None if high is None else _whole(high))
    return structs.replace(one, quantity=scaled), mask(one.end, one.end + 1)


def _whole(number: float) -> float:
    return round(number) if abs(number - round(number)) < 1e-9 else number  # noqa: PLR2004


def truth(place: Place, *, says: bool) -> tuple[PropertyOperator, Scalar | list[Scalar] | UnsetType]:
    """Return the test for yes or no, by the values that say so whatever their type."""
    if not place.field.answers:
        return ("is_true" if says else "is_false"), UNSET
    wanted, others = place.field.answers[says], place.field.answers[not says]
    if wanted:
        return ("eq", wanted[0]) if len(wanted) == 1 else ("in", list(wanted))
    return ("neq", others[0]) if len(others) == 1 else ("not_in", list(others))


def gap(one: Anchor, other: Anchor) -> int:
    """Return how many words stand between two anchors."""
    return max(one.start - other.end, other.start - one.end, 0)


def may_count(said: QuantityAnchor) -> bool:
    """Return whether a number may say how often: an amount of money, a size and an age never do."""
    whole = float(said.quantity.value).is_integer()
    return not said.quantity.currency and whole and not {*said.words} & (_SIZES | _AGES)


def plans(span: Span, mention: Mention, taken: int) -> Iterator[Plan]:
    """Yield what the numbers of the part may say of an event type, at most one of them how often."""
    numbers = [one for one in span.quantities if not one.mask & taken]
    if len(numbers) > 2:  # noqa: PLR2004  # more than one clause says
        return
    yield from _either(span, mention, numbers)
    for roles in itertools.product(*(list(_roles(span, mention, one)) for one in numbers)):
        counts = [role for role in roles if role.count is not None]
        if len(counts) > 1:
            continue
        features: dict[str, float] = {}
        used = 0
        for role in roles:
            features |= role.features
            used |= role.used
        tests = tuple(test for role in roles for test in role.tests)
        if len({test.property for test in tests}) == len(tests):
            yield Plan(counts[0].count if counts else None, tests, used, features)


def _either(span: Span, mention: Mention, numbers: Sequence[QuantityAnchor]) -> Iterator[Plan]:
    """Yield the test for one of two numbers: "a score of 9 or 10"."""
    if len(numbers) != 2 or any(not one.quantity.bare or one.quantity.times for one in numbers):  # noqa: PLR2004
        return
    one, other = numbers
    if other.start != one.end + 1 or span.lower(one.end) != "or":
        return
    for place, scaled, used, how in numeric_places(span, mention.event, one):
        if how.startswith("named") or how == "scale":
            test = PropertyTest(place.path, "in", [scaled.quantity.value, other.quantity.value])
            yield Plan(None, (test,), mask(one.start, other.end) | used, {f"where:{how}": 1})


def _roles(span: Span, mention: Mention, one: QuantityAnchor) -> Iterator[Plan]:
    said, many = one.quantity, _tells_how_many(span, mention)
    counts = may_count(one) and span.lower(one.start - 1) not in _PRICED and not is_of_one(span, mention, one)
    if (many and not said.currency) or counts:
        yield Plan(one, (), one.mask, {"count:noun": 1} if many else tells_count(span, mention, one))
    typed = mention.how == "name" and mention.mask.bit_length() == one.start  # "order_placed = 0"
    if said.times or many or (typed and counts):
        return
    for place, scaled, used, how in numeric_places(span, mention.event, one):
        if said.none and (not how.startswith("named") or not used & ~mention.mask):
            continue  # "read no article" says no reading time of 0
        features = {f"where:{how}": 1.0}
        if counts and "count:noun" in tells_count(span, mention, one) and used and not used & ~mention.mask:
            features["where:before_noun"] = 1  # "read 10 articles": 10 is of the articles, and "read" what was done
        told = tells_count(span, mention, one)
        features["where:behind_one"] = float(not used and bool({"count:behind_one", "count:of"} & told.keys()))
        features["where:paid"] = float(not used and "count:paid" in told)
        yield Plan(None, (test_of(place.path, scaled.quantity),), one.mask | used, features)


def is_of_one(span: Span, mention: Mention, one: QuantityAnchor) -> bool:
    """Return whether a number is of the one event before it: "a single order of more than 300"."""
    at = one.start - 2
    alone = span.lower(at - 1) in {"a", "an", "single", "one"} and not span.lower(at).endswith("s")
    return alone and span.lower(at + 1) == "of" and bool(mention.mask >> max(at, 0) & 1)


def _tells_how_many(span: Span, mention: Mention) -> bool:
    """Return whether the events themselves are counted: "number of orders", "order count above 3"."""
    around = mention.mask << 1 | mention.mask << 2 | mention.mask >> 1 | mention.mask >> 2
    return any(around >> at & 1 and span.lower(at) in {"number", "count"} for at in range(span.start, span.end))


def tells_count(span: Span, mention: Mention, one: QuantityAnchor) -> Features:
    """Say what tells that a number is how often something was done: "times", or the thing itself behind it."""
    if one.quantity.times:
        return {"count:times": 1}
    if one.quantity.none:
        return {"count:none": 1}
    following = next((at for at in range(one.end, min(span.end, one.end + _NEAR + 1)) if mention.mask >> at & 1), None)
    if following is not None:
        return {"count:noun": 1}
    if span.lower(one.start - 1) == "of" and mention.mask >> max(one.start - 2, 0) & 1:
        return {"count:of": 1}  # "an order of more than 300" is one
    if _is_behind_one(span, mention, one):
        return {"count:behind_one": 1}
    if _is_paid(span, mention, one):
        return {"count:paid": 1}
    return {"count:before" if mention.mask and mention.mask.bit_length() <= one.start else "count:far": 1}


def _is_paid(span: Span, mention: Mention, one: QuantityAnchor) -> bool:
    """Return whether a number stands right behind a verb of giving money: "donated more than 100", "paid over 50"."""
    at = one.start - 1
    return bool(mention.mask >> max(at, 0) & 1) and span.found.tokens[at].stem in lexicon.stems("paid")


def _is_behind_one(span: Span, mention: Mention, one: QuantityAnchor) -> bool:
    """Return whether a number stands behind a single thing: "a checkout over 150", "a bag over 150", "a jacket of more than 150"."""
    at = one.start - 1 - (span.lower(one.start - 1) == "of")
    word = span.lower(at)
    named = mention.mask >> max(at, 0) & 1 or any(value.end == at + 1 for value in span.values)
    return bool(named) and at >= span.start and word.isalpha() and not word.endswith("s") and not is_past(word)


def numeric_places(span: Span, event: str, given: QuantityAnchor) -> Iterator[tuple[Place, QuantityAnchor, int, str]]:
    """Yield the numeric fields of an event type that a number may be compared with, in their unit, and by what words."""
    money = span.names.money(event)
    for place in span.names.numeric(event):
        read = measured(span, place, given)
        if read is None or (place.field.answers and given.quantity.operator != "eq" and not given.quantity.bare):
            continue  # what is yes or no is not more or less
        one, unit = read
        named = [
            field for field in span.fields
            if field.place.event == event and field.place.path == place.path and gap(field, one) <= _NEAR and not field.mask & one.mask
        ]  # fmt: skip
        if named:
            nearest = min(named, key=lambda field: gap(field, one))
            yield place, one, nearest.mask | unit, f"named{min(gap(nearest, one), 2)}"
        elif unit:
            yield place, one, unit, "unit"
        elif one.end < span.end and span.found.tokens[one.end].stem in place.units:
            yield place, one, mask(one.end, one.end + 1), "unit"
        elif (
            one.quantity.bare
            and one.quantity.value >= _CODE
            and one.quantity.value in place.field.known.samples
            and place.field.known.is_whole
        ):
            yield place, one, 0, "sample"
        elif place.scale and not one.quantity.currency and place.scale[0] <= one.quantity.value <= place.scale[1]:
            yield place, one, 0, "scale"
        elif span.orders and len(span.names.numeric(event)) == 1:
            yield place, one, 0, "only"
        elif money is not None and place.path == money.path and money_rank(place.field) < 10:  # noqa: PLR2004
            how = _of_money(span, one)
            if how or not one.quantity.bare:
                yield place, one, 0, how or "amount"


_CODE: Final = 100  # smaller numbers are more often how many


def _of_money(span: Span, one: QuantityAnchor) -> str:
    if one.quantity.currency:
        return "money"
    if {*one.words} & _SIZES:
        return "size"
    return "worth" if _worth(span, one) else ""


def _worth(span: Span, one: QuantityAnchor) -> bool:
    around = (*range(max(span.start, one.start - 2), one.start), *range(one.end, min(span.end, one.end + 1)))
    return any(span.found.tokens[at].stem in _WORTH for at in around)


def value_tests(span: Span, event: str, taken: int) -> Tests:
    """Return the tests that values say of the events of a type, each word used once."""
    mine = [
        (anchor, _direction(span, anchor, [value for value in anchor.values if value.place.event == event]))
        for anchor in longest(
            anchor for anchor in span.found.values
            if anchor.start >= span.start and anchor.end <= span.end and not anchor.mask & taken
            and any(value.place.event == event for value in anchor.values)
        )
    ]  # fmt: skip
    features: dict[str, float] = {}
    groups: dict[str, list[tuple[ValueAnchor, Value]]] = {}
    used = 0
    for anchor, value in mine:
        groups.setdefault(value.place.path, []).append((anchor, value))
        field = beside(span, anchor, value.place)
        far = union(
            one
            for one in span.fields
            if one.share == 1
            and (one.place.event, one.place.path) == (event, value.place.path)
            and not one.mask & taken
        )
        used |= anchor.mask | (field.mask if field else far)
        add(features, "value:named" if field else "value:named_far" if far else "value:bare")
        if any(not other.place.event for other in anchor.values):
            add(features, "value:also_trait")
        if value.how not in {"value", "exact"}:
            add(features, f"value:{value.how}")
    tests: list[PropertyTest] = []
    each: tuple[PropertyTest, ...] = ()
    for path, group in groups.items():
        test, joint, by_and = one_of(span, path, group)
        used |= joint
        turning = [one for one in span.negations if one.kind == "other" and 0 <= group[0][0].start - one.end <= _NEAR]
        if turning:  # "anything other than shoes"
            test, by_and = structs.replace(test, operator=OPERATORS[test.operator].opposite or test.operator), False
            used |= union(turning)
        tests.append(test)
        if by_and:
            add(features, "value:and")
            each = tuple(_single(path, value) for _, value in group)
    return Tests(tuple(tests), used, features, each)


_DIRECTIONS: Final[Mapping[str, frozenset[str]]] = {
    "from": frozenset({"from", "old", "previous", "before", "source", "origin"}),
    **dict.fromkeys(("to", "into", "onto"), frozenset({"to", "new", "after", "target", "destination"})),
}


def _direction(span: Span, anchor: ValueAnchor, found: Sequence[Value]) -> Value:
    """Return the value of the field that is named beside it ("mode x"), or that the word before it tells.

    "From starter to team" is of `from_plan` and `to_plan`.
    """
    named = [value for value in found if beside(span, anchor, value.place)] or found  # "the plan to team" names both
    at = anchor.start - 1
    while span.lower(at) in {"the", "a", "an", "our"}:
        at -= 1
    wanted = _DIRECTIONS.get(span.lower(at), frozenset())
    return next((value for value in named if wanted & {*stems_of(value.place.path)}), named[0])


TEXTS: Final[Mapping[str, PropertyOperator]] = {
    stem(word): operator
    for operator, words in {
        "contains": "contains contain containing includes include including",
        "starts_with": "starts start starting begins begin beginning",
        "ends_with": "ends end ending",
    }.items()
    for word in words.split()
}  # type: ignore[assignment]


def text_test(span: Span, field: FieldAnchor) -> tuple[PropertyTest, int, int] | None:
    """Return the test of "path begins with /help", "query contains boots": with the words used, and where the value stands."""
    denied = union(span.negations)
    for at in range(field.end, min(span.end - 1, field.end + 4)):
        if any(
            not denied >> word & 1 and span.lower(word) not in lexicon.words("light")
            for word in range(field.end + 1, at)
        ):
            return None
        operator = TEXTS.get(span.found.tokens[at].stem)
        value = at + 1
        while span.lower(value) in {"with", "in", "the", "by", "an", "a", "word", ":"}:
            value += 1
        if operator is not None and value < span.end:
            token = span.found.tokens[value]
            text = token.text.rstrip(".,;") if token.kind == "path" else token.text
            return PropertyTest(field.place.path, operator, text), field.mask | mask(at, value + 1), value
    return None


def one_of(span: Span, path: str, group: Sequence[tuple[ValueAnchor, Value]]) -> tuple[PropertyTest, int, bool]:
    """Return the test for any of some values of one field, the joints between them, and whether these were "and"."""
    values = list(dict.fromkeys(value.value for _, value in group))
    if len(values) == 1:
        return _any_case(span, group, _single(path, group[0][1])), 0, False
    between = mask(group[0][0].end, group[-1][0].start)
    joints = [joint for joint in span.found.joints if joint.mask & between and joint.mask & ~between == 0]
    used = union(joint for joint in joints if joint.kind in {"or", "comma", "and"})
    listed = group[0][1].place.field.listed
    by_and = any(joint.kind == "and" for joint in joints) and not any(joint.kind == "or" for joint in joints)
    spelled = list(dict.fromkeys(one for _, value in group for one in (value.value, *value.also)))
    return _any_case(span, group, PropertyTest(path, "contains_any" if listed else "in", spelled)), used, by_and


def _any_case(span: Span, group: Sequence[tuple[ValueAnchor, Value]], test: PropertyTest) -> PropertyTest:
    """Return the test for any spelling, where that is asked of these values: "Sydney (any capitals)"."""
    texts = test.value if isinstance(test.value, list) else [test.value]
    asked = any(
        token.lower == "anycase" and -_NEAR <= at - group[-1][0].end <= _NEAR
        for at, token in enumerate(span.found.tokens)
    )
    spoken = all(isinstance(one, str) and one.upper() != one.lower() for one in texts)
    if not asked or not spoken or test.operator not in {"eq", "in"} or group[0][1].place.field.country:
        return test
    kept = list({str(one).lower(): one for one in reversed(texts)}.values())[::-1]
    return structs.replace(test, value=kept if test.operator == "in" else test.value, ignore_case=True)


def _single(path: str, value: Value) -> PropertyTest:
    """Return the test for one value, in every spelling that it has."""
    if value.place.field.listed:
        return PropertyTest(path, "contains", value.value)
    if not value.also:
        return PropertyTest(path, "eq", value.value)
    if {str(one).lower() for one in value.also} == {str(value.value).lower()}:
        return PropertyTest(path, "eq", value.value, ignore_case=True)
    return PropertyTest(path, "in", [value.value, *value.also])


def beside(span: Span, anchor: Anchor, place: Place) -> FieldAnchor | None:
    """Return the name of the field that stands beside a value: "the pro plan", "priority high", "tagged vip"."""
    light = lexicon.words("light")
    for field in span.fields:
        if (field.place.event, field.place.path) != (place.event, place.path) or field.mask & anchor.mask:
            continue
        low, high = (field.end, anchor.start) if field.end <= anchor.start else (anchor.end, field.start)
        if high - low <= _NEAR and all(
            span.lower(at) in light or span.lower(at) in _JOINING for at in range(low, high)
        ):
            return field
    return None


_JOINING: Final = frozenset({"-", "=", ":", "or", ",", "not", "(", "equals", "named"})


def currency_test(span: Span, event: str, said: Quantity) -> tuple[PropertyTest, ...]:
    """Return the test for the currency that an amount was said in, where the events have one; dollars go without saying."""
    code = CURRENCIES.get(said.currency, said.currency)
    if not code or code == "USD":
        return ()
    for place in span.names.places:
        if place.event == event and "currency" in place.field.words and code in place.field.known.samples:
            return (PropertyTest(place.path, "eq", code),)
    return ()


def add(features: dict[str, float], name: str, value: float = 1) -> None:
    """Count a feature once more."""
    features[name] = features.get(name, 0) + value
