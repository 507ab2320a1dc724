"""Rules of who people are: traits, segments, a share of all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Final, Literal, cast

from msgspec import UNSET, Struct

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import Place
from segment_copilot.english.linking.names import Value
from segment_copilot.english.reading.amounts import (
    TEXTS,
    add,
    beside,
    gap,
    measured,
    one_of,
    test_of,
    text_test,
    truth,
)
from segment_copilot.english.reading.anchors import FieldAnchor, QuantityAnchor, ValueAnchor, WindowAnchor, mask
from segment_copilot.english.reading.meanings import Clause, Joined, Reading, opposite
from segment_copilot.english.reading.shares import words_about
from segment_copilot.english.reading.spans import Span, one_tree, reading, union
from segment_copilot.english.times.date_tests import anniversary, date_tests
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.stems import stem
from segment_copilot.language import Sample, SegmentMembership, UserProperty
from segment_copilot.language.nodes import PropertyTest
from segment_copilot.language.operators import PropertyOperator
from segment_copilot.language.value_types import parse_date

_UNSET: Final = frozenset(stem(word) for word in ["empty", "missing", "unknown", "blank", "null", "unset", "absent"])
_EMPTY: Final = frozenset(stem(word) for word in ["empty", "blank"])
_SET: Final = frozenset(
    stem(word)
    for word in ["set", "known", "know", "present", "filled", "available", "given", "specified", "recorded", "provided"]
)
_FALSE: Final = frozenset(
    {
        stem("optout"),
        stem("unsubscribe"),
        stem("unsubscribed"),
        "false",
        stem("declined"),
        stem("refused"),
        "off",
        "disabled",
        "unconfirmed",
    }
)
_TRUE: Final = frozenset(stem(word) for word in ("true", "yes", "on", "enabled", "ok", "okay", "allowed", "fine"))
_AHEAD: Final = frozenset(
    stem(word)
    for word in [
        "end",
        "ends",
        "renewal",
        "renew",
        "renews",
        "expire",
        "expires",
        "expiry",
        "due",
        "upcoming",
        "next",
        "falls",
    ]
)
"""Words of what is still to come."""
_NEW: Final = frozenset({"new", "fresh", "recent", "newly", stem("newly")})
"""Words that say no more than the window beside them."""
_BIRTH: Final = frozenset({"birthday", stem("birthday"), stem("anniversary"), stem("birth")})
_YEARS: Final = frozenset({stem("years"), stem("old"), stem("aged"), "yr"})
_OLDEST: Final = 120
_GROWN: Final = 14
"""So many years are somebody's age, and not how long ago something was."""
_COMBINATIONS: Final = 6


class Rule(Struct, frozen=True):
    """One row of the table: a name, and the readings that it gives of a part."""

    name: str
    make: Callable[[Span], Iterator[Reading]]


def _negative(span: Span, at: int, used: int) -> tuple[bool, int, float]:
    """Return whether words before *at* turn it around, which ones, and how many do."""
    none = (one for one in span.quantities if one.quantity.none and not one.quantity.times)
    before = [one for one in (*span.negations, *none) if one.start < at and not one.mask & used]
    return len(before) % 2 == 1, union(before), len(before)


def _values(span: Span) -> Iterator[Reading]:
    """From Spain; gold or platinum; on the pro plan; loyal mobile."""
    anchors = [one for one in span.values if any(not value.place.event for value in one.values)]
    options = [_traits_of(one) for one in anchors]
    for chosen in itertools.islice(itertools.product(*options), _COMBINATIONS if anchors else 0):
        yield from _tested(span, list(zip(anchors, chosen, strict=True)))


def _traits_of(anchor: ValueAnchor) -> list[Value]:
    found: dict[str, Value] = {}
    for value in anchor.values:
        if not value.place.event:
            found.setdefault(value.place.path, value)
    return list(found.values())


def _tested(span: Span, chosen: Sequence[tuple[ValueAnchor, Value]]) -> Iterator[Reading]:
    groups: dict[str, list[tuple[ValueAnchor, Value]]] = {}
    for anchor, value in chosen:
        groups.setdefault(value.place.path, []).append((anchor, value))
    used, features = 0, dict[str, float]()
    parts: list[Any] = []
    for path, group in groups.items():
        for anchor, value in group:
            field = beside(span, anchor, value.place)
            used |= anchor.mask | (field.mask if field else 0)
            add(features, "trait:named" if field else "trait:bare")
            _tell_value(span, features, anchor, value)
            if any(anchor.mask & one.mask and one.end - one.start > anchor.end - anchor.start for one in span.segments):
                add(features, "trait:inside_name")
        negative, turning, many = _negative(span, group[0][0].start, used)
        used |= turning
        test, joints, by_and = one_of(span, path, group)
        used |= joints
        if group[0][1].place.field.listed:
            used |= span.having(frozenset(TEXTS))
        if many > 1:
            add(features, "trait:not_twice")
        exact = _exactly(span) if test.operator in {"contains", "contains_any"} else 0
        if exact and not negative | bool(turning & ~exact):
            used |= exact | union(one for one in span.fields if one.share == 1 and one.place.path == path)
            add(features, "trait:exactly")
        parts.append(_part(test, group, used, negative=negative, by_and=by_and, exact=bool(exact)))
    if len(groups) > 1:
        add(features, "trait:several", len(groups) - 1)
        if span.negations:
            add(features, "trait:several_not")
    yield reading(span, "trait", one_tree(parts), used, "trait", features)


def _exactly(span: Span) -> int:
    """Return the words that say of a list that nothing else is in it; 0 where none do."""
    used = 0
    for phrase in lexicon.endings("exactly"):
        for at in range(span.start, span.end - len(phrase) + 1):
            if tuple(span.lower(at + step) for step in range(len(phrase))) == phrase:
                used |= mask(at, at + len(phrase))
    return used


def _tell_value(span: Span, features: dict[str, float], anchor: ValueAnchor, value: Value) -> None:
    if any(other.place.event for other in anchor.values):
        add(features, "trait:also_property")
    if any(one.mask == anchor.mask and one.share == 1 for one in span.segments):
        add(features, "trait:also_segment")
    if len({other.place.path for other in anchor.values if not other.place.event}) > 1:
        add(features, "trait:of_several")
    if value.how not in {"value", "exact"}:
        add(features, f"trait:{value.how}")


def _part(
    test: PropertyTest,
    group: Sequence[tuple[ValueAnchor, Value]],
    used: int,
    *,
    negative: bool,
    by_and: bool,
    exact: bool,
) -> Any:
    """Return the test of a trait; of a list, one test for each value, or that it holds these and nothing else."""
    if exact and not negative:
        each = list(dict.fromkeys(value.value for _, value in group))
        return clause(PropertyTest(test.property, "equals_set", cast("Any", each)), used)
    if test.operator == "contains_any":
        logic: Literal["AND", "OR"] = "AND" if by_and != negative else "OR"
        each = dict.fromkeys(value.value for _, value in group)
        parts = [clause(PropertyTest(test.property, "contains", one), used, negative=negative) for one in each]
        return Joined(logic, tuple(parts))
    return clause(test, used, negative=negative)


def clause(test: PropertyTest, used: int, *, negative: bool = False) -> Clause:
    """Return the test of a trait as a clause."""
    dated = test.operator == "eq" and isinstance(test.value, str) and parse_date(test.value) is not None
    node: Any = UserProperty(
        property=test.property, operator=test.operator, value=test.value, value2=test.value2,
        value_type="datetime" if dated else UNSET, ignore_case=test.ignore_case,
    )  # fmt: skip
    return Clause(opposite(node) if negative else node, used, positive=not negative)


def _truths(span: Span) -> Iterator[Reading]:
    """Opted in to email; not subscribed; email opt-in is no."""
    for field in span.fields:
        place = field.place
        if place.event or not (place.field.boolean or place.field.answers):
            continue
        negative, turning, many = _negative(span, span.end, field.mask)
        denied, agreed = span.having(_FALSE | frozenset({"no"})), span.having(_TRUE)
        if many > 1:
            continue
        used = field.mask | turning | denied | agreed
        for more in span.fields:
            if more.place.path == place.path and not more.place.event:
                used |= more.mask
        says = negative == bool(denied & ~turning)
        features = {"truth:share": field.share, "truth:whole": float(field.share == 1)}
        refused = says or place.field.boolean or bool(denied & ~turning)
        node = _says(place, says=says)
        if refused or not _of_a_verb(span, turning):
            yield reading(
                span,
                "truth",
                Clause(node, used, positive=says),
                used,
                "trait",
                {**features, "truth:no": float(not refused)},
            )
        if not refused:  # whoever said nothing has not agreed
            node = opposite(_says(place, says=True))
            yield reading(
                span, "truth", Clause(node, used, positive=says), used, "trait", {**features, "truth:not_yes": 1}
            )


def _of_a_verb(span: Span, turning: int) -> bool:
    """Return whether a negation is of what people do: "who do not accept", and not "who are not subscribers"."""
    tokens = span.found.tokens
    turned = [at for at in range(span.start, span.end) if turning >> at & 1]
    lowers = [tokens[at - before].lower for at in turned for before in (0, 1) if at >= before]  # "do", "don't"
    return any(one.removesuffix("n't").removesuffix("nt") in _DOING for one in lowers)


_DOING: Final = frozenset({"do", "does", "did", "have", "has", "had"})


def _says(place: Place, *, says: bool) -> UserProperty:
    """Return the test for yes or no, by the values that say so whatever their type."""
    operator, value = truth(place, says=says)
    return UserProperty(property=place.path, operator=operator, value=value)


def _numbers(span: Span) -> Iterator[Reading]:
    """Aged 18 to 25; older than 40; more than 3 seats."""
    for one in span.quantities:
        if one.quantity.times or one.quantity.none:
            continue
        for place, words, how in _compared(span, one):
            negative, turning, _ = _negative(span, one.start, 0)
            scaled, unit = measured(span, place, one) or (one, 0)
            used = one.mask | words | turning | unit
            yield reading(
                span,
                "number",
                clause(test_of(place.path, scaled.quantity), used, negative=negative),
                used,
                "trait",
                {f"number:{how}": 1},
            )


def _compared(span: Span, one: QuantityAnchor) -> Iterator[tuple[Place, int, str]]:
    seen: set[str] = set()
    for field in span.fields:
        if field.place.event or not field.place.numeric or field.mask & one.mask or gap(field, one) > 3:  # noqa: PLR2004
            continue
        if field.place.path not in seen:
            seen.add(field.place.path)
            yield field.place, field.mask, "whole" if field.share == 1 else "part"
    if "age" in seen or one.quantity.currency or one.quantity.value > _OLDEST:
        return
    years = one.end < span.end and span.found.tokens[one.end].stem == stem("years") and one.quantity.value >= _GROWN
    older = bool({*one.words} & {"older", "younger"}) or years
    alone = one.quantity.value >= _GROWN and not span.found.content & span.mask & ~one.mask & ~span.having(_YEARS)
    for place in span.names.places:
        if not place.event and "age" in place.field.words and place.numeric and (older or alone):
            yield (
                place,
                mask(one.end, one.end + 1) if years else 0,
                "older" if older else "bare" if one.quantity.bare else "implied",
            )
            return


_VAGUE: Final = frozenset(map(stem, ("old", "new", "young", "high", "low", "big", "small", "long")))


def _presence(span: Span) -> Iterator[Reading]:
    """Country is not set; with a loyalty tier; without a city."""
    for field in span.fields:
        place = field.place
        if place.event or field.share < 1 or place.field.boolean or place.field.answers:
            continue
        if all(span.found.tokens[at].stem in _VAGUE for at in range(field.start, field.end)):
            continue  # "old customers" says no more than that, though ages are known
        unset, there = span.having(_UNSET), span.having(_SET)
        negative, turning, _ = _negative(span, span.end, field.mask | unset)
        missing = bool(unset) != negative
        used = field.mask | turning | unset | there
        empty = place.field.listed or bool(span.having(_EMPTY))
        names: tuple[PropertyOperator, ...] = ("is_not_set", "is_set") if not empty else ("is_empty", "is_not_empty")
        test = PropertyTest(place.path, names[not missing])
        features = {"presence:said" if unset or there else "presence:plain": 1.0}
        yield reading(span, "presence", clause(test, used), used, "trait", features)


def _of_which_year(at: WindowAnchor, field: FieldAnchor, today: date) -> Window:
    """Return a time of which no year was said as the one to come, of a field whose dates mostly lie ahead: "renews in July"."""
    dates = [one for one in field.place.field.texts if parse_date(one) is not None]
    ahead = 2 * sum(one > today.isoformat() for one in dates) > len(dates)
    return at.coming if at.coming is not None and ahead else at.window


def _to_come(span: Span) -> WindowAnchor | None:
    """Return the calendar period ahead that a part says: "renews next month", "ends tomorrow"; of no event there is one."""
    for at in range(span.start, span.end):
        if span.lower(at) == "tomorrow":
            return WindowAnchor(at, at + 1, Window("period", name="tomorrow"))
        unit = at + 1 + (span.lower(at + 1) == "calendar")
        if span.lower(at) in {"next", "coming"} and span.lower(unit) in {"week", "month", "quarter", "year"}:
            return WindowAnchor(at, unit + 1, Window("period", name=f"next_{span.lower(unit)}"))
    return None


def _dates(span: Span) -> Iterator[Reading]:
    """Signed up since March; joined in the last 30 days; renewal in the next 2 weeks; birthday in the next week."""
    at = span.windows[0] if len(span.windows) == 1 else None if span.windows else _to_come(span)
    if at is None:
        return
    for field in span.fields:
        if field.place.event or not field.place.dated or field.mask & at.mask:
            continue
        said = _of_which_year(at, field, span.found.today)
        negative, turning, _ = _negative(span, span.end, field.mask)
        tests = date_tests(said, negated=negative)
        ahead = (
            said.kind == "last"
            and said.length
            and not said.rolling
            and said.lead in {"within", "in", ""}
            and not negative
        )
        future = bool(
            _AHEAD & {*field.place.field.words, *(span.found.tokens[at].stem for at in range(field.start, field.end))}
        )
        if ahead and said.length and (future or span.having(_AHEAD)):
            used = field.mask | at.mask | span.having(_AHEAD)
            test = PropertyTest(field.place.path, "in_next", said.length.json)
            yield reading(
                span,
                "date_ahead",
                clause(test, used),
                used,
                "trait",
                {"date:share": field.share, "date:whole": float(field.share == 1)},
            )
        if any(test["operator"] == "not_in_last" for test in tests) and not negative:
            tests = (*tests, {"operator": "is_set"})
        if span.having(_BIRTH):
            tests = () if negative else anniversary(said)
        used = field.mask | at.mask | turning | span.having(_BIRTH | _NEW)
        used |= span.having(_AHEAD) if at.window.name.startswith(("next", "tomorrow")) else 0
        parts = [clause(PropertyTest(field.place.path, **cast("Any", test)), used) for test in tests]
        if parts:
            yield reading(
                span,
                "date",
                one_tree(parts),
                used,
                "trait",
                {"date:share": field.share, "date:whole": float(field.share == 1)},
            )


def _texts(span: Span) -> Iterator[Reading]:
    """City starts with B; email contains gmail; path /new."""
    for field in span.fields:
        if field.place.event or field.place.numeric or field.place.field.boolean or field.end >= span.end:
            continue
        text = text_test(span, field)
        if text is not None:
            negative, turning, _ = _negative(span, text[2], 0)
            used = text[1] | turning
            yield reading(span, "text", clause(text[0], used, negative=negative), used, "trait", {})


def _free(span: Span) -> Iterator[Reading]:
    """Referral code "SUMMER": a text that no sample holds, of a field with more values than are known."""
    for field in span.fields:
        at, known = field.end, field.place.field.known
        while span.lower(at) in {"is", "=", ":", "was", "of"}:
            at += 1
        if field.place.event or at >= span.end or (known.is_whole and known.samples) or field.place.numeric:
            continue
        token = span.found.tokens[at]
        if token.kind in {"quoted", "name", "path"}:
            negative, turning, _ = _negative(span, at, 0)
            used = field.mask | 1 << at | turning
            note = (1 << at, f"“{token.text}” is taken for a value of `{field.place.path}` as it is written.")
            yield reading(
                span,
                "free",
                clause(PropertyTest(field.place.path, "eq", token.text), used, negative=negative),
                used,
                "trait",
                {},
                notes=(note,),
            )


def _segments(span: Span) -> Iterator[Reading]:
    """In the Newsletter segment; VIP Buyers."""
    if not span.segments:
        return
    used = union(span.segments)
    negative, turning, many = _negative(span, span.segments[0].start, used)
    joints = [one for one in span.inside if one.kind in {"or", "and", "comma"}]
    if (len(span.segments) > 1 and not joints) or many > 1:
        return
    by_and = any(one.kind == "and" for one in joints) and not any(one.kind == "or" for one in joints)
    logic: Literal["AND", "OR"] = "AND" if by_and != negative else "OR"
    used |= turning | (union(joints) if len(span.segments) > 1 else 0)
    operator: Literal["in", "not_in"] = "not_in" if negative else "in"
    ids = list(dict.fromkeys(one.segment for one in span.segments))
    nodes = [SegmentMembership(segment_id=one, operator=operator) for one in ids]
    if len(ids) > 1 and not by_and:
        nodes = [SegmentMembership(segment_ids=ids, operator=operator)]
    parts = [Clause(node, used, positive=not negative) for node in nodes]
    said = any(
        span.lower(at) in {"segment", "list", "members", "member", "in", "group"} for at in range(span.start, span.end)
    )
    capital = any(span.found.tokens[one.start].text[:1].isupper() or one.end - one.start > 1 for one in span.segments)
    features = {
        "segment:said" if said else "segment:bare": 1.0,
        "segment:capital": float(capital),
        "segment:several": len(ids) - 1.0,
        "segment:part": float(any(one.share < 1 for one in span.segments)),
    }
    yield reading(
        span, "segment", parts[0] if len(parts) == 1 else Joined(logic, tuple(parts)), used, "segment", features
    )


def _sample(span: Span) -> Iterator[Reading]:
    """Half of them for the test "summer"; 10% of donors, key "thanks": some of the people, the same ones each time."""
    salt = span.found.salt
    about = words_about(span.found.tokens) & span.mask
    shares = [one for one in span.found.shares if span.start <= one.start and one.end <= span.end]
    if salt is None or not span.found.shares or len(shares) > 1:
        return
    used = about | salt.mask & span.mask | union(span.windows)
    if not shares:  # only its name
        if salt.mask & span.mask:
            yield reading(span, "split_name", None, used, "", {})
        return
    one = shares[0]
    low, high = (int(edge) if float(edge).is_integer() else edge for edge in (one.low, one.high))
    node = Sample(salt=salt.text, from_=low, to=high)
    yield reading(span, "sample", Clause(node, used | one.mask | salt.mask), used | one.mask, "sample", {})


RULES: Final = (
    Rule("values", _values),
    Rule("truths", _truths),
    Rule("numbers", _numbers),
    Rule("presence", _presence),
    Rule("dates", _dates),
    Rule("texts", _texts),
    Rule("free", _free),
    Rule("segments", _segments),
    Rule("sample", _sample),
)
"""Every way to say who people are."""
