"""Reaches a store: first its port, so that a name, a closed port and a firewall are told apart, then its clock."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from segment_copilot.doctor.findings import Check, in_words, ok, warning, wrong

CONNECT_SECONDS: Final = 5.0

_NOTED: Final = 1.0  # seconds that two clocks may differ
_TOO_FAR: Final = 30.0
_LOOKS: Final = 3


async def dial(name: str, url: str, *, port: int) -> Check | None:
    """Open a connection to the host of *url* and close it again; None when *url* names none, but a socket or several hosts."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or port
    except ValueError:
        return None
    if not host or "," in parts.netloc:
        return None
    check, place = f"{name}.reach", f"{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        detail = f"No answer from {place} within {CONNECT_SECONDS:g} s."
        return wrong(
            check, detail, "Look whether the machine runs, and whether a firewall or network policy is between."
        )
    except socket.gaierror:
        return wrong(
            check, f"The name {host} leads nowhere.", "Correct the host in the URL, or the name server of this machine."
        )
    except OSError as error:
        detail = f"{place} takes no connections ({os.strerror(error.errno) if error.errno else error})."
        return wrong(check, detail, "Start the server, or correct host and port in the URL.")
    writer.close()
    return ok(check, f"{place} takes connections.")


class Skew(Struct, frozen=True):
    """Says how far a store's clock is ahead of this machine's, and by how much that may be off."""

    seconds: float
    uncertain: float


async def time_clock(ask: Callable[[], Awaitable[datetime]]) -> Skew:
    """Compare a store's clock with this machine's; of several looks the quickest says most."""
    looks = list[Skew]()
    for _ in range(_LOOKS):
        before = datetime.now(UTC)
        there = await ask()
        half = (datetime.now(UTC) - before) / 2
        looks.append(Skew((there - before - half) / timedelta(seconds=1), half / timedelta(seconds=1)))
    return min(looks, key=lambda look: look.uncertain)


def judge_clock(name: str, skew: Skew) -> Check:
    """Judge how far a store's clock is off, giving it the benefit of what could not be measured."""
    check, off = f"{name}.clock", max(0.0, abs(skew.seconds) - skew.uncertain)
    if off < _NOTED:
        return ok(check, f"It agrees with this machine's, to {in_words(max(abs(skew.seconds), skew.uncertain))}.")
    detail = f"It is {in_words(off)} {'ahead of' if skew.seconds > 0 else 'behind'} this machine's."
    remedy = "Let all machines set their clocks by the same servers (NTP): windows, leases and what is due go by them."
    return wrong(check, detail, remedy) if off >= _TOO_FAR else warning(check, detail, remedy)
