"""Passes over the sentences of a letter that only tell: why somebody asks, and who they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from segment_copilot.english import lexicon
from segment_copilot.english.linking.fields import concept
from segment_copilot.english.reading.anchors import Anchor
from segment_copilot.english.reading.meanings import Reading
from segment_copilot.english.reading.spans import Span, reading, union
from segment_copilot.english.words.asking import mended, preamble, purpose, sentences

_CLOSING: Final = re.compile(
    r"((thanks|thank you)( so much| very much| a lot| in advance| again)?|regards|cheers|best|wishes|greetings|sincerely|warmly|signed|from)\W*$",
    re.IGNORECASE,
)
_SIGNED: Final = 4  # words of a signature


def aside(span: Span) -> Iterator[Reading]:
    """We have a new collection: a sentence of its own that asks for nobody, and speaks of nothing that could be a condition."""
    told = _sentences(span)
    if span.start == 0 and _is_taken_back(span):
        yield reading(span, "aside", None, span.mask, "", {"aside:mended": 1})
        return
    if (kind := _reason(span)) and not _binds(span, kind) and _content(span) & ~_known(span):
        yield reading(
            span, "aside", None, span.mask, "", {f"aside:{kind}": 1.0, "aside:event": float(bool(span.mentions))}
        )
        return
    place = next((at for at, sentence in enumerate(told) if _is_whole(span, sentence)), None)
    if place is None or len(told) < 2:  # noqa: PLR2004
        return
    others = [other for at, other in enumerate(told) if at != place]
    if _is_signature(span, last=place == len(told) - 1 or span.lower_after == ";"):
        yield reading(span, "signature", None, span.mask, "", {})
    elif _only_refers(span) and any(_names_people(span, *other) for other in others):
        yield reading(span, "aside", None, span.mask, "", {"aside:refers": 1})
    elif (kind := _told(span, told[:place], told[place + 1 :])) and not _binds(span, kind):
        unknown = (_content(span) & ~_known(span)).bit_count()
        features = {f"aside:{kind}": 1.0, "aside:event": float(bool(span.mentions)), "aside:value": float(bool(span.values)), "aside:window": float(bool(span.windows)),
                    "aside:number": float(bool(span.quantities)), "aside:first": float(place == 0), "aside:known": float(not unknown)}  # fmt: skip
        yield reading(span, "aside", None, span.mask, "", features)


def _is_taken_back(span: Span) -> bool:
    """Return whether all up to the end of a part is taken back: "users whose opens outnumber … no, simply:"."""
    meant = mended(span.found.tokens)
    return span.end <= meant and all(span.found.tokens[at].kind == "sign" for at in range(span.end, meant))


def _reason(span: Span) -> str:
    """Return whether a part of a sentence only says what for, before it asks or behind: "for the spring fair, could you …"."""
    tokens = span.found.tokens
    for start, end in sentences(tokens):
        if not start <= span.start < end or _speaks_of_people(span) or span.windows or span.negations:
            continue
        front, back = preamble(tokens, start, end), purpose(tokens, start, end)
        behind = any(tokens[at].kind == "word" for at in range(span.end, end))
        if start < front and span.start == start and span.end in {front, front - (tokens[front - 1].lower == ",")}:
            return "front"
        if back < end and span.start == back and not behind:
            return "back"
    return ""


def _sentences(span: Span) -> tuple[tuple[int, int], ...]:
    return sentences(span.found.tokens, told=True)


def _is_whole(span: Span, sentence: tuple[int, int]) -> bool:
    """Return whether a part is this sentence, with nothing beside it but signs, and without the word that joins it."""
    start, end = sentence
    tokens = span.found.tokens
    beside = (*range(span.start, start), *range(end, span.end))
    joining = (*tokens[start : max(span.start, start)], *tokens[min(span.end, end) : end])
    signs = all(tokens[at].kind == "sign" for at in beside)
    return start <= span.start < end and signs and all(one.kind == "sign" or one.lower in _JOINING for one in joining)


_JOINING: Final = frozenset({"and", "but", "so", "also", "yet", ","})


def _content(span: Span) -> int:
    """Return the words that say something, small talk apart."""
    silent = lexicon.words("chat") | lexicon.words("commands") | lexicon.words("tells")
    spoken = (at for at in range(span.start, span.end) if span.lower(at) not in silent)
    return span.found.content & union(Anchor(at, at + 1) for at in spoken)


def _known(span: Span) -> int:
    """Return the words that could be of a condition."""
    events = (at for at in range(span.start, span.end) if span.found.evidence[at])
    named = (one for one in span.fields if one.share == 1)
    anchors = (*span.values, *span.windows, *span.quantities, *span.segments, *named)
    return union(anchors) | union(Anchor(at, at + 1) for at in events)


def _only_refers(span: Span) -> bool:
    """Return whether a sentence only asks for what another one says: "could you prepare that group?"."""
    saves = any(token.lower in _SAVES for token in span.found.tokens[span.start : span.end])
    spoken = span.found.content & span.mask & ~span.pronouns
    silent = (
        lexicon.words("chat") | lexicon.words("commands") | lexicon.words("asking") | lexicon.words("tells") | _SAVES
    )
    silent |= lexicon.words("negations") if saves else frozenset()
    known = span.values or span.segments or (span.quantities and not saves) or (span.negations and not saves)
    said = (at for at in range(span.start, span.end) if spoken >> at & 1 and not _in(span.windows, at))
    told = {span.lower(at) for at in range(span.start, span.end)}
    asks = saves or (bool(told & lexicon.words("asking")) and bool(told & _REFERS))
    return not known and asks and all(
        span.lower(at) in silent or _is_somebody(span, at) for at in said
    )  # fmt: skip


def _is_somebody(span: Span, at: int) -> bool:
    """Return whether a word is a name of somebody who wants something: "what Anna asks"."""
    return span.lower(at - 1) == "what" and span.found.tokens[at].text[:1].isupper()


def _in(anchors: Iterable[Anchor], at: int) -> bool:
    return bool(union(anchors) >> at & 1)


_SAVES: Final = frozenset({"save", "saved", "saving", "store", "export", "activate", "publish", "count", "counts"})
_REFERS: Final = frozenset({"what", "it", "that", "this", "them", "those", "these"})


def _told(span: Span, before: Sequence[tuple[int, int]], behind: Sequence[tuple[int, int]]) -> str:
    """Return who a sentence tells of: whoever writes, a thing, someone else, or what people asked for will get."""
    first = _first_word(span)
    word = span.lower(first)
    asked_behind = any(_names_people(span, *other) for other in behind)
    asked = asked_behind or any(_names_people(span, *other) for other in before)
    if not asked:
        return ""
    if word in _THINGS:
        return "" if _says_which(span) else "thing"
    if _is_mine(span, first):
        return "" if _asks_for(span, alone=not asked_behind) else "mine"
    if word in _SPOKEN_OF:
        rest = span.found.sentence.text[span.found.sentence.spans[first][0] :].split(maxsplit=1)[0]
        promised = span.lower(first + 1) in _PROMISES or rest.endswith(_SHORTENED)
        return "promise" if promised and not _is_anchored(span) and not span.mentions else ""
    told = _tells(span, first) or (span.lower_after == "?" and span.end - first <= _SUBJECT)
    if not told or _speaks_of_people(span):
        return ""
    planned = any(span.lower(at) in _PLANNED for at in range(span.start, span.end)) and not _content(span) & _known(
        span
    )
    return "other" if asked_behind or planned else ""


def _first_word(span: Span) -> int:
    """Return where a sentence begins, behind the words that only join it to the one before."""
    starts = (
        at
        for at in range(span.start, span.end)
        if span.found.tokens[at].kind == "word" and span.lower(at) not in _OPENERS
    )
    return next(starts, span.start)


def _is_mine(span: Span, first: int) -> bool:
    """Return whether a sentence is about whoever writes it, or their team: "for the fair we need …", "our desk wants …"."""
    people = lexicon.stems("people") | {"who", "whose", "whom"}
    for at in range(first, min(first + _SUBJECT, span.end)):
        word = span.lower(at)
        role = word in lexicon.words("roles") and (_tells(span, at) or span.end - span.start < _SUBJECT)
        if word in _WRITERS or role:
            return True
        if word in {"our", "my"} and at == first:
            return span.found.tokens[at + 1].stem not in people
        if span.found.tokens[at].stem in people:
            return False
    return False


def _tells(span: Span, first: int) -> bool:
    """Return whether a word of telling stands near the head of a sentence, behind what it tells of."""
    telling = lexicon.words("tells")
    return any(span.lower(at) in telling for at in range(first, min(first + _SUBJECT, span.end)))


def _binds(span: Span, kind: str) -> bool:
    """Return whether a sentence may hold a condition, whoever it tells of."""
    told = {span.lower(at) for at in range(span.start, span.end)}
    numbers = any(not one.quantity.bare and span.lower(one.start) != "again" for one in span.quantities)
    known = any(all(not value.place.event for value in one.values) for one in span.values)
    unknown = _content(span) & ~_known(span)
    if numbers or span.segments or (known and not unknown) or (_is_anchored(span) and _is_pointed_at(span)):
        return True
    if told & lexicon.words("binding_always") - lexicon.words("negations") and kind != "thing":
        return True
    if told & lexicon.words("negations"):
        head = span.lower(_first_word(span)) in lexicon.words("negations")
        return head or kind not in {"mine", "thing"} or _is_anchored(span) or _speaks_of_people(span)
    return _is_answered(span)


def _is_answered(span: Span) -> bool:
    """Return whether people that a sentence speaks of are those that one behind it asks for: "some members …; find these"."""
    behind = any(one.start >= span.end for one in span.found.pronouns)
    traits = any(not value.place.event for one in span.values for value in one.values)
    known = traits or (_says_which(span) and bool(_known(span) & _content(span)))
    return _speaks_of_people(span) and (behind or known)


def _says_which(span: Span) -> bool:
    """Return whether it says which people: "members who …", "it should contain customers from Spain"."""
    told = {span.lower(at) for at in range(span.start, span.end)}
    return bool(told & _WHICH) and _speaks_of_people(span)


_WHICH: Final = frozenset({"who", "whose", "whom", "whoever", "with", "having", "without", "contain", "contains", "consist", "concerns", "hold"})  # fmt: skip


def _is_anchored(span: Span) -> bool:
    """Return whether a sentence mentions a value, or when, or how often."""
    return bool(span.values or span.windows or any(not one.quantity.bare for one in span.quantities))


def _is_pointed_at(span: Span) -> bool:
    """Return whether what stands behind a sentence points back into it: "in that club", "who read her", "our club"."""
    behind = span.found.tokens[span.end :]
    named = {word for anchor in span.values for value in anchor.values for word in value.place.words}
    for at, token in enumerate(behind):
        before = behind[at - 1].lower if at else ""
        after = behind[at + 1].lower if at + 1 < len(behind) else ""
        built = token.lower == "it" and (before in lexicon.words("commands") or before in _ENDS)
        if (token.lower in _BACK and not built) or (token.lower in _THAT and before in _INTO and after not in _TIMES):
            return True
        if before in _OURS and concept(token.stem) in named:
            return True
    return False


_ENDS: Final = frozenset({"", ".", ";", "!", "?"})
_SUBJECT: Final = 7  # words, from the first that it tells of to the verb
_OPENERS: Final = frozenset({"and", "but", "so", "because", "as", "since", "when", "while", "also", "well", "ok", "okay", "now", "today",
                             "hello", "hi", "hey", "dear", "good", "team", "colleague", "colleagues", "assistant"})  # fmt: skip
_THINGS: Final = frozenset({"it", "this", "that", "there", "some", "you", "your"})
_SPOKEN_OF: Final = frozenset({"they", "these", "those"})
_WRITERS: Final = frozenset({"i", "we", "i'm", "we're", "i'd", "we'd", "i've", "we've", "i'll", "we'll"})
_PLANNED: Final = frozenset({"tomorrow", "deadline", "tonight", "noon", "eod", "urgent"})
_SHORTENED: Final = ("'d", "'ll", "'re", "’d", "’ll", "’re")
_MODALS: Final = frozenset({"could", "would", "can", "may", "might", "will"})
_FOR: Final = frozenset({"for", "to", "about", "with", "on", "by"})
_PROMISES: Final = frozenset({"will", "would", "shall", "may", "might", "could", "deserve", "are"})
_BACK: Final = frozenset({"her", "him", "his", "it", "its", "there", "she", "he"})
_THAT: Final = frozenset({"that", "this", "these", "those"})
_INTO: Final = frozenset({"in", "of", "for", "from", "at", "to", "on", "with", "by"})
_OURS: Final = frozenset({"our", "the", "this", "that", "same", "these", "those"})
_TIMES: Final = lexicon.words("times")


def _speaks_of_people(span: Span) -> bool:
    people = lexicon.stems("people") - lexicon.stems("group") | {"who", "whose", "whom", "whoever"}
    return any(token.stem in people or token.lower in people for token in span.found.tokens[span.start : span.end])


def _asks_for(span: Span, *, alone: bool) -> bool:
    """Return whether a sentence that is no wish to do something asks for people: "I need dog owners".

    *alone*: no sentence behind it asks, so that whatever it wants may be what is asked for.
    """
    tokens, people = span.found.tokens[span.start : span.end], lexicon.stems("people")
    wanting = (lexicon.words("asking") | lexicon.words("wishes")) - (_MODALS if alone else frozenset())
    asking = next((at for at, token in enumerate(tokens) if token.lower in wanting), None)
    if asking is None or any(token.lower == "to" for token in tokens[asking + 1 : asking + 3]):
        return False
    if alone:
        return tokens[asking].lower not in _SUPPOSING
    whom = next(
        (at for at, token in enumerate(tokens) if at > asking and token.stem in people and token.lower not in _ONES),
        None,
    )
    return whom is not None and not any(token.lower in _FOR for token in tokens[asking:whom])


_ONES: Final = frozenset({"one", "lot", "list"})
_SUPPOSING: Final = frozenset({"thought", "wonder", "wondering", "hope", "hoping", "glad", "grateful", "thankful"})


def _names_people(span: Span, start: int, end: int) -> bool:
    """Return whether a sentence speaks of people, and may say which."""
    return _speaks_of_people(Span(span.found, start, end))


def _is_signature(span: Span, *, last: bool) -> bool:
    """Return whether it is the name under a letter: behind words that close one, it ends the text."""
    text = span.found.sentence.text
    content = span.found.content & span.mask
    named = next((at for at in range(span.start, span.end) if content >> at & 1), span.start)
    known = union(span.windows) | union(span.quantities) | union(span.segments)
    if (
        not last
        or known
        or content.bit_count() > _SIGNED
        or not _CLOSING.search(text[: span.found.sentence.spans[named][0]])
    ):
        return False
    return not any(span.found.tokens[at].stem in lexicon.stems("people") for at in range(span.start, span.end))


def greeted(span: Span) -> Iterator[Reading]:
    """Jan (of "Hello Jan, …"): whom a letter greets."""
    text, spans = span.found.sentence.text, span.found.sentence.spans
    signed = span.lower_after in {",", ";", "!", "—", ":"}
    short = 0 < span.end - span.start <= _NAMED and span.found.tokens[span.start].text[:1].isupper()
    if signed and short and _GREETING.search(text[: spans[span.start][0]]):
        yield reading(span, "greeting", None, span.mask, "", {})


_GREETING: Final = re.compile(r"^\W*(hi|hello|hey|dear|good (morning|afternoon|evening|day))\s+$", re.IGNORECASE)
_NAMED: Final = 2  # words
