"""Small phrases: comparisons with a number, and lengths of time. Each reader takes tokens and a position.

A reader answers what it read and the position after it, or None.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from segment_copilot.english.budget import spend
from segment_copilot.english.words.lexer import Token, written
from segment_copilot.language.operators import NumberOperator

Operator = NumberOperator
Unit = Literal["m", "h", "d", "w", "mo", "y"]


class Quantity(Struct, frozen=True):
    """A comparison with a number: "more than 3", "$500 or more", "twice", "between 2 and 5", "no"."""

    operator: Operator
    value: float
    value2: float | None = None
    currency: str = ""  # of an amount of money; "" for a plain number
    times: bool = False  # "3 times", "twice": counts what was done
    bare: bool = False  # no word said how to compare
    none: bool = False  # "no orders", "zero orders"
    text: str = ""


class Length(Struct, frozen=True):
    """A length of time in one unit."""

    count: int
    unit: Unit

    @property
    def json(self) -> str:
        """Return it as the language writes it."""
        return f"{self.count}{self.unit}"

    @property
    def words(self) -> str:
        """Return it as a person writes it."""
        name = {"m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}[self.unit]
        return f"{self.count} {name}" + ("s" if self.count != 1 else "")

    @property
    def days(self) -> int | None:
        """Return it in whole days, where that is exact on the calendar."""
        return {"d": self.count, "w": 7 * self.count}.get(self.unit)


COMPARISONS: dict[str, Operator] = {
    "more than": "gt", "more then": "gt", "greater than": "gt", "larger than": "gt", "higher than": "gt",
    "bigger than": "gt", "longer than": "gt", "over": "gt", "above": "gt", "exceeding": "gt", "exceeds": "gt",
    "exceed": "gt", "exceeded": "gt", "in excess of": "gt", "north of": "gt", ">": "gt", "older than": "gt",
    "better than": "gt", "beyond": "gt", "not younger than": "gte", "no younger than": "gte", "no less old than": "gte",
    "no older than": "lte", "not older than": "lte", "at the very least": "gte", "at the least": "gte", "at the most": "lte",
    "any more than": "gt", "larger then": "gt", "no lower than": "gte", "not lower than": "gte",
    "at least": "gte", "no less than": "gte", "not less than": "gte", "no fewer than": "gte", "not fewer than": "gte",
    "minimum of": "gte", "a minimum of": "gte", "minimum": "gte", "min": "gte", ">=": "gte", "upwards of": "gte",
    "not under": "gte", "not below": "gte", "atleast": "gte", "greater than or equal to": "gte", "starting at": "gte",
    "less than": "lt", "less then": "lt", "fewer than": "lt", "smaller than": "lt", "lower than": "lt",
    "under": "lt", "below": "lt", "<": "lt", "younger than": "lt", "cheaper than": "lt", "shorter than": "lt",
    "not even": "lt",
    "at most": "lte", "no more than": "lte", "not more than": "lte", "maximum of": "lte", "a maximum of": "lte",
    "maximum": "lte", "max": "lte", "up to": "lte", "<=": "lte", "not over": "lte", "not above": "lte",
    "not exceeding": "lte", "less than or equal to": "lte", "no greater than": "lte", "no higher than": "lte",
    "exactly": "eq", "precisely": "eq", "equal to": "eq", "equals": "eq", "=": "eq", "just": "eq", "only": "eq",
    "exact": "eq", "a total of exactly": "eq", "!=": "neq", "not equal to": "neq", "not exactly": "neq",
}  # fmt: skip
_BY_WORDS: dict[tuple[str, ...], Operator] = {tuple(words.split()): operator for words, operator in COMPARISONS.items()}
_LONGEST = max(len(words) for words in _BY_WORDS)
_AFTER: dict[tuple[str, ...], Operator] = {
    ("+",): "gte", ("plus",): "gte", ("or", "more"): "gte", ("or", "over"): "gte", ("or", "above"): "gte",
    ("or", "higher"): "gte", ("or", "greater"): "gte", ("and", "up"): "gte", ("and", "above"): "gte",
    ("and", "over"): "gte", ("and", "more"): "gte", ("or", "older"): "gte", ("at", "least"): "gte", ("minimum",): "gte", ("or", "better"): "gte",
    ("or", "less"): "lte", ("or", "fewer"): "lte", ("or", "under"): "lte", ("or", "below"): "lte",
    ("or", "lower"): "lte", ("or", "younger"): "lte", ("at", "most"): "lte", ("maximum",): "lte", ("max",): "lte",
    ("tops",): "lte", ("and", "below"): "lte", ("and", "under"): "lte", ("min",): "gte", ("exactly",): "eq", ("and", "older"): "gte",
    ("and", "younger"): "lte", ("or", "longer"): "gte", ("or", "larger"): "gte", ("or", "bigger"): "gte", ("and", "longer"): "gte",
    ("or", "shorter"): "lte", ("or", "smaller"): "lte", ("or", "beyond"): "gte", ("or", "upwards"): "gte", ("and", "upwards"): "gte", ("upwards",): "gte",
    ("and", "higher"): "gte", ("and", "lower"): "lte", ("and", "beyond"): "gte", ("or", "worse"): "lte",
}  # fmt: skip
_TIMES = {"times", "time", "x", "occasions", "occasion"}
_COUNTED: dict[str, tuple[Operator, int]] = {
    "again": ("gte", 2),
    "once": ("eq", 1),
    "twice": ("gte", 2),
    "thrice": ("gte", 3),
}
_UNITS: dict[str, tuple[Unit, int]] = {
    "minute": ("m", 1), "minutes": ("m", 1), "min": ("m", 1), "mins": ("m", 1), "m": ("m", 1),
    "hour": ("h", 1), "hours": ("h", 1), "hr": ("h", 1), "hrs": ("h", 1), "h": ("h", 1),
    "day": ("d", 1), "days": ("d", 1), "d": ("d", 1), "week": ("w", 1), "weeks": ("w", 1), "w": ("w", 1), "wk": ("w", 1), "wks": ("w", 1),
    "fortnight": ("w", 2), "fortnights": ("w", 2), "month": ("mo", 1), "months": ("mo", 1), "mo": ("mo", 1), "mos": ("mo", 1),
    "quarter": ("mo", 3), "quarters": ("mo", 3), "year": ("y", 1), "years": ("y", 1), "y": ("y", 1), "yr": ("y", 1), "yrs": ("y", 1),
}  # fmt: skip
_BARE_UNITS = {"minute", "hour", "day", "week", "fortnight", "month", "quarter", "year"}


def lowers(tokens: tuple[Token, ...], at: int, count: int) -> tuple[str, ...]:
    """The next *count* words in lower case (fewer at the end)."""
    return tuple(token.lower for token in tokens[at : at + count])


def comparator(tokens: tuple[Token, ...], at: int) -> tuple[Operator, int] | None:
    """Words that say how to compare: "more than", "at least", "<="."""
    for size in range(min(_LONGEST, len(tokens) - at), 0, -1):
        if operator := _BY_WORDS.get(lowers(tokens, at, size)):
            return operator, at + size
    return None


def quantity(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    """A comparison with a number at *at*."""
    spend(5)
    found = (
        _bounded(tokens, at)
        or _between(tokens, at)
        or _none(tokens, at)
        or _counted(tokens, at)
        or _compared(tokens, at)
    )
    if found is None:
        return None
    read, end = found
    times = read.times
    if end < len(tokens) and tokens[end].lower in _TIMES and not read.currency:
        times, end = True, end + 1
    couple = read.operator == "gte" and times and lowers(tokens, end, 2) == ("or", "more")
    if couple:
        end += 2
    if read.bare and (after := _comparison_after(tokens, end)):
        read, end = Quantity(after[0], read.value, currency=read.currency), after[1]
        if end < len(tokens) and tokens[end].lower in _TIMES and not read.currency:
            times, end = True, end + 1
    return _renewed(read, times=times, text=written(tokens[at:end])), end


def _renewed(read: Quantity, *, times: bool, text: str) -> Quantity:
    return Quantity(read.operator, read.value, read.value2, read.currency, times, read.bare, read.none, text)


def _comparison_after(tokens: tuple[Token, ...], at: int) -> tuple[Operator, int] | None:
    for words, operator in _AFTER.items():
        if lowers(tokens, at, len(words)) == words:
            return operator, at + len(words)
    return None


def _numeric(tokens: tuple[Token, ...], at: int) -> Token | None:
    return tokens[at] if 0 <= at < len(tokens) and tokens[at].kind in {"number", "money"} else None


def _between(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    opened = at < len(tokens) and tokens[at].lower in {"between", "from"}
    start = at + 1 if opened else at
    low = _numeric(tokens, start)
    joints = ("and", "to", "-", "up to") if opened else ("to", "-", "up to")
    said = next(
        (
            words
            for words in (joint.split() for joint in joints)
            if lowers(tokens, start + 1, len(words)) == tuple(words)
        ),
        None,
    )
    if low is None or said is None:
        return None
    end = start + 1 + len(said)
    high = _numeric(tokens, end)
    if high is None or high.value < low.value:
        return None
    currency = low.currency or high.currency
    return Quantity("between", low.value, high.value, currency), end + 1


def _bounded(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    """At least 20 and at most 29: both ends are in."""
    low = comparator(tokens, at)
    first = _numeric(tokens, low[1]) if low is not None and low[0] == "gte" else None
    if low is None or first is None or lowers(tokens, low[1] + 1, 1) not in {("and",), ("but",)}:
        return None
    high = comparator(tokens, low[1] + 2)
    second = _numeric(tokens, high[1]) if high is not None and high[0] == "lte" else None
    if high is None or second is None or second.value < first.value:
        return None
    return Quantity("between", first.value, second.value, first.currency or second.currency), high[1] + 1


def _counted(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    compared = comparator(tokens, at)
    start = compared[1] if compared else at
    word = tokens[start].lower if start < len(tokens) else ""
    if word in _COUNTED:
        operator, value = _COUNTED[word]
        following = _comparison_after(tokens, start + 1)
        if compared is None and following:
            return Quantity(following[0], value, times=True), following[1]
        return Quantity(compared[0] if compared else operator, value, times=True, bare=False), start + 1
    if compared is None and word in {"multiple", "couple", "repeatedly"}:
        end = start + 2 if lowers(tokens, start + 1, 1) == ("of",) else start + 1
        return Quantity("gte", 2), end
    if compared is None and lowers(tokens, at, 2) == ("a", "couple"):
        return Quantity("gte", 2), at + (3 if lowers(tokens, at + 2, 1) == ("of",) else 2)
    return None


def _none(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    if lowers(tokens, at, 3) == ("not", "a", "single"):
        return Quantity("eq", 0, none=True), at + 3
    for words in (("not", "even", "once"), ("not", "once"), ("not", "one", "time"), ("not", "a", "single", "time")):
        if lowers(tokens, at, len(words)) == words:
            return Quantity("eq", 0, times=True, none=True), at + len(words)
    if lowers(tokens, at, 2) == ("not", "any"):
        return Quantity("eq", 0, none=True), at + 2
    if (
        at
        and tokens[at - 1].lower in {"is", "=", ":", "to"}
        and lowers(tokens, at + 1, 1) in {(), ("and",), ("or",), (",",), (".",), ("but",)}
    ):
        return None  # "opt-in is no" is a value
    if lowers(tokens, at, 1) == ("no",) and comparator(tokens, at) is None and lowers(tokens, at + 1, 1) != ("longer",):
        return Quantity("eq", 0, none=True), at + 1
    return None


def _compared(tokens: tuple[Token, ...], at: int) -> tuple[Quantity, int] | None:
    compared = comparator(tokens, at)
    start = compared[1] if compared else at
    if compared and lowers(tokens, start, 3) in {("a", "total", "of"), ("the", "amount", "of")}:
        start += 3
    number = _numeric(tokens, start)
    if number is None:
        return None
    operator: Operator = compared[0] if compared else "gte"
    if compared is None and lowers(tokens, start + 1, 1) in {("years",), ("year",), ("yrs",)}:
        after = _comparison_after(tokens, start + 2)
        if after and tokens[after[1] - 1].lower in {"older", "younger", "over", "under", "up"}:
            return Quantity(after[0], number.value, text="older"), after[1]
    none = compared is None and number.value == 0 and not number.currency
    if none:
        return Quantity("eq", 0, none=True), start + 1
    return Quantity(operator, number.value, currency=number.currency, bare=compared is None), start + 1


WHOLE: Final = frozenset({"full", "complete", "whole", "entire"})
"""What may stand between a number and its days: those that are over."""


def length(tokens: tuple[Token, ...], at: int) -> tuple[Length, int] | None:
    """A length of time at *at*: "7 days", "24h", "a week", "two months", "30-day"."""
    for words in (("half", "a", "year"), ("half", "year"), ("half", "-", "year")):
        if lowers(tokens, at, len(words)) == words:
            return Length(6, "mo"), at + len(words)
    number, start = _count_of_units(tokens, at)
    if lowers(tokens, start, 1) == ("-",):
        start += 1
    start += start > at and start < len(tokens) and tokens[start].lower in WHOLE
    word = tokens[start].lower if start < len(tokens) else ""
    if word not in _UNITS or not float(number).is_integer() or number < 1:
        return None
    if start == at and word not in _BARE_UNITS:
        return None
    unit, scale = _UNITS[word]
    return Length(int(number) * scale, unit), start + 1


def _count_of_units(tokens: tuple[Token, ...], at: int) -> tuple[float, int]:
    number = _numeric(tokens, at)
    if number is not None and number.kind == "number":
        return number.value, at + 1
    if lowers(tokens, at, 3) == ("a", "couple", "of"):
        return 2, at + 3
    if lowers(tokens, at, 2) == ("couple", "of"):
        return 2, at + 2
    if lowers(tokens, at, 1) in {("a",), ("an",)}:
        return 1, at + 1
    return 1, at
