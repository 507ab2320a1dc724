"""Clauses about amounts: "spent over $500 total", "average order value above 120", "an order worth more than $100"."""

from __future__ import annotations

import itertools
from typing import Any

from msgspec import structs

from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Leaf, Node, Problem
from segment_copilot.english.audience.measures import aggregate
from segment_copilot.english.audience.traits import read_traits
from segment_copilot.english.linking.index import Field, Index, Known
from segment_copilot.english.linking.linker import Link, chosen, link_event
from segment_copilot.english.linking.values import Item, Test
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import VAGUE, concept, stems
from segment_copilot.english.words.stems import listed, stem
from segment_copilot.language.operators import OPPOSITE_NUMBER

_SPEND = stems("spend revenue ltv clv cltv clt aov worth spending monetary gmv turnover")
_VALUE = stems("value size total amount")
_OF_VALUE = stems("order cart basket lifetime customer average purchase transaction checkout")
_AVERAGE = stems("average avg mean aov typical")
_LARGEST = stems("largest biggest highest single max maximum one")
_SMALLEST = stems("smallest lowest minimum cheapest")
_HEADS = (
    _SPEND
    | _AVERAGE
    | _LARGEST
    | _SMALLEST
    | stems("median value lifetime amount generate bring pay cost price priced each per size customer sum")
)
EVENT_NOUNS = {
    "order",
    "orders",
    "purchase",
    "purchases",
    "transaction",
    "transactions",
    "sale",
    "sales",
    "refund",
    "refunds",
    "payment",
    "payments",
    "checkout",
    "checkouts",
}
_AMOUNTS = tuple(stem(word) for word in listed("total revenue amount grand value price sum subtotal spend cost gmv"))


def read_money(chunk: Chunk, index: Index) -> Node | Problem | None:
    """A clause that compares an amount; None for any other."""
    if not _is_money(chunk):
        return None
    amount = _amount(chunk)
    if amount is None:
        return _without_amount(chunk, index)
    counts = [item for item in chunk.quantities if item is not amount]
    rest = tuple(
        item for item in chunk.items if item is not amount and not (isinstance(item, Token) and item.stem in _HEADS)
    )
    if any(isinstance(item, Token) and item.stem in _AVERAGE for item in chunk.items):
        rest = tuple(
            word("purchase") if isinstance(item, Token) and concept(item.stem) == "cart" else item for item in rest
        )
    links = _links(rest, index)
    if not links:
        return read_traits(chunk, index) or refusals.unexplained(chunk, index)
    priced = [link for link in links if link.known and amount_field(link.known, chunk)]
    if not priced:
        return read_traits(chunk, index) or no_amount(chunk, index)
    link = chosen(priced, chunk.text)
    if link.unexplained or link.unknown_values or len(counts) > 1:
        return refusals.partly(chunk, link, index)
    return _leaf(chunk, link, amount, counts)


def _is_money(chunk: Chunk) -> bool:
    words = {item.stem for item in chunk.items if isinstance(item, Token)}
    if words & _SPEND or any(item.currency for item in chunk.quantities):
        return True
    nouns = any(token.lower in EVENT_NOUNS for token in chunk.tokens)
    plain = any(not (item.times or item.none or item.bare) for item in chunk.quantities)
    if nouns and plain and words & (_LARGEST | _SMALLEST) - stems("one single"):
        return True
    return _priced(chunk) or bool(
        words & _VALUE and words & _OF_VALUE and chunk.quantities and "total" not in words - _VALUE
    )


def _priced(chunk: Chunk) -> bool:
    """Of "an order of over 200": a number behind one event bounds its amount, even without a currency."""
    for at, item in enumerate(chunk.items):
        if isinstance(item, Quantity) and not (item.bare or item.times or item.none) and item.value > 1:
            before = [word.lower for word in chunk.items[max(0, at - 4) : at] if isinstance(word, Token)]
            noun = next(
                (place for place, word in enumerate(before) if word in EVENT_NOUNS and not word.endswith("s")), 0
            )
            following = [word.lower for word in chunk.items[at + 1 : at + 4] if isinstance(word, Token)]
            if {"in", "worth"} & set(following) and any(
                word in EVENT_NOUNS and word.endswith("s") for word in following
            ):
                return True
            if (
                noun
                and before[noun - 1] in {"a", "an", "single", "one", "any", "each", "every"}
                and set(before[noun + 1 :]) <= {"of"}
            ):
                return True
    return False


def _amount(chunk: Chunk) -> Quantity | None:
    money = [item for item in chunk.quantities if item.currency]
    plain = [item for item in chunk.quantities if not item.currency and not item.times and not item.none]
    return (money or plain or [None])[-1]


def _without_amount(chunk: Chunk, index: Index) -> Node | Problem | None:
    links = link_event((word("purchase"),), index)
    if (chunk.negated or any(item.none for item in chunk.quantities)) and links:
        condition = {"type": "event_count", "event_type": links[0].event_type, "operator": "eq", "value": 0}
        return _with_window(chunk, links[0], condition, (f"{chunk.text!r} is read as no `{links[0].event_type}`",))
    if any(word.lower in VAGUE for word in chunk.words):
        return refusals.vague(chunk)
    return Problem(
        "vague", chunk.text, f"{chunk.text!r} has no amount: tell me how much, for example 'spent over 500 in total'"
    )


def _links(rest: tuple[Item, ...], index: Index) -> tuple[Link, ...]:
    """The event the amount belongs to: the one that is named, or else the purchase."""
    links = link_event(rest, index)
    if links and not links[0].unexplained and links[0].event_type != "*":
        return links
    return link_event((word("purchase"), *rest), index)


def amount_field(known: Known, chunk: Chunk) -> Field | None:
    """The numeric property that holds an event's amount."""
    said = {word.lower for word in chunk.tokens}
    numeric = [field for field in known.fields if field.numeric and set(field.words) & set(_AMOUNTS)]
    named = [field for field in numeric if field.path.lower() in said]
    ordered = sorted(numeric, key=lambda field: min(_AMOUNTS.index(part) for part in field.words if part in _AMOUNTS))
    return (named or ordered or [None])[0]


def no_amount(chunk: Chunk, index: Index) -> Problem:
    """The event type exists, but nothing on it holds an amount."""
    numeric = tuple(f"{known.name}.{field.path}" for known in index.events for field in known.fields if field.numeric)
    links = link_event((word("purchase"),), index)
    about = (
        f"`{links[0].event_type}` has no numeric property that could hold an amount"
        if links
        else "no event type here holds an amount"
    )
    return Problem("missing", chunk.text, about, numeric[:6] or tuple(link.event_type for link in links[:1]))


def _leaf(chunk: Chunk, link: Link, amount: Quantity, counts: list[Quantity]) -> Leaf | Problem:
    field = amount_field(link.known, chunk) if link.known else None
    if field is None or link.known is None:
        return Problem("missing", chunk.text, "no property holds an amount")
    notes = [link.note] if link.note else []
    notes += [test.note for test in link.tests if test.note]
    currency = f"; {amount.currency} is not converted" if amount.currency else ""
    notes.append(f"the amount is `{link.event_type}.{field.path}`, as stored{currency}")
    paid_in = _paid_in(amount, link.known)
    if paid_in is not None:
        notes.append(f"only amounts in {paid_in.value} count, by `{link.event_type}.{paid_in.field.path}`")
    per_event = _per_event(chunk, field, counts)
    made = (
        _counted(chunk, link, field, amount, counts, tuple(notes))
        if per_event
        else _aggregate(chunk, link, field, amount, tuple(notes))
    )
    if paid_in is None or any(test.field is paid_in.field for test in link.tests):
        return made
    where = [*made.condition.get("where", []), paid_in.json()]
    return structs.replace(made, condition={**made.condition, "where": where})


_CODES = {
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "gbp": "GBP",
    "pound": "GBP",
    "pounds": "GBP",
    "yen": "JPY",
    "chf": "CHF",
}


def _paid_in(amount: Quantity, known: Known) -> Test | None:
    """Of "more than 300 EUR": the currency, where the event says which it was paid in. A sign, and "dollars", is just money."""
    codes = [_CODES[word] for word in amount.text.lower().replace(",", " ").split() if word in _CODES]
    fields = [field for field in known.fields if codes and codes[0] in field.known.samples]
    return Test(fields[0], "eq", codes[0], frozenset()) if len(fields) == 1 else None


def _per_event(chunk: Chunk, field: Field, counts: list[Quantity]) -> bool:
    """Whether the amount bounds each event: "an order over $100", "3 orders above $50", not "spent over $500"."""
    words = [item for item in chunk.items if isinstance(item, Token)]
    stemmed = {item.stem for item in words}
    if stemmed & (_AVERAGE | _SMALLEST | stems("median")) or stemmed & stems("revenue ltv clv spending lifetime"):
        return False
    if counts or stem("price") in field.words or _each_total(words):
        return True
    if _worth_of(chunk):
        return False
    if stemmed & stems("something anything item product article thing") and stemmed & stems(
        "cost price priced worth over"
    ):
        return True
    whole = {token.lower for token in chunk.tokens} & {
        "total",
        "overall",
        "combined",
        "altogether",
        "totaling",
        "totalling",
        "lifetime",
    }
    spend = stemmed & stems("spend pay")
    return not whole and not spend and any(item.lower in EVENT_NOUNS for item in words)


def _worth_of(chunk: Chunk) -> bool:
    """Of "$200 in refunds", "$50 worth of orders": all of them together."""
    for at, item in enumerate(chunk.items):
        following = [word.lower for word in chunk.items[at + 1 : at + 4] if isinstance(word, Token)]
        if isinstance(item, Quantity) and following[:1] and following[0] in {"in", "of", "worth"}:
            return any(word in EVENT_NOUNS and word.endswith("s") for word in following[1:])
    return False


def _each_total(words: list[Token]) -> bool:
    """Of "an order total", "order totals": the total of one order, not of all."""
    return any(word.lower in EVENT_NOUNS and following.stem == "total" for word, following in itertools.pairwise(words))


def _metric(chunk: Chunk) -> str:
    words = {item.stem for item in chunk.items if isinstance(item, Token)}
    if words & _AVERAGE or {"per", "order"} <= {token.lower for token in chunk.tokens}:
        return "avg"
    if "median" in words:
        return "median"
    if words & _SMALLEST:
        return "min"
    return "max" if words & _LARGEST else "sum"


def _aggregate(chunk: Chunk, link: Link, field: Field, amount: Quantity, notes: tuple[str, ...]) -> Leaf:
    metric = _metric(chunk)
    operator = amount.operator
    if amount.bare:
        notes = (*notes, f"{amount.text!r} is read as at least that much")
    if chunk.negated:
        operator = OPPOSITE_NUMBER[operator]
    if operator in {"lt", "lte"} and metric == "sum":
        notes = (*notes, "people who spent nothing are included, because their sum is 0")
    window = chunk.window
    said = (*notes, *(window.notes() if window else ()))
    condition = aggregate(chunk, link, field, metric, amount)
    return Leaf(condition, chunk.text, said, link, negated=chunk.negated, windowed=window is not None)


def _counted(
    chunk: Chunk, link: Link, field: Field, amount: Quantity, counts: list[Quantity], notes: tuple[str, ...]
) -> Leaf:
    test: dict[str, Any] = {
        "property": field.path,
        "operator": "gte" if amount.bare else amount.operator,
        "value": amount.value,
    }
    if amount.value2 is not None:
        test["value2"] = amount.value2
    count = counts[0] if counts else None
    operator, value = (
        ("eq", 0) if chunk.negated or (count and count.none) else (count.operator, count.value) if count else ("gte", 1)
    )
    condition: dict[str, Any] = {
        "type": "event_count",
        "event_type": link.event_type,
        "where": [*(item.json() for item in link.tests), test],
        "operator": operator,
        "value": value,
    }
    if count and count.value2 is not None:
        condition["value2"] = count.value2
    return _with_window(chunk, Link(link.event_type, (), link.score, link.known), condition, notes)


def _with_window(chunk: Chunk, link: Link, condition: dict[str, Any], notes: tuple[str, ...]) -> Leaf:
    if link.tests:
        condition["where"] = [test.json() for test in link.tests]
    window = chunk.window
    condition |= window.json() if window else {}
    said = (*notes, *(window.notes() if window else ()))
    return Leaf(condition, chunk.text, said, link, negated=chunk.negated, windowed=window is not None)
