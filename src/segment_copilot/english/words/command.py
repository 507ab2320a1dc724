"""The command in front of an audience: "create a segment called X for", "show me", "I need a list of"."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import PEOPLE, stems
from segment_copilot.english.words.stems import listed

_POLITE = {
    "please", "can", "could", "would", "will", "you", "i", "we", "want", "need", "like", "d", "to", "help", "let", "lets", "us", "me", "my",
    "hi", "hello", "hey", "now", "just", "ok", "okay", "so", "also", "then", "looking", "look", "am", "are", "for", "should", "must",
}  # fmt: skip
_VERBS = frozenset(
    listed(
        "create build make generate define set draft find get show give list prepare design compose pull "
        "fetch select return display segment target identify see know save craft produce assemble figure "
        "filter query which what who"
    )
)
"""Base forms only: "started a trial" is no command."""
_CREATING = frozenset(
    listed("create build make generate define draft prepare design compose produce assemble craft set save")
)
_NOUNS = stems("segment audience group list cohort bucket")
_DETERMINERS = {
    "a",
    "an",
    "the",
    "new",
    "another",
    "dynamic",
    "this",
    "following",
    "up",
    "out",
    "together",
    "one",
    "my",
    "our",
    "all",
    "of",
    "static",
    "customer",
    "user",
    "contact",
}
_PLAIN = {
    "marketing",
    "target",
    "custom",
    "simple",
    "quick",
    "small",
    "separate",
    "special",
    "campaign",
    "test",
    "audience",
    "email",
}
_LINKS = {
    "for",
    "of",
    "with",
    "containing",
    "contains",
    "including",
    "includes",
    "include",
    "where",
    "that",
    "which",
    "targeting",
    "holding",
    "to",
    "consisting",
    "from",
    "based",
    "on",
    "contain",
    "consists",
    "has",
    "capturing",
    "capture",
    "target",
    "covers",
    "covering",
    "is",
    "are",
    ":",
    "in",
}


class Command(Struct, frozen=True):
    """What was asked for, and what about. *drafts* when a segment was asked for in so many words."""

    rest: tuple[Token, ...]
    drafts: bool = False
    creates: bool = False  # a segment is to be made, not looked up
    name: str = ""


def strip_command(tokens: Sequence[Token]) -> Command:
    """Take the command off the front."""
    every = tuple(tokens)
    at = _polite(every, 0)
    verb = False
    creates = False
    while (
        at < len(every) and every[at].kind == "word" and every[at].lower in _VERBS and not _begins_audience(every, at)
    ):
        verb = True
        creates |= every[at].lower in _CREATING
        at = _polite(every, at + 1)
        if at + 1 < len(every) and every[at].lower == "and" and every[at + 1].lower in _VERBS:
            at += 1
    start, noun = at, _noun(every, at)
    if noun is None:
        return Command(every[at:] if verb else every[_polite(every, 0) if _only_polite(every) else 0 :])
    if not verb and at == 0 and noun == 1 and not _followed(every, noun):
        return Command(every)
    name, at = _named(every, noun)
    at = _linked(every, at)
    if not name:
        name, at = _named(every, at)
        at = _linked(every, at)
    article = any(token.lower in {"a", "an", "new", "another"} for token in every[: noun - 1])
    described = tuple(token for token in every[start : noun - 1] if token.lower not in _DETERMINERS | _PLAIN)
    return Command((*described, *every[at:]), drafts=True, name=name, creates=creates or article)


def _only_polite(tokens: tuple[Token, ...]) -> bool:
    end = _polite(tokens, 0)
    return 0 < end < len(tokens) and tokens[0].lower not in {"for", "are", "to", "so", "now", "just", "my", "us"}


def _polite(tokens: tuple[Token, ...], at: int) -> int:
    while (
        at < len(tokens) and (tokens[at].lower in _POLITE or tokens[at].lower in {",", "-"}) and tokens[at].text != "US"
    ):
        at += 1
    return at


def _begins_audience(tokens: tuple[Token, ...], at: int) -> bool:
    """Of "who" of "users who" begins a clause; "list" as a noun is no verb; so is "segment" before "for"."""
    return at > 0 and tokens[at].stem in _NOUNS and tokens[at - 1].lower in {"a", "an", "the", "new"}


def _noun(tokens: tuple[Token, ...], at: int) -> int | None:
    """The position after "a new segment"."""
    position = at
    while position < len(tokens) and tokens[position].lower in _DETERMINERS:
        position += 1
    described = position
    while (
        position > at and described < min(len(tokens), position + 2) and tokens[described].stem not in _NOUNS | PEOPLE
    ):
        described += 1
    if described < len(tokens) and tokens[described].stem in _NOUNS:
        return described + 1
    if at and tokens[at - 1].stem in _NOUNS and position == at:
        return at
    return None


def _followed(tokens: tuple[Token, ...], at: int) -> bool:
    return at < len(tokens) and tokens[at].lower in _LINKS


def _named(tokens: tuple[Token, ...], at: int) -> tuple[str, int]:
    """The name in "called Big Fish" or "named 'Big Fish'"."""
    start = at
    while start < len(tokens) and tokens[start].lower in {"and", "it", ","}:
        start += 1
    if start >= len(tokens) or tokens[start].lower not in {"called", "named", "titled", "call", "name"}:
        return "", at
    start += 2 if start + 1 < len(tokens) and tokens[start + 1].lower == "it" else 1
    if start < len(tokens) and tokens[start].kind == "quoted":
        return tokens[start].text, start + 1
    end = start
    while end < len(tokens) and tokens[end].lower not in _LINKS | {"who", ",", ";", "."}:
        end += 1
    return " ".join(token.text for token in tokens[start:end]).replace(" - ", "-"), end


def _linked(tokens: tuple[Token, ...], at: int) -> int:
    while at < len(tokens) and (tokens[at].lower in _LINKS or tokens[at].lower in {",", "-", "people", "all"}):
        if tokens[at].lower in {"in", "from", "on", "people", "all", "to", "is", "are"} and tokens[at].lower != "all":
            break
        at += 1
    return at
