"""Why a phrase cannot be drafted, with the nearest things that can."""

from __future__ import annotations

from collections.abc import Iterable

from segment_copilot.english.audience.chunks import Chunk
from segment_copilot.english.audience.leaves import Problem
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.linker import Link
from segment_copilot.english.linking.values import UnknownValue, instead
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.english.words.lexicon import NOISE, VAGUE, stems
from segment_copilot.language.catalog import nearest

_SHOWN = 6
_OPTIONS = {
    "amount": "how much: for example 'spent over 500 in total' or 'at least 5 orders'",
    "count": "how often and in how many days: for example 'at least 3 orders in the last 90 days'",
    "recency": "how many days: for example 'no visit in the last 30 days' or 'first order in the last 14 days'",
}


def unexplained(chunk: Chunk, index: Index) -> Problem:
    """Nothing in the catalog is near the phrase."""
    if any(word.lower in VAGUE for word in chunk.words):
        return vague(chunk, index)
    if chunk.lead in {"in", "from", "living", "based", "located", "outside"} and (where := _places(index)):
        has = "; ".join(f"`{field.path}`: {instead(field, chunk.text)}" for field in where)
        return Problem("unknown", chunk.text, f"no place known here is called that ({has})")
    return Problem("unknown", chunk.text, "nothing in this tenant's catalog matches it", near(chunk.words, index))


def _places(index: Index) -> list[Field]:
    return [
        field for field in index.traits if set(field.words) & stems("country city region state") and field.known.samples
    ]


def vague(chunk: Chunk, index: Index | None = None) -> Problem:
    """A word that needs a number; or, where a segment is called so, its name."""
    found = [word for word in chunk.words if word.lower in VAGUE] or [*chunk.words]
    kinds = dict.fromkeys(VAGUE.get(word.lower, "amount") for word in found)
    detail = f"{written(found)!r} has no number: tell me {', or '.join(_OPTIONS[kind] for kind in kinds)}"
    said = {word.stem for word in chunk.words}
    near_names = [
        segment.name
        for segment in (index.catalog.segments.values() if index else ())
        if len(said & set(index.segments[segment.id] if index else ())) > 1
    ]
    hint = f"; or name the segment: {', '.join(repr(name) for name in near_names)}" if near_names else ""
    return Problem("vague", chunk.text, detail + hint)


def partly(chunk: Chunk, link: Link, index: Index) -> Problem:
    """An event type was found, but some words of the phrase belong to nothing."""
    if link.unknown_values:
        return unknown_value(link.unknown_values[0])
    words = link.unexplained
    if any(word.lower in VAGUE for word in words):
        return vague(chunk)
    fields = [field.path for field in link.known.fields] if link.known else []
    has = (
        f"`{link.event_type}` has the properties {_listed(fields)}"
        if fields
        else f"`{link.event_type}` has no properties"
    )
    detail = (
        f"I understood `{link.event_type}`, but not {written(words)!r}: {has}"
        if words
        else "I could not place every number in it"
    )
    return Problem("unknown", chunk.text, detail, near(words, index))


def not_read(phrase: str, field: Field) -> Problem:
    """A property is compared with a number or date, and its values are written in a way that is not read as one."""
    read, as_ = (
        ("dates", "send them as 2026-06-20") if field.unreadable == "date" else ("numbers", "send them as 1089.95")
    )
    detail = f"`{field.path}` holds texts such as {field.texts[0]!r}, which are not read as {read}: {as_}"
    return Problem("unsupported", phrase, detail)


def unknown_value(value: UnknownValue) -> Problem:
    """A field was named with a value that it does not have."""
    if value.field.unreadable == "number":
        return not_read(value.text, value.field)
    return Problem("missing", value.text, f"`{value.field.path}` has no value {value.text!r}; {value.instead}")


def unknown_segment(chunk: Chunk, index: Index) -> Problem:
    """No segment has that name."""
    names = [segment.name for segment in index.catalog.segments.values()]
    close = nearest(written([word for word in chunk.words if word.stem != "segment"]), names)
    return Problem("missing", chunk.text, "there is no segment of that name", close)


def near(words: Iterable[Token], index: Index) -> tuple[str, ...]:
    """The event types, properties and traits whose names are nearest to the words."""
    names = [known.name for known in index.events] + [field.path for field in index.traits]
    names += [f"{known.name}.{field.path}" for known in index.events for field in known.fields]
    found: list[str] = []
    for word in words:
        if word.stem not in NOISE:
            found += nearest(word.text, names, limit=2)
    return tuple(dict.fromkeys(found))[:_SHOWN]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
