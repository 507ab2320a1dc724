"""Makes of the rows that several shards answer those that one server would have answered.

Every user is on one shard, with all rows about them. So numbers of users add up, lists of users follow one another, and what is
said of one user comes from one shard. How a query's rows go together stands where the query is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, cast

from msgspec import Struct, field

Row = tuple[Any, ...]
Fold = Literal["add", "min", "max", "any"]
_MOST_RANKED: Final = 10_000  # rows that a preview may answer
_Map = tuple[list[Any], list[Any]]


class Merge(Struct, frozen=True):
    """Says how the rows of several shards go together."""

    together: Callable[[Sequence[Sequence[Row]]], list[Row]]
    params: Mapping[str, object] = field(default_factory=dict[str, object])
    """Values of parameters in place of the query's own, for shards: each has to answer whole what is cut afterwards."""


def _one_after_another(answers: Sequence[Sequence[Row]]) -> list[Row]:
    return list(chain.from_iterable(answers))


ROWS: Final = Merge(_one_after_another)
"""All rows of one shard, then all of the next: for rows of users, in no order; or for who adds them up in Python."""

DISTINCT: Final = Merge(lambda answers: list(dict.fromkeys(_one_after_another(answers))))
"""Every row once."""

ALIKE: Final = Merge(lambda answers: list(answers[0]))
"""The rows of the first: for what all shards answer alike."""


def ordered(*columns: int, limit: int | None = None, offset: int = 0) -> Merge:
    """Keep the order that each shard gives by *columns* (a negative one counts from 1: -1 is the first, descending).

    *limit* and *offset* are the parameters of the query that have these names. With an offset each shard answers from its
    first row on, because nobody knows how many of another's stand before them.
    """

    def together(answers: Sequence[Sequence[Row]]) -> list[Row]:
        rows = _one_after_another(answers)
        for column in reversed(columns):
            place = -column - 1 if column < 0 else column
            rows.sort(key=lambda row: _key(row[place]), reverse=column < 0)
        return rows[offset : None if limit is None else offset + limit]

    return Merge(together, {"limit": offset + (limit or 0), "offset": 0} if offset else {})


def ranked(limit: int, *, total: Literal["sum", "rows"]) -> Merge:
    """Rank rows of a name, a number and a total of all: the largest numbers first, then by name.

    The total is the *sum* of what all shards have, or how many *rows* there are of them together: at least so many, where
    a shard has more than it may answer.
    """

    def together(answers: Sequence[Sequence[Row]]) -> list[Row]:
        rows = grouped(1, "add", "max", order=(-2, 0)).together(answers)
        totals = [answer[0][2] for answer in answers if answer]
        whole = sum(totals) if total == "sum" else max((len(rows), *totals))
        return [(name, number, whole) for name, number, _ in rows[:limit]]

    return Merge(together, {"limit": _MOST_RANKED})


def grouped(keys: int, *folds: Fold, order: Sequence[int] = ()) -> Merge:
    """Make one row of those whose first *keys* columns are alike; each of *folds* says what becomes of a column behind.

    Then as `ordered` does it, with *order* for its columns.
    """

    def together(answers: Sequence[Sequence[Row]]) -> list[Row]:
        found: dict[Hashable, Row] = {}
        for row in chain.from_iterable(answers):
            key = tuple(_hashable(value) for value in row[:keys])
            before = found.get(key)
            found[key] = row if before is None else _folded(before, row, keys, folds)
        return ordered(*order).together([list(found.values())])

    return Merge(together)


SUMS: Final = Merge(lambda answers: [_added(answers)])
"""The one row of each, column by column: numbers are added; of lists, the elements; of pairs of keys and numbers, as maps."""


def sampled(limit: int) -> Merge:
    """Put together one row of numbers, which are added, and in the end a list of texts in order, of which the first stay."""

    def together(answers: Sequence[Sequence[Row]]) -> list[Row]:
        numbers = _added([[row[:-1]] for (row,) in answers])
        found = chain.from_iterable(row[-1] for (row,) in answers)
        return [(*numbers, sorted(found, key=str.encode)[:limit])]

    return Merge(together)


def _folded(before: Row, row: Row, keys: int, folds: Sequence[Fold]) -> Row:
    return (
        *before[:keys],
        *(_FOLDS[fold](a, b) for fold, a, b in zip(folds, before[keys:], row[keys:], strict=True)),
    )


def _least(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else min(a, b)


def _most(a: Any, b: Any) -> Any:
    return b if a is None else a if b is None else max(a, b)


def _first(a: Any, b: Any) -> Any:
    return b if a is None else a


def _sum(a: Any, b: Any) -> Any:
    """Add numbers, lists element by element (an empty one is all zeros), and pairs of lists as maps."""
    if isinstance(a, tuple):
        (keys, numbers), (more_keys, more_numbers) = cast("_Map", a), cast("_Map", b)
        totals = dict(zip(keys, numbers, strict=True))
        for key, number in zip(more_keys, more_numbers, strict=True):
            totals[key] = totals.get(key, 0) + number
        return list(totals), list(totals.values())
    if isinstance(a, list):
        ones, others = cast("list[Any]", a), cast("list[Any]", b)
        return [_sum(x, y) for x, y in zip(ones, others, strict=True)] if ones and others else ones or others
    return b if a is None else a if b is None else a + b


_FOLDS: Final[Mapping[Fold, Callable[[Any, Any], Any]]] = {
    "add": _sum,
    "min": _least,
    "max": _most,
    "any": _first,
}


def _added(answers: Sequence[Sequence[Row]]) -> Row:
    (first,), *others = answers
    for (row,) in others:
        first = tuple(_sum(a, b) for a, b in zip(first, row, strict=True))
    return tuple(first)


def _key(value: Any) -> Any:
    """Return what sorts as the value does in ClickHouse: texts by their bytes."""
    return value.encode() if isinstance(value, str) else value


def _hashable(value: Any) -> Hashable:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
