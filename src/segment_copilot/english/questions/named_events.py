"""Which event type a question names, with its filters; every word must be explained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct, structs

from segment_copilot.english.answers import value_answers
from segment_copilot.english.audience.chunks import Chunk, sort
from segment_copilot.english.audience.money import amount_field
from segment_copilot.english.linking.linker import Link, chosen, link_event
from segment_copilot.english.linking.values import Item, Test
from segment_copilot.english.questions.asking import Question
from segment_copilot.english.questions.fields import sold
from segment_copilot.english.times.phrases import quantity
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE


class Named(Struct, frozen=True):
    """What was named: an event type with filters, or a refusal."""

    link: Link | None = None
    refusal: tuple[str, ...] = ()


def named_event(question: Question, today: date, *spent: frozenset[str]) -> Named:
    """The event type that the words left over name, with its filters; empty when they name none or say more."""
    left, compared = question.left(*spent), _compared(question.rest)
    kept = tuple(
        sold(token)
        for at, token in enumerate(question.rest)
        if token.kind != "word" or at in compared or token in left or _joins(token)
    )
    items: Sequence[Item] = sort(kept, today).items
    if not any(isinstance(item, Token) and item.stem not in NOISE for item in items):
        return Named()
    links = link_event(items, question.index)
    if not links or links[0].known is None:
        return Named()
    link = chosen(links, written([item for item in items if isinstance(item, Token)]))
    if link.unknown_values:
        return Named(refusal=tuple(value_answers.unknown(value) for value in link.unknown_values))
    if link.unexplained:
        return Named()
    return Named(link if not link.quantities else _with_amount(link, sort(kept, today)))


def _with_amount(link: Link, chunk: Chunk) -> Link | None:
    """Of "orders over 200": the number bounds the amount of each."""
    field = amount_field(link.known, chunk) if link.known and len(link.quantities) == 1 else None
    amount = link.quantities[0]
    if field is None or amount.times or amount.none or (amount.bare and not amount.currency):
        return None
    note = f"the amount is `{field.path}`, as stored" + ("; no currency is converted" if amount.currency else "")
    test = Test(field, "eq" if amount.bare else amount.operator, amount.value, frozenset(), amount.value2, note)
    return structs.replace(link, tests=(*link.tests, test), quantities=())


def _compared(tokens: tuple[Token, ...]) -> frozenset[int]:
    """The places of comparisons with a number: "more than 200"."""
    found = ((at, read[1]) for at in range(len(tokens)) for read in [quantity(tokens, at)] if read)
    return frozenset(place for first, after in found if after > first + 1 for place in range(first, after))


def _joins(token: Token) -> bool:
    return token.stem in NOISE and token.lower not in {"do", "we", "i", "our", "us", "me", "my", "there", "have"}
