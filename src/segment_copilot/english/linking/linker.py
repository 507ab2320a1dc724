"""Links a phrase to what it names in the catalog: event types with their filters, segments. Every word must be explained."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from msgspec import Struct

from segment_copilot.english.linking.index import Index, Known, total
from segment_copilot.english.linking.values import Item, Test, UnknownValue, mention, searched, tests
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import (
    ACTIONS,
    GENERIC,
    LIGHT,
    NOISE,
    REVERSALS,
    VISITS,
    concept,
    stems,
    weight,
)

ENOUGH = 0.55
"""A link scoring less is none."""
SURE = 0.8
"""A link scoring less is shown as an assumption."""
_CLOSE = 0.04

_VISIT = stems("visit return come browse shop visitor stop drop back")
_GOING = stems("come go")
_KINDS = stems("kind sort type whatsoever whatever")
_ANY = stems("active activity engage interact anything event seen engagement interaction seen")


class Link(Struct, frozen=True):
    """An event phrase linked: the event type, the filters it spells, and the items nobody could explain."""

    event_type: str
    tests: tuple[Test, ...]
    score: float
    known: Known | None = None
    quantities: tuple[Quantity, ...] = ()  # those that no filter used
    unexplained: tuple[Token, ...] = ()
    unknown_values: tuple[UnknownValue, ...] = ()
    note: str = ""


def link_event(items: Sequence[Item], index: Index) -> tuple[Link, ...]:
    """The readings of an event phrase, best first; none when no event type is near enough."""
    items = _taken_back(items)
    visit = _visit(items, index)
    if visit:
        return (visit,)
    links = [link for known in index.events if (link := _link(items, known)) is not None]
    if not links and any(isinstance(item, Token) and item.stem in _GOING for item in items):
        gone = [word("visited") if isinstance(item, Token) and item.stem in _GOING else item for item in items]
        links = [link for known in index.events if (link := _link(gone, known)) is not None]  # "came to Centro"
    links.sort(key=lambda link: -link.score + 0.5 * len(link.unexplained) + 0.2 * len(link.unknown_values))
    return tuple(
        {link.event_type: link for link in reversed(links)}[name]
        for name in dict.fromkeys(link.event_type for link in links)
    )


def _taken_back(items: Sequence[Item]) -> Sequence[Item]:
    """To return something is to get its money back; to return is to visit."""
    goods = any(isinstance(item, Token) and (item.stem in _GOODS or concept(item.stem) == "purchase") for item in items)
    if not goods:
        return items
    return [word("refund") if isinstance(item, Token) and item.stem == "return" else item for item in items]


_GOODS = stems("item product something good thing article piece")


def chosen(links: Sequence[Link], phrase: str) -> Link:
    """The best link, with a note that shows the match where it is not plain."""
    best = links[0]
    note = best.note
    near = [link.event_type for link in links[1:] if best.score - link.score < _CLOSE and not link.unexplained]
    if near:
        note = (
            f"{phrase!r} is read as `{best.event_type}`; it could also be {' or '.join(f'`{name}`' for name in near)}"
        )
    elif best.score < SURE and not note:
        note = f"{phrase!r} is read as `{best.event_type}`, the nearest event type"
    return Link(
        best.event_type,
        best.tests,
        best.score,
        best.known,
        best.quantities,
        best.unexplained,
        best.unknown_values,
        note,
    )


def _link(items: Sequence[Item], known: Known) -> Link | None:
    named = frozenset(at for at, item in enumerate(items) if isinstance(item, Token) and _names(item, known))
    read, unknown = _filters(items, known, named)
    explained = named.union(*(test.used for test in read), *(value.used for value in unknown))
    rest = [item for at, item in enumerate(items) if at not in explained]
    words = [item for item in rest if isinstance(item, Token) and _content(item)]
    strong = _strong([items[at] for at in named], known)
    stays = [word for word in words if _may_stay(word, strong=strong or _is_visit(word, known))]
    left = tuple(word for word in words if word not in stays and concept(word.stem) not in known.described)
    score = _score([items[at] for at in named], words, known, stays=stays)
    if known.told and known.english:
        score = score * _SECOND if score >= _SECOND_ENOUGH else 0.0
    if score * (0.8 if left else 1) < ENOUGH * (0.6 if left else 1):
        return None
    quantities = tuple(item for item in rest if isinstance(item, Quantity))
    return Link(known.name, tuple(read), score, known, quantities, left, tuple(unknown))


_SECOND = 0.9
"""What a name is worth that only the description gives, beside one of its own."""
_SECOND_ENOUGH = 0.7


def _filters(items: Sequence[Item], known: Known, named: frozenset[int]) -> tuple[list[Test], list[UnknownValue]]:
    """What the phrase says about properties of the event type, whose name it spells with the items *named*."""
    found, unknown = tests(items, known.fields, named)
    read = _consistent(found)
    used = named.union(*(test.used for test in read))
    tested = {test.field.path for test in read}
    free = [field for field in known.fields if field.path not in tested]
    more = searched(items, free, used) if named else None
    if more is None and named:
        more = _beside(items, known, used)
    return ([*read, more] if more is not None else read), unknown


def _beside(items: Sequence[Item], known: Known, used: frozenset[int]) -> Test | None:
    """Of "ordered using a coupon": a property that some events have, said to be there."""
    there = _present(items, known)
    if there is None or there.used & used:
        return None
    before = [item.lower for item in items[max(0, min(there.used) - 2) : min(there.used)] if isinstance(item, Token)]
    return there if set(before) & {"using", "with", "used", "through", "via", "redeemed", "redeeming"} else None


def _consistent(read: list[Test]) -> list[Test]:
    """Without the weaker of two values for one property: one event has one."""
    kept: list[Test] = []
    for test in sorted(read, key=lambda item: not item.named):
        if not any(other.field.path == test.field.path and {other.operator, test.operator} == {"eq"} for other in kept):
            kept.append(test)
    return kept


def _strong(named: Sequence[Item], known: Known) -> bool:
    """Whether what was matched says enough that a general word beside it needs no explanation."""
    words = [item for item in named if isinstance(item, Token)]
    told = total({concept(word.stem) for word in words})
    bare = set(known.concepts) <= ACTIONS | {concept(word.stem) for word in words}
    whole = set(known.concepts) <= {concept(word.stem) for word in words}
    return (
        told >= 1
        or whole
        or any(word.kind == "name" for word in words)
        or (told > 0 and bare and len(known.concepts) == 1)
    )


def _names(token: Token, known: Known) -> bool:
    if token.kind == "name":
        return token.lower == known.name.lower()
    if known.told and any((token.stem,) in field.values for field in known.fields):
        return False  # a word of the description that is a value: "in the club's shop" says what was paid for
    return (
        token.kind == "word"
        and (concept(token.stem) in known.concepts or concept(token.stem) in known.meanings)
        and token.stem not in NOISE
    )


def _content(token: Token) -> bool:
    return token.kind != "sign" and token.stem not in NOISE


def _is_visit(word: Token, known: Known) -> bool:
    """Of "the site" of a visit needs no explanation."""
    return concept(word.stem) == "site" and any(wanted <= set(known.concepts) for wanted in VISITS)


def _may_stay(token: Token, *, strong: bool) -> bool:
    """Light verbs and general nouns need no explanation once something else names the event."""
    key = concept(token.stem)
    if key in LIGHT or token.stem in LIGHT or key in {"complete", "create", "receive"}:
        return True
    return strong and (token.stem in GENERIC or key in GENERIC or key in {"page", "product", "site", "view", "add"})


def _score(named: Sequence[Item], words: Sequence[Token], known: Known, *, stays: Sequence[Token]) -> float:
    """How well the words say this event type: what they cover of the phrase, and how much of the name they leave over."""
    if any(isinstance(item, Token) and item.kind == "name" for item in named):
        return 1.0
    matched = {concept(item.stem) for item in named if isinstance(item, Token)}
    asked = {concept(word.stem) for word in words if word not in stays}
    idle = {concept(word.stem) for word in stays} - asked
    described = {word for word in asked if word in known.described and weight(word) >= 1}
    covered = total(matched) + 0.6 * total(described)
    if covered <= 0:
        return 0.0
    left = {word for word in known.concepts if word not in matched and not known.meanings & matched}
    if matched & REVERSALS:
        left -= {"purchase"}
    coverage = covered / (total(matched) + total(asked) + _IDLE * total(idle))
    precision = covered / (covered + total(left))
    return (
        coverage
        * (0.6 + 0.4 * precision)
        * _conflicts((asked - described) | (idle & ACTIONS - {"view", "add"}), left, known)
    )


_IDLE = 0.25
"""What a general word that nothing explains weighs."""


def _conflicts(asked: set[str], left: set[str], known: Known) -> float:
    factor = 1.0
    if (left & REVERSALS) or (asked & REVERSALS):
        factor *= 0.3
    acted = {word for word in left & ACTIONS if word not in known.meanings}
    if asked & ACTIONS == {"view"} and acted == {"open"}:
        acted = set[str]()  # who looks at a screen has opened it
    if asked & ACTIONS and acted:
        factor *= 0.35
    return factor


def _visit(items: Sequence[Item], index: Index) -> Link | None:
    """A visit as such, or any activity: no object is named."""
    words = [item for item in items if isinstance(item, Token) and _content(item)]
    quantities = tuple(item for item in items if isinstance(item, Quantity))
    for to, number in itertools.pairwise(items):
        if isinstance(to, Token) and to.lower == "to" and isinstance(number, Quantity):
            return None  # what "came to more than 80" was a sum
    words = [word for word in words if word.stem not in _KINDS]
    if words and all(word.stem in _ANY | LIGHT for word in words) and any(word.stem in _ANY for word in words):
        return Link("*", (), 1.0, quantities=quantities, note=f"{written(words)!r} is read as any event")
    if not any(word.stem in _VISIT for word in words) or not all(_is_place(word) for word in words):
        return None
    for wanted in VISITS:
        for known in index.events:
            if set(known.concepts) == {"view"}:
                return Link(known.name, (), 1.0, known, quantities)
            if wanted <= set(known.concepts) and total(set(known.concepts) - wanted) <= weight("start"):
                return Link(known.name, (), 0.9, known, quantities)
    note = f"no event type here is a visit as such, so {written(words)!r} is read as any event"
    return Link("*", (), 0.9, quantities=quantities, note=note)


def _is_place(word: Token) -> bool:
    return (
        word.stem in _VISIT
        or word.stem in GENERIC - stems("product item article good stuff ticket")
        or concept(word.stem) == "site"
        or word.stem in LIGHT
    )


def _present(items: Sequence[Item], known: Known) -> Test | None:
    """A property of the event type named alone, by its whole name."""
    for field in known.fields:
        for at in range(len(items)):
            length, coverage = mention(items, at, field, set())
            if length and coverage >= 1 and not set(field.words) & _COMMON:
                return Test(field, "is_set", None, frozenset(range(at, at + length)), named=True)
    return None


_COMMON = stems(
    "item product currency category plan total value price query path device reason priority campaign amount name id result"
)
"""Properties that nearly every event of their kind has: naming one says nothing."""
