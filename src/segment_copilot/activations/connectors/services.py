"""Says in a person's words what a service with an API key of its own answers, and whether the same may work later."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from segment_copilot.activations.connectors.answers import hide
from segment_copilot.activations.connectors.contract import Refused, TryLater
from segment_copilot.activations.outgoing import Answer

_TOO_MANY: Final = 429
_LATER: Final = {408, 425}
_SERVER_ERROR: Final = 500
T = TypeVar("T")


class Service(Struct, frozen=True):
    """A service, and the sentences about what only a person can put right there."""

    name: str
    wrong_key: str
    """What to do about a key that it does not know."""
    few_rights: str
    """What to do about a key that may not do this."""
    missing: str
    """What to do about a place that is not there."""


def fail(answer: Answer, service: Service, *, told: str, secret: str, after: timedelta | None) -> NoReturn:
    """Raise what an answer means that took nothing. *told* is what the service itself says, *after* when it may go on.

    Raises:
        TryLater: The service is busy, or has a problem of its own.
        Refused: Somebody has to change something first.
    """
    said = f": {hide(told, [secret])}" if told else ""
    match answer.status:
        case 429:
            raise TryLater(f"{service.name} asks to wait: it had too many requests.", after)
        case status if status in _LATER or status >= _SERVER_ERROR:
            raise TryLater(f"{service.name} has a problem of its own ({status}).", after)
        case 401:
            raise Refused(service.wrong_key)
        case 403:
            raise Refused(service.few_rights)
        case 404:
            raise Refused(service.missing)
        case status if status < 400:  # noqa: PLR2004  # a redirect: it is not followed with a key
            raise Refused(f"{service.name} does not answer at this address ({status}). {service.missing}")
        case status:
            raise Refused(f"{service.name} refuses what was sent ({status}){said}")


def read(answer: Answer, kind: type[T]) -> T | None:
    """Return an answer's body as a *kind*; None where it is something else."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
