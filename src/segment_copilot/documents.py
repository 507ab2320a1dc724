"""JSON documents: where something stands in one, and what no store can keep of one.

It knows neither the language nor HTTP, and raises nothing of its own: whoever was sent a document words the refusal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn, cast

import msgspec

from segment_copilot.errors import Finding

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 400  # the largest double has 309

# Pointers (RFC 6901)


def escape(step: str | int) -> str:
    """Returns *step* as it stands in a pointer.

    Half of a surrogate pair, which no answer of ours could carry, is written out: a backslash, `ud800`.
    """
    text = str(step).replace("~", "~0").replace("/", "~1")
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def join(*steps: str | int) -> str:
    """Returns the pointer that takes *steps* from the top; "" is the whole document."""
    return "".join(f"/{escape(step)}" for step in steps)


def parse(pointer: str) -> tuple[str, ...]:
    """Returns the steps of *pointer*; an index is a text here, because an object may have "0" for a key."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


# What no store can keep


def is_whole(text: str) -> bool:
    """Returns whether *text* holds whole characters only: no half of a surrogate pair, which has no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_double(number: float) -> bool:
    """Returns whether *number* lies within the range of 64-bit floats: no infinity, no NaN, no endless integer."""
    try:
        number = float(number)
    except OverflowError:
        return False
    return number - number == 0.0  # of an infinity and of NaN it is NaN


def is_plain(document: Any, *, deepest: int = MAX_DEPTH) -> bool:
    """Returns whether every store keeps *document* just as it is, whole numbers beyond 64 bits counted out too.

    It is quick, for the many documents of which that is true; what is wrong with another, `unstorable` tells.
    """
    kind = document.__class__
    if kind is str:
        return "\0" not in document and (document.isascii() or is_whole(document))
    if kind is int:
        return -(2**63) <= document < 2**64
    if kind is float:
        return document - document == 0.0
    if kind is dict and deepest:
        items = document.items()
        return all(is_plain(key, deepest=0) and is_plain(item, deepest=deepest - 1) for key, item in items)
    if kind is list and deepest:
        return all(is_plain(item, deepest=deepest - 1) for item in document)
    return document is None or kind is bool


def unstorable(document: object, pointer: str = "", *, deepest: int = MAX_DEPTH) -> Iterator[Finding]:
    """Yields a finding for each thing in *document* that no store can keep.

    Codes: `nul_character` and `lone_surrogate` (in texts and in keys), `number_out_of_range`, and `too_deep` for an
    object or list that stands in *deepest* others. *document* is JSON as it was decoded, and stands at *pointer*. What
    decoding drops is seen by `unstorable_text` alone.
    """
    return _flaws(document, pointer, deepest, deepest)


def unstorable_text(text: str) -> tuple[Finding, ...]:
    """Returns what no store can keep of the JSON document *text*, with what only the text shows.

    Codes beside those of `unstorable`: `duplicate_key`, and `number_too_long` for any number of more than MAX_DIGITS
    digits (of shorter whole numbers the size is not judged). Where *text* nests deeper than MAX_DEPTH, only that is
    told.

    Raises:
        ValueError: *text* is not JSON.

    """
    if text.count("[") + text.count("{") > MAX_DEPTH and (pointer := _deeper(text)) is not None:
        return (_too_deep(pointer, MAX_DEPTH),)
    is_suspect = _ESCAPED.search(text) is not None

    def members(pairs: list[tuple[str, Any]]) -> _Members:
        nonlocal is_suspect
        found = _Members(pairs)
        if len(found) < len(pairs):
            found.repeated = tuple(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
            is_suspect = True
        return found

    def whole(digits: str) -> _LongNumber | None:
        nonlocal is_suspect
        if len(digits) <= MAX_DIGITS:
            return None
        is_suspect = True
        return _LongNumber()

    def fraction(digits: str) -> _LongNumber | float | None:
        nonlocal is_suspect
        if len(digits) > MAX_DIGITS or is_double(number := float(digits)):
            return whole(digits)
        is_suspect = True
        return number

    document = json.loads(
        text, object_pairs_hook=members, parse_int=whole, parse_float=fraction, parse_constant=_no_constant
    )
    return tuple(unstorable(document)) if is_suspect else ()


def read_json(text: str) -> Any:
    """Returns what *text* holds, halves of surrogate pairs and numbers beyond 64-bit floats (as infinities) too.

    Raises:
        ValueError: *text* is not JSON.
        RecursionError: it nests far too deep.

    """
    return json.loads(text, parse_int=_whole, parse_constant=_no_constant)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def with_whole_numbers(document: Any) -> Any:
    """Returns *document* with each number that is whole written as one: to JSON, 10.0 and 10 are the same number."""
    match document:
        case float() if document.is_integer() and abs(document) < _EXACT:
            return int(document)
        case Mapping():
            members = cast("Mapping[str, object]", document)
            return {key: with_whole_numbers(value) for key, value in members.items()}
        case list():
            return [with_whole_numbers(item) for item in cast("list[object]", document)]
        case _:
            return document


_EXACT: Final = 2**53  # beyond it a float is no longer one whole number alone


def repeats_a_key(text: bytes | msgspec.Raw, decoded: object) -> bool:
    """Returns whether an object in *text*, whose fast decoding gave *decoded*, may have a key twice.

    What looks like a key in the text is one, or part of a string: as many as were decoded means that none came twice.
    Where it is true, `unstorable_text` says which key, if any.
    """
    return len(_KEY.findall(text)) != _count_keys(decoded)


def items_of(text: str) -> list[str] | None:
    """Returns the text of each item of the list that *text*, a JSON object, holds under its one key.

    None when it has another number of keys (a repeated one counts twice), or does not end where it should. It costs no stack, however deep an item is.
    """
    depth, keys, start = 0, 0, -1
    items: list[str] = []
    for found in _MARK.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth == _IN_LIST and mark == "[":
                start = found.end()
        elif depth == _IN_LIST and start >= 0 and mark in ",]":
            items.append(text[start : found.start()])
            start = found.end()
        elif mark == ":" and depth == 1:
            keys += 1
        if mark in "]}":
            depth -= 1
            start = -1 if depth < _IN_LIST else start
    if keys != 1 or depth:
        return None
    return [] if len(items) == 1 and not items[0].strip() else items


_IN_LIST: Final = 2  # inside the object, inside its list
_ESCAPED = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)  # NUL and surrogates cannot come in any other way
_KEY = re.compile(rb'"[ \t\r\n]*:')
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)


class _Members(dict[str, Any]):
    """A JSON object that remembers the keys that were sent more than once."""

    repeated: tuple[str, ...] = ()


class _LongNumber:
    """A number of more than MAX_DIGITS digits."""


def _flaws(value: object, pointer: str, room: int, deepest: int) -> Iterator[Finding]:
    match value:
        case str():
            yield from _in_text(value, pointer)
        case int() | float():
            if not is_double(value):
                yield Finding(
                    pointer, "number_out_of_range", "The number is beyond what a 64-bit floating-point number can hold."
                )
        case _LongNumber():
            yield Finding(pointer, "number_too_long", f"A number has at most {MAX_DIGITS} digits.")
        case Mapping():
            for key in value.repeated if isinstance(value, _Members) else ():
                yield Finding(f"{pointer}/{escape(key)}", "duplicate_key", "This key occurs twice in one object.")
            yield from _inside(cast("Mapping[str, object]", value).items(), pointer, room, deepest)
        case list() | tuple():
            yield from _inside(enumerate(cast("Sequence[object]", value)), pointer, room, deepest)
        case _:
            return


def _inside(items: Iterable[tuple[str | int, object]], pointer: str, room: int, deepest: int) -> Iterator[Finding]:
    if not room:
        yield _too_deep(pointer, deepest)
        return
    for step, item in items:
        here = f"{pointer}/{escape(step)}"
        yield from _in_text(str(step), here)
        yield from _flaws(item, here, room - 1, deepest)


def _in_text(text: str, pointer: str) -> Iterator[Finding]:
    if "\0" in text:
        yield Finding(pointer, "nul_character", "Text may not hold the character NUL (\\u0000).")
    if not is_whole(text):
        yield Finding(pointer, "lone_surrogate", "Text may not hold half of a surrogate pair.")


def _too_deep(pointer: str, deepest: int) -> Finding:
    return Finding(pointer, "too_deep", f"Objects and lists nest at most {deepest} deep.")


def _deeper(text: str) -> str | None:
    """The pointer of the first value nested past MAX_DEPTH; reads brackets only, so that depth costs no stack."""
    path: list[str | int] = []  # per open object or list: the key as it is written, or the index reached
    latest = ""
    for found in _MARK.finditer(text):
        mark = found[0]
        if mark in "[{":
            if len(path) >= MAX_DEPTH:
                return join(*(_read(step) for step in path))
            path.append(0 if mark == "[" else "")
        elif mark in "]}":
            del path[-1:]
        elif mark == ":":
            path[-1:] = [latest]
        elif mark != ",":
            latest = mark
        elif path and isinstance(index := path[-1], int):
            path[-1] = index + 1
    return None


def _read(step: str | int) -> str | int:
    """A step of a path, of which a key is still JSON text; the document as a whole may be none."""
    try:
        return json.loads(step, strict=False) if isinstance(step, str) else step
    except ValueError:
        return step


def _count_keys(value: object) -> int:
    count = 0
    items: Iterable[object] = ()
    if type(value) is dict:
        members = cast("dict[str, object]", value)
        count, items = len(members), members.values()
    elif type(value) is list:
        items = cast("list[object]", value)
    for item in items:
        kind: type = type(item)
        if kind is dict or kind is list:
            count += _count_keys(item)
    return count


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
