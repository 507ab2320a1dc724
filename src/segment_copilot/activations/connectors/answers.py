"""Reads answers of destinations that speak HTTP: which are good, which may be better later, which never will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from segment_copilot.activations.connectors.contract import Refused, TryLater
from segment_copilot.activations.outgoing import Answer

_LATER: Final = {408, 409, 425, 429}
_SERVER_ERROR: Final = 500
_LONGEST: Final = timedelta(days=1)
_SHOWN: Final = 200


def judge(answer: Answer, destination: str, *, now: datetime | None = None) -> None:
    """Return if an answer says that the request was taken.

    Raises:
        TryLater: It says that the same request may be taken later, and perhaps when.
        Refused: It says that it never will, as a redirect does too.
    """
    if answer.is_good:
        return
    said = f"{destination} answered {answer.status}{_told(answer)}"
    if answer.status in _LATER or answer.status >= _SERVER_ERROR:
        raise TryLater(f"{said}.", retry_after(answer, now=now or datetime.now(UTC)))
    if answer.status in {401, 403}:
        raise Refused(f"{said}: it does not take these credentials.")
    raise Refused(f"{said}.")


def retry_after(answer: Answer, *, now: datetime) -> timedelta | None:
    """Return how long the destination wants to be left alone, a day at most; None where it does not say."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta(0)), _LONGEST)


def _told(answer: Answer) -> str:
    """Return the beginning of what an answer says, where it is text that a person may read."""
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(("application/json", "text/plain", "application/problem+json")):
        return ""
    text = " ".join(answer.body[: 4 * _SHOWN].decode(errors="replace").split())
    shown = "".join(sign for sign in text if sign.isprintable())[:_SHOWN]
    return f" ({shown})" if shown else ""
