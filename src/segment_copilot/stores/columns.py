"""Checks the values of a column before they are sent, because the driver would store some as something else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from segment_copilot.stores.literals import EARLIEST, LATEST


class UnfitValue(ValueError):
    """A value of a row is outside what its column holds; nothing was sent."""


_INTEGERS = {
    **{f"Int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1)) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (0, 2**bits) for bits in (8, 16, 32, 64, 256)},
}
_PYTHON_TYPES: dict[str, type] = {
    "String": str,
    "Bool": bool,
    "UUID": UUID,
    "DateTime64": datetime,
    "Float64": float,
    **dict.fromkeys(_INTEGERS, int),
}


def check_column(name: str, type_: str, values: Sequence[Any]) -> None:
    """Refuse what the driver would store as something else: it writes the integer 3 as a string of three NULs."""
    plain, nullable = _unwrap(type_)
    expected = _PYTHON_TYPES.get(plain.partition("(")[0])
    if expected is None:
        raise TypeError(f"Column {name} is {type_}, which insert does not write.")
    for kind in set(map(type, values)) - ({type(None)} if nullable else set[type]()):
        if not issubclass(kind, expected) or (kind is bool and expected is int):
            raise TypeError(f"Column {name} is {type_} and takes {expected.__name__}, not {kind.__name__}.")
    held = [value for value in values if value is not None]
    if expected is datetime and not all(value.tzinfo is not None and EARLIEST <= value <= LATEST for value in held):
        raise UnfitValue(f"Column {name} takes instants with a time zone, from 1900 to 2299.")
    if held and plain in _INTEGERS and not (_INTEGERS[plain][0] <= min(held) and max(held) < _INTEGERS[plain][1]):
        raise UnfitValue(f"Column {name} is {type_}, and a number is out of range.")


def _unwrap(type_: str) -> tuple[str, bool]:
    """Return the type that holds the values, and whether it may be null: `LowCardinality(Nullable(String))`."""
    nullable = False
    while type_.startswith(("Nullable(", "LowCardinality(", "SimpleAggregateFunction(")):
        wrapper, _, inside = type_.removesuffix(")").partition("(")
        nullable = nullable or wrapper == "Nullable"
        type_ = inside.partition(", ")[2] if wrapper == "SimpleAggregateFunction" else inside
    return type_, nullable
