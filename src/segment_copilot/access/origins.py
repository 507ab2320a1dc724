"""Says which pages may use a public key: origins as a browser sends them, or one level below a domain. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from segment_copilot.errors import Finding, Forbidden, InvalidInput

MAX_ORIGINS: Final = 100
_HOST: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_ORIGIN: Final = re.compile(
    rf"https?://(?:\*\.{_HOST}(?:\.{_HOST})+|{_HOST}(?:\.{_HOST})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?"
)
PATTERN: Final = (
    f"^{_ORIGIN.pattern.replace('a-z', 'A-Za-z').replace('a-f', 'A-Fa-f').replace('https?', '[Hh][Tt][Tt][Pp][Ss]?')}$"
)
"""What an origin may be, for a schema: in any case."""


def check_origins(origins: Sequence[str]) -> list[str]:
    """Return *origins* in lower case and each once.

    Raises:
        InvalidInput: with a finding for each that is no origin.

    """
    lowered = [origin.lower() for origin in origins]
    findings = [
        Finding(
            f"/allowed_origins/{index}",
            "bad_origin",
            f"{origin[:100]!r} is no origin: write https://shop.example, or https://*.shop.example for one level below it.",
        )
        for index, origin in enumerate(lowered)
        if not _ORIGIN.fullmatch(origin)
    ]
    if findings:
        raise InvalidInput(findings[0].detail, code="bad_origin", findings=findings)
    return list(dict.fromkeys(lowered))


def allows(allowed: Iterable[str], origin: str) -> bool:
    """Return whether *origin* is one of the *allowed*, or one level below one of their `*.` domains."""
    sent = origin.lower()
    return any(_fits(one, sent) for one in allowed)


def check_origin(allowed: Sequence[str], origin: str | None) -> None:
    """Refuse a request of a page that a public key does not list; an app sends no origin, and its key lists none.

    Raises:
        Forbidden: The page is not listed; or the key lists pages, and the request names none.

    """
    if origin is None:
        if allowed:
            raise Forbidden("This key is for pages: send it from one, with its Origin.", code="origin_not_allowed")
    elif not allows(allowed, origin):
        detail = "This key does not list the page's origin; add it to the key's allowed_origins."
        raise Forbidden(detail, code="origin_not_allowed")


def _fits(allowed: str, origin: str) -> bool:
    scheme, star, domain = allowed.partition("*.")
    if not star:
        return allowed == origin
    if not (origin.startswith(scheme) and origin.endswith(f".{domain}")):
        return False
    label = origin[len(scheme) : -len(domain) - 1]
    return re.fullmatch(_HOST, label) is not None
