"""Makes JSON values of cells: numbers, booleans, texts, lists of key and value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, cast

import msgspec

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_AMOUNT: Final = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:(?P<mark>[.,'\u00a0\u202f\u2009 ])[0-9]{3})(?:(?P=mark)[0-9]{3})*|[0-9]+)(?P<part>[.,][0-9]+)?"
)
_GROUPED: Final = {
    mark: re.compile(rf"[-+]?(?:[0-9]+|[0-9]{{1,3}}(?:([{other}'\u00a0\u202f\u2009 ])[0-9]{{3}})(?:\1[0-9]{{3}})*)")
    for mark, other in ((".", ","), (",", "."))
}
"""What may stand before decimals, by their mark."""
_UNIT: Final = re.compile(r"(?:[A-Z]{0,3}[$€£¥₹₽₩₺₴₪₫฿₦]|[A-Z]{3}|%)", re.ASCII)
_ROUNDED: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]+", re.IGNORECASE)
_BOOLEANS: Final = {
    "true": True, "yes": True, "y": True, "1": True,
    "false": False, "no": False, "n": False, "0": False,
}  # fmt: skip
_VALUE_KINDS: Final = ("string_value", "int_value", "double_value", "float_value")


def from_text(cell: str) -> str | int | float:
    """Return the value of a CSV cell: a number if it is exactly one in JSON, otherwise its text."""
    if not _NUMBER.fullmatch(cell):
        return cell
    try:
        number = msgspec.json.decode(cell)
        return number if isfinite(number) else cell
    except (msgspec.DecodeError, OverflowError):  # beyond what a number can be
        return cell


def as_boolean(cell: object) -> bool | None:
    """Return what yes/no, y/n, true/false or 1/0 says, in any case of letters; None for anything else."""
    if isinstance(cell, bool):
        return cell
    return _BOOLEANS.get(str(cell).strip().lower()) if isinstance(cell, str | int | float) else None


def is_rounded(cell: object) -> bool:
    """Return whether a spreadsheet cut this number to a few digits, as in 5.81234E+12: as an id it is many at once."""
    return isinstance(cell, str) and _ROUNDED.fullmatch(cell) is not None


def looks_like_number(text: str) -> bool:
    """Return whether a person reads *text* as a number and a computer does not: "1,089.95", "$8.50", "89,95 €".

    Digits alone are not meant: what begins with a zero is a code or a telephone.
    """
    amount = _without_unit(text)
    found = _AMOUNT.fullmatch(amount)
    return found is not None and bool(amount != text.strip() or found["mark"] or found["part"])


def has_decimal_comma(text: str) -> bool:
    """Return whether the last mark of what a person reads as a number is a comma before decimals, as in "1.178,60"."""
    amount = _without_unit(text)
    part = amount.rpartition(",")[2]
    return "," in amount and "." not in part and (len(part) != 3 or "." in amount)  # noqa: PLR2004  # 1,089 is a thousand


def from_amount(text: str, *, decimal: str) -> int | float | None:
    """Return the number that a person wrote, with marks of thousands or a unit: "1,089.95", "$8.50", "1.089,95 €"; None where it is none.

    *decimal* is the mark before its decimals, "." or ",": "1,089" is 1089 by the first, and 1.089 by the second.
    """
    if decimal == "." and not isinstance(plain := from_text(text), str):
        return plain
    whole, mark, part = _without_unit(text).partition(decimal)
    if not _GROUPED[decimal].fullmatch(whole) or (mark and not (part.isascii() and part.isdigit())):
        return None
    digits = ("-" if whole.startswith("-") else "") + re.sub(r"[^0-9]", "", whole)
    number = float(f"{digits}.{part}") if mark else int(digits)
    return number if isfinite(number) else None


def _without_unit(text: str) -> str:
    amount = text.strip()
    if unit := _UNIT.match(amount):
        amount = amount[unit.end() :]
    elif (unit := _UNIT.search(amount)) and unit.end() == len(amount):
        amount = amount[: unit.start()]
    return amount.strip()


def from_pairs(pairs: object) -> object:
    """Return the object that a list of `{"key": …, "value": {"string_value": …}}` stands for; anything else as it is.

    Integers are written as text in such exports (`"int_value": "5"`).
    """
    if not isinstance(pairs, list):
        return pairs
    members: dict[str, Any] = {}
    for pair in cast("list[Any]", pairs):
        if not isinstance(pair, Mapping) or not isinstance(key := cast("Mapping[str, Any]", pair).get("key"), str):
            return cast("object", pairs)
        members[key] = _pair_value(cast("Mapping[str, Any]", pair).get("value"))
    return members


def _pair_value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kinds = cast("Mapping[str, Any]", value)
    for kind in _VALUE_KINDS:
        if (found := kinds.get(kind)) is not None:
            return from_text(found) if kind != "string_value" and isinstance(found, str) else found
    return None
