"""Puts the parts of a sentence together, bottom up: a few likeliest readings of each stretch, within a budget of steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english import lexicon
from segment_copilot.english.reading.amounts import TEXTS
from segment_copilot.english.reading.anchors import Anchors, WindowAnchor, WordAnchor
from segment_copilot.english.reading.meanings import Reading, key
from segment_copilot.english.reading.rules import amounts as amount_rules
from segment_copilot.english.reading.rules import (
    asides,
    in_between,
    joins,
    labels,
    leaning,
    lists,
    measures,
    occurrences,
    ordering,
    pointing,
    same_thing,
    stored,
)
from segment_copilot.english.reading.rules import events as event_rules
from segment_copilot.english.reading.rules import traits as trait_rules
from segment_copilot.english.reading.rules.sharing import Between
from segment_copilot.english.reading.spans import Span, longest, union
from segment_copilot.english.words import asking

MOST_UNITS: Final = 24
_LEAF: Final = 5  # units of which one clause may consist
_BEAM: Final = 6
_KEPT: Final = 10
_STEPS: Final = 1_200  # readings made for one sentence, of clauses and of what joins them
_PAIRS: Final = 8
_ORDER: Final = (
    "except",
    "between",
    "within_of",
    "then",
    "after",
    "before",
    "nor",
    "or",
    "but",
    "and",
    "colon",
    "dash",
    "stop",
    "rel",
    "without",
    "comma",
    "soft",
)


class Unit(Struct, frozen=True):
    """A stretch without a joint, and the joints before it."""

    start: int
    end: int
    before: tuple[WordAnchor, ...]
    window: WindowAnchor | None = None

    @property
    def between(self) -> Between:
        """Return what stands before it, as the rules look at it."""
        kinds = frozenset(joint.kind for joint in self.before)
        main = next((kind for kind in _ORDER if kind in kinds), "soft")
        return Between(main, kinds, self.window, union(self.before))


class TooLong(Exception):
    """A sentence has more parts than are read."""


def units(found: Anchors) -> tuple[Unit, ...]:
    """Return the stretches between the joints of a sentence.

    Raises:
        TooLong: There are more than are read.
    """
    made: list[Unit] = []
    before: list[WordAnchor] = []
    window: WindowAnchor | None = None
    start = 0
    for joint, said in _cuts(found):
        if joint.start > start:
            made.append(Unit(start, joint.start, tuple(before), window))
            before, window = [], None
        before.append(joint)
        window = said or window
        start = joint.end
    if start < len(found.tokens):
        made.append(Unit(start, len(found.tokens), tuple(before), window))
    if len(made) > MOST_UNITS:
        raise TooLong
    return tuple(made)


def _groups(made: tuple[Unit, ...], found: Anchors) -> tuple[tuple[int, int], ...]:
    """Return which units stand in a bracket of several that "and" or "or" joins: "(gold and from Spain) or …"."""
    opened: list[int] = []
    groups: list[tuple[int, int]] = []
    for at, token in enumerate(found.tokens):
        if token.lower == "(":
            opened.append(at)
        elif token.lower == ")" and opened:
            start = opened.pop()
            inside = [number for number, one in enumerate(made) if start < one.start and one.end <= at]
            joined = any({"and", "or"} & made[number].between.kinds for number in inside[1:])
            if joined and not any("stop" in made[number].between.kinds for number in inside):
                groups.append((inside[0], inside[-1] + 1))
    return tuple(groups)


def _cuts(found: Anchors) -> Iterator[tuple[WordAnchor, WindowAnchor | None]]:
    """Yield the joints, left to right, and the window that one may hold: "within 2 days of"."""
    inner = _inner(found)
    near = {one.start: one for one in found.windows if one.window.lead in {"within", "in"} and one.window.kind == "last" and not one.window.rolling
            and one.end < len(found.tokens) and found.tokens[one.end].lower in {"of", "after", "from", "following", "by"}}  # fmt: skip
    whole = union((*found.windows, *found.moments, *found.quantities, *longest(found.values), *longest(found.segments)))
    joints = {
        joint.start: joint
        for joint in longest(found.joints)
        if not joint.mask & whole
        and not any(joint.mask & one.mask for one in found.negations if one.kind == "other")
        and not (joint.kind == "colon" and _tells_number(found, joint.end))
        and not _is_asked_to(found, joint)
        and not (joint.kind == "between" and not _names_two(found, joint.end))
        and not _is_of_order(found, joint)
        and not (
            joint.start and found.tokens[joint.start].lower == "with" and found.tokens[joint.start - 1].stem in TEXTS
        )
    }
    soft = _soft(found)
    at = 0
    while at < len(found.tokens):
        if at in near:
            kind = "then" if found.tokens[near[at].end].lower == "by" else "within_of"
            yield WordAnchor(at, near[at].end + 1, kind), near[at]
            at = near[at].end + 1
        elif at in joints and _is_behind(found, joints[at], joints):
            at = joints[at].end
        elif at in joints and joints[at].kind == "colon" and _tells_time(found, joints[at].end):
            yield WordAnchor(at, joints[at].end, "soft"), None  # "the first order: less than 30 days ago"
            at = joints[at].end
        elif at in joints and not inner >> at & 1:
            joint = _in_list(found, _of_time(found, joints[at]))
            yield (WordAnchor(joint.start, joint.end, "except") if _is_turned(found, at) else joint), None
            at = joint.end
        elif at in joints and joints[at].kind == "colon" and joints[at].end == at + 1:
            yield WordAnchor(at, at + 1, "soft"), None  # "High value: …" may be a name, and "value: 80" a test
            at += 1
        else:
            if at in soft and not inner >> at & 1:
                yield WordAnchor(at, at, soft[at]), None
            at += 1


def _in_list(found: Anchors, joint: WordAnchor) -> WordAnchor:
    """Return a semicolon as a comma in a list that is announced: "any two of: seats over 25; an enterprise plan; …"."""
    parted = found.tokens[joint.start].lower == ";" and any(one.end <= joint.start for one in found.lists)
    return structs.replace(joint, kind="comma") if parted and joint.kind == "stop" else joint


def _is_turned(found: Anchors, at: int) -> bool:
    """Return whether a bracket holds what is turned around at once: "not (gold and from Spain)"."""
    return found.tokens[at].lower == "(" and at > 0 and found.tokens[at - 1].lower == "not"


def _of_time(found: Anchors, joint: WordAnchor) -> WordAnchor:
    """Return "and not" as "and" where "not" is of what follows: "and not since", "and not in May"."""
    said = " ".join(token.lower for token in found.tokens[joint.start : joint.end])
    if said != "and not":
        return joint
    end = next((one.start for one in found.joints if one.start >= joint.end and one.kind in _PARTS), len(found.tokens))
    later = any(token.lower in _SINCE for token in found.tokens[joint.end : end])
    timed = later or any(one.start == joint.end for one in found.windows)
    return WordAnchor(joint.start, joint.start + 1, "and") if timed else joint


_PARTS: Final = frozenset({"and", "or", "but", "comma", "stop"})
_SINCE: Final = frozenset({"since", "yet", "afterwards", "thereafter"})


def _is_asked_to(found: Anchors, joint: WordAnchor) -> bool:
    """Return whether "leave" is what somebody asked to do, and takes nobody out."""
    first, before = found.tokens[joint.start].lower, found.tokens[joint.start - 1].lower if joint.start else ""
    return joint.kind == "except" and first == "leave" and before in {"to", "for"}


def _names_two(found: Anchors, at: int) -> bool:
    """Return whether "between" names the two things that something lies between."""
    end = next((place for place in range(at, len(found.tokens)) if found.tokens[place].lower in {"and", ",", "."}), at)
    said = {token.lower for token in found.tokens[at:end]}
    return (
        at < end < len(found.tokens)
        and found.tokens[end].lower == "and"
        and not said & {"them", "two", "both", "those", "these"}
    )


def _is_of_order(found: Anchors, joint: WordAnchor) -> bool:
    """Return whether "that" is of "in that order", and begins no part."""
    following = found.tokens[joint.end].lower if joint.end < len(found.tokens) else ""
    return (
        joint.kind == "rel"
        and following in {"order", "sequence"}
        and found.tokens[joint.start - 1].lower in _BEFORE_ORDER
    )


def _is_behind(found: Anchors, joint: WordAnchor, joints: Mapping[int, WordAnchor]) -> bool:
    """Return whether a word of order belongs to what stands before it: "and ordered afterwards, from Spain"."""
    following = joints.get(joint.end)
    ends = joint.end >= len(found.tokens) or following is not None
    begins = joint.start == 0 or any(one.end == joint.start for one in joints.values())
    yes = joint.kind == "before" and joint.end < len(found.tokens) and found.tokens[joint.end].lower in {"yes", "too"}
    of_whom = following is not None and (following.kind in {"rel", "colon"} or found.tokens[joint.end].lower == "(")
    if joint.kind == "except" and ends and not of_whom:
        return True  # "…, plan premium excluded"; not of "…, excluding those who …"
    if joint.kind == "before" and (yes or (ends and not begins)):
        return True
    return joint.kind in {"then", "after"} and ends and not begins and found.tokens[joint.start].lower not in _OPENS


_OPENS: Final = frozenset({"and", "->", "→", "-->", "who", ">", ">>", "followed"})


def _tells_number(found: Anchors, at: int) -> bool:
    """Return whether a number alone follows, as in "visits last week: at least two"."""
    numbers = (
        *found.quantities,
        *(one for one in found.negations if found.tokens[one.start].lower in {"none", "never"}),
    )
    end = next((one.end for one in numbers if one.start == at), None)
    return end is not None and (
        end >= len(found.tokens) or found.tokens[end].lower in {",", ".", ";", ")", "and", "but"}
    )


def _tells_time(found: Anchors, at: int) -> bool:
    """Return whether a time alone follows, as in "their last order: 30 to 60 days ago"."""
    end = next((one.end for one in found.windows if one.start == at), None)
    return end is not None and (end >= len(found.tokens) or found.tokens[end].lower in {".", ";", ")"})


def _inner(found: Anchors) -> int:
    """Return the positions at which nothing may be cut: inside of windows, numbers and names."""
    held = 0
    for one in (
        *found.windows,
        *found.moments,
        *found.quantities,
        *longest(found.segments),
        *longest(found.values),
        *longest(found.money_metrics),
        *(one for one in found.negations if one.kind == "other"),
    ):
        held |= one.mask & ~(1 << one.start)
    for one in found.fields:
        held |= (
            1 << one.end
            if found.tokens[one.end : one.end + 1] and found.tokens[one.end].lower in {"=", ":"} and one.share == 1
            else 0
        )
    return held


_BEFORE_TRAITS: Final = frozenset({"in", "from", "on", "living", "based", "aged", "tagged", "of", "located", "within"})


def _soft(found: Anchors) -> Mapping[int, str]:
    """Return where one part may end without a joint: behind the people, before a place they are of, before "without"."""
    people, light = lexicon.stems("people"), lexicon.words("light")
    traits = {anchor.start for anchor in found.values if any(not value.place.event for value in anchor.values)}
    held = union(found.values) | union(found.segments)
    cuts: dict[int, str] = {}
    for at, token in enumerate(found.tokens):
        following = at + 1 if at + 1 < len(found.tokens) else -1
        if token.stem in people and token.kind == "word" and following > 0 and not held >> at & 1:
            cuts[following] = "soft"
        skip = at + 1
        while skip < len(found.tokens) and found.tokens[skip].lower in light and skip < at + 3:
            skip += 1
        if token.lower in _BEFORE_TRAITS and (skip in traits or at + 1 in traits) and at:
            cuts[at] = "soft"
        if token.lower in {"without", "never", "aged"} and at:
            cuts.setdefault(at, "without" if token.lower == "without" else "soft")
    for at in _beside(found, held):
        cuts.setdefault(at, "soft")
    return cuts


def _beside(found: Anchors, held: int) -> Iterator[int]:
    """Yield where one part may end beside what is mentioned: behind a window, before what is denied."""
    heads = {at + 1 for at in range(len(found.tokens)) if found.heads >> at & 1 and not found.heads >> at + 1 & 1}
    starts = {0, *heads, *(joint.end for joint in found.joints if joint.kind in {"stop", "colon", "comma", "dash"})}
    for one in found.windows:
        if one.end < len(found.tokens) and (one.start in starts or not one.bare) and one.window.kind != "ever":
            yield one.end
    yield from _edges(found)
    numbers = (one for one in found.quantities if one.quantity.none or held >> max(one.start - 1, 0) & 1)
    for one in (*(one for one in found.negations if one.kind != "other"), *numbers):
        if one.start:
            yield one.start
    yield from (at for at in heads if at < len(found.tokens))
    for start, end in asking.sentences(found.tokens):
        cuts = (asking.preamble(found.tokens, start, end), asking.purpose(found.tokens, start, end))
        yield from (at for at in cuts if start < at < end)
    yield from filter(None, (asking.mended(found.tokens),))
    yield from (
        at for one in found.lists if one.kind == "one" for at in (one.start, one.end) if 0 < at < len(found.tokens)
    )
    yield from filter(None, (_marker(found, at) for at in range(len(found.tokens))))


def _marker(found: Anchors, at: int) -> int:
    """Return where "in exactly that order" begins; 0 where that is not said."""
    begin = at if found.tokens[at].lower in {"order", "sequence"} else 0
    while begin > 0 and found.tokens[begin - 1].lower in _BEFORE_ORDER:
        begin -= 1
    return begin if found.tokens[begin].lower == "in" and begin < at - 1 else 0


_BEFORE_ORDER: Final = frozenset({"in", "this", "that", "exact", "exactly", "the", "same", "strict"})


def _edges(found: Anchors) -> Iterator[int]:
    """Yield where a segment ends, and where a share of people begins and ends: what is said of them is a part of its own."""
    ends = [one.end for one in longest(found.segments)]
    if found.salt:
        ends += [at for share in found.shares for at in (share.start, share.end)]
        ends += [found.salt.mask.bit_length()]
    return (at for at in ends if 0 < at < len(found.tokens))


class Chart:
    """Reads one sentence. *weights* say what each feature is worth."""

    def __init__(self, found: Anchors, weights: Mapping[str, float]) -> None:
        self.found = found
        self.weights = weights
        self.steps = 0
        self.units = units(found)
        meant = asking.mended(found.tokens)
        self._firsts = {
            at for at, one in enumerate(self.units) if not at or "stop" in one.between.kinds or one.start == meant
        }
        self._groups = _groups(self.units, found)
        self._cells: dict[tuple[int, int], tuple[Reading, ...]] = {}

    def read(self) -> tuple[Reading, ...]:
        """Return the likeliest readings of the whole sentence, best first."""
        count = len(self.units)
        for size in range(1, count + 1):
            for start in range(count - size + 1):
                if self._is_part(start, start + size):
                    self._cells[start, start + size] = self._cell(start, start + size)
        return self._cells.get((0, count), ())

    def _is_part(self, start: int, end: int) -> bool:
        """Return whether units are a part: of one sentence, or whole ones, and no bracket is cut open."""
        inside = range(start + 1, end)
        if any(start < opened < end < closed or opened < start < closed < end for opened, closed in self._groups):
            return False
        begins, ends = start in self._firsts, end == len(self.units) or end in self._firsts
        return (begins and ends) or not any(at in self._firsts for at in inside)

    def _cell(self, start: int, end: int) -> tuple[Reading, ...]:
        best: dict[bytes, Reading] = {}
        for one in self._made(start, end):
            self.steps += 1
            mark = key(one)
            if mark not in best or best[mark].score < one.score:
                best[mark] = one
        return tuple(
            sorted(best.values(), key=lambda one: -one.score)[: _KEPT if end - start == len(self.units) else _BEAM]
        )

    def _made(self, start: int, end: int) -> Iterator[Reading]:
        if self.steps < _STEPS:
            yield from self._leaves(start, end)
        for middle in range(start + 1, end):
            if self.steps < _STEPS:
                yield from self._joined(start, middle, end)

    def _leaves(self, start: int, end: int) -> Iterator[Reading]:
        inside = tuple(joint for unit in self.units[start + 1 : end] for joint in unit.before)
        span = Span(self.found, self.units[start].start, self.units[end - 1].end, inside)
        for leaf in (labels.label, labels.title, asides.aside):
            for one in leaf(span):
                yield structs.replace(one, score=self._score(one.features))
        holds = any(
            start <= opened and closed <= end and closed - opened < end - start for opened, closed in self._groups
        )
        if end - start > _LEAF or holds or any(joint.kind in {"except", "colon", "within_of"} for joint in inside):
            return
        yield from self._taken_out(span)
        front = start == 0 and self.units[0].between.main == "except"
        for one in _leaves_of(span):
            scored = structs.replace(one, score=self._score(one.features))
            yield (
                structs.replace(scored, tree=None, exclude=scored.tree) if front and scored.tree is not None else scored
            )

    def _taken_out(self, span: Span) -> Iterator[Reading]:
        """Yield who is taken out by the words behind them: "…, plan premium excluded"."""
        end = _without_end(span)
        for one in _leaves_of(Span(self.found, span.start, end, span.inside)) if end < span.end else ():
            if one.tree is not None and one.exclude is None:
                scored = structs.replace(one, features={**one.features, "except:behind": 1.0})
                yield structs.replace(scored, tree=None, exclude=one.tree, score=self._score(scored.features))

    def _joined(self, start: int, middle: int, end: int) -> Iterator[Reading]:
        lefts, rights = self._cells.get((start, middle), ()), self._cells.get((middle, end), ())
        if not lefts or not rights:
            return
        between = structs.replace(self.units[middle].between, front=self.units[0].between.main if not start else "")
        for rule in (
            *joins.RULES,
            *pointing.RULES,
            *ordering.RULES,
            *in_between.RULES,
            *same_thing.RULES,
            *occurrences.JOINS,
            *lists.RULES,
        ):
            if rule.joints and between.main not in rule.joints:
                continue
            for at, one in enumerate(lefts):
                for two in rights[: max(1, _PAIRS // (at + 1))]:
                    for made in rule.make(one, two, between, self.found):
                        score = one.score + two.score + self._score(made.features)
                        yield structs.replace(made, score=score)

    def _score(self, features: Mapping[str, float]) -> float:
        return sum(self.weights.get(name, 0.0) * value for name, value in features.items())


def _without_end(span: Span) -> int:
    """Return where the words begin that take out what stands before them; the end where there are none."""
    ends = (
        span.end - len(phrase)
        for phrase in lexicon.endings("taken_out")
        if len(phrase) < span.end - span.start
        and phrase == tuple(token.lower for token in span.found.tokens[span.end - len(phrase) : span.end])
    )
    return max(min(ends, default=span.end), span.start) or span.end


def _leaves_of(span: Span) -> Iterator[Reading]:
    for rule in (*trait_rules.RULES, *leaning.RULES):
        yield from rule.make(span)
    for leaf in (
        asides.greeted,
        lists.meant,
        ordering.in_order,
        occurrences.one_of_them,
        occurrences.nothing_else,
        pointing.earlier,
        *measures.RULES,
    ):
        yield from leaf(span)
    for mention in span.mentions:
        for rule in (*event_rules.RULES, *amount_rules.RULES, *occurrences.RULES):
            yield from rule.make(span, mention)
        yield from stored.stored(span, mention)


def kinds(units_of: Iterable[Unit]) -> list[str]:
    """Return what stands before each unit, for showing how a sentence was cut."""
    return [unit.between.main for unit in units_of]
