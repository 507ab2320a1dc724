"""A conversation up to its last message: what is asked now, what an answer settles, what a short question leans on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import UNSET, Struct, structs
from rapidfuzz import fuzz, process, utils

from segment_copilot.english import lexicon
from segment_copilot.english.answers.drafts import document_of, short
from segment_copilot.english.answers.quotes import quotes_of
from segment_copilot.english.budget import TooInvolved, limited
from segment_copilot.english.edits import Edited, added
from segment_copilot.english.orders import without_orders
from segment_copilot.english.outcomes import Asked, Choice, Drafted, Outcome, Refused
from segment_copilot.english.plan import Base, Context
from segment_copilot.english.questions.intents import (
    Understood,
    asked,
    content,
    phrases_of,
    words_of,
)
from segment_copilot.english.questions.leaning import GATE, LONG, plain, question_in
from segment_copilot.english.questions.open_words import answered, ask_about, passes_over
from segment_copilot.english.times.phrases import comparator
from segment_copilot.english.words.languages import said_in_english_only
from segment_copilot.english.words.lexer import Token, depth, read
from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import Condition, MeasureCompare, Rank, decode, encode, meaning
from segment_copilot.language.decode import MAX_DEPTH
from segment_copilot.language.describe import describe
from segment_copilot.language.edits import difference

LONGEST: Final = 2_000
"""Characters of a message that is read."""
STEPS: Final = 600_000
"""What the names of one message may take; a step is about a microsecond."""
_REMEMBERED: Final = 12
_ALIKE: Final = 80  # of 100
_LONGEST_ANSWER: Final = 12  # words
_ORDINALS: Final = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "one": 1, "two": 2, "three": 3, "four": 4,
    "a": 1, "b": 2, "c": 3, "d": 4, "1": 1, "2": 2, "3": 3, "4": 4, "last": -1, "former": 1, "latter": -1,
}  # fmt: skip

ReadAudience = Callable[[str], Outcome]
ReadEdit = Callable[[str, Base], Outcome | None]


class Reads(Struct, frozen=True):
    """Holds the readers of sentences: of an audience, and (where there is one) of a change to a base."""

    audience: ReadAudience
    edit: ReadEdit | None = None


class Said(Struct, frozen=True):
    """A message and what it was understood as; exactly one of the four is there, or none when nothing was said.

    *text* is the request as it stands with its answers. *quotes* tell its words, where that is known.
    """

    text: str = ""
    question: Understood | None = None
    outcome: Outcome | None = None
    edit: Outcome | None = None
    aside: tuple[str, ...] = ()
    base: Base | None = None  # what is on the table after it
    was: Base | None = None  # what was on it before
    counts: bool = False  # the audience was only asked to be counted
    things: bool = False  # what they did was to be counted, and not people
    orders: bool = False  # it asks something of the answer too
    quotes: tuple[Mapping[str, Any], ...] = ()


def dialogue(said: Sequence[str], context: Context, reads: Reads) -> Said:
    """Return the last message as it was understood after those before it.

    What is in view is what the server holds now, whatever messages made of it: each is read over it, and what one of them
    made stays on the table only where nothing is in view.
    """
    texts = said[-_REMEMBERED:]
    base, rest = _made_here(texts, context, reads)
    now = Said(base=base)
    for text in rest:
        now = _next(now if base is None else structs.replace(now, base=base), text, context, reads)
    return now


def _made_here(texts: Sequence[str], context: Context, reads: Reads) -> tuple[Base | None, Sequence[str]]:
    """Return what is in view, with what it was before where this conversation made it, and the messages since."""
    base, since = context.base, 0
    now = Said()
    for at, text in enumerate(texts[:-1] if base is not None else ()):
        before, now = now.base, _next(now, text, structs.replace(context, base=None), reads)
        if base is not None and now.base is not None and now.base is not before and _same(now.base, base):
            base, since = structs.replace(base, earlier=now.base.earlier, named=now.base.named), at + 1
        elif base is not None and _offers(now, base):
            since = at + 1
    return base, texts[since:]


def _offers(said: Said, base: Base) -> bool:
    """Return whether a message asks what is meant, and a draft is one of the answers: it was made of this message."""
    asked = said.edit if isinstance(said.edit, Asked) else said.outcome
    options = asked.options if isinstance(asked, Asked) else ()
    return any(_same(Base(document_of(one.draft.definition)), base) for one in options)


def _same(one: Base, other: Base) -> bool:
    """Return whether two drafts say the same, however they are spelled."""
    try:
        return meaning(decode(one.definition)) == meaning(decode(other.definition))
    except InvalidDefinition:
        return False


def _next(before: Said, text: str, context: Context, reads: Reads) -> Said:
    if len(text) > LONGEST:
        return Said(text, aside=(too_long(text),), base=before.base)
    found = _settled(before, text, reads) or _of_each_answer(before, text, context, reads)
    if found is None:
        try:
            with limited(STEPS):
                found = _read(before, text, context, reads)
        except TooInvolved:
            found = Said(text, aside=(_INVOLVED,), base=before.base)
        except OverflowError:
            found = Said(text, aside=(TOO_LARGE,), base=before.base)
    table = _on_the_table(structs.replace(found, base=before.base))
    return structs.replace(found, base=table or before.base or context.base, was=before.base)


_INVOLVED: Final = "This sentence is too involved for the offline model: please say it in a shorter one."
TOO_LARGE: Final = "A number in this message is too large for the offline model: please say it with a smaller one."


def too_long(text: str) -> str:
    """Return the sentence that refuses a long message."""
    return f"The offline model reads at most {LONGEST:,} characters, and this message has {len(text):,}: please say it in fewer words."


def _on_the_table(found: Said) -> Base | None:
    """Return what a message made: a draft, which the next one may speak of."""
    drafted = found.edit if isinstance(found.edit, Drafted) else found.outcome
    if not isinstance(drafted, Drafted) or found.counts:
        return None
    if isinstance(drafted, Edited):
        return Base(drafted.document, drafted.name, None, False, drafted.assumptions, drafted.named, found.base)
    made = document_of(drafted.definition)
    return Base(made, drafted.name, assumptions=drafted.assumptions, named=drafted.named, earlier=found.base)


def _read(before: Said, text: str, context: Context, reads: Reads) -> Said:
    if (foreign := said_in_english_only(text, context.names.vocabulary)) is not None:
        return Said(text, aside=foreign)
    if not content(read(text)) and not any(token.kind != "sign" for token in read(text)):
        return Said(text, aside=("There is no question in this message.",))
    if depth(read(text)) > MAX_DEPTH:
        raise TooInvolved
    if (gated := _gated(before, text, context, reads)) is not None:
        return gated
    if (counted := _COUNTED.match(text)) is not None and not content(_without(counted[2])):
        return _audience(counted[1], reads, counts=True)
    understood = _fitting(question_in(text, context, before.question, before.base), before)
    edit = reads.edit(text, before.base) if before.base and reads.edit and not _is_told(understood) else None
    if isinstance(edit, Drafted | Asked):
        return Said(text, edit=edit)
    if understood is not None and understood.intent.answer == "count":
        said = _audience(understood.slots.text, reads, counts=True)
        return structs.replace(said, things="people" not in understood.slots.classes)
    if understood is not None and not _begins_a_question(text):
        # "average visit longer than 80 minutes" asks for people
        whom = _says_whom(_audience(text, reads)) if understood.intent.refuse else _says_how_much(text, reads)
        understood = None if whom else understood
    if understood is not None:
        return Said(text, question=understood)
    if edit is not None:
        return Said(text, edit=edit)
    if _asks(text):
        return Said(text, outcome=Refused(""))
    kept, orders = without_orders(text)
    found = _audience(kept, reads)
    if isinstance(found.outcome, Drafted) and _is_part(kept) and (before.base is not None or before.text):
        alone = Choice(describe(found.outcome.definition, context.segment_names), found.outcome)
        return (
            Said(text, edit=_more_or_anew(before.base, found.outcome, context))
            if before.base is not None
            else Said(text, outcome=Asked("Do you mean this, and nothing of what you said before?", (alone,)))
        )
    quotes = tuple(quote for quote in found.quotes if quote["text"] in text)  # an order may have stood inside of one
    return structs.replace(found, orders=orders, quotes=quotes)


def _gated(before: Said, text: str, context: Context, reads: Reads) -> Said | None:
    """Return what a greeting, thanks or an order is taken for; None for any other message."""
    gate = asked(plain(text, context), only=GATE) if len(read(text)) <= LONG else None
    if gate is None or gate.intent.name != "order":
        return None if gate is None else Said(text, question=gate)
    edit = reads.edit(text, before.base) if before.base and reads.edit else None
    if isinstance(edit, Drafted):
        return Said(text, edit=edit)  # "remove the window"
    if _is_wish(text) and _says_whom(wish := _audience(text, reads)):
        return wish  # "I would like to send a card to those who …": the people are asked for
    return Said(text, question=gate)


def _fitting(understood: Understood | None, before: Said) -> Understood | None:
    """Return the question, but for that which says that there is no draft where there is one."""
    return None if understood and understood.intent.name == _NO_DRAFT and before.base is not None else understood


def _is_told(understood: Understood | None) -> bool:
    """Return whether a message only wants to be told something, or thanks: it changes no draft."""
    row = understood.intent if understood is not None else None
    return row is not None and row.answer in {"say", "acknowledged"} and not row.refuse


def _says_whom(found: Said) -> bool:
    """Return whether people were understood, be it without a few words."""
    return isinstance(found.outcome, Drafted | Asked) or (
        isinstance(found.outcome, Refused) and bool(found.outcome.without)
    )


def _says_how_much(text: str, reads: Reads) -> bool:
    """Return whether people are understood by how much of each: "more visits this month than last", "at least one refund"."""
    tokens = read(text)
    compared = [found[1] for at in range(len(tokens)) if (found := comparator(tokens, at)) is not None]
    at_least_one = any(token.lower in _ONE for end in compared for token in tokens[end : end + 1])
    if not at_least_one and not any(token.lower in _MUCH for token in tokens):
        return False
    outcome = _audience(text, reads).outcome
    drafts = [outcome] if isinstance(outcome, Drafted) else []
    drafts += [one.draft for one in outcome.options] if isinstance(outcome, Asked) else []
    return bool(drafts) and all(at_least_one or any(map(_is_much, one.definition.conditions)) for one in drafts)


_ONE: Final = frozenset({"once", "one"})
_MUCH: Final = frozenset({"%", "percent", "cent", "than", "as"})


def _is_much(condition: Condition) -> bool:
    match condition:
        case Rank():  # "top 5 products" are no people
            return condition.top_percent is not UNSET or condition.bottom_percent is not UNSET
        case MeasureCompare():
            return True
        case _:
            return False


def _is_wish(text: str) -> bool:
    """Return whether somebody says what they want to do, and orders nothing."""
    return next((token.lower for token in read(text) if token.kind != "sign"), "") in lexicon.words("first_person")


def _begins_a_question(text: str) -> bool:
    first = next((token.lower for token in read(text) if token.kind != "sign"), "")
    return text.rstrip().endswith("?") or first in phrases_of("begins_a_question")


_NO_DRAFT: Final = "nothing to change"
_NO_AUDIENCE: Final = frozenset({"where", "why", "when", "how"})


def _asks(text: str) -> bool:
    """Return whether a message asks by its beginning: it is no audience, even where its other words would make one."""
    first, second = [*(token for token in read(text) if token.kind != "sign"), None, None][:2]
    if first is None or first.lower != "what":
        return first is not None and first.lower in _NO_AUDIENCE
    return second is not None and not words_of("people").has(second)


_COUNTED: Final = re.compile(r"(.+?)\s*(?:→|->|=>|–>)\s*([^→>]+)$", re.DOTALL)
"""An audience, and behind an arrow that its number is asked for."""


def _without(text: str) -> tuple[Token, ...]:
    """Return the words behind an arrow that ask for anything but a number."""
    counting = words_of("headcount")
    return tuple(token for token in read(text) if not counting.has(token))


def _audience(text: str, reads: Reads, *, counts: bool = False) -> Said:
    """Return what is asked for people: a draft, or a question where words have no number."""
    outcome = reads.audience(text)
    if isinstance(outcome, Refused):
        outcome = ask_about(text, outcome, reads.audience) or outcome
    elif (isinstance(outcome, Asked) and _says_no_number(outcome)) or (
        isinstance(outcome, Drafted) and passes_over(text, outcome.definition)
    ):
        outcome = ask_about(text, None, reads.audience) or outcome
    quotes = quotes_of(text, outcome) if isinstance(outcome, Drafted) else ()
    return Said(text, outcome=outcome, counts=counts, quotes=quotes)


def _says_no_number(asked: Asked) -> bool:
    """Return whether the one reading that is offered counts and dates nothing: "active users" who ever did anything."""
    said = [encode(one.draft.definition) for one in asked.options]
    return len(said) == 1 and b'"window' not in said[0] and set(_NUMBER.findall(said[0])) <= {b"1"}


_NUMBER: Final = re.compile(rb"(?<=:)[0-9.]+")


# Answers to a question of ours


def _settled(before: Said, text: str, reads: Reads) -> Said | None:
    """Return the request before with this answer in it; None when nothing was asked, or this is no answer."""
    if isinstance(before.edit, Asked):
        option = picked(text, [one.label for one in before.edit.options])
        if option is not None:
            return Said(before.text, edit=before.edit.options[option].draft)
    offered = before.outcome.options if isinstance(before.outcome, Asked) else ()
    offered = before.outcome.without if isinstance(before.outcome, Refused) else offered
    if offered:
        option = picked(text, [one.label for one in offered])
        if option is not None:
            drafted = offered[option].draft
            quotes = ({"text": text.strip(), "pointers": [""]}, *quotes_of(before.text, drafted))
            return Said(before.text, outcome=drafted, counts=before.counts, quotes=quotes if text.strip() else ())
    words = content(read(text))
    if not isinstance(before.outcome, Asked | Refused) or not words or len(words) > _LONGEST_ANSWER:
        return None
    corrects = text.lower().startswith(("no,", "no ", "not ", "instead "))
    if corrects or text.rstrip().endswith("?") or (_names_people(text) and isinstance(reads.audience(text), Drafted)):
        return None
    found = _in_own_words(before, text.strip(), reads)
    if found is None:
        return None
    quotes = tuple({"text": part, "pointers": [""]} for part in (text.strip(), before.text.strip()))
    return structs.replace(found, counts=before.counts, quotes=quotes if isinstance(found.outcome, Drafted) else ())


def _names_people(text: str) -> bool:
    """Return whether a message says of whom it speaks, as a request does and an answer does not."""
    return any(words_of("people").has(token) for token in read(text))


def _of_each_answer(before: Said, text: str, context: Context, reads: Reads) -> Said | None:
    """Return what a change makes of each answer to the question before, where the message gives none of them."""
    asked = before.edit if isinstance(before.edit, Asked) else before.outcome
    if not isinstance(asked, Asked) or reads.edit is None or _names_people(text):
        return None
    made: dict[str, Edited] = {}
    for one in asked.options:
        document = one.draft.document if isinstance(one.draft, Edited) else document_of(one.draft.definition)
        changed = reads.edit(text, Base(document, assumptions=one.draft.assumptions))
        if isinstance(changed, Asked) and isinstance(before.edit, Asked):
            return Said(before.text, edit=before.edit)  # both are open: the first is asked again
        if not isinstance(changed, Edited):
            return None
        patch = difference(before.base.definition, changed.document) if before.base is not None else ()
        made.setdefault(meaning(changed.definition), structs.replace(changed, patch=patch))
    options = [Choice(describe(one.definition, context.segment_names), one) for one in made.values()]
    one, *more = options
    return Said(text, edit=Asked(asked.question, tuple(options)) if more else one.draft)


def _is_part(text: str) -> bool:
    """Return whether a message names nobody and asks for no segment: over a draft it may be one condition more."""
    words = [token.lower for token in read(text) if token.kind != "sign"]
    goes_on = any(words[: len(one)] == list(one) for one in map(str.split, phrases_of("goes_on")))
    points = bool({*words} & {"them", "ones", "too", "also"}) and not {*words} & {"who", "whose", "that"}
    return goes_on or points or (not _names_people(text) and bool(words) and words[0] not in lexicon.words("commands"))


def _more_or_anew(base: Base, found: Drafted, context: Context) -> Asked:
    """Ask whether a condition is meant besides the draft on the table, or in its place."""
    both: tuple[Drafted, ...] = (added(base, found, context.catalog), found)
    options = tuple(Choice(describe(one.definition, context.segment_names), one) for one in both)
    return Asked("Is that one condition more, or a new audience?", options)


def _in_own_words(before: Said, text: str, reads: Reads) -> Said | None:
    """Return the request with the answer in the place of the words that it is about, else at its end.

    Where other words of it are still open, that is what is asked next.
    """
    refused = reads.audience(before.text)
    if isinstance(refused, Refused):
        asked = [_audience(whole, reads) for whole in answered(before.text, refused, text, reads.audience)]
        for kind in (Drafted, Asked):
            if (found := next((one for one in asked if isinstance(one.outcome, kind)), None)) is not None:
                return found
        places = [one.text for one in refused.unplaced if one.text and one.text in before.text]
        wholes = [before.text.replace(place, text, 1) for place in places[:1]]
    else:
        wholes = [f"{before.text.rstrip(' .!')} {text}"]
    outcomes = (reads.audience(whole) for whole in wholes)
    drafted = next((structs.replace(one, reading=()) for one in outcomes if isinstance(one, Drafted)), None)
    return None if drafted is None else Said(before.text, outcome=drafted)


def picked(text: str, labels: Sequence[str]) -> int | None:
    """Return which option an answer names: by its words, or by its place in the list."""
    for at, (label, shown) in enumerate(zip(labels, short(labels), strict=True)):
        if text.strip().casefold() in {label.casefold(), shown.casefold(), label[:200].casefold()}:
            return at
    tokens = read(text)
    words = [token.lower for token in tokens]
    told = [one for one in words if one.isalnum() and one not in phrases_of("answer_around")] or [
        one for one in words if one == "one"
    ][:1]
    if len(told) == 1 and told[0] in _ORDINALS and labels and (place := _ORDINALS[told[0]]) <= len(labels):
        return place - 1 if place > 0 else len(labels) - 1
    if any(token.kind in {"number", "money"} for token in tokens):
        return None  # another number than the option's is another answer
    found = process.extractOne(text, labels, scorer=fuzz.token_set_ratio, processor=utils.default_process, score_cutoff=_ALIKE)  # fmt: skip
    return found[2] if found else None
