"""Tool results are bounded and clean before a model or a client reads them: 8 KiB, no control characters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

MAX_BYTES: Final = 8 * 1024
MAX_STRING: Final = 2_000

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def bounded(document: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """*document* small and clean, and whether anything was left out; `truncated` says it in the document as well.

    Lists at the top lose their tail first; then whole members go, the largest first, and `omitted` names them.
    """
    found = cast("dict[str, Any]", _clean(document))
    cut = False
    while _size(found) > MAX_BYTES:
        cut = True
        lists: dict[str, list[Any]] = {key: value for key, value in found.items() if isinstance(value, list)}
        long = [key for key, value in lists.items() if len(value) > 1]
        if long:
            key = max(long, key=lambda name: _size(lists[name]))
            found[key] = lists[key][: len(lists[key]) * 3 // 4 or 1]
        else:
            key = max((name for name in found if name != "omitted"), key=lambda name: _size(found[name]))
            del found[key]
            found["omitted"] = [*found.get("omitted", []), key]
    if cut:
        found["truncated"] = True
    return found, bool(found.get("truncated", False))


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))


def _clean(value: object) -> object:
    match value:
        case str():
            text = _CONTROL.sub(" ", value)
            return text if len(text) <= MAX_STRING else f"{text[:MAX_STRING]}…"
        case dict():
            return {key: _clean(child) for key, child in cast("dict[str, Any]", value).items()}
        case list():
            return [_clean(child) for child in cast("list[Any]", value)]
        case _:
            return value
