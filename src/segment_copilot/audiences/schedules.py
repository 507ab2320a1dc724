"""Says how a segment is kept true: how it is refreshed, how often, and when it is due next. Rules alone, no I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zlib import crc32

from msgspec import UNSET, Struct, UnsetType

from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.lengths import parse_length

Mode = Literal["auto", "interval", "live", "manual"]
LIVE_EVERY: Final = timedelta(seconds=45)
"""Less than the minute that is promised: forwarding, the computation and its publication take some of it."""

_LEAST: Final = timedelta(minutes=1)
_MOST: Final = timedelta(days=30)
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Refresh(Struct, frozen=True):
    """Says how a segment's members are kept true.

    `auto`: at once when traits change, if it is dynamic, and at the usual interval; `interval`: *every* so long; `live`:
    within a minute; `manual`: when somebody asks. While it is paused nothing is refreshed, and the members stay.
    """

    mode: Mode
    every: str | None = None
    paused_since: datetime | None = None

    @property
    def words(self) -> str:
        """The mode as a person says it: "every 3h"."""
        return f"every {self.every}" if self.every else _WORDS[self.mode]


_WORDS: Final[dict[Mode, str]] = {
    "auto": "automatically",
    "interval": "at an interval",
    "live": "within a minute",
    "manual": "only when somebody asks",
}


class Wanted(Struct, frozen=True):
    """Says how somebody wants a segment refreshed."""

    mode: Mode
    every: str | None = None


class Defaults(Struct, frozen=True):
    """Says what holds for segments of which nobody said how they are refreshed, and how often `auto` is."""

    mode: Mode = "auto"
    every: timedelta = timedelta(hours=3)


def choose(wanted: Wanted | UnsetType | None, default: Mode, *, is_static: bool, ranks_users: bool = False) -> Wanted:
    """Return how a segment is to be refreshed: as *wanted*, or else by *default*.

    One that ranks users is never live: what happens to one user may move any other.

    Raises:
        InvalidInput: There is no such interval, or this mode takes none, or the segment is static, or never live.
    """
    if wanted is UNSET or wanted is None:
        return Wanted("manual" if is_static else "auto" if ranks_users and default == "live" else default)
    if ranks_users and wanted.mode == "live":
        detail = "A segment that ranks users is never live: one user's event may move any other; give it an interval."
        raise _refused("/refresh/mode", "ranks_users", detail)
    if is_static and wanted.mode != "manual":
        detail = "A static segment has the members that were uploaded, and nothing to refresh: its mode is manual."
        raise _refused("/refresh/mode", "static_refresh", detail)
    if wanted.mode == "interval":
        if wanted.every is None:
            detail = "The mode interval needs every, such as 3h."
            raise _refused("/refresh/every", "missing_interval", detail)
        to_interval(wanted.every)
    elif wanted.every is not None:
        detail = f"Only the mode interval takes every; {wanted.mode} {_INSTEAD[wanted.mode]}."
        raise _refused("/refresh/every", "unexpected_interval", detail)
    return wanted


_INSTEAD: Final[dict[Mode, str]] = {
    "auto": "follows what the definition asks for",
    "live": "refreshes within a minute",
    "manual": "computes when it is asked to",
}


def to_interval(text: str) -> timedelta:
    """Return the interval that *text* says; raises InvalidInput for none, or one that is too short or too long."""
    detail = "An interval is a length from 1m to 30d in m, h, d or w, such as 3h; a day is 24 hours."
    try:
        length = parse_length(text)
    except ValueError as error:
        raise _refused("/refresh/every", "bad_interval", detail) from error
    if length.unit not in _UNITS or not _LEAST <= (interval := length.count * _UNITS[length.unit]) <= _MOST:
        raise _refused("/refresh/every", "bad_interval", detail)
    return interval


def interval_of(mode: Mode, every: str | None, usual: timedelta) -> timedelta:
    """Return how often a segment of this mode is due; *usual* is what `auto` means."""
    if mode == "live":
        return LIVE_EVERY
    return to_interval(every) if every else usual


def next_after(instant: datetime, every: timedelta, tenant_id: int) -> datetime:
    """Return the first instant after this one at which the tenant's segments of this interval are due.

    Each tenant has its own offset, so that not all come at once; the segments of one share theirs, also those whose
    intervals are multiples of each other, so that they are due together and share what they ask of the store.
    """
    offset = timedelta(seconds=crc32(b"refresh %d" % tenant_id)) % every
    return instant + every - (instant - _EPOCH - offset) % every


def _refused(pointer: str, code: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, findings=[Finding(pointer, code, detail)])
