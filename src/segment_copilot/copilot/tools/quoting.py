"""Tells which words of the person made which condition of a draft: what a model says of it is checked here, and completed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, cast

from msgspec import UNSET, Meta, Struct, UnsetType

from segment_copilot import documents
from segment_copilot.copilot.guards.links import remove_links
from segment_copilot.copilot.guards.quotes import Span, find_quotes, unquoted
from segment_copilot.copilot.stream.components import ReadWords
from segment_copilot.copilot.tools.context import ToolContext
from segment_copilot.errors import Finding, InvalidInput

_SHOWN: Final = 60  # characters of a quote, in an error
_MESSAGES: Final = 3
_LONGEST: Final = 4_000  # characters of a message that is read word by word: what the person pastes may be a book

Pointer = Annotated[str, Meta(max_length=300)]


class Quote(Struct, frozen=True, forbid_unknown_fields=True):
    """Quotes some words of the person: *text* exactly as they wrote it, and one of *pointers*, *assumed* and *unmapped*.

    *pointers* are the places in the definition that they made, such as /conditions/0; [] when they only ask. *assumed*
    says how words that left something open were settled. *unmapped* is true of what the data cannot express.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    pointers: Annotated[list[Pointer], Meta(max_length=20)] | UnsetType = UNSET
    assumed: Annotated[str, Meta(min_length=1, max_length=300)] | UnsetType = UNSET
    unmapped: bool | UnsetType = UNSET


Reading = Annotated[list[Quote], Meta(max_length=200)]


def read_words(
    context: ToolContext, reading: Sequence[Quote], definition: Mapping[str, Any]
) -> tuple[ReadWords, ...] | UnsetType:
    """Return what became of every word that the person wrote, in order; words that no quote has are unmapped.

    UNSET when nothing was quoted, or when the message is too long for that.

    Raises:
        InvalidInput: A quote is not the person's words or has them twice, or a pointer leads nowhere; all of it at once.
    """
    said = tuple(text if len(text) <= _LONGEST else "" for text in context.said[-_MESSAGES:])
    if not reading or not said or not said[-1]:
        return UNSET
    spans = find_quotes(said, [quote.text for quote in reading])
    findings = [
        finding
        for at, (quote, span) in enumerate(zip(reading, spans, strict=True))
        for finding in _mistakes(f"/reading/{at}", quote, span, definition)
    ]
    if findings:
        told = " ".join(dict.fromkeys(finding.detail for finding in findings[:5]))
        raise InvalidInput(f"The reading does not fit: {told}", code="invalid_reading", findings=findings)
    quoted = [(span, quote) for span, quote in zip(spans, reading, strict=True) if span is not None]
    left = [(span, None) for span in unquoted(said, [span for span, _ in quoted])]
    ordered = sorted([*quoted, *left], key=lambda one: (-one[0].message, one[0].start))
    return tuple(_told(said, span, quote) for span, quote in ordered)


def _mistakes(pointer: str, quote: Quote, span: Span | None, definition: Mapping[str, Any]) -> Iterable[Finding]:
    shown = quote.text if len(quote.text) <= _SHOWN else f"{quote.text[:_SHOWN]}…"
    if span is None:
        detail = f"“{shown}” does not stand in what the person wrote, or was quoted before: quote each of their words once, as they stand."
        yield Finding(f"{pointer}/text", "not_said", detail)
    if [quote.pointers is not UNSET, quote.assumed is not UNSET, bool(quote.unmapped)].count(True) != 1:
        yield Finding(
            pointer, "invalid_reading", f"Of “{shown}” say one thing: pointers, assumed, or unmapped as true."
        )
    for at, place in enumerate(quote.pointers or ()):
        if not _leads_somewhere(place, definition):
            detail = f"{place} is no place in the definition: point to a condition, such as /conditions/0."
            yield Finding(f"{pointer}/pointers/{at}", "unknown_pointer", detail)


def _leads_somewhere(pointer: str, definition: Mapping[str, Any]) -> bool:
    if pointer and not pointer.startswith("/"):
        return False
    value: Any = definition
    for step in documents.parse(pointer):
        if isinstance(value, dict) and step in value:
            value = cast("dict[str, Any]", value)[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(cast("list[Any]", value)):
            value = cast("list[Any]", value)[int(step)]
        else:
            return False
    return True


def _told(said: Sequence[str], span: Span, quote: Quote | None) -> ReadWords:
    pointers = UNSET if quote is None or quote.pointers is UNSET else tuple(quote.pointers)
    assumed = UNSET if quote is None or quote.assumed is UNSET else remove_links(quote.assumed).strip() or UNSET
    return ReadWords(
        text=said[-1 - span.message][span.start : span.end],
        start=span.start,
        end=span.end,
        pointers=pointers,
        assumed=assumed,
        unmapped=UNSET if assumed is not UNSET or pointers is not UNSET else True,
        message=span.message or UNSET,
    )
