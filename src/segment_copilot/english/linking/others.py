"""Finds values that are named to leave them out, and values of which a part is said beside their field's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import Place, spelled, stems_of
from segment_copilot.english.linking.names import Value
from segment_copilot.english.words.lexer import Token

if TYPE_CHECKING:
    from segment_copilot.english.reading.anchors import FieldAnchor, ValueAnchor

_PHRASES: Final = (
    ("other", "than"),
    ("apart", "from"),
    ("aside", "from"),
    ("but",),
    ("except",),
    ("besides",),
    ("bar",),
)
_BETWEEN: Final = frozenset({"from", "in", "the", "a", "an", "for", "by", "on", "of", "'s"})
_SHORTEST: Final = 4


def others(
    tokens: Sequence[Token], values: Sequence[ValueAnchor], fields: Sequence[FieldAnchor]
) -> Iterator[tuple[int, int]]:
    """Yield where "other than" stands before a value: "a country other than Spain", "any plan but free".

    Of "but" and "except" only those right behind the name of the value's field: elsewhere they take people out.
    """
    starts = {one.start: one for one in values}
    for at in range(len(tokens)):
        words = next((one for one in _PHRASES if tuple(token.lower for token in tokens[at : at + len(one)]) == one), ())
        end = at + len(words)
        value = end
        while value < len(tokens) and value < end + 3 and tokens[value].lower in _BETWEEN and value not in starts:
            value += 1
        if not words or value not in starts:
            continue
        paths = {(one.place.event, one.place.path) for one in starts[value].values}
        named = any(one.end == at and one.share == 1 and (one.place.event, one.place.path) in paths for one in fields)
        if named or words == ("other", "than"):
            yield at, end


def parts(
    tokens: Sequence[Token], values: Sequence[ValueAnchor], fields: Sequence[FieldAnchor]
) -> Iterator[tuple[int, Value]]:
    """Yield the words beside a field's name that tell one of its values: "the basic plan" of "Digital Basic"."""
    light = lexicon.words("light")
    for field in fields:
        place = field.place
        if field.share < 1 or place.numeric or place.dated or not place.field.texts:
            continue
        behind = field.end + 1 if field.end < len(tokens) and tokens[field.end].lower in {"is", "=", ":"} else field.end
        for at in (field.start - 1, behind):
            if not 0 <= at < len(tokens) or tokens[at].kind != "word" or tokens[at].lower in light:
                continue
            if any(one.start <= at < one.end for one in values):
                continue
            text = _told_by(tokens[at], place)
            if text is not None:
                yield at, Value(place, text, "part", spelled(place.field, text))


def _told_by(token: Token, place: Place) -> str | None:
    """Return the one text of a field that a word is of, or the beginning of in another language: "basic" of "basico"."""
    lower = token.lower
    if len(lower) < _SHORTEST:
        return None
    found = [
        text
        for text in place.field.texts
        if token.stem in stems_of(text) or (text.lower().startswith(lower) and len(text) - len(lower) <= 2)  # noqa: PLR2004
    ]
    return found[0] if found and len({text.lower() for text in found}) == 1 else None
