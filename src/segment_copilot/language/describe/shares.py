"""Says how large a part of a whole is, in percent: rounded one way wherever it is shown."""

from __future__ import annotations

from typing import Final

_DECIMALS: Final = 2
_FINEST: Final = 8


def percent(part: int, whole: int, *, decimals: int = _DECIMALS) -> float:
    """Return *part* of *whole* in percent, to so many *decimals*; more where they would say nobody of somebody, or all of not all."""
    if not whole:
        return 0.0
    share = 100 * part / whole
    for digits in range(decimals, _FINEST):
        rounded = round(share, digits)
        if part in (0, whole) or 0 < rounded < 100:  # noqa: PLR2004  # percent
            return rounded
    return share


def in_percent(share: float) -> str:
    """Return a share that `percent` gave as it is shown: `23.56 %`, `0.0003 %`, `100 %`."""
    return f"{share:.{_FINEST}f}".rstrip("0").rstrip(".") + " %"
