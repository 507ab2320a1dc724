"""THE TABLE OF OPERATORS: a row holds every fact about an operator, and whatever knows operators reads it here.

What an operator means is not a fact but a function, and stands where it is meant: as SQL in the compiler, as intervals
in `lint`, in plain Python in the tests' reference. tests/language/test_operators.py names what a new row lacks there.
"""

from __future__ import annotations

from typing import Final, Literal, assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

EpochType = Literal["epoch_s", "epoch_ms"]
"""Datetimes that may also be stored as a number since 1970."""

ValueType = Literal["string", "number", "boolean", "datetime", EpochType, "list"]
"""How a value is compared (docs/language.md)."""

NumberOperator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "between", "not_between"]
"""Operators of counts and aggregates."""

RecencyOperator = Literal["gt", "gte", "lt", "lte", "eq", "between"]
MembershipOperator = Literal["in", "not_in"]
_ClockOperator = Literal[
    "before",
    "after",
    "in_last",
    "not_in_last",
    "in_next",
    "in_window",
    "not_in_window",
    "anniversary_in_next",
    "anniversary_in_last",
    "anniversary_in",
]
DateOperator = Literal[NumberOperator, MembershipOperator, _ClockOperator]
PropertyOperator = Literal[
    NumberOperator,
    MembershipOperator,
    "contains",
    "does_not_contain",
    "starts_with",
    "ends_with",
    "matches_regex",
    "is_set",
    "is_not_set",
    "is_empty",
    "is_not_empty",
    "is_true",
    "is_false",
    "contains_any",
    "contains_all",
    "contains_none",
    "equals_set",
    _ClockOperator,
]
"""All of them. (A type checker reads no table, so the names stand here once more; the test compares.)"""

Takes = Literal["nothing", "one", "two", "any", "all", "length", "window", "season"]
"""What stands in `value`: nothing, one value, two ends, a list (any of these, all of these), a length of time, a window
of time, a season (a calendar period, or a month of any year)."""

Sign = Literal["=", ">", ">=", "<", "<=", ".."]
Seeks = Literal["whole", "part", "start", "end"]

DATETIMES: Final[frozenset[ValueType]] = frozenset({"datetime", "epoch_s", "epoch_ms"})
_ORDERED: Final[frozenset[ValueType]] = frozenset({"string", "number", *DATETIMES})
_EQUATED: Final[frozenset[ValueType]] = frozenset({"boolean", *_ORDERED})
EVERY_TYPE: Final[frozenset[ValueType]] = frozenset({"list", *_EQUATED})


class Phrase(Struct, frozen=True):
    """A phrase is a test in words, and its opposite; the values it takes go where the braces are."""

    affirmation: str
    denial: str


class Operator(Struct, frozen=True, kw_only=True):
    """Holds everything about one operator that is not its meaning."""

    name: PropertyOperator
    takes: Takes
    types: frozenset[ValueType]  # the value types that have it
    phrase: Phrase
    phrase_of_dates: Phrase | None = None  # where a date has other words
    phrase_of_texts: Phrase | None = None
    amount: str = ""  # its words for a count or an aggregate; "" where these do not have it
    positive: bool = True  # a negative one is true of a missing value
    complement: PropertyOperator | None = None  # the exact one, true of whomever this is not, the missing included
    opposite: PropertyOperator | None = None  # the one that is true of every other value that is there
    several: PropertyOperator | None = None  # the one that takes a list of what this takes one of
    sign: Sign | None = None  # how its positive compares, where values have an order
    seeks: Seeks | None = None  # what the texts it takes are, of a stored text or of an element of a stored list
    units: str = "m h d w mo y"  # those of its length
    least: int = 1  # the count of its length: 0d is today

    @property
    def takes_list(self) -> bool:
        """True when it takes a list, as long as it may be."""
        return self.takes in {"any", "all"}

    @property
    def takes_other(self) -> bool:
        """True when it may compare with another stored value."""
        return self.takes == "one" and self.sign is not None

    def phrase_for(self, value_type: str | None) -> Phrase:
        """Return the phrase of a test that compares in this type."""
        if value_type in DATETIMES:
            return self.phrase_of_dates or self.phrase
        return (value_type == "string" and self.phrase_of_texts) or self.phrase


def _pair(
    positive: Operator, negative: PropertyOperator, *, amount: str = "", several: PropertyOperator | None = None
) -> tuple[Operator, Operator]:
    """Return the positive operator and its exact complement, which takes the same and has the same types."""
    other = replace(
        positive,
        name=negative,
        positive=False,
        complement=positive.name,
        opposite=positive.name,
        several=several,
        amount=amount,
        phrase=_swap(positive.phrase),
        phrase_of_dates=positive.phrase_of_dates and _swap(positive.phrase_of_dates),
        phrase_of_texts=positive.phrase_of_texts and _swap(positive.phrase_of_texts),
    )
    return replace(positive, complement=negative, opposite=negative), other


def _swap(phrase: Phrase) -> Phrase:
    return Phrase(phrase.denial, phrase.affirmation)


_ROWS: Final[tuple[Operator, ...]] = (
    *_pair(
        Operator(
            name="eq",
            takes="one",
            types=_EQUATED,
            phrase=Phrase("is {0}", "is not {0}"),
            amount="exactly {0}",
            several="in",
            sign="=",
            seeks="whole",
        ),
        "neq",
        amount="anything but {0}",
        several="not_in",
    ),
    Operator(
        name="gt",
        takes="one",
        types=_ORDERED,
        phrase=Phrase("is more than {0}", "is not more than {0}"),
        phrase_of_dates=Phrase("is after {0}", "is not after {0}"),
        phrase_of_texts=Phrase("sorts after {0}", "does not sort after {0}"),
        amount="more than {0}",
        opposite="lte",
        sign=">",
    ),
    Operator(
        name="gte",
        takes="one",
        types=_ORDERED,
        phrase=Phrase("is at least {0}", "is not at least {0}"),
        phrase_of_dates=Phrase("is on or after {0}", "is not on or after {0}"),
        phrase_of_texts=Phrase("sorts at or after {0}", "does not sort at or after {0}"),
        amount="at least {0}",
        opposite="lt",
        sign=">=",
    ),
    Operator(
        name="lt",
        takes="one",
        types=_ORDERED,
        phrase=Phrase("is less than {0}", "is not less than {0}"),
        phrase_of_dates=Phrase("is before {0}", "is not before {0}"),
        phrase_of_texts=Phrase("sorts before {0}", "does not sort before {0}"),
        amount="less than {0}",
        opposite="gte",
        sign="<",
    ),
    Operator(
        name="lte",
        takes="one",
        types=_ORDERED,
        phrase=Phrase("is at most {0}", "is not at most {0}"),
        phrase_of_dates=Phrase("is on or before {0}", "is not on or before {0}"),
        phrase_of_texts=Phrase("sorts at or before {0}", "does not sort at or before {0}"),
        amount="at most {0}",
        opposite="gt",
        sign="<=",
    ),
    *_pair(
        Operator(
            name="between",
            takes="two",
            types=_ORDERED,
            phrase=Phrase("is from {0} to {1}", "is not from {0} to {1}"),
            phrase_of_texts=Phrase("sorts from {0} to {1}", "does not sort from {0} to {1}"),
            amount="from {0} to {1}",
            sign="..",
        ),
        "not_between",
        amount="less than {0} or more than {1}",
    ),
    *_pair(
        Operator(
            name="in",
            takes="any",
            types=_EQUATED,
            phrase=Phrase("is {0}", "is not {0}"),
            sign="=",
            seeks="whole",
        ),
        "not_in",
    ),
    *_pair(
        Operator(
            name="contains",
            takes="one",
            types=frozenset({"string", "list"}),
            phrase=Phrase("contains {0}", "does not contain {0}"),
            several="contains_any",
            seeks="part",
        ),
        "does_not_contain",
        several="contains_none",
    ),
    Operator(
        name="starts_with",
        takes="one",
        types=frozenset({"string"}),
        phrase=Phrase("starts with {0}", "does not start with {0}"),
        seeks="start",
    ),
    Operator(
        name="ends_with",
        takes="one",
        types=frozenset({"string"}),
        phrase=Phrase("ends with {0}", "does not end with {0}"),
        seeks="end",
    ),
    Operator(
        name="matches_regex",
        takes="one",
        types=frozenset({"string"}),
        phrase=Phrase("matches the pattern {0}", "does not match the pattern {0}"),
    ),
    *_pair(
        Operator(name="is_set", takes="nothing", types=EVERY_TYPE, phrase=Phrase("is known", "is unknown")),
        "is_not_set",
    ),
    *_pair(
        Operator(
            name="is_not_empty",
            takes="nothing",
            types=EVERY_TYPE,
            phrase=Phrase("is known and not empty", "is unknown or empty"),
        ),
        "is_empty",
    ),
    Operator(
        name="is_true",
        takes="nothing",
        types=frozenset({"boolean"}),
        phrase=Phrase("is true", "is not true"),
        opposite="is_false",
    ),
    Operator(
        name="is_false",
        takes="nothing",
        types=frozenset({"boolean"}),
        phrase=Phrase("is false", "is not false"),
        opposite="is_true",
    ),
    *_pair(
        Operator(
            name="contains_any",
            takes="any",
            types=frozenset({"list"}),
            phrase=Phrase("contains {0}", "does not contain {0}"),
            seeks="whole",
        ),
        "contains_none",
    ),
    Operator(
        name="contains_all",
        takes="all",
        types=frozenset({"list"}),
        phrase=Phrase("contains {0}", "does not contain all of {0}"),
        seeks="whole",
    ),
    Operator(
        name="equals_set",
        takes="all",
        types=frozenset({"list"}),
        phrase=Phrase("is exactly {0}", "is not exactly {0}"),
        seeks="whole",
    ),
    Operator(
        name="before",
        takes="one",
        types=DATETIMES,
        phrase=Phrase("is before {0}", "is not before {0}"),
        sign="<",
    ),
    Operator(
        name="after",
        takes="one",
        types=DATETIMES,
        phrase=Phrase("is after {0}", "is not after {0}"),
        sign=">",
    ),
    *_pair(
        Operator(
            name="in_last",
            takes="length",
            types=DATETIMES,
            phrase=Phrase("is in the last {0}", "is not in the last {0}"),
        ),
        "not_in_last",
    ),
    Operator(
        name="in_next",
        takes="length",
        types=DATETIMES,
        phrase=Phrase("is in the next {0}", "is not in the next {0}"),
    ),
    *_pair(
        Operator(
            name="in_window",
            takes="window",
            types=DATETIMES,
            phrase=Phrase("is {0}", "is not {0}"),
        ),
        "not_in_window",
    ),
    Operator(
        name="anniversary_in_next",
        takes="length",
        types=DATETIMES,
        phrase=Phrase("has an anniversary in the next {0}", "has no anniversary in the next {0}"),
        units="d w mo y",
        least=0,
    ),
    Operator(
        name="anniversary_in_last",
        takes="length",
        types=DATETIMES,
        phrase=Phrase("had an anniversary in the last {0}", "had no anniversary in the last {0}"),
        units="d w mo y",
        least=0,
    ),
    Operator(
        name="anniversary_in",
        takes="season",
        types=DATETIMES,
        phrase=Phrase("has an anniversary {0}", "has no anniversary {0}"),
    ),
)

OPERATORS: Final[dict[str, Operator]] = {row.name: row for row in _ROWS}

POSITIVE_OF: Final[dict[str, str]] = {
    row.name: row.complement for row in _ROWS if not row.positive and row.complement is not None
}
"""Each negative operator is the exact complement of its positive one, so it matches a missing value."""

LENGTHS: Final = frozenset(row.name for row in _ROWS if row.takes == "length")
"""Operators whose value is a length; their answer changes with the clock alone."""

WINDOWS: Final = frozenset(row.name for row in _ROWS if row.takes in {"window", "season"})
"""Operators whose value is a window of time, as an object."""

RANGES: Final = frozenset(row.name for row in _ROWS if row.takes == "two")
OPPOSITE_NUMBER: Final = cast(
    "dict[NumberOperator, NumberOperator]", {row.name: row.opposite for row in _ROWS if row.amount}
)
"""The exact complement among numbers that are never missing."""


def operators_of(value_type: ValueType) -> frozenset[str]:
    """Return the operators that values of a type are tested with."""
    return frozenset(row.name for row in _ROWS if value_type in row.types)


def holds(operator: NumberOperator, number: float, low: float, high: float | None = None) -> bool:
    """Return whether *number* passes the test; *high* is the upper end of a range."""
    row = OPERATORS[operator]
    return _compares(cast("Sign", row.sign), number, low, high) == row.positive


def _compares(sign: Sign, number: float, low: float, high: float | None) -> bool:
    match sign:
        case "=":
            return number == low
        case ">":
            return number > low
        case ">=":
            return number >= low
        case "<":
            return number < low
        case "<=":
            return number <= low
        case "..":
            return high is not None and low <= number <= high
        case _:
            assert_never(sign)
