"""Holds what an examination found: a verdict on each thing that was looked at, and what to do."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Verdict = Literal["ok", "unknown", "warning", "wrong"]

_WORST_LAST: Final[tuple[Verdict, ...]] = ("ok", "unknown", "warning", "wrong")


class Check(Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at.

    `wrong`: something does not work, or will be lost. `warning`: it works, and may not for long. `unknown`: it cannot
    be seen from here. *remedy* says what to do, where there is something to do.
    """

    name: str
    """Of what, and which: `postgres.clock`."""
    verdict: Verdict
    detail: str
    remedy: str = ""


class Report(Struct, frozen=True):
    """All checks of one examination; *verdict* is the worst of theirs."""

    verdict: Verdict
    version: str
    """Of segment-copilot."""
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, checks: list[Check], *, version: str) -> Report:
        """Return the report on *checks*."""
        worst = max((_WORST_LAST.index(one.verdict) for one in checks), default=0)
        return cls(_WORST_LAST[worst], version, tuple(checks))


def ok(name: str, detail: str) -> Check:
    """Return that a thing is as it should be."""
    return Check(name, "ok", detail)


def unknown(name: str, detail: str, remedy: str = "") -> Check:
    """Return that a thing cannot be seen from here."""
    return Check(name, "unknown", detail, remedy)


def warning(name: str, detail: str, remedy: str) -> Check:
    """Return that a thing works, and may not for long."""
    return Check(name, "warning", detail, remedy)


def wrong(name: str, detail: str, remedy: str) -> Check:
    """Return that a thing does not work, or that something will be lost by it."""
    return Check(name, "wrong", detail, remedy)


def in_words(seconds: float) -> str:
    """Return a length of time as a person says it, rounded down: `3 h`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def in_bytes(count: float) -> str:
    """Return a number of bytes as a person says it: `3.2 GiB`."""
    for unit, size in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 2**10:.0f} KiB"
