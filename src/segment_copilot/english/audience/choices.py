"""One question to the person about words with more than one reading; every option offered can be drafted here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from msgspec import structs

from segment_copilot.english.audience.leaves import Leaf, Problem, leaves
from segment_copilot.english.audience.sentences import read_audience
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import link_event
from segment_copilot.english.plan import Ask, Option
from segment_copilot.english.words.lexer import Token, read, written
from segment_copilot.english.words.lexicon import LIGHT, NOISE, PEOPLE, VAGUE, stems

_MOST: Final = 4
_SAID: Final = {
    "amount": ("spent over 500 in total", "spent over 1000 in total", "an average order value over 100", "made at least 5 orders"),
    "count": ("made at least 5 orders", "visited at least 8 times in the last 30 days", "made at least 3 orders in the last 90 days"),
    "quiet": ("have not visited in 30 days", "have not ordered in 60 days", "have not ordered in 90 days"),
    "recent": ("visited in the last 7 days", "ordered in the last 30 days", "ordered for the first time in the last 30 days", "signed up in the last 30 days"),
    "active": ("visited in the last 30 days", "ordered in the last 30 days", "visited at least 8 times in the last 30 days", "ordered in the last 90 days"),
}  # fmt: skip
"""What people mean by such words, most usual first."""
_COUNTS: Final = ("at least 3 times in the last 30 days", "at least 5 times in the last 90 days", "at least 10 times")
_RECENTLY: Final = ("in the last 7 days", "in the last 30 days", "in the last 90 days")
_QUIET: Final = stems("quiet lapse dormant inactive churn sleep old cold stale silent disengage slip long while lapsed churned sleeping disengaged slipping")  # fmt: skip
_ACTIVE: Final = stems("active engaged engage")
_GOING: Final = stems("go come get turn")
_TEMPLATES: Final = {
    "amount": "spent {} in total",
    "count": "made {} orders",
    "quiet": "have not visited in {}",
    "recent": "visited in the last {}",
    "active": "visited in the last {}",
}
_KINDS: Final = {
    "amount": "how much must somebody have spent, or how often ordered",
    "count": "how often, and in how many days",
    "quiet": "what have they not done, and for how many days",
    "recent": "what have they done, and in how many days",
    "active": "what have they done, and in how many days",
}


def question_of(problems: Sequence[Problem], index: Index, today: date) -> Ask:
    """The question that settles the first of *problems*, which are vague or ambiguous; the others are announced."""
    asked = _question(problems[0], index, today)
    open_ones = [problem for problem in problems[1:] if problem.phrase != problems[0].phrase]
    later = tuple(f"After that I will ask about {problem.phrase!r}: {_about_what(problem)}." for problem in open_ones)
    return structs.replace(asked, before=later)


def _about_what(problem: Problem) -> str:
    vague = [word for word in read(problem.phrase) if word.lower in VAGUE or word.stem in VAGUE]
    return _KINDS[_kind(vague)] if vague else "what is meant"


def _question(problem: Problem, index: Index, today: date) -> Ask:
    if problem.options:
        return Ask(problem.detail, problem.phrase, problem.options[:_MOST], problem.template)
    words = read(problem.phrase)
    vague = [word for word in words if word.lower in VAGUE or word.stem in VAGUE]
    kind = _kind(vague)
    people = bool(words) and (words[-1].stem in PEOPLE or words[0].stem in PEOPLE)
    deed = _deed(words, vague, index)
    rest = tuple(
        word for word in words if word not in vague and word.stem not in PEOPLE | NOISE | LIGHT and word.kind == "word"
    )
    if vague and rest and not deed and (named := _named_alike(rest, index)):
        ask = f"Nothing here measures “{written(words)}”. Do you mean the segment of that name, or something that was done?"
        doing = _readable("", (*_SAID["quiet"], *_SAID["amount"]), index, today, people=people)
        return Ask(ask, problem.phrase, (*named, *doing)[:_MOST], "people who {}")
    options = (
        *_named_alike(words, index),
        *(_readable(deed, _COUNTS if kind == "count" else _RECENTLY, index, today, people=False) if deed else ()),
        *_readable("", _SAID[kind], index, today, people=people),
    )
    said = f"“{written(vague or words)}” has no number"
    ask = f"{said}: {_KINDS[kind]}?" if vague else f"{problem.detail.rstrip('.?')}?"
    return Ask(ask, problem.phrase, options[:_MOST], f"{deed} {{}}" if deed else _TEMPLATES[kind])


def _kind(vague: Iterable[Token]) -> str:
    for word in vague:
        meant = VAGUE.get(word.lower) or VAGUE.get(word.stem) or "amount"
        if word.stem in _ACTIVE:
            return "active"
        if meant == "recency":
            return "quiet" if word.stem in _QUIET or word.lower in _QUIET else "recent"
        return meant
    return "amount"


def _deed(words: tuple[Token, ...], vague: list[Token], index: Index) -> str:
    """What was done, without the vague word: the "order" of "order often"."""
    rest = tuple(word for word in words if word not in vague and word.stem not in PEOPLE)
    links = link_event(rest, index) if any(word.stem not in LIGHT | _GOING for word in rest) else ()
    return written(rest) if links and not links[0].unexplained and vague else ""


def _named_alike(words: tuple[Token, ...], index: Index) -> tuple[Option, ...]:
    """Saved segments whose name shares what the phrase says."""
    said = {word.stem for word in words} - PEOPLE
    shared = {number: len(said & (set(index.segments[number]) - PEOPLE)) for number in index.catalog.segments}
    best = sorted((number for number, count in shared.items() if count), key=lambda number: (-shared[number], number))
    names = [index.catalog.segments[number].name for number in best[:1]]
    return tuple(
        Option(f"In the segment “{name}”", f'people in the segment "{name}"', "a saved segment") for name in names
    )


def _readable(deed: str, candidates: Iterable[str], index: Index, today: date, *, people: bool) -> tuple[Option, ...]:
    """The candidates that can be drafted here, each with what it is read as."""
    options: list[Option] = []
    for candidate in candidates:
        text = f"{deed} {candidate}".strip()
        audience = read_audience(read(text), index, today)
        node = audience.include
        if audience.problems or not isinstance(node, Leaf):
            continue
        effect = " and ".join(sorted({_about(leaf) for leaf in leaves(node)}))
        options.append(Option(text[:1].upper() + text[1:], f"people who {text}" if people else text, effect))
    return tuple(options)


def _about(leaf: Leaf) -> str:
    condition = leaf.condition
    name = condition.get("event_type") or condition.get("property") or "a segment"
    return f"looks at {name}" + (f".{condition['property']}" if condition["type"] == "monetary" else "")
