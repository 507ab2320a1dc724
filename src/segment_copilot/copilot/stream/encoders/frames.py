"""Frames documents as the two foreign protocols share it: one JSON document each, LF framing, comments for silences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

_encode: Final = msgspec.json.Encoder().encode


def data_frames(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """Return each document as a frame `data: <one line of JSON>`. A key that is UNSET is left out, never null."""
    return b"".join(b"data: " + encode(document) + b"\n\n" for document in documents)


def encode(document: Mapping[str, Any]) -> bytes:
    """Return *document* as one line of JSON, without the keys that are UNSET."""
    return _encode({key: value for key, value in document.items() if value is not UNSET})


def fields(event: Struct, *without: str) -> dict[str, Any]:
    """Return an event's fields by name, but those *without* and those that are UNSET."""
    found = ((name, getattr(event, name)) for name in event.__struct_fields__ if name not in without)
    return {name: value for name, value in found if value is not UNSET}
