"""What a phrase means in a definition: "the order threshold", "the second condition", "the country", "the staff exclusion"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.english.edits.spots import Spot, fields_of
from segment_copilot.english.linking.index import Field, Index
from segment_copilot.english.linking.linker import link_event
from segment_copilot.english.linking.values import mention, tests
from segment_copilot.english.words.lexer import Token
from segment_copilot.english.words.lexicon import LIGHT, NOISE, PEOPLE, concept, stems

Part = Literal["", "number", "amount", "window", "name", "logic"]

CONDITION: Final = stems(
    "condition part bit filter rule clause requirement criterion criteria restriction constraint piece section thing"
)
_WHOLE: Final = stems("condition clause requirement criterion criteria rule")
_WINDOW: Final = stems(
    "window period timeframe time frame range lookback duration span interval timespan date dates recency timing stretch days day weeks months horizon"
)
_NUMBER: Final = stems("threshold count number minimum maximum min max times frequency cutoff limit bar quantity how often many level figure floor ceiling least most bound")  # fmt: skip
_AMOUNT: Final = stems("amount spend spending spent money revenue worth sum total value price cost dollar euro average")
_NAME: Final = stems("name title label")
_LOGIC: Final = stems("logic operator combination")
_PARTS: Final[tuple[tuple[Part, frozenset[str]], ...]] = (
    ("window", _WINDOW),
    ("amount", _AMOUNT),
    ("number", _NUMBER),
    ("name", _NAME),
    ("logic", _LOGIC),
)
_EXCLUSION: Final = stems("exclusion exclude excluded excluding exception")
_ALL: Final = {"all", "both", "every", "each", "everything", "any"}
_FILLER: Final = (
    NOISE
    | LIGHT
    | PEOPLE
    | stems(
        "never not no only look back reach cover span go our own member segment audience draft of part whole current old value as same set who what last second first"
    )
)
_ORDINALS: Final = {"first": 1, "1st": 1, "second": 2, "2nd": 2, "third": 3, "3rd": 3, "fourth": 4, "4th": 4, "fifth": 5, "5th": 5, "last": -1, "final": -1, "former": 1, "latter": -1}  # fmt: skip
_MONEYED: Final = stems("total value price amount cost revenue sum worth spend")


class Target(Struct, frozen=True):
    """A phrase for something in a definition. *words* name it; *part* is which side of it; *place* its ordinal, -1 the last."""

    words: tuple[Token, ...] = ()
    part: Part = ""
    place: int = 0
    excluded: bool = False
    several: bool = False
    condition: bool = False  # "the … condition": all of it, not a value in it

    @property
    def open(self) -> bool:
        """Whether it says nothing: "it", "that"."""
        return not (self.words or self.part or self.place or self.excluded or self.several or self.condition)


def read_target(tokens: Sequence[Token]) -> Target:
    """Sort the words of a phrase."""
    every = tuple(tokens)
    place, rest = _ordinal(every)
    words: list[Token] = []
    part: Part = ""
    several = any(token.lower in _ALL for token in rest)
    excluded = any(token.stem in _EXCLUSION for token in rest)
    for token in rest:
        if token.kind == "sign" or token.stem in _EXCLUSION | CONDITION or token.lower in _ALL:
            continue
        said = _part(token)
        if said and token.kind == "word":
            part = said if part in {"", "number"} else part
            if said == "amount":
                words.append(token)
        elif token.stem not in _FILLER or token.kind in {"name", "quoted", "path"} or token.text == "US":
            words.append(token)
    told = any(token.stem in _WHOLE for token in rest)
    return Target(tuple(words), part, place, excluded, several, told)


def _part(token: Token) -> Part:
    for part, words in _PARTS:
        if token.stem in words:
            return part
    return ""


def _ordinal(tokens: tuple[Token, ...]) -> tuple[int, tuple[Token, ...]]:
    """The place that "the second condition", "condition 2", "exclusion 1" or "the last one" says, and the other words."""
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        nouns = following is None or following.stem in CONDITION | _EXCLUSION or following.lower in {"one", "of", "and"}
        if token.lower in _ORDINALS and nouns:
            return _ORDINALS[token.lower], (*tokens[:at], *tokens[at + 1 :])
        if token.stem in CONDITION | _EXCLUSION and following is not None:
            skip = 2 if following.lower in {"number", "no", "nr"} and at + 2 < len(tokens) else 1
            number = tokens[at + skip]
            if number.kind == "number" and float(number.value).is_integer():
                return int(number.value), (*tokens[: at + 1], *tokens[at + skip + 1 :])
    return 0, tokens


def matching(target: Target, every: Sequence[Spot], index: Index) -> tuple[Spot, ...]:
    """The spots that a phrase may mean; none when some word of it names nothing in the definition."""
    known = [spot for spot in every if not target.excluded or spot.excluded]
    if target.place:
        places = max((spot.place for spot in known if spot.excluded == target.excluded), default=0)
        wanted = target.place if target.place > 0 else places
        known = [spot for spot in known if spot.place == wanted and spot.excluded == target.excluded]
    if not target.words:
        return tuple(known)
    links = {link.event_type: link.score for link in link_event(target.words, index) if not link.unexplained}
    explained = {spot.pointer: _explained(spot, known, target.words, index, links) for spot in known}
    full = [spot for spot in known if len(explained[spot.pointer]) == len(target.words)]
    best = max((links.get(name, 0) for spot in full for name in spot.event_types), default=0)
    return tuple(spot for spot in full if _near(spot, links, best))


_CLOSE: Final = 0.15


def _near(spot: Spot, links: dict[str, float], best: float) -> bool:
    """Whether no other event of the definition is named much better: "order" is not the refund of one."""
    scores = [links[name] for name in spot.event_types if name in links]
    return not scores or max(scores) >= best - _CLOSE


def _explained(
    spot: Spot, every: Sequence[Spot], words: Sequence[Token], index: Index, links: dict[str, float]
) -> frozenset[int]:
    """The words that name the spot; of a test, also those that name its event, if one names the test itself."""
    event = _event_words(spot, words, index, links)
    own = _own_words(spot, words, index)
    if not spot.whole:
        return own | event if own else frozenset()
    inner = (_own_words(test, words, index) for test in every if event and test.home == spot.home)
    return (event | own).union(*inner)


def _event_words(spot: Spot, words: Sequence[Token], index: Index, links: dict[str, float]) -> frozenset[int]:
    if any(name in links for name in spot.event_types):
        return frozenset(range(len(words)))
    if "*" in spot.event_types:
        return frozenset(at for at, word in enumerate(words) if word.stem in _ANY)
    found: set[int] = set()
    for known in index.events:
        if known.name in spot.event_types:
            said = {*known.concepts, *known.meanings}
            found |= {
                at for at, word in enumerate(words) if word.lower == known.name.lower() or concept(word.stem) in said
            }
    kinds = _KINDS.get(spot.kind, frozenset())
    return frozenset(found | {at for at, word in enumerate(words) if word.stem in kinds})


_ANY: Final = stems("event activity active inactive anything inactivity engagement")
_KINDS: Final = {
    "recency": stems("recency inactive last inactivity"),
    "event_sequence": stems("sequence order step then followed"),
    "monetary": _AMOUNT,
    "event_periods": stems("period week month day streak"),
    "sample": stems("sample share percent split"),
}


def _own_words(spot: Spot, words: Sequence[Token], index: Index) -> frozenset[int]:
    """The words that name a tested property, one of its values, or a segment."""
    if spot.kind == "segment_membership":
        name = set(index.segments.get(spot.node.get("segment_id", 0), ()))
        return frozenset(at for at, word in enumerate(words) if word.stem in name or word.lower in _name(spot, index))
    fields = fields_of(spot, index) if spot.path else ()
    bare = spot.path.lower().replace("_", " ").split()
    found = {
        at for at, word in enumerate(words) if word.lower == spot.path.lower() or (not fields and word.lower in bare)
    }
    for field in fields:
        found |= _field_words(field, words)
        if set(field.words) & _MONEYED:
            found |= {at for at, word in enumerate(words) if word.stem in _AMOUNT}
    valued, _ = tests(words, fields, frozenset())
    for test in valued:
        if test.value in spot.values:
            found |= test.used
    return frozenset(found)


def _name(spot: Spot, index: Index) -> set[str]:
    segment = index.catalog.segments.get(spot.node.get("segment_id", 0))
    return {segment.name.lower()} if segment else set()


def _field_words(field: Field, words: Sequence[Token]) -> set[int]:
    found: set[int] = set()
    for at in range(len(words)):
        length, _ = mention(words, at, field, set())
        found |= set(range(at, at + length))
    return found
