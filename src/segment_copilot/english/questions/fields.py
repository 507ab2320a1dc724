"""Which property or trait a question is about: by its name, or by what its description says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct, structs

from segment_copilot.english.linking.glosses import head
from segment_copilot.english.linking.index import Field, Index, stems_of
from segment_copilot.english.linking.linker import link_event
from segment_copilot.english.linking.values import mention
from segment_copilot.english.questions.asking import Question
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, concept, stems

_OWNERS: Final = PEOPLE | stems("user customer member user's")


class Owned(Struct, frozen=True):
    """A property of an event type, or a trait (*event_type* None). *note* says what else it could be."""

    path: str
    event_type: str | None
    note: str = ""


class _Found(Struct, frozen=True):
    """A field that words of the question name: how much of its name they say, and the words that are left."""

    field: Field
    event_type: str | None
    score: float
    left: tuple[Token, ...]


def owned_by(index: Index, name: str) -> Iterator[Owned]:
    """Every field of that name: traits first, then the most frequent event types."""
    for field, event_type in _all(index):
        if field.path.lower() == name or field.words == (name,):
            yield Owned(field.path, event_type)


def _all(index: Index) -> Iterator[tuple[Field, str | None]]:
    """Every field with its owner, also by its own name where the index has it by its description."""
    owned = [(field, None) for field in index.traits]
    owned += [(field, known.name) for known in index.events for field in known.fields]
    for field, event_type in owned:
        yield field, event_type
        own = tuple(concept(word) for word in stems_of(field.path))
        told = head(field.known)
        for words in dict.fromkeys((own, told)):
            if words and words != field.words:
                yield structs.replace(field, words=words), event_type


def property_in(question: Question, spent: frozenset[str]) -> Owned | tuple[str, ...] | None:
    """The one field that the question names, with the event type it names; sentences where the two do not fit; None for no field."""
    left = question.left(spent)
    names = {word for field, _ in _all(question.index) for word in field.words}
    words = tuple(
        word(token.stem) if token.stem in _TELLING_NOISE else sold(token)
        for token in question.rest
        if token.kind in {"name", "quoted"}
        or (token.kind == "word" and (token in left or (token.stem in NOISE and token.stem in names & _TELLING_NOISE)))
    )
    found = list(_named(words, question.index)) or list(_pages(words, question.index))
    whole = [one for one in found if not _content(one.left)]
    if whole:
        return _best(whole)
    linked = [(one, event) for one in found for event in [_event(one.left, question.index)] if event]
    whole_event = _event(words, question.index)  # "products viewed" names a property and its event
    fitting = [one for one, event in linked if one.event_type is not None and one.event_type in {event, whole_event}]
    if fitting:
        best = max(fitting, key=lambda one: one.score)
        return Owned(best.field.path, best.event_type)
    told = [(extra, one) for one in found for extra in [_described_extra(one, question.index)] if extra is not None]
    if told:
        _, best = min(told, key=lambda pair: pair[0])
        return Owned(best.field.path, best.event_type)
    if linked:
        one, event = max(linked, key=lambda pair: pair[0].score)
        known = question.index.event(event)
        has = ", ".join(f"`{field.path}`" for field in known.fields) if known and known.fields else "none"
        return (f"`{event}` does not have the property `{one.field.path}`; its properties: {has}.",)
    return None


def sold(token: Token) -> Token:
    """Who asks what sells asks what is bought."""
    return word("purchase") if token.stem in _SELLING else token


_SELLING: Final = stems("sell sold selling seller sellers")


def _described_extra(found: _Found, index: Index) -> int | None:
    """How many words the description of the event type has beyond those that are left; None when it does not have all of these."""
    known = index.event(found.event_type) if found.event_type else None
    left = {concept(token.stem) for token in _content(found.left)}
    return len(known.described - left) if known and left and left <= known.described else None


_TELLING_NOISE: Final = stems("reason")
"""Words that carry nothing, unless a field is named so."""


def _content(words: Sequence[Token]) -> list[Token]:
    return [word for word in words if word.stem not in NOISE | _OWNERS]


def _event(words: Sequence[Token], index: Index) -> str | None:
    kept = _content(words)
    links = link_event(kept, index) if kept else ()
    return (
        links[0].event_type
        if links and links[0].known is not None and not links[0].unexplained and not links[0].tests
        else None
    )


def _named(words: tuple[Token, ...], index: Index) -> Iterator[_Found]:
    for field, event_type in _all(index):
        best: tuple[int, float, int] | None = None
        for at in range(len(words)):
            length, coverage = mention(words, at, field, set())
            if length and (best is None or (coverage, length) > (best[1], best[0])):
                best = (length, coverage, at)
        if best:
            length, coverage, at = best
            yield _Found(field, event_type, coverage, (*words[:at], *words[at + length :]))


def _pages(words: tuple[Token, ...], index: Index) -> Iterator[_Found]:
    """Of "which pages": the path that a page is known by."""
    for at, token in enumerate(words):
        following = words[at + 1].stem if at + 1 < len(words) else ""
        if token.stem in _PLACES and following not in _VIEWS:
            for field, event_type in _all(index):
                if set(field.words) & _PATHS:
                    yield _Found(field, event_type, 1.0, (*words[:at], *words[at + 1 :]))


_PLACES: Final = stems("page screen site url")
_VIEWS: Final = stems("view visit load hit open")
_PATHS: Final = frozenset({"path", "url", "page", "screen", "pathname", "location"})


def _best(found: Sequence[_Found]) -> Owned:
    """The field named best; a trait before properties, then those of the most frequent event types."""
    top = max(one.score for one in found)
    alike = [one for one in found if one.score >= top - 0.01]
    best = alike[0]
    owners = dict.fromkeys(one.event_type or "the traits" for one in alike if one.field.path == best.field.path)
    others = [owner for owner in owners if owner != (best.event_type or "the traits")]
    note = (
        f"`{best.field.path}` is also in {', '.join(f'`{name}`' if name != 'the traits' else name for name in others)}"
        if others
        else ""
    )
    return Owned(best.field.path, best.event_type, note)
