"""ClickHouse literals: the one place where a value becomes SQL text.

SQL is written with ClickHouse's own typed placeholders, `{name:Type}`, and `lower` puts the values in:

    lower("SELECT {limit:UInt8}", {"limit": 5})  ->  "SELECT CAST(5, 'UInt8')"

A literal has the type its placeholder names, whatever the value: a query that is valid for one value is valid for
all. Text between the placeholders is passed on untouched, braces included; a placeholder inside a string or a comment
of the SQL is replaced as well, so write none there.

Types: String, FixedString(n), Bool, Float64, Int8 to Int128, UInt8 to UInt128, UUID, DateTime64(6, 'UTC'), Identifier,
and Nullable, Array and Tuple of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from typing import cast
from uuid import UUID

from segment_copilot.documents import is_whole

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*):([^{}]+)\}")
_TYPE = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\((.*)\))?", re.DOTALL)

# Control characters go as \xHH, so that the text stays one readable line; ClickHouse reads exactly two digits.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)} | {
    ord("\\"): "\\\\",
    ord("'"): "\\'",
    ord("`"): "\\`",
}

_INTEGERS = {
    f"{'U' * unsigned}Int{bits}": (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for unsigned in (False, True)
    for bits in (8, 16, 32, 64, 128)
}
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2299, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def lower(sql: str, params: Mapping[str, object]) -> str:
    """Return *sql* with every placeholder replaced by the literal of its value in *params*.

    ValueError: a placeholder without a value, a value without a placeholder, an unknown type, a value out of range.
    TypeError: a value of another Python type than the placeholder's (a bool is no integer, an integer no float).
    Messages name the placeholder and its type, never the value.
    """
    unused = set(params)

    def replace(match: re.Match[str]) -> str:
        name, type_ = match.groups()
        if name not in params:
            raise ValueError(f"No value for the placeholder {match[0]}.")
        unused.discard(name)
        try:
            return literal(type_, params[name])
        except (TypeError, ValueError) as error:
            raise type(error)(f"Placeholder {match[0]}: {error}") from None

    text = _PLACEHOLDER.sub(replace, sql)
    if unused:
        raise ValueError(f"No placeholder for the values {', '.join(sorted(unused))}.")
    return text


def literal(type_: str, value: object) -> str:
    """Return an SQL expression of ClickHouse type *type_* that holds exactly *value*."""
    if type_.strip() == "Identifier":
        return identifier(value)
    name, _ = _parse(type_)
    text = _text(type_, value)
    if name in {"String", "Bool"}:
        return text
    if name == "Float64":
        return f"({text})" if text.startswith("-") else text  # `1 -{x}` must not become a comment
    return f"CAST({text}, {_quote(type_)})"


def identifier(value: object) -> str:
    """Return *value* as one quoted name; a dot in it separates, as in the path of a JSON column."""
    name = _characters(value)
    if not name:
        raise ValueError("a name may not be empty.")
    return f"`{name.translate(_ESCAPES)}`"


def _quote(value: str) -> str:
    return f"'{value.translate(_ESCAPES)}'"


def _text(type_: str, value: object) -> str:
    """Write the literal as it stands inside a CAST to *type_*: there a string may stand for a number too big to write."""
    name, arguments = _parse(type_)
    if name in _INTEGERS:
        return _integer(name, value)
    if name in _SCALARS:
        return _SCALARS[name](value, *arguments)
    if name in _CONTAINERS:
        return _CONTAINERS[name](value, *arguments)
    raise ValueError(f"there is no literal of type {name}.")


def _integer(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("an int", value)
    low, high = _INTEGERS[name]
    if not low <= value <= high:
        raise ValueError("the number is out of range.")
    return f"'{value:d}'" if name.endswith("128") else f"{value:d}"  # 128 bits would be read as a float


def _string(value: object) -> str:
    return _quote(_characters(value))


def _fixed_string(value: object, length: str) -> str:
    text = _characters(value)
    if len(text.encode()) > int(length):
        raise ValueError("the string is too long.")
    return _quote(text)


def _characters(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a str", value)
    if not is_whole(value):
        raise ValueError("the string holds a lone surrogate, which is no character.")
    return value


def _bool(value: object) -> str:
    if not isinstance(value, bool):
        raise _wrong("a bool", value)
    return "true" if value else "false"


def _float(value: object) -> str:
    if not isinstance(value, float):
        raise _wrong("a float", value)
    if not isfinite(value):
        raise ValueError("the number is not finite.")
    return float.__repr__(value)  # the shortest text that reads back as the same double


def _uuid(value: object) -> str:
    if not isinstance(value, UUID):
        raise _wrong("a UUID", value)
    return f"'{value}'"


def _instant(value: object, precision: str = "", zone: str = "") -> str:
    if (precision, zone) != ("6", "'UTC'"):
        raise ValueError("instants are DateTime64(6, 'UTC').")
    if not isinstance(value, datetime):
        raise _wrong("a datetime", value)
    if value.utcoffset() is None:
        raise ValueError("the instant has no time zone.")
    if not EARLIEST <= value <= LATEST:
        raise ValueError("the instant is outside the years 1900 to 2299.")
    return f"'{value.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')}'"


def _nullable(value: object, inner: str) -> str:
    return "NULL" if value is None else _text(inner, value)


def _array(value: object, inner: str) -> str:
    if not isinstance(value, (list, tuple)):
        raise _wrong("a list or tuple", value)
    items = cast("Sequence[object]", value)
    if not items:
        return f"CAST([], {_quote(f'Array({inner})')})"  # a bare [] has one dimension and fits no Array(Array(…))
    write = literal if "Array(" in inner else _text  # beside a typed empty array every other has to be typed too
    return f"[{', '.join([write(inner, item) for item in items])}]"


def _tuple(value: object, *inner: str) -> str:
    if not isinstance(value, tuple):
        raise _wrong("a tuple", value)
    items = cast("tuple[object, ...]", value)
    inside = ", ".join([_text(type_, item) for type_, item in zip(inner, items, strict=True)])
    return f"({inside})" if len(items) > 1 else f"tuple({inside})"  # the first is read as one literal, and fast


_SCALARS: dict[str, Callable[..., str]] = {
    "String": _string,
    "FixedString": _fixed_string,
    "Bool": _bool,
    "Float64": _float,
    "UUID": _uuid,
    "DateTime64": _instant,
}
_CONTAINERS: dict[str, Callable[..., str]] = {"Nullable": _nullable, "Array": _array, "Tuple": _tuple}


@lru_cache(maxsize=1024)
def _parse(type_: str) -> tuple[str, tuple[str, ...]]:
    """`Array(Tuple(String, UInt8))` -> ("Array", ("Tuple(String, UInt8)",))."""
    match = _TYPE.fullmatch(type_.strip())
    if match is None:
        raise ValueError(f"{type_} is no type.")
    name, inside = match.groups()
    return name, tuple(_split(inside)) if inside else ()


def _split(text: str) -> list[str]:
    """Return *text* cut at its outermost commas."""
    depth, start, parts = 0, 0, list[str]()
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _wrong(expected: str, value: object) -> TypeError:
    return TypeError(f"the value is to be {expected}, not {type(value).__name__}.")
