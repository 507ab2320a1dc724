"""A conversation to what is asked now: answers take the place of the words they were asked about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, structs
from rapidfuzz import fuzz, process, utils

from segment_copilot.english.budget import TooInvolved, limited
from segment_copilot.english.edits.drafted import Drafted
from segment_copilot.english.edits.following import after, calls, commands
from segment_copilot.english.plan import Ask, Context, Option, Plan
from segment_copilot.english.questions.followups import continued
from segment_copilot.english.understanding import understand
from segment_copilot.english.words.lexer import Token, read, written

_REMEMBERED: Final = 12
"""Messages further back say nothing about this one."""
LONGEST: Final = 2_000
"""Characters of a message that is read."""
_OF_HISTORY: Final = 3
_ALIKE: Final = 80  # of 100
_LONGEST_ANSWER: Final = 12  # words of an answer in the person's own words
_ORDINALS: Final = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "one": 1, "two": 2, "three": 3,
                    "four": 4, "a": 1, "b": 2, "c": 3, "d": 4, "1": 1, "2": 2, "3": 3, "4": 4, "last": -1, "former": 1, "latter": -1}  # fmt: skip
_AROUND: Final = {"the", "option", "number", "one", "please", "i", "mean", "meant", "take", "use", "go", "with", "answer", "is", "it", "yes", "ok",
                  "okay", "let", "us", "choose", "pick", ".", ",", "!", "#", ":", ")", "(", "that", "would", "be", "want"}  # fmt: skip


class Dialogue(Struct, frozen=True):
    """*text* is the request as it stands now, *before* the requests before it."""

    text: str
    before: tuple[str, ...] = ()
    drafted: Drafted | None = None  # what an edit would change
    recent: bool = True  # whether that is what was spoken of last


def dialogue(said: Sequence[str], context: Context, *, most: int) -> Dialogue:
    """The conversation up to its last message, from what the person *said*.

    An earlier message that is too long, or takes more than *most* steps, says nothing; so does one after it when all
    together take more than a few times as many.
    """
    shown = context.drafted
    replayed = shown if shown is None or shown.saved else None  # a draft in view is what the messages before made
    now, left = Dialogue("", drafted=replayed), most * _OF_HISTORY
    for utterance in said[-_REMEMBERED:]:
        if not now.text or len(utterance) > LONGEST:
            now = structs.replace(now, text=utterance if len(utterance) <= LONGEST else now.text)
            continue
        with limited(min(most, left)) as work:
            try:
                now = _next(now, utterance, context)
            except (TooInvolved, OverflowError):  # it was refused when it was said
                now = structs.replace(now, text=utterance, before=(*now.before, now.text))
        left = max(0, left - work.spent)
    return structs.replace(now, drafted=_table(shown, now.drafted))


def _next(now: Dialogue, utterance: str, context: Context) -> Dialogue:
    """The conversation with one more message; of *now* the draft is what the messages before made."""
    if len(now.text) > LONGEST:  # with the answers that it was given
        raise TooInvolved
    shown, before = context.drafted, (*now.before, now.text)
    then = structs.replace(context, drafted=_table(shown, now.drafted), recent=now.recent)
    asked = understand(now.text, then, follows=bool(now.before))
    told = shown is not None and commands(utterance, shown, context)
    settled = None if told else _settled(now.text, utterance, asked)
    if settled is not None:
        return structs.replace(now, text=settled)
    question = calls(asked) and after(asked, None) is None
    text = (question and continued(now.text, utterance, then)) or utterance
    recent = after(asked, None) is not None or (now.recent and not calls(asked))
    return Dialogue(text, before, after(asked, now.drafted), recent)


def _table(shown: Drafted | None, replayed: Drafted | None) -> Drafted | None:
    """What lies on the table: the draft in view; else what the messages before made of the segment in view, or of nothing."""
    if shown is None or shown.saved:
        return replayed or shown
    before = replayed.earlier if replayed is not None and replayed.definition == shown.definition else replayed
    return structs.replace(shown, earlier=before)


def _settled(text: str, utterance: str, asked: Plan) -> str | None:
    """*text* with the answer *utterance* in it; None when nothing was asked about it, or this is no answer."""
    if not isinstance(asked, Ask) or not asked.phrase:
        return None
    option = picked(utterance, asked.options)
    if option is not None:
        return asked.around.replace("{}", option.value) if asked.around else replaced(text, asked.phrase, option.value)
    words = read(utterance)
    if not words or len(words) > _LONGEST_ANSWER or utterance.rstrip().endswith("?"):
        return None
    said = _in_own_words(words, asked)
    return asked.around.replace("{}", said) if asked.around else replaced(text, asked.phrase, said)


def picked(utterance: str, options: Sequence[Option]) -> Option | None:
    """The option that an answer names: by its words, or by its place in the list."""
    for option in options:
        if utterance.strip().casefold() in {option.value.casefold(), option.label.casefold()}:
            return option
    tokens = read(utterance)
    words = [token.lower for token in tokens]
    told = [word for word in words if word not in _AROUND] or [word for word in words if word == "one"][:1]
    if len(told) == 1 and told[0] in _ORDINALS and (place := _ORDINALS[told[0]]) <= len(options):
        return options[place - 1 if place > 0 else place] if options else None
    if any(token.kind in {"number", "money"} for token in tokens):
        return None  # another number than the option's is another answer
    found = process.extractOne(
        utterance,
        [option.label for option in options],
        scorer=fuzz.token_set_ratio,
        processor=utils.default_process,
        score_cutoff=_ALIKE,
    )
    return options[found[2]] if found else None


def _in_own_words(words: tuple[Token, ...], asked: Ask) -> str:
    """An answer that is only a number or a length of time is put into the question's template."""
    bare = all(token.kind in {"number", "money", "sign"} or token.lower in _MEASURES for token in words)
    return asked.template.format(written(words)) if asked.template and bare else written(words)


_MEASURES: Final = {"more", "than", "over", "above", "at", "least", "under", "less", "fewer", "below", "up", "to", "or", "about", "around", "days", "day",
                    "weeks", "week", "months", "month", "years", "year", "hours", "hour", "times", "in", "total", "last", "the", "past", "between", "and",
                    "once", "twice"}  # fmt: skip


def replaced(text: str, phrase: str, answer: str) -> str:
    """*text* with *answer* where *phrase* stands, as written or as read; at its end where it cannot be found."""
    pattern = r"\s*".join(re.escape(part) for part in phrase.split())
    for whole in (text, written(read(text))):
        found = re.search(pattern, whole, re.IGNORECASE)
        if found:
            return f"{whole[: found.start()]}{answer}{whole[found.end() :]}"
    return f"{text} and {answer}"
