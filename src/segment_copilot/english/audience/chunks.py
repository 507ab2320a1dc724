"""A clause's words sorted: windows, quantities and negation taken out, the words to be linked left in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from segment_copilot.english.linking.values import Item
from segment_copilot.english.times.phrases import Quantity, lowers, quantity
from segment_copilot.english.times.windows import Window, window
from segment_copilot.english.words.lexer import Token, word, written
from segment_copilot.english.words.lexicon import NOISE, PEOPLE, stems


class Chunk(Struct, frozen=True):
    """One clause, sorted. *items* are words and quantities in order; *tokens* is the clause as written."""

    tokens: tuple[Token, ...]
    items: tuple[Item, ...]
    windows: tuple[Window, ...] = ()
    negated: bool = False
    never: bool = False
    perfect: bool = False  # "have (not) done": with a window, a statement about the last time
    only: bool = False
    ahead: bool = False  # its window stands in front of all that it says
    lead: str = ""  # the preposition or copula in front

    @property
    def words(self) -> tuple[Token, ...]:
        """The words that must be explained."""
        return tuple(
            item for item in self.items if isinstance(item, Token) and item.kind != "sign" and item.stem not in NOISE
        )

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The quantities, in order."""
        return tuple(item for item in self.items if isinstance(item, Quantity))

    @property
    def text(self) -> str:
        """The clause as written, without what only joins it to the sentence."""
        first = 0
        while first < len(self.tokens) and self._joins(first):
            first += 1
        return written(self.tokens[first:])

    def _joins(self, at: int) -> bool:
        token, following = self.tokens[at], lowers(self.tokens, at + 1, 1)
        return (
            token.kind == "sign"
            or token.lower in _JOINING
            or (token.lower in _AUXILIARIES and following not in {("not",), ("never",)})
        )

    @property
    def window(self) -> Window | None:
        """Its window that bounds anything; "ever" does not."""
        bounding = [item for item in self.windows if item.kind != "ever"]
        return bounding[0] if bounding else None


_JOINING = {"who", "that", "which", "whose", "they", "and", "but", "or", "also", "then", "either", "both", "their"}
_AUXILIARIES = {"have", "has", "had", "are", "is", "was", "were", "been", "did", "do", "does"}
_NEGATIONS = {"not", "never", "neither", "nor", "without", "hardly", "none", "nobody", "nothing", "non", "outside"}
_PERFECT = {"have", "has", "had", "having"}
_SKIPPED = stems("must should who which whose they them he she it be also either both then their we i")


def sort(tokens: Sequence[Token], today: date) -> Chunk:
    """Take a clause's tokens apart."""
    every = tuple(tokens)
    items: list[Item] = []
    windows: list[Window] = []
    flags: set[str] = set()
    ahead = False
    at = 0
    while at < len(every):
        read = _phrase(every, at, today)
        if isinstance(read[0], Window):
            ahead = ahead or not any(_says(item) for item in items)
            windows.append(read[0])
        elif isinstance(read[0], Quantity):
            items.append(read[0])
        elif not _flag(every, at, flags) and not _us(every, at):
            items.append(every[at])
        at = read[1]
    return Chunk(
        every, tuple(_one_time(items, dated=bool(windows))), tuple(windows), negated="not" in flags, never="never" in flags, perfect="have" in flags,
        only="only" in flags, ahead=ahead, lead=next((token.lower for token in every if token.lower not in {"who", "that", "they", "not"}), ""),
    )  # fmt: skip


def _says(item: Item) -> bool:
    return isinstance(item, Quantity) or (item.kind != "sign" and item.stem not in NOISE and item.stem not in PEOPLE)


def _phrase(tokens: tuple[Token, ...], at: int, today: date) -> tuple[Window | Quantity | None, int]:
    found = window(tokens, at, today)
    if found and lowers(tokens, found[1], 1) not in {("old",), ("olds",)} and not _of_age(tokens, found[1]):
        return found
    counted = quantity(tokens, at)
    if counted:
        return _without_unit(tokens, *counted)
    return None, at + 1


def _us(tokens: tuple[Token, ...], at: int) -> bool:
    """Whether "us" is the one who asks, not the country."""
    return tokens[at].text == "us" and lowers(tokens, at - 1, 1) not in {("the",), ("in",), ("from",)}


def _of_age(tokens: tuple[Token, ...], at: int) -> bool:
    return lowers(tokens, at, 2) == ("of", "age")


def _without_unit(tokens: tuple[Token, ...], read: Quantity, end: int) -> tuple[Quantity, int]:
    """Drop the units of an age: "30 years old"."""
    if lowers(tokens, end, 1) in {("years",), ("year",), ("yrs",)} and (
        lowers(tokens, end + 1, 1) == ("old",) or _of_age(tokens, end + 1)
    ):
        return read, end + (2 if _of_age(tokens, end + 1) else 1)
    return read, end


def _flag(tokens: tuple[Token, ...], at: int, flags: set[str]) -> bool:
    """Note negation and tense, and say whether the token is spent by that."""
    lower = tokens[at].lower
    if lower in _NEGATIONS:
        flags ^= {"not"}
        if lower == "never":
            flags |= {"never"}
        return True
    if lower in _PERFECT:
        flags |= {"have"}
        return True
    if lower == "only":
        flags |= {"only"}
        return True
    if {*lowers(tokens, at - 1, 1), *lowers(tokens, at + 1, 1)} & {"-"} and at:
        return False  # a part of a name: "we-miss-you"
    return (
        tokens[at].stem in _SKIPPED
        and tokens[at].kind == "word"
        and lower not in {"is", "are", "was", "were", "be", "been"}
    )


def _one_time(items: list[Item], *, dated: bool) -> list[Item]:
    """A "one-time" purchase is one; of a "first-time" one, a time span says when the first was."""
    read: list[Item] = []
    for item in items:
        if not (isinstance(item, Token) and item.lower == "onetime"):
            read.append(item)
        elif dated and item.text.lower().startswith("first"):
            read.append(word("first"))
        else:
            read.append(Quantity("eq", 1, times=True, text=item.text))
    return read
