"""Values of properties and traits in a draft: "France instead", "or Germany too", "not bags"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from segment_copilot.english.audience import refusals
from segment_copilot.english.audience.leaves import Problem
from segment_copilot.english.edits.patches import Unfit
from segment_copilot.english.edits.spots import Spot, fields_of
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.values import mention, tests
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import LIGHT, NOISE, PEOPLE, stems
from segment_copilot.language.operators import OPERATORS

_IDLE: Final = {"or", "and", "either", "also", "only", "just", "the", "ones", "value", "values", "plus", "too", "any", "living", "live", "based", "from",
                "instead", "not", "both"}  # fmt: skip
_AROUND: Final = NOISE | PEOPLE | LIGHT | stems("live base locate come tag tier plan page")


class Valued(Struct, frozen=True):
    """A spot with the values that a phrase spells for it; *negated* when the phrase says "not"."""

    spot: Spot
    values: tuple[Any, ...]
    named: bool = False


def valued(tokens: Sequence[Token], spots: Sequence[Spot], index: Index) -> tuple[Valued, ...]:
    """Every spot for whose property the whole phrase spells values; those whose property it names alone, if there are any."""
    found: list[Valued] = []
    for spot in spots:
        values, named = spelled(tokens, fields_of(spot, index) if spot.values else ())
        if values:
            found.append(Valued(spot, values, named))
    return tuple([one for one in found if one.named] or found)


def spelled(tokens: Sequence[Token], fields: Sequence[Field]) -> tuple[tuple[Any, ...], bool]:
    """The values of a field, which *fields* name in several ways, that the phrase spells, and whether it names the field; none where words are left over."""
    items = [token for token in tokens if token.kind != "sign" or token.lower in {"-", "."}]
    read, _ = tests(items, fields, frozenset())
    plain = [test for test in read if OPERATORS[test.operator].several and test.value is not None]
    used = frozenset[int]().union(*(test.used for test in plain))
    for at in range(len(items)):
        if at not in used:
            length = max((mention(items, at, field, set(used))[0] for field in fields), default=0)
            used |= frozenset(range(at, at + length))
    left = [item for at, item in enumerate(items) if at not in used and _says(item)]
    if left or not plain:
        return (), False
    named = any(test.named for test in plain) or any(
        mention(items, at, field, set())[0] for field in fields for at in range(len(items))
    )
    return tuple(dict.fromkeys(test.value for test in plain)), named


def _says(token: Token) -> bool:
    if token.kind == "sign" or token.lower in _IDLE:
        return False
    return token.kind != "word" or (token.stem not in _AROUND or token.text == "US")


def told_field(tokens: Sequence[Token], spots: Sequence[Spot], index: Index) -> None:
    """Refuse a value that the named property does not have, with the nearest ones; raises Unfit."""
    for spot in spots:
        _, unknown = tests(tokens, fields_of(spot, index) if spot.values else (), frozenset())
        if unknown:
            refuse(refusals.unknown_value(unknown[0]))


def refuse(problem: Problem) -> None:
    """Raise a problem as an edit that cannot be made."""
    near = f" Nearest: {', '.join(f'`{name}`' for name in problem.suggestions)}." if problem.suggestions else ""
    raise Unfit(f"I cannot read {problem.phrase!r}: {problem.detail}.{near}")
