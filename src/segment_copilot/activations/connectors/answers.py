"""Reads answers of destinations that speak HTTP: which are good, which may be better later, which never will."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from segment_copilot.activations.connectors.configs import Config, secrets_in
from segment_copilot.activations.connectors.contract import Refused, TryLater
from segment_copilot.activations.outgoing import Answer

_LATER: Final = {408, 409, 425, 429}
_SERVER_ERROR: Final = 500
_LONGEST: Final = timedelta(days=1)
_SHOWN: Final = 200
_LEAST_SECRET: Final = 4


def judge(answer: Answer, destination: str, config: Config, *, now: datetime | None = None) -> None:
    """Return if an answer says that the request was taken. Of what it says else, no secret of the config is repeated.

    Raises:
        TryLater: It says that the same request may be taken later, and perhaps when.
        Refused: It says that it never will, as a redirect does too.
    """
    if answer.is_good:
        return
    said = f"{destination} answered {answer.status}{_told(answer, secrets_in(config))}"
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


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return what a destination says as it may be shown: a line of printable text, not too long, without the secrets."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "***") if len(secret) >= _LEAST_SECRET else text
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _told(answer: Answer, secrets: Iterable[str]) -> str:
    """Return the beginning of what an answer says, where it is text that a person may read."""
    kind = answer.headers.get("content-type", "")
    if not kind.startswith(("application/json", "text/plain", "application/problem+json")):
        return ""
    shown = hide(answer.body.decode(errors="replace"), secrets)
    return f" ({shown})" if shown else ""
