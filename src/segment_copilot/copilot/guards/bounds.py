"""Bounds what is sent: results of tools 8 KiB and without control characters, any event 64 KiB but a checkpoint.

An event is made small where it is made, by whoever knows what may be left out of it: a text is cut into pieces, arguments
are left to their deltas, and a draft that would not fit is refused, because half of one is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from segment_copilot.copilot.guards.characters import replace_hidden
from segment_copilot.errors import Finding

MAX_BYTES: Final = 8 * 1024
MAX_STRING: Final = 2_000
MAX_EVENT_BYTES: Final = 64 * 1024
_FRAMING: Final = 2 * 1024  # what a protocol adds to an event
_MAX_ARGUMENTS: Final = 28 * 1024  # one protocol carries them as a string inside a string
_PIECE: Final = 8_000  # characters; each may take six bytes
_MAX_FINDINGS: Final = 20
_SHORT: Final = 100
_WHOLE: Final = frozenset({"definition", "diff"})
"""Members that would say something else with a part left out: they stay whole or go."""

Object = dict[str, Any]


class _Place(Struct, frozen=True):
    """A place is a member of an object."""

    owner: Object
    key: str


def bound(document: Mapping[str, Any]) -> tuple[Object, bool]:
    """Return *document* small and clean, and whether anything was left out; `truncated` says so there and at the top.

    The longest list loses its tail first, again and again; then long texts are shortened; then whole members go, the
    largest first, and `omitted` names them.
    """
    found = cast("Object", _clean(document))
    while (size := _size(found)) > MAX_BYTES:
        found["truncated"] = True
        if not (_cut_a_list(found, size) or _shorten_texts(found)):
            _omit(found)
    return found, bool(found.get("truncated", False))


def fits(event: Struct) -> bool:
    """Return whether *event* may be sent."""
    return len(msgspec.json.encode(event)) <= MAX_EVENT_BYTES - _FRAMING


def fits_as_arguments(arguments: Mapping[str, Any]) -> bool:
    """Return whether a call's arguments may be sent whole."""
    return len(msgspec.json.encode(arguments)) <= _MAX_ARGUMENTS


def pieces(text: str) -> Iterator[str]:
    """Cut *text* into pieces that may each be sent."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def first_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the first of *findings*: at most twenty, and at most 8 KiB."""
    kept = tuple(findings[:_MAX_FINDINGS])
    while kept and _size(kept) > MAX_BYTES:
        kept = kept[: len(kept) // 2]
    return kept


def _cut_a_list(found: Object, size: int) -> bool:
    """Cut from the longest list a quarter, or what is too much if that is less; return whether there was one."""
    lists = [place for place in _places(found, list) if len(place.owner[place.key]) > 1]
    if not lists:
        return False
    largest = max(lists, key=lambda place: _size(place.owner[place.key]))
    items: list[Any] = largest.owner[largest.key]
    share = min(3 / 4, max(MAX_BYTES / size, 1 / 4))
    largest.owner[largest.key] = items[: max(int(len(items) * share), 1)]
    largest.owner["truncated"] = True
    return True


def _shorten_texts(found: Object) -> bool:
    long = [place for place in _places(found, str) if len(place.owner[place.key]) > _SHORT + 1]
    for place in long:
        place.owner[place.key] = f"{place.owner[place.key][:_SHORT]}…"
    return bool(long)


def _omit(found: Object) -> None:
    key = max((name for name in found if name not in {"omitted", "truncated"}), key=lambda name: _size(found[name]))
    del found[key]
    found["omitted"] = [*found.get("omitted", []), key[:_SHORT]]


def _places(value: Any, kind: type) -> Iterator[_Place]:
    """Find where values of *kind* are, except in what stays whole; the texts of a list have no place."""
    match value:
        case dict():
            owner = cast("Object", value)
            for key, child in owner.items():
                if key in _WHOLE or key == "omitted":
                    continue
                if isinstance(child, kind):
                    yield _Place(owner, key)
                yield from _places(child, kind)
        case list():
            for child in cast("list[Any]", value):
                yield from _places(child, kind)
        case _:
            return


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _clean(value: object) -> object:
    match value:
        case str():
            text = replace_hidden(value)
            return text if len(text) <= MAX_STRING else f"{text[:MAX_STRING]}…"
        case dict():
            return {str(_clean(key)): _clean(child) for key, child in cast("Object", value).items()}
        case list() | tuple():
            return [_clean(child) for child in cast("list[Any]", value)]
        case _:
            return value
