"""One clause to conditions: what was done how often and when, never done, traits, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from segment_copilot.english.audience import money, recency, refusals
from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.distinct import read_distinct
from segment_copilot.english.audience.leaves import NONE_INCLUDED, Leaf, Node, Problem, joined, leaves
from segment_copilot.english.audience.measures import read_measure
from segment_copilot.english.audience.occurrences import read_occurrence
from segment_copilot.english.audience.periods import read_periods
from segment_copilot.english.audience.totals import read_total
from segment_copilot.english.audience.traits import places, read_traits
from segment_copilot.english.linking.index import Index, spoken, stems_of
from segment_copilot.english.linking.linker import Link, chosen, link_event, link_property, link_segment
from segment_copilot.english.plan import Option
from segment_copilot.english.times.phrases import Operator, Quantity
from segment_copilot.english.times.windows import Window
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import ACTIONS, LIGHT, VAGUE, concept, stems
from segment_copilot.english.words.stems import irregular_past
from segment_copilot.language.operators import OPPOSITE_NUMBER

Reading = Node | Problem


def read_clause(chunk: Chunk, index: Index) -> Reading:
    """The conditions of a clause, or why it has none."""
    if not chunk.words and not chunk.quantities:
        return Problem("unknown", chunk.text, "it says nothing that I can test")
    if len([item for item in chunk.windows if item.kind != "ever"]) > 1:
        return Problem("unknown", chunk.text, "it has more than one time span")
    if chunk.window and chunk.window.kind == "same":
        return Problem("unknown", chunk.text, f"no time span stands before {chunk.window.text!r}")
    if chunk.tokens and chunk.tokens[-1].lower in {"since", "until", "till"}:
        return Problem(
            "unsupported",
            chunk.text,
            f"{chunk.tokens[-1].text!r} points at another event, and a time span cannot start or end at one",
        )
    for reader in (
        _segment,
        _abandoned,
        read_periods,
        read_distinct,
        read_measure,
        money.read_money,
        recency.read_recency,
        read_occurrence,
        read_total,
    ):
        read = reader(chunk, index)
        if read is not None:
            return _bounded(read, chunk)
    read = _best(chunk, index)
    if isinstance(read, Problem) and read.kind == "unknown":
        return _by_property(chunk, index) or read
    return read


def _bounded(read: Reading, chunk: Chunk) -> Reading:
    """*read*, unless it is an amount "more than 30 days ago", which no window says."""
    window = chunk.window
    amounts = not isinstance(read, Problem) and any(leaf.condition["type"] == "monetary" for leaf in leaves(read))
    return Problem("unsupported", chunk.text, _AGED) if amounts and window and window.kind in {"ago", "next"} else read


_AGED = "a number goes with a stretch of time such as 'in the last 30 days' or 'between 60 and 30 days ago'"


def _by_property(chunk: Chunk, index: Index) -> Reading | None:
    """A clause that names no event, only a property or value of one: "used a coupon", "came from google"."""
    if chunk.negated and not chunk.words:
        return None
    links = link_property(chunk.items, index)
    if not links:
        return None
    first, *others = links
    if others:
        named = " or ".join(f"`{link.event_type}`" for link in links)
        options = tuple(
            Option(
                f"{spoken(link.event_type).capitalize()}",
                f"{link.event_type} {chunk.text}",
                f"looks at {link.event_type}",
            )
            for link in links
        )
        return Problem("ambiguous", chunk.text, f"which event is meant: {named}?", options=options)
    return event_leaf(chunk, first, first.quantities[0] if first.quantities else None)


def _best(chunk: Chunk, index: Index) -> Reading:
    """Traits or events, whichever explains every word."""
    traits = read_traits(chunk, index)
    links = link_event(chunk.items, index)
    if isinstance(traits, Leaf) and links and _says_trait(chunk, traits, links[0], index):
        return traits
    event = _event(chunk, links, index) if links else None
    sure = event is not None and _surely(event, links[0])
    if isinstance(traits, Problem) and (event is None or isinstance(event, Problem)):
        return traits
    if traits is not None and not isinstance(traits, Problem) and (_describes(chunk) or not sure):
        return traits
    if event is not None:
        return event
    return refusals.unexplained(chunk, index)


def _says_trait(chunk: Chunk, trait: Leaf, link: Link, index: Index) -> bool:
    """Of "joined in May", where a trait is "the day the member joined" and an event "someone signed up": the nearer words."""
    field = next((field for field in index.traits if field.path == trait.condition["property"]), None)
    if field is None or link.known is None or not field.dated or not chunk.window:
        return False
    words = {word.stem for word in chunk.words}
    of_event = {*stems_of(link.known.event_type.description), *stems_of(link.known.name)}
    return bool(words & set(stems_of(f"{field.known.description} {field.path}")) - of_event)


_TRAIT_FIRST = 0.7


def _surely(event: Reading, link: Link) -> bool:
    """Whether the event reading explains the clause by itself, and well."""
    return isinstance(event, Leaf) and not link.unexplained and link.score >= _TRAIT_FIRST


def _describes(chunk: Chunk) -> bool:
    """Whether the clause says what somebody is, not what they did."""
    return chunk.lead in {"in", "from", "on", "are", "is", "aged", "living", "live", "based", "located", "tagged", "at"}


def _segment(chunk: Chunk, index: Index) -> Reading | None:
    if chunk.window or not all(item.none for item in chunk.quantities):
        return None
    if chunk.quantities:  # "no staff"
        chunk = structs.replace(chunk, negated=not chunk.negated, items=chunk.words)
    words = [item for item in chunk.items if isinstance(item, Token)]
    found = link_segment(words, index)
    if found and not any(word.stem in _NAMING for word in words) and _place(chunk, index):
        return None
    if not found:
        return refusals.unknown_segment(chunk, index) if any(word.stem == "segment" for word in words) else None
    first, *others = found
    if others:
        names = " or ".join(f"{segment.name} ({segment.id})" for segment in found)
        return Problem("ambiguous", chunk.text, f"which segment is meant: {names}?")
    condition = {
        "type": "segment_membership",
        "segment_id": first.id,
        "operator": "not_in" if chunk.negated else "in",
    }
    return Leaf(condition, chunk.text, negated=chunk.negated)


def _abandoned(chunk: Chunk, index: Index) -> Reading | None:
    """Of "abandoned their cart", where no event says so: put something into it and did not purchase."""
    verbs = [item for item in chunk.items if isinstance(item, Token) and item.stem == "abandon"]
    if not verbs or chunk.negated:
        return None
    if chunk.window and chunk.window.kind in {"ago", "next"}:
        return Problem("unsupported", chunk.text, _AGED)
    links = link_event(chunk.items, index)
    if links and not links[0].unexplained:
        return None
    items = tuple(item for item in chunk.items if item not in verbs)
    added = [
        link
        for verb in ("added", "started")
        for link in link_event((word(verb), *items), index)
        if not link.unexplained
    ]
    bought = link_event((word("purchase"),), index)
    if not added or not bought:
        return None
    did = event_leaf(structs.replace(chunk, items=items), added[0], _counts(added[0])[0] if _counts(added[0]) else None)
    absent = event_leaf(structs.replace(chunk, items=(), negated=True, perfect=False), bought[0], None)
    if isinstance(did, Problem) or isinstance(absent, Problem):
        return None
    note = f"{chunk.text!r} is read as: `{added[0].event_type}`, and no `{bought[0].event_type}` in that time"
    return joined(
        "AND", (structs.replace(did, notes=(note,)), structs.replace(absent, text="no purchase", negated=True))
    )


_NAMING = stems("segment list audience group cohort member")


def _place(chunk: Chunk, index: Index) -> bool:
    """Whether the clause names a country or city, which a segment may be called after."""
    read = read_traits(chunk, index)
    return (
        isinstance(read, Leaf)
        and chunk.lead in {"in", "from", "living", "based", "located"}
        and read.condition["property"] in places(index)
    )


def _event(chunk: Chunk, links: Sequence[Link], index: Index) -> Reading:
    link = chosen(links, chunk.text)
    if link.unknown_values:
        return refusals.unknown_value(link.unknown_values[0])
    extra: Node | None = None
    if link.unexplained:
        rest = read_traits(_only(link.unexplained), index)
        if rest is None or isinstance(rest, Problem) or chunk.negated:
            return refusals.partly(chunk, link, index)
        extra = rest
    counts = _counts(link)
    if chunk.negated:
        counts = [item for item in counts if not (item.bare and item.text == "one")]
    if len(counts) > 1:
        return Problem("unknown", chunk.text, "it has more numbers than I can place")
    leaf = event_leaf(chunk, link, counts[0] if counts else None)
    if isinstance(leaf, Problem) or extra is None:
        return leaf
    return joined("AND", (leaf, extra))


def _counts(link: Link) -> list[Quantity]:
    """The numbers that say how often; "one order" beside another number or a filter is only an article."""
    if len(link.quantities) > 1 or link.tests:
        return [
            item for item in link.quantities if not (item.bare and item.value == 1 and item.text in {"one", "a single"})
        ]
    return list(link.quantities)


def _only(words: tuple[Token, ...]) -> Chunk:
    return Chunk(words, words)


class _Counted(Struct, frozen=True):
    operator: Operator
    value: float
    value2: float | None = None
    notes: tuple[str, ...] = ()


def event_leaf(chunk: Chunk, link: Link, count: Quantity | None) -> Leaf | Problem:
    """How often it was done in the window; or, of a negated perfect with a rolling window, how long ago the last time was."""
    if any(word.stem in VAGUE for word in link.unexplained):
        return refusals.vague(chunk)
    if count is not None and any(word in count.text for word in ("older", "younger")):
        return Problem("unknown", chunk.text, "an age is not a number of times")
    negated = chunk.negated != bool(count and count.none)
    window = chunk.window
    if window and window.kind == "next":
        return Problem("unsupported", chunk.text, "an event that is still to come cannot be tested")
    if window and window.kind == "ago":
        often = count is not None and not count.none and (count.operator, count.value) != ("gte", 1)
        return Problem("unsupported", chunk.text, _AGED) if often else recency.from_age(chunk, link, window)
    if (
        negated
        and window
        and chunk.perfect
        and not chunk.never
        and recency.rolls(window)
        and not window.rolling
        and (count is None or count.none)
    ):
        return recency.not_for(chunk, link, window)
    if chunk.only and count is None:
        return Problem("unknown", chunk.text, "I cannot test that somebody did only this and nothing else")
    counted = _counted(chunk, count, negated=negated)
    if counted.value == 0 and chunk.perfect and not chunk.never and window:
        counted = structs.replace(counted, notes=(*counted.notes, NONE_INCLUDED))  # unlike "in the last 30 days"
    condition: dict[str, Any] = {"type": "event_count", "event_type": link.event_type}
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    condition |= {"operator": counted.operator, "value": counted.value}
    if counted.value2 is not None:
        condition["value2"] = counted.value2
    condition |= window.json() if window else {}
    return Leaf(
        condition,
        chunk.text,
        _notes(link, counted, window),
        link,
        verbs_of(chunk, link),
        negated=counted.value == 0,
        windowed=window is not None,
    )


def _notes(link: Link, counted: _Counted, window: Window | None) -> tuple[str, ...]:
    tests = tuple(test.note for test in link.tests if test.note)
    return tuple(note for note in (link.note, *tests, *counted.notes, *(window.notes() if window else ())) if note)


def _counted(chunk: Chunk, count: Quantity | None, *, negated: bool) -> _Counted:
    if count is None or count.none:
        return _Counted("eq", 0) if negated else _Counted("gte", 1)
    operator: Operator = "eq" if count.bare and chunk.only else count.operator
    notes: tuple[str, ...] = ()
    if count.bare and not chunk.only:
        notes = (f"{count.text!r} is read as at least {count.value}",)
    if count.operator == "eq" and count.text == "once":
        notes = ("'once' is read as exactly once",)
    if count.text in {"twice", "again"}:
        notes = (f"{count.text!r} is read as at least 2 times",)
    if negated:
        operator = OPPOSITE_NUMBER[operator]
    if operator in {"lt", "lte"}:
        notes = (*notes, NONE_INCLUDED)
    return _Counted(operator, count.value, count.value2, notes)


def verbs_of(chunk: Chunk, link: Link) -> tuple[Token, ...]:
    """The words of a clause that a following one may share: what was done, without its object and filters."""
    tested = frozenset[int]().union(*(test.used for test in link.tests))
    words = [item for at, item in enumerate(chunk.items) if at not in tested and isinstance(item, Token)]
    return tuple(word for word in words if concept(word.stem) in ACTIONS or word.stem in LIGHT or _is_past(word))


def _is_past(word: Token) -> bool:
    """Whether it is a verb that only this tenant's names know: "booked"."""
    return word.kind == "word" and (word.lower.endswith("ed") or irregular_past(word.lower))
