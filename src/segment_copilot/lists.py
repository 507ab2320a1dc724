"""Lists: which part of one is asked for, what came of it, and cursors that remember where a page ended.

A cursor is opaque and checks itself: it carries a digest of what was listed (whose rows, which filter, which order), so
that one of another list is found out. It is no secret and opens nothing: whoever reads on reads their own list.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from segment_copilot.errors import Finding, InvalidInput

T = TypeVar("T")

DEFAULT_SIZE: Final = 50
_DIGEST_BYTES: Final = 12


class Window(Struct, frozen=True):
    """A window says which part of a list is wanted: *limit* results past *offset*, or after where *cursor* ended."""

    limit: int = DEFAULT_SIZE
    offset: int = 0
    cursor: str | None = None


FIRST_PAGE: Final = Window()


class Listed(Struct, Generic[T], frozen=True):
    """Some of *count* results; *cursor* continues after them, None at the end."""

    results: tuple[T, ...]
    count: int
    cursor: str | None = None


def write_cursor(listed: object, place: object) -> str:
    """Return a cursor for *place*, the position of the last result, in the list that *listed* describes in plain values."""
    text = msgspec.json.encode(place)
    return base64.urlsafe_b64encode(_digest(listed, text) + text).decode().rstrip("=")


def read_cursor(listed: object, cursor: str, type_: Any) -> Any:
    """Return the place in *cursor*, a value of *type_*.

    Raises:
        InvalidInput: it was not made for the list that *listed* describes.

    """
    try:
        whole = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, text = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, _digest(listed, text)):
            raise bad_cursor()
        return msgspec.json.decode(text, type=type_)
    except ValueError:  # binascii.Error and msgspec's are; so is text beyond ASCII
        raise bad_cursor() from None


def bad_cursor() -> InvalidInput:
    """Return the error for a cursor that no page of this list gave."""
    detail = "This cursor was not made for this list, with this filter and this order; start again without one."
    return InvalidInput(detail, code="bad_cursor", findings=[Finding("/cursor", "bad_cursor", detail)])


def _digest(listed: object, text: bytes) -> bytes:
    return hashlib.sha256(msgspec.json.encode(listed) + b"\n" + text).digest()[:_DIGEST_BYTES]
