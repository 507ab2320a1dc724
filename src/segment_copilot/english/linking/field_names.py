"""Finds the names of traits and properties among words: "loyalty tier", "tier", "the price of"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import Place, concept, field_word
from segment_copilot.english.linking.names import Names
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.stems import stem

_APART: Final = 3  # words inside of a field's name


def fields(tokens: tuple[Token, ...], names: Names) -> Iterator[tuple[int, int, Place, float]]:
    """Yield from where to where words name a field, and which share of its name was said."""
    named = [token.kind == "word" or (token.kind == "number" and token.lower.isalpha()) for token in tokens]
    keys = [field_word(concept(token.stem)) if is_name else "" for token, is_name in zip(tokens, named, strict=True)]
    own = [field_word(token.stem) if is_name else "" for token, is_name in zip(tokens, named, strict=True)]
    light = lexicon.words("light")
    seen: set[tuple[int, int, str, str]] = set()
    worth = {field_word(stem("lifetime")), field_word(stem("value"))}
    for at, token in enumerate(tokens):
        if token.lower in {"ltv", "clv", "cltv"}:
            yield from ((at, at + 1, place, 1.0) for place in names.places if worth <= {*map(field_word, place.words)})
        if token.kind == "name":
            for place in names.places:
                if place.path.lower() == token.lower:
                    yield (at, at + 1, place, 1.0)
            continue
        if token.lower in light and own[at] == token.stem:
            continue
        numbers = dict.fromkeys((*names.field_words.get(keys[at], ()), *names.field_words.get(own[at], ())))
        for place in (names.places[number] for number in numbers):
            runs = ((*_run(tokens, keys, own, at, words), len(words)) for words in place.names)
            end, said, many = max(runs, key=lambda run: (len(run[1]) / run[2], run[0]))
            mark = (at, end, place.event, place.path)
            if not said and {keys[at], own[at]} & {field_word(one) for one in place.told}:
                yield (at, at + 1, place, 1.0)
            elif said and mark not in seen:
                seen.add(mark)
                yield (at, end, place, len(said) / many)


def _run(
    tokens: tuple[Token, ...], keys: list[str], own: list[str], at: int, words: frozenset[str]
) -> tuple[int, set[str]]:
    """Return how far from *at* words of a field's name go on, light ones in between, and which were said."""
    said: set[str] = set()
    end = position = at
    while position < len(tokens) and position - end < _APART:
        hit = ({keys[position], own[position]} & words) - said
        if hit:
            said |= hit
            end = position + 1
        elif tokens[position].lower not in lexicon.words("light"):
            break
        position += 1
    return end, said
