"""Questions that lean on the one before: "and last week?", "same for VIP Buyers", "is it growing?", "as a chart"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from segment_copilot.english.linking.index import Index
from segment_copilot.english.plan import Context
from segment_copilot.english.questions.asking import ASKING, TREND, Question, sort_question, window_spans
from segment_copilot.english.questions.question_words import SPENT
from segment_copilot.english.questions.segment_questions import RULES
from segment_copilot.english.times import dates
from segment_copilot.english.times.phrases import lowers
from segment_copilot.english.understanding import asked_about
from segment_copilot.english.words.lexer import Token, read, written
from segment_copilot.english.words.lexicon import NOISE, stems
from segment_copilot.english.words.spelling import corrected

_OPENERS: Final = tuple(
    tuple(words.split())
    for words in (
        "what about", "how about", "and what about", "and how about", "the same for", "same for", "the same but for", "same but for", "do the same for", "same thing for",
        "same question for", "same again for", "and the same for", "and for", "and in", "and on", "and", "or", "but", "ok and", "now for", "now", "then", "for", "versus", "vs",
        "compared to", "compared with", "compare that to", "compare that with", "compare it to", "compare with", "compare to", "as", "also", "same but", "the same but", "same", "the same",
        "make it", "make that", "change it to", "change that to", "change to", "show that", "show it", "show me that", "show them", "show this", "try", "instead", "just", "only", "ok", "okay", "so", "in", "on", "of", "during", "over", "with", "by", "per",
    )
)  # fmt: skip
_POINTING: Final = {"it", "its", "they", "them", "their", "that", "those", "these", "this"}
_FORMS: Final = stems(
    "table chart graph plot list bar bars number text card picture diagram line csv again please same"
)
_BARE: Final = 3  # words of "refunds?"
_SHORT: Final = 7  # words of a message that leans on another without saying so


class _Said(Struct, frozen=True):
    """A message: its words without what opens it, and whether anything did."""

    tokens: tuple[Token, ...]
    opened: bool
    question: Question


def continued(before: str, text: str, context: Context) -> str | None:
    """The whole question that *text* asks after the question *before*; None when it stands alone or means nothing so."""
    index, today = context.index, dates.local_date(context.as_of, context.timezone)
    earlier = _read(before, index, today)
    said = _read(text, index, today)
    tokens, opened = _opened(said.tokens)
    if not tokens or len(tokens) > _SHORT * 2:
        return None
    points = bool({token.lower for token in said.tokens} & _POINTING) and not said.question.segments
    asks = text.rstrip().endswith("?") and len(said.tokens) <= _BARE and not said.question.windows
    if (
        not opened
        and not points
        and not asks
        and (len(said.tokens) > _SHORT or asked_about(text, said.tokens, (), context) is not None)
    ):
        return None
    core = _Said(tokens, opened, sort_question(tokens, index, today))
    for candidate in _candidates(earlier, core, today, points=points):
        whole = written(candidate)
        if whole and asked_about(whole, corrected(read(whole), index)[0], (), context) is not None:
            return whole
    return None


def _read(text: str, index: Index, today: date) -> _Said:
    tokens, _ = corrected(read(text), index)
    while tokens and tokens[-1].kind == "sign" and tokens[-1].text in {"?", "!", "."}:
        tokens = tokens[:-1]
    return _Said(tokens, opened=False, question=sort_question(tokens, index, today))


def _opened(tokens: tuple[Token, ...]) -> tuple[tuple[Token, ...], bool]:
    """The tokens without the words that lean on what was said before."""
    opened = False
    while found := next(
        (words for words in sorted(_OPENERS, key=len, reverse=True) if lowers(tokens, 0, len(words)) == words), None
    ):
        if found[0] in {"in", "on", "over", "during", "of", "with", "by", "per", "for", "as"} and len(found) == 1:
            return (tokens if found[0] in {"in", "on", "over", "during", "by", "per"} else tokens[1:]), True
        tokens, opened = tokens[len(found) :], True
    return tokens, opened


def _candidates(earlier: _Said, core: _Said, today: date, *, points: bool) -> Iterator[tuple[Token, ...]]:
    named = earlier.question.segment
    name = read(f'"{named.name}"') if named else ()
    if points and name:
        yield tuple(_pointed(core.tokens, name))
    words = {token.stem for token in core.tokens if token.kind == "word"}
    if words and words <= _FORMS | NOISE | ASKING:
        yield earlier.tokens
    if (
        name
        and words
        & (RULES | TREND | stems("size member count definition number rule trend growth history connector sync"))
        and not core.question.segments
    ):
        spans = window_spans(earlier.tokens, today) if not core.question.windows else ()
        time = tuple(token for first, after in spans for token in earlier.tokens[first:after])
        yield (*core.tokens, *read("of"), *name, *(time if words & TREND else ()))
    yield from _substituted(earlier, core, today)
    subject = _subject(earlier.question)
    if subject and (words & TREND or core.question.daily):
        yield (*_without_form(earlier.tokens), *read("per day"))
    if subject and core.tokens[0].lower in {"by", "per"}:
        yield (
            *subject,
            *core.tokens,
            *(token for window in window_spans(earlier.tokens, today) for token in earlier.tokens[slice(*window)]),
        )


def _pointed(tokens: Sequence[Token], name: tuple[Token, ...]) -> Iterator[Token]:
    """The tokens with the segment's name where "it" and "they" stand."""
    people = {"they", "them", "their", "those", "these"}
    for at, token in enumerate(tokens):
        following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
        if token.lower not in _POINTING or (
            token.lower in {"that", "this", "those", "these"}
            and following not in {"", "segment", "one", "users", "people"}
            and at == 0
            and len(tokens) > 1
            and following != "segment"
        ):
            if not (token.lower in {"segment", "one"} and at and tokens[at - 1].lower in _POINTING):
                yield token
        elif token.lower in people and at and tokens[at - 1].lower in {"are", "is", "of"}:
            yield from (*read("the members of"), *name)
        else:
            yield from name


def _substituted(earlier: _Said, core: _Said, today: date) -> Iterator[tuple[Token, ...]]:
    """The earlier question with the time span, the segment or the subject of this one."""
    tokens = earlier.tokens
    spans = window_spans(core.tokens, today)
    segments = core.question.mentions
    used = {at for first, after in spans for at in range(first, after)} | {
        at for one in segments for at in range(one.first, one.after)
    }
    rest = tuple(
        token
        for at, token in enumerate(core.tokens)
        if at not in used and token.kind != "sign" and token.stem not in NOISE | ASKING | _FORMS
    )
    if segments and earlier.question.mentions:
        first = earlier.question.mentions[0]
        tokens = (*tokens[: first.first], *read(f'"{segments[0].segment.name}"'), *tokens[first.after :])
    elif segments:
        return
    if rest:
        subject = _subject(earlier.question)
        same = tuple(token for token in subject if token.kind == rest[0].kind and token.kind != "word")
        wanted = same or subject
        if not wanted or wanted[0] not in tokens:
            return
        at = tokens.index(wanted[0])
        tokens = (*tokens[:at], *rest, *(token for token in tokens[at + 1 :] if token not in wanted))
    if spans:
        told = core.tokens[spans[0][0] : spans[0][1]]
        old = window_spans(tokens, today)
        if old and told[0].lower not in _LEADS and tokens[old[0][0]].lower in _PREPOSITIONS:
            told = (tokens[old[0][0]], *told)
        tokens = (*tokens[: old[0][0]], *told, *tokens[old[0][1] :]) if old else (*tokens, *told)
    if tokens != earlier.tokens:
        yield tokens


_PREPOSITIONS: Final = {"in", "over", "during", "within", "for", "on"}
_LEADS: Final = {
    "in",
    "over",
    "during",
    "within",
    "for",
    "since",
    "on",
    "between",
    "from",
    "before",
    "after",
    "today",
    "yesterday",
    "this",
    "last",
}


def _subject(question: Question) -> tuple[Token, ...]:
    """What the question is about, beside segments and time spans: an event, a property."""
    return question.left(SPENT)


def _without_form(tokens: Sequence[Token]) -> tuple[Token, ...]:
    return tuple(token for token in tokens if token.stem not in _FORMS)
