"""Reads a message as a question: by itself, as one that leans on the one before, or as the question among remarks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from msgspec import structs

from segment_copilot.english.plan import Base, Context
from segment_copilot.english.questions.intents import Slots, Understood, asked, content, known_words, phrases_of
from segment_copilot.english.questions.named import Unfit, event_in, field_in, other_value
from segment_copilot.english.questions.question import Question, user_in
from segment_copilot.english.words.lexer import read
from segment_copilot.english.words.lexicon import stems
from segment_copilot.english.words.sentence import read_sentence

GATE: Final = ("secrets", "other workspace", "greeting", "itself", "order", "acknowledged")
"""Rows that are tried before a change of the draft: none of them is one."""
LONG: Final = 80
"""Words: a longer message is no question, but one of its last sentences may be."""
_BARE: Final = 3  # words of "refunds?"
_LAST: Final = 3
_SHORT: Final = 7  # words of a message that leans on another without saying so
_FORMS: Final = stems(
    "table chart graph plot list bar bars number text card picture diagram line csv again please same"
)


def question_in(text: str, context: Context, before: Understood | None, base: Base | None) -> Understood | None:
    """Return the question that a message asks, as far as it leans on the one *before* or on what is looked at (*base*)."""
    user, rest, sure = user_in(text)
    if user:
        found = asked(_sorted(rest, context, user=user))
        if found is not None and (sure or found.slots.segments or not found.slots.text):
            return found
    question = _sorted(text, context)
    if len(question.tokens) > LONG:
        return _one_sentence(question, context)
    earlier = before if before is not None and before.intent.follows else None
    looked_at = base is not None and not question.mentions
    if earlier is None:
        found = asked(question, base=looked_at) or _one_sentence(question, context)
        return found or _of_the_viewed(base, question, context)
    core, opened = _opened(question, context)
    leans = opened or _points(question) or len(question.free) <= _BARE
    if leans and (found := _substituted(earlier, core)) is not None:
        return found
    if leans and (found := asked(core, inherited=earlier.slots)) is not None:
        return found
    found = asked(question, base=looked_at)
    if found is None and len(question.free) <= _SHORT:
        found = asked(core, inherited=earlier.slots)
    return found or _one_sentence(question, context)


def _of_the_viewed(base: Base | None, question: Question, context: Context) -> Understood | None:
    """Of "is it growing?", "trend": a question about the saved segment that the person looks at."""
    segment = context.catalog.segments.get(base.segment_id or 0) if base is not None else None
    if segment is None or question.mentions or len(question.free) > _SHORT:
        return None
    return asked(question, inherited=Slots(segments=(segment,)))


def _sorted(text: str, context: Context, *, user: str = "") -> Question:
    names = context.names
    read_as = read_sentence(text, names.vocabulary | known_words(), names.is_name)
    return Question(read_as.tokens, context, user=user, notes=tuple(note for _, note in read_as.notes))


def plain(text: str, context: Context) -> Question:
    """Return the words of a message as they were typed."""
    return Question(read(text), context)


def _one_sentence(question: Question, context: Context) -> Understood | None:
    """Of "that sounds wrong. How many members does it have?": the question among remarks, the last one first."""
    ends = [at for at, token in enumerate(question.tokens) if token.text in {".", "!", "?"}]
    for start, end in list(pairwise([-1, *ends]))[: -_LAST - 1 : -1]:
        if question.tokens[end].text == "?" and 1 < end - start <= min(LONG, len(question.tokens) - 1):
            found = asked(Question(question.tokens[start + 1 : end + 1], context))
            if found is not None and found.intent.name not in GATE:
                return found
    return None


def _opened(question: Question, context: Context) -> tuple[Question, bool]:
    """Return the question without the words that lean on what was said before, and whether there were any."""
    tokens, opened = question.tokens, False
    phrases = [tuple(phrase.split()) for phrase in phrases_of("openers")]
    while found := next((one for one in phrases if tuple(token.lower for token in tokens[: len(one)]) == one), None):
        tokens, opened = tokens[len(found) :], True
    by = bool(tokens) and tokens[0].lower in {"by", "per", "in", "on", "as"}
    return Question(tokens, context), opened or by


def _points(question: Question) -> bool:
    return not question.mentions and bool(
        {"it", "its", "they", "them", "their", "that", "those"} & set(question.lowers)
    )


def _substituted(earlier: Understood, core: Question) -> Understood | None:
    """Return the earlier question with the time span, segment, event or property of this one; None when it says more."""
    before = earlier.slots
    left = tuple(at for at in core.free if core.tokens[at].stem not in _FORMS and content((core.tokens[at],)))
    spent = frozenset(core.free) - frozenset(left)
    event, field = before.event, before.field
    if left and event is not None:
        event = other_value(core, left, event) or event_in(core, spent, left)
    elif left and field is not None:
        owned = field_in(core, spent, left, "")
        field = None if isinstance(owned, Unfit) else owned
    elif left:
        return None
    if (event, field) == (None, None) and left:
        return None
    if core.segments and len(core.segments) != len(before.segments):
        return None
    if not (left or core.windows or core.segments or any(core.tokens[at].stem in _FORMS for at in core.free)):
        return None
    return structs.replace(earlier, slots=_merged(before, core, event, field))


def _merged(before: Slots, core: Question, event: Any, field: Any) -> Slots:
    return structs.replace(
        before,
        segments=core.segments or before.segments,
        windows=core.windows or before.windows,
        event=event,
        field=field,
        notes=core.notes,
    )
