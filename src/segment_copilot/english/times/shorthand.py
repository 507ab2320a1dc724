"""Opens lengths of time that are written short: "L30D", "90d", "6mo"."""

from __future__ import annotations

import re
from typing import Final

_SHORT: Final = re.compile(
    r"(?:l|p|r|last|past|prev|rolling|trailing)-?(\d+)(d|w|wk|wks|m|mo|mos|mth|mths|q|y|h|days?|weeks?|months?)?"
)
_UNITS: Final = {"d": "days", "w": "weeks", "wk": "weeks", "wks": "weeks", "m": "months", "mo": "months", "mos": "months",
                 "mth": "months", "mths": "months", "q": "quarters", "y": "years", "h": "hours"}  # fmt: skip


def opened(text: str) -> str | None:
    """Return the plain words of a window in short: "L30D", "p12m"; none for any other word."""
    found = _SHORT.fullmatch(text.lower())
    if found is None or not (found[2] or len(found[1]) > 1):
        return None
    unit = found[2] or "d"
    return f"last {found[1]} {_UNITS.get(unit, unit)}"
