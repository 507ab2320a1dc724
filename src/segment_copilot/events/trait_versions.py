"""Writes the order of trait values as one integer, because a ReplacingMergeTree keeps the row with the greatest number.

The newest value of a trait is that of the greatest (occurred_at, event_id as UTF-8 bytes). A version holds the
microseconds since 1900 in its high 54 bits and the id in the 202 below, byte by byte in a code that keeps their order:

    bits                          for
    5                             0-9 a-f
    7                             the end of the id, and - _ ` A-Z g-z
    15: 7 and the byte itself     each other byte

No code is the beginning of another one, the end's included, so two different ids differ in a bit that both have: where
an id fits whole, no other one has its version, and the two compare as the ids do, even if the other had to be cut.
Only two cut ids may be confused, which is why rows of cut ids are marked. What fits: UUIDs, hexadecimal ids up to 39
characters, and any ASCII letters and digits up to 27.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from segment_copilot.language.lengths import EARLIEST, MICROSECOND

_ID_BITS = 202  # of 256; four hundred years are less than 2 ** 54 microseconds
_END = f"{0:07b}"


def trait_version(occurred_at: datetime, event_id: str) -> tuple[int, bool]:
    """Return an integer of 256 bits that orders as (*occurred_at*, *event_id*) does, and whether that is exact.

    *occurred_at* is aware and from 1900 to 2299. When it is not exact, *event_id* is too long for the code, and another
    id that is may have the same version; an exact version is unique to its time and id.
    """
    code = event_id.encode().decode("latin-1").translate(_CODE) + _END
    low = int(code[:_ID_BITS].ljust(_ID_BITS, "0"), 2)
    return ((occurred_at - EARLIEST) // MICROSECOND << _ID_BITS) + low, len(code) <= _ID_BITS


def _codes() -> Iterator[tuple[int, str]]:
    """Yield every byte and its code, counting up: bytes without a number of their own share one and say which."""
    free, shared = 1, 0  # 0 is the end
    for byte in range(256):
        character = chr(byte)
        if character in "0123456789abcdef":  # five bits: all four numbers that begin with them
            free = (free + 3) // 4 * 4
            yield byte, f"{free // 4:05b}"
            free, shared = free + 4, 0
        elif character in "-_`" or (character.isascii() and character.isalpha()):
            yield byte, f"{free:07b}"
            free, shared = free + 1, 0
        else:
            if not shared:
                free, shared = free + 1, free
            yield byte, f"{shared:07b}{byte:08b}"


_CODE = dict(_codes())
