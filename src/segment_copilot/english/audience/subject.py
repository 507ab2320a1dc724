"""Who an audience is about: "US customers", "repeat buyers", "VIP Buyers", "pricing page visitors"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct, structs

from segment_copilot.english.audience.chunks import sort
from segment_copilot.english.audience.clauses import event_leaf, read_clause
from segment_copilot.english.audience.leaves import Leaf, Node, Problem, joined
from segment_copilot.english.audience.refusals import vague
from segment_copilot.english.audience.traits import read_traits
from segment_copilot.english.linking.index import Index
from segment_copilot.english.linking.linker import link_event, link_segment
from segment_copilot.english.times.phrases import Quantity
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, PLAIN_PEOPLE, VAGUE, agent, stems
from segment_copilot.language.catalog import SegmentName


class Subject(Struct, frozen=True):
    """What the words up to the first clause say: a condition, a problem, or nothing; and where the clauses begin."""

    node: Node | Problem | None
    end: int


_STOPS = {
    "who",
    "that",
    "whose",
    "with",
    "without",
    "in",
    "from",
    "on",
    "having",
    "and",
    "or",
    "but",
    ",",
    ":",
    "except",
    "exclude",
    "include",
    "excluding",
    "which",
    "where",
    "(",
    "at",
    "living",
    "based",
    "aged",
    "unless",
    "then",
    "not",
    "never",
    "using",
    "located",
    "under",
    "over",
    "to",
    "for",
}
_COMPOUNDS = stems(
    "support service portal review profile page satisfaction care success id base journey experience data area account relation feedback survey login"
)
_QUANTIFIERS = {"all", "any", "every", "each", "only", "other", "such"}
_REPEAT = stems("repeat returning recurring multiple")
_FIRST = stems("onetime single")
_NON = {"non"}
_REACH = 7


def read_subject(tokens: Sequence[Token], index: Index, today: date) -> Subject:
    """Read the subject at the start of *tokens*."""
    prefix = _prefix(tokens)
    for end in range(len(prefix), 0, -1):
        segments = link_segment(prefix[:end], index)
        if segments and _boundary(tokens, end) and _as_name(prefix[:end], segments[0].name):
            return Subject(_in_segment(segments[0]), end)
    people = [at for at, token in enumerate(prefix) if _is_subject(tokens, at, token)]
    if not people:
        return Subject(None, 0)
    noun = prefix[people[-1]]
    things, end = _of_what(tokens, people[-1] + 1) if agent(noun.stem, noun.lower) else ((), people[-1] + 1)
    return Subject(_described((*prefix[: people[-1]], *things), noun, index, today), end)


def _of_what(tokens: Sequence[Token], at: int) -> tuple[tuple[Token, ...], int]:
    """The object of "buyers of shoes"."""
    end = at + 1
    if at >= len(tokens) or tokens[at].lower != "of":
        return (), at
    while end < len(tokens) and tokens[end].lower not in _STOPS:
        end += 1
    return tuple(tokens[at + 1 : end]), end


def _is_subject(tokens: Sequence[Token], at: int, token: Token) -> bool:
    """Whether a noun for people is the subject: a clause follows it, and it is not part of another noun ("customer service")."""
    if token.kind != "word" or (token.stem not in PEOPLE and agent(token.stem, token.lower) is None):
        return False
    following = tokens[at + 1] if at + 1 < len(tokens) else None
    return following is None or following.stem not in _COMPOUNDS


def _in_segment(segment: SegmentName) -> Leaf:
    note = f"{segment.name!r} is read as the segment of that name"
    return Leaf(
        {"type": "segment_membership", "segment_id": segment.id, "operator": "in"}, f"in {segment.name}", (note,)
    )


def _as_name(words: Sequence[Token], name: str) -> bool:
    """Whether a phrase that also describes ("cart abandoners") is written as the segment's name."""
    if agent(words[-1].stem, words[-1].lower) is None and words[-1].stem not in PLAIN_PEOPLE:
        return True
    return written(words).replace(" - ", "-").endswith(name)


def _boundary(tokens: Sequence[Token], end: int) -> bool:
    return end == len(tokens) or tokens[end].lower in _STOPS or tokens[end].stem in PEOPLE


def _prefix(tokens: Sequence[Token]) -> tuple[Token, ...]:
    prefix: list[Token] = []
    for token in tokens[:_REACH]:
        if token.lower in _STOPS or token.kind in {"number", "money", "path"}:
            break
        prefix.append(token)
    return tuple(prefix)


def _described(modifiers: Sequence[Token], noun: Token, index: Index, today: date) -> Node | Problem | None:
    words = tuple(
        token
        for token in modifiers
        if token.kind != "sign" and token.lower not in _QUANTIFIERS and (token.stem not in NOISE or token.text == "US")
    )
    deed = agent(noun.stem, noun.lower)
    if deed and (words or noun.stem not in PLAIN_PEOPLE):
        return _agent(words, noun, deed, index, today)
    if not words:
        return None
    segments = link_segment(words, index)
    if segments:
        return _in_segment(segments[0])
    chunk = sort(words, today)
    traits = read_traits(chunk, index)
    if traits is not None:
        return traits
    if words[0].stem in _REPEAT and len(words) == 1:
        return _bought(Quantity("gte", 2, text="repeat"), f"{written(modifiers)} {noun.text}", index, today)
    if len(words) == 1 and words[0].stem in stems("pay purchase convert"):
        return _bought(Quantity("gte", 1), f"{written(modifiers)} {noun.text}", index, today)
    if any(token.lower in VAGUE or token.stem in VAGUE for token in words):
        return structs.replace(vague(chunk, index), phrase=written([*modifiers, noun]))
    read = read_clause(chunk, index)
    if isinstance(read, Leaf) and read.link:
        return Leaf(
            read.condition,
            read.text,
            (*read.notes, f"{written([*modifiers, noun])!r} is read as people with `{read.link.event_type}`"),
            read.link,
        )
    return read


def _agent(words: tuple[Token, ...], noun: Token, deed: str, index: Index, today: date) -> Node | Problem | None:
    text = written([*words, noun])
    if noun.stem == "abandon":
        return _abandoners(words, text, index, today)
    first = words[0] if words else None
    if (
        deed == "purchase"
        and first is not None
        and len(words) == 1
        and (first.stem in _REPEAT | _FIRST or first.lower in _NON)
    ):
        count = (
            Quantity("gte", 2)
            if first.stem in _REPEAT
            else Quantity("eq", 0, none=True)
            if first.lower in _NON
            else Quantity("eq", 1)
        )
        return _bought(count, text, index, today)
    if any(token.lower in VAGUE for token in words) or deed == "spend":
        traits = read_traits(sort(words, today), index) if words else None
        if traits is None or isinstance(traits, Problem):
            return vague(sort([*words, noun], today), index)
    chunk = sort([word(deed), *words], today)
    read = read_clause(chunk, index)
    if isinstance(read, Leaf):
        return Leaf(read.condition, text, read.notes, read.link, verbs=(word(deed),))
    return read


def _bought(count: Quantity, text: str, index: Index, today: date) -> Node | Problem:
    chunk = sort([word("purchase")], today)
    links = link_event(chunk.items, index)
    if not links:
        return Problem("missing", text, "no event type here is a purchase")
    leaf = event_leaf(chunk, links[0], count)
    if isinstance(leaf, Problem):
        return leaf
    return Leaf(leaf.condition, text, (), leaf.link, first=text.lower().startswith("first"))


def _abandoners(words: tuple[Token, ...], text: str, index: Index, today: date) -> Node | Problem:
    what = words or (word("cart"),)
    added = read_clause(sort([word("added"), *what], today), index)
    if isinstance(added, Problem):
        return added
    bought = _bought(Quantity("eq", 0, none=True), text, index, today)
    if isinstance(bought, Problem):
        return bought
    note = f"{text!r} is read as: added to the {written(what)} and did not purchase"
    left = Leaf(added.condition, text, (*added.notes, note), added.link) if isinstance(added, Leaf) else added
    return joined("AND", (left, bought))
