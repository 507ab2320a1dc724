"""A part of a sentence: the anchors that lie in it, and which event types its words may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final, TypeVar

from msgspec import Struct, structs

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import concept, stems_of
from segment_copilot.english.linking.names import Names
from segment_copilot.english.reading import literal
from segment_copilot.english.reading.anchors import (
    Anchor,
    Anchors,
    FieldAnchor,
    MomentAnchor,
    QuantityAnchor,
    SegmentAnchor,
    ValueAnchor,
    WindowAnchor,
    WordAnchor,
    mask,
)
from segment_copilot.english.reading.meanings import Clause, Features, Joined, Reading, Tree, changed, clauses
from segment_copilot.english.times.dates import MONTHS
from segment_copilot.english.times.of_day import OfDay
from segment_copilot.english.times.phrases import Length
from segment_copilot.english.words import lexicon as grammar
from segment_copilot.english.words.stems import stem
from segment_copilot.language import UserProperty
from segment_copilot.language.nodes import LocalTime

_A = TypeVar("_A", bound=Anchor)
_MENTIONS: Final = 4  # event types that one part may be about
_PLACES: Final = frozenset(
    stem(word)
    for word in ["site", "website", "page", "store", "shop", "app", "screen", "us", "webshop", "online", "back"]
)
_ANY: Final = frozenset(
    stem(word)
    for word in [
        "active",
        "activity",
        "engage",
        "engaged",
        "interact",
        "interaction",
        "event",
        "seen",
        "engagement",
        "anything",
        "action",
    ]
)
_INACTIVE: Final = frozenset(stem(word) for word in ["inactive", "dormant", "idle", "silent", "asleep"])


class Mention(Struct, frozen=True):
    """An event type that some words may name; *how* says by what, *features* how well."""

    event: str
    mask: int
    how: str
    features: Features
    rank: float = 0


class Span(Struct, frozen=True, dict=True):
    """The tokens from *start* up to *end*; *inside* are the joints between its clauses."""

    found: Anchors
    start: int
    end: int
    inside: tuple[WordAnchor, ...] = ()

    @cached_property
    def typed(self) -> frozenset[str]:
        """The stems of its words as they were typed, before shorthand and idioms were read."""
        spans = self.found.sentence.spans
        return frozenset(stems_of(self.found.sentence.text[spans[self.start][0] : spans[self.end - 1][1]]))

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """Holds what rules found of the part and others ask for again."""
        return {}

    @cached_property
    def mask(self) -> int:
        """The positions of its tokens."""
        return mask(self.start, self.end)

    @property
    def names(self) -> Names:
        """The tenant's names."""
        return self.found.names

    @cached_property
    def windows(self) -> tuple[WindowAnchor, ...]:
        """When; the same length once more, as in "two weeks (14 days)", is no other."""
        found = tuple(
            one for one in self._within(self.found.windows) if not (one.bare and self.lower(one.end) in {"of", "out"})
        )
        timed = tuple(one for one in found if one.window.kind != "ever")
        if timed and any(one.kind in {"first", "last"} for one in self._within(self.found.orders)):
            found = timed  # "their first order ever, in the last 30 days"
        lengths = {days_in(one.window.length) for one in found}
        if len(found) > 1 and len(lengths) == 1 and None not in lengths:
            return found[:1]
        return found

    @cached_property
    def moments(self) -> tuple[MomentAnchor, ...]:
        """At which times of the day."""
        return self._within(self.found.moments)

    @property
    def of_day(self) -> OfDay | None:
        """The weekdays and hours that it says; none where it says two of a kind."""
        found: OfDay | None = None
        for one in self.moments:
            both = one.of_day if found is None else found.with_(one.of_day)
            if both is None:
                return None
            found = both
        return found

    @cached_property
    def quantities(self) -> tuple[QuantityAnchor, ...]:
        """Return how much or how often."""
        return self._within(self.found.quantities)

    @cached_property
    def values(self) -> tuple[ValueAnchor, ...]:
        """Values, each word in the longest that it belongs to."""
        return longest(self._within(self.found.values))

    @cached_property
    def fields(self) -> tuple[FieldAnchor, ...]:
        """Names of fields."""
        return self._within(self.found.fields)

    @cached_property
    def segments(self) -> tuple[SegmentAnchor, ...]:
        """Names of segments."""
        return longest(self._within(self.found.segments))

    @cached_property
    def metrics(self) -> tuple[WordAnchor, ...]:
        """Return what is made of several values."""
        return longest(self._within(self.found.metrics))

    @cached_property
    def money(self) -> tuple[WordAnchor, ...]:
        """Return it, of money."""
        return longest(self._within(self.found.money_metrics))

    @cached_property
    def orders(self) -> tuple[WordAnchor, ...]:
        """First, last, every; not those inside of windows."""
        when = union(self.windows)
        people = lexicon.stems("people") - {"visitor"}
        found = (one for one in longest(self._within(self.found.orders)) if not one.mask & when or one.kind == "only")
        return tuple(
            one
            for one in found
            if (one.kind != "every" or one.end >= self.end or self.found.tokens[one.end].stem not in people)
            and self.lower(one.end) not in MONTHS  # "last May" is a time, and nobody knows which
        )

    @cached_property
    def negations(self) -> tuple[WordAnchor, ...]:
        """Words that turn around, but for those inside of quantities."""
        counted = union(self.quantities)
        return tuple(one for one in self._within(self.found.negations) if not one.mask & counted)

    @cached_property
    def pronouns(self) -> int:
        """Words that point back."""
        return union(self._within(self.found.pronouns)) & ~union(self.quantities) & ~union(self.windows)

    def _within(self, anchors: Sequence[_A]) -> tuple[_A, ...]:
        return tuple(one for one in anchors if one.start >= self.start and one.end <= self.end)

    def having(self, stems: frozenset[str]) -> int:
        """Return the positions of the words with one of these stems."""
        found = 0
        for at in range(self.start, self.end):
            if self.found.tokens[at].stem in stems:
                found |= 1 << at
        return found

    def lower(self, at: int) -> str:
        """Return the word at a position, in lower case; nothing outside of the part."""
        return self.found.tokens[at].lower if self.start <= at < self.end else ""

    @property
    def lower_after(self) -> str:
        """The word behind the part, in lower case."""
        return self.found.tokens[self.end].lower if self.end < len(self.found.tokens) else ""

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        """The event types that its words may name, the likeliest first."""
        taken = union(self.windows) | union(self.quantities)
        found = [*_named(self, taken), *_visits(self, taken)]
        if self.money and self.names.purchases:
            found.append(Mention(self.names.purchases[0], 0, "spent", {"event:spent": 1}, 0.1))
        best: dict[str, Mention] = {}
        for one in found:
            if one.event not in best or one.rank > best[one.event].rank:
                best[one.event] = one
        ranked = sorted(best.values(), key=lambda one: -one.rank)[:_MENTIONS]
        apart = literal.behind(self.found.tokens, self.names, ranked)
        kept = tuple(_compared(ranked, apart))
        return (*kept, *(one for one in _by_property(self) if one.event not in {other.event for other in kept}))


def days_in(length: Length | None) -> int | None:
    """Return a length in whole days, as recency counts them; none for less than a day."""
    if length is None or length.unit in {"m", "h"}:
        return None
    return length.count * {"d": 1, "w": 7, "mo": 30, "y": 365}[length.unit]


def union(anchors: Iterable[Anchor]) -> int:
    """Return the positions of all words of some anchors."""
    united = 0
    for one in anchors:
        united |= one.mask
    return united


def longest(anchors: Iterable[_A]) -> tuple[_A, ...]:
    """Return those that lie in no longer one."""
    kept: list[_A] = []
    for one in sorted(anchors, key=lambda one: (one.start - one.end, one.start)):
        if not any(one.mask & other.mask for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))


def _compared(mentions: Sequence[Mention], less_literal: Sequence[int]) -> Iterator[Mention]:
    """Yield mentions, likeliest first, each with how far it is behind the best of those that read a word of it too."""
    for at, one in enumerate(mentions):
        best = next((other for other in mentions[:at] if other.mask & one.mask), None)
        told = {} if best is None else {"event:behind": min(best.rank - one.rank, 3.0), "event:not_best": 1.0}
        words = 0 if best is None else (best.mask & ~one.mask).bit_count() - (one.mask & ~best.mask).bit_count()
        if words > 0:
            told["event:fewer_words"] = float(min(words, 3))
        if less_literal[at]:
            told["event:less_literal"] = float(min(less_literal[at], 2))
        yield structs.replace(one, features={**one.features, **told}) if told else one


def _named(span: Span, taken: int) -> Iterator[Mention]:
    own: dict[int, dict[str, int]] = {}
    described: dict[int, dict[str, int]] = {}
    exact: dict[int, int] = {}
    for at in range(span.start, span.end):
        if taken >> at & 1:
            continue
        valued = {value.place.event for one in span.values if one.mask >> at & 1 for value in one.values}
        for number, how, key in span.found.evidence[at]:
            known = span.names.events[number]
            told = how == "described" or known.told or span.lower(at).removesuffix("er") in known.own
            if told and known.name in valued:
                continue  # a value tells which of the events, and is no word for all of them
            if how == "name":
                exact[number] = 1 << at
            else:
                bits = (own if how == "own" else described).setdefault(number, {})
                bits[key] = bits.get(key, 0) | 1 << at
    for number in {**own, **described, **exact}:
        yield from _mention(span, number, own.get(number, {}), described.get(number, {}), exact.get(number, 0))


def _mention(
    span: Span, number: int, own: Mapping[str, int], described: Mapping[str, int], exact: int
) -> Iterator[Mention]:
    one = span.names.events[number]
    if exact:
        yield Mention(one.name, exact, "name", {"event:name": 1}, 9)
        return
    composed = {concept(key) for key in one.meanings} & own.keys()
    said = sum(one.own.get(key, 1.0) for key in own)
    told = sum(0.6 * grammar.weight(key) for key in described)
    left = {key: weight for key, weight in one.own.items() if key not in own and not composed}
    if {*own} & grammar.REVERSALS:
        left.pop("purchase", None)
    if said + told < _ENOUGH or (not own and len(described) == 1 and told < _ENOUGH_TOLD):
        return
    missed = sum(left.values())
    share = (said + told) / (said + told + missed)
    features = {"event:missed": 1 - share, "event:alias": float(one.told), **_unsaid(left)}
    if described or not own:
        features["event:described" if own else "event:described_only"] = 1
    bits = 0
    for bit in (*own.values(), *described.values()):
        bits |= bit
    written = {*stems_of(one.name)}
    whole = len(written) > 1 and written <= span.typed  # "placed an order" is order_placed, whatever else is a purchase
    rank = said + told - 0.5 * missed - (2 if "event:reversal_unsaid" in features else 0) + whole
    if one.actions <= _SEEN:
        bits |= span.having(_SEEING) & ~union(span.windows)
    if any(bits & ~other.mask == 0 for other in (*span.segments, *span.values) if other.end - other.start > 1):
        features["event:inside_name"] = 1
    yield Mention(one.name, bits, "words", features, rank)


def _unsaid(left: Mapping[str, float]) -> dict[str, float]:
    """Tell which kinds of words of an event type's name were not said."""
    kinds = (
        "reversal" if key in grammar.REVERSALS else "action" if key in grammar.ACTIONS else "object" for key in left
    )
    return {f"event:{kind}_unsaid": 1.0 for kind in kinds}


_ENOUGH: Final = 0.3
_ENOUGH_TOLD: Final = 0.6
_SEEN: Final = frozenset({"view", "open", "error"})
"""What is done by looking: of these, "saw" and "visited" say nothing more."""
_SEEING: Final = frozenset(
    stem(word) for word in ["view", "see", "saw", "look", "visit", "read", "watch", "viewed", "viewing"]
)


def _visits(span: Span, taken: int) -> Iterator[Mention]:
    visit, anything = span.having(lexicon.stems("visits")) & ~taken, span.having(_ANY) & ~taken
    if visit:
        name = _visit_name(span.names)
        yield Mention(name, visit | span.having(_PLACES) & ~taken, "visit", {"event:visit": 1}, 0.9)
    if anything:
        yield Mention("*", anything, "any", {"event:any": 1}, 0.8)
    if idle := span.having(_INACTIVE) & ~taken:
        yield Mention("*", idle, "inactive", {"event:inactive": 1}, 1.5)


def _visit_name(names: Names) -> str:
    """Return the event type that is a visit as such; any event where there is none."""
    for wanted in grammar.VISITS:
        for known in names.events:
            rest = known.own.keys() - wanted
            if {*known.own} == {"view"} or (wanted <= known.own.keys() and rest <= {"start", "view"}):
                return known.name
    return "*"


def _by_property(span: Span) -> Iterator[Mention]:
    """Yield event types of which only a property or a value of one is said."""
    named = [value.place.event for anchor in span.values for value in anchor.values if value.place.event]
    named += [anchor.place.event for anchor in span.fields if anchor.place.event and anchor.share == 1]
    if not named:
        named = [event for one in span.quantities for event in span.names.timed_in(_unit_behind(span, one))]
    counts = {name: named.count(name) for name in dict.fromkeys(named)}
    undone = {name for name in counts if span.names.doings(name) & grammar.REVERSALS}
    kept = counts.keys() - undone or undone  # "500 in total" is of orders, never of refunds unsaid
    for name in sorted((name for name in counts if name in kept), key=lambda name: -counts[name])[:_MENTIONS]:
        features = {"event:property": 1.0, "event:property_of_several": float(len(kept) > 1)}
        yield Mention(name, 0, "property", features, 0)


def _unit_behind(span: Span, one: QuantityAnchor) -> str:
    return span.found.tokens[one.end].stem if one.end < span.end else ""


def reading(
    span: Span, rule: str, tree: Tree | None, used: int, swallow: str, features: Features, **more: object
) -> Reading:
    """Return a reading of the part that uses these words; what it neither uses nor swallows is left over."""
    swallowed = (
        span.having(lexicon.swallowed(swallow)) & ~_told(span) & ~_single(span) & ~_compared_texts(span)
        if swallow
        else 0
    )
    moments = union(span.moments)
    of_day = span.of_day
    at_times = tree if tree is None or of_day is None else changed(tree, partial(_at, of_day.json, moments))
    if at_times != tree:
        tree, used = at_times, used | moments
    rest = span.found.content & span.mask & ~used
    about = _about(span, tree) & rest & ~used & ~swallowed
    swallowed &= ~_parts_apart(span, used | about)
    left = rest & ~swallowed & ~about
    counted: dict[str, float] = {f"rule:{rule}": 1, **features}
    counted |= literal.of_fields(span.found.tokens, span.fields, tree, used)
    if about:
        counted["swallowed:described"] = min(about.bit_count(), 3)
    when = sum(1 for one in span.windows if not one.mask & used or one.mask & left)
    if len(span.windows) == 1 and not when:
        used |= union(one for one in span.found.windows if one.bare and one.mask & ~span.mask == 0)
    amounts = sum(1 for one in span.quantities if not one.mask & used or one.mask & left)  # "older" names age, too
    if amounts or when:
        counted["left:anchor"] = when + amounts
    if words := (left & ~union(span.windows) & ~union(span.quantities)).bit_count():
        counted["left:word"] = min(words, 6)
    if turning := sum(1 for one in span.negations if not one.mask & used):
        counted["left:negation"] = turning
        left |= union(one for one in span.negations if not one.mask & used)
    if taken := (rest & swallowed).bit_count():
        counted["swallowed"] = min(taken, 4)
    if rule != "segment" and (called := span.having(_SEGMENTS) & ~used & ~span.found.heads):
        counted["swallowed:segment"] = called.bit_count()  # "the Newsletter segment" is no newsletter
    if named := sum(
        1 for at in range(span.start, span.end) if (rest & swallowed) >> at & 1 and span.found.evidence[at]
    ):
        counted["swallowed:named"] = min(named, 3)
    if span.pronouns & ~used:
        counted["left:pronoun"] = 1
    for joint in span.inside:
        if not joint.mask & used:
            name = f"inside:{joint.kind}"
            counted[name] = counted.get(name, 0) + 1
    return Reading(counted, 0.0, left, (), tree, pronoun=span.pronouns & ~used, **more)  # type: ignore[arg-type]


def _parts_apart(span: Span, used: int) -> int:
    """Return the parts of which nothing is used: of "joined this year and left", what is swallowed would be a condition."""
    ends = [(one.start, one.end) for one in span.inside if one.kind in _JOINING]
    starts = [span.start, *(end for _, end in ends)]
    parts = (mask(start, end) for start, end in zip(starts, [*(start for start, _ in ends), span.end], strict=True))
    return union_of(one for one in parts if not one & used) if ends else 0


def union_of(masks: Iterable[int]) -> int:
    """Return the positions that any of some sets has."""
    united = 0
    for one in masks:
        united |= one
    return united


_JOINING: Final = frozenset({"and", "but", "then", "nor"})


def _at(of_day: LocalTime, used: int, one: Clause) -> Clause:
    """Return a clause about events with only those at some times of the day."""
    node: Any = one.condition
    if not one.event or "at" not in node.__struct_fields__:
        return one
    return structs.replace(one, condition=structs.replace(node, at=of_day), used=one.used | used)


def _about(span: Span, tree: Tree | None) -> int:
    """Return the words that the descriptions of what is tested have, and that say nothing else: "the turnstile"."""
    told: set[str] = set()
    for one in clauses(tree):
        node: Any = one.condition
        tested = (
            [("", node.property)]
            if isinstance(node, UserProperty)
            else [(one.event, test.property) for test in one.where]
        )
        told |= span.names.described(one.event).union(*(span.names.told_of(*path) for path in tested))
    if not told:
        return 0
    spoken = (
        *span.values,
        *span.orders,
        *span.metrics,
        *span.money,
        *span.negations,
        *span.quantities,
        *span.windows,
        *span.segments,
    )
    taken = union(spoken) | union(one for one in span.fields if one.share == 1)
    return span.having(frozenset(told) - _VAGUE) & ~taken


_SEGMENTS: Final = frozenset(stem(word) for word in ("segment", "segments", "cohort", "audience"))
_VAGUE: Final = frozenset(stem(word) for word in grammar.VAGUE)


def _single(span: Span) -> int:
    """Return the words of "at a single club", which count what they stand before."""
    starts = {one.start for one in span.fields if one.share == 1}
    return union(Anchor(at - 1, at) for at in starts if span.lower(at - 1) == "single")


def _compared_texts(span: Span) -> int:
    """Return the words of "total above 1000" that name a text: what cannot be compared is not passed over."""
    texts = (one for one in span.fields if one.share == 1 and one.place.field.texts and not one.place.numeric)
    return union(texts) if any(not one.quantity.bare for one in span.quantities) else 0


def _told(span: Span) -> int:
    """Return the words of values: a rule takes them along only where it tests them."""
    return union(one for one in span.values if any(value.how in {"value", "gloss"} for value in one.values))


def one_tree(parts: Sequence[Clause]) -> Tree:
    """Return clauses that must all hold."""
    return parts[0] if len(parts) == 1 else Joined("AND", tuple(parts))
