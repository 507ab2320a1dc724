"""A sentence cut into clauses: where one ends, and what joins it to the one before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

from msgspec import Struct

from segment_copilot.english.budget import TooInvolved
from segment_copilot.english.linking.index import Index
from segment_copilot.english.times.phrases import lowers, quantity
from segment_copilot.english.times.windows import window
from segment_copilot.english.words.lexer import Token, word
from segment_copilot.english.words.lexicon import PEOPLE
from segment_copilot.language.decode import MAX_DEPTH

Joint = Literal["and", "or", "comma", "but", "relative", "except", "then", "before", "after", "with", "nor"]


class Piece(Struct, frozen=True):
    """One clause as tokens, or a parenthesis as pieces. *joint* is what stands before it; *weak* ends a run of and/or."""

    joint: Joint
    tokens: tuple[Token, ...] = ()
    inner: tuple[Piece, ...] = ()
    weak: bool = False
    apart: bool = False  # a comma stands before its "or"
    anew: bool = False  # it names people again: "and anyone who"


_SPOKEN: dict[Joint, str] = {
    "or": "and / or | or else | or",
    "and": "and | and also | & | plus | as well as | along with | together with | in addition to",
    "then": "then | and then | and later | and afterwards | and subsequently | followed by | afterwards | later | subsequently",
    "before": "before | prior to",
    "after": "after",
    "but": "but | but include | include | keep | however | although | though | while | whereas | yet",
    "except": "except | except for | excluding | exclude | excludes | minus | other than | apart from | aside from | leaving out | leave out "
    "| not including | do not include | not counting | unless | omit | omitting",
    "nor": "nor",
    "relative": "who | that | which | whose | where | ; | . | ! | ? | :",
    "with": "with | without | having",
    "comma": ", | —",
}
_JOINTS: dict[tuple[str, ...], Joint] = {
    tuple(words.split()): joint for joint, spoken in _SPOKEN.items() for words in spoken.split(" | ")
}
_LONGEST = max(len(words) for words in _JOINTS)
_KEPT = {"without", "whose", "nor"}
_STRENGTH: dict[Joint, int] = {
    "except": 9, "then": 8, "before": 8, "after": 8, "nor": 7, "or": 6, "but": 5, "and": 4, "with": 3, "relative": 2, "comma": 1,
}  # fmt: skip


def cut(tokens: Sequence[Token], index: Index, today: date, *, depth: int = 0) -> tuple[Piece, ...]:
    """The pieces of a sentence's body, which stands in *depth* parentheses.

    Raises:
        TooInvolved: It is nested deeper than a definition may be.
    """
    if depth > MAX_DEPTH:
        raise TooInvolved
    every = _with_lists(tuple(tokens))
    anew = False
    pieces: list[Piece] = []
    current: list[Token] = []
    joints: list[Joint] = []
    at = 0
    while at < len(every):
        end = _protected(every, at, index, today)
        if end > at:
            current += every[at:end]
            at = end
        elif every[at].lower == "(":
            close = _closing(every, at)
            pieces, current = _closed(pieces, current, joints, anew=anew), []
            pieces.append(
                Piece(
                    _strongest(joints) if joints else "and",
                    inner=cut(every[at + 1 : close], index, today, depth=depth + 1),
                    weak=_weak(joints),
                )
            )
            joints, anew, at = [], False, close + 1
        elif (found := _joint(every, at, current, index)) is not None:
            if current and not _only_people(current):
                pieces, joints, anew = _closed(pieces, current, joints, anew=anew), [], False
            anew = anew or bool(current and joints)
            current = []
            joints.append(found[0])
            current += [token for token in every[at : found[1]] if token.lower in _KEPT]
            at = found[1]
        else:
            current.append(every[at])
            at += 1
    ordering = not current and bool({"then", "after", "before"} & set(joints))
    return tuple(_closed(pieces, [word("afterwards")] if ordering else current, joints, anew=anew))


def _with_lists(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Of "country in (DE, NL)": values in brackets are one or the other."""
    for at in range(1, len(tokens)):
        if tokens[at].lower in {"(", "["} and tokens[at - 1].lower in {"in", "of", "=", "either"}:
            close = next((place for place in range(at, len(tokens)) if tokens[place].lower in {")", "]"}), at)
            inner = tokens[at + 1 : close]
            if inner and all(token.kind != "sign" or token.lower in {",", "/"} for token in inner):
                values = tuple(word("or") if token.kind == "sign" else token for token in inner)
                return (*tokens[:at], *values, *_with_lists(tokens[close + 1 :]))
    return tokens


def _only_people(tokens: Sequence[Token]) -> bool:
    """Whether the clause is still to come: "customers" of "exclude customers who"."""
    return all(token.stem in PEOPLE or token.lower in _QUANTIFIERS for token in tokens)


_QUANTIFIERS = {"any", "all", "the", "those", "every"}


def _closed(pieces: list[Piece], current: list[Token], joints: list[Joint], *, anew: bool) -> list[Piece]:
    if not current:
        return pieces
    apart = {"comma", "or"} <= set(joints)
    made = Piece(_strongest(joints) if joints else "and", tuple(current), weak=_weak(joints), anew=anew, apart=apart)
    return [*pieces, made]


def _strongest(joints: list[Joint]) -> Joint:
    return max(joints, key=lambda joint: _STRENGTH[joint])


def _weak(joints: list[Joint]) -> bool:
    """Whether the joint ends a run: "but", "who" on its own, ", and who"."""
    strongest = _strongest(joints) if joints else "and"
    if strongest in {"or", "nor"}:
        return False
    if strongest == "with":
        return True
    return "but" in joints or "relative" in joints or (strongest == "and" and "comma" in joints)


def _closing(tokens: tuple[Token, ...], at: int) -> int:
    depth = 0
    for position in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[position].lower, 0)
        if depth == 0:
            return position
    return len(tokens)


def _protected(tokens: tuple[Token, ...], at: int, index: Index, today: date) -> int:
    """The end of a window, a quantity or a name that starts at *at*; *at* when none does."""
    found = window(tokens, at, today) or quantity(tokens, at)
    if found and (found[1] > at + 1 or tokens[at].lower not in {"after", "before"}):
        return found[1]
    names = index.cutting.get(tokens[at].lower, ())
    return max([at, *(at + len(name) for name in names if lowers(tokens, at, len(name)) == name)])


def _joint(tokens: tuple[Token, ...], at: int, current: list[Token], index: Index) -> tuple[Joint, int] | None:
    for size in range(min(_LONGEST, len(tokens) - at), 0, -1):
        words = lowers(tokens, at, size)
        if (
            words in _JOINTS
            and not _is_part(tokens, at, words, current)
            and not _is_value(tokens, at, words, current, index)
        ):
            return _JOINTS[words], at + size
    return _within_of(tokens, at, current)


def _is_part(tokens: tuple[Token, ...], at: int, words: tuple[str, ...], current: list[Token]) -> bool:
    """Words that look like a joint and are part of a clause: "but" of "all but", "that page", a final "yet"."""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    if words == ("yet",):
        return (bool(current) and current[-1].lower in {"not", "has", "have"}) or following in {
            "",
            ",",
            ".",
            ";",
            "and",
            "but",
            "or",
        }
    if words in {("that",), ("which",)}:
        return bool(current) and current[-1].lower in {"on", "of", "in", "to"}
    if words in {("with",), ("after",), ("before",), ("later",)}:
        return not current and words not in (("with",), ("after",))
    if words in {("include",), ("keep",)}:
        return bool(current) and current[-1].kind != "sign"
    return words == ("-",)


def _is_value(tokens: tuple[Token, ...], at: int, words: tuple[str, ...], current: list[Token], index: Index) -> bool:
    """Whether a word that joins is a value here: "plus" of "whose plan is plus or premium"."""
    if len(words) != 1 or words[0] not in index.single_values:
        return False
    before = current[-1].lower if current else tokens[at - 1].lower if at else ""
    following = tokens[at + 1].lower if at + 1 < len(tokens) else ""
    if before in {"is", "are", "=", ":", "the", "either", "on", "or", "a"}:
        return True
    return following == "or" or following in index.field_names


def _within_of(tokens: tuple[Token, ...], at: int, current: list[Token]) -> tuple[Joint, int] | None:
    """The "of" of "within 7 days of signing up"."""
    if (
        tokens[at].lower == "of"
        and len(current) >= len(("within", "7", "days"))
        and current[-1].lower.rstrip("s") in {"day", "hour", "week", "month", "minute"}
        and current[-2].lower not in {"every", "each"}
    ):
        return "after", at + 1
    return None
