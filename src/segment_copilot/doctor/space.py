"""Judges how much room a disk has left."""

from __future__ import annotations

from typing import Final

from segment_copilot.doctor.findings import Check, in_bytes, ok, warning, wrong
from segment_copilot.language.describe.shares import in_percent, percent

_LOW: Final = 0.15
_FULL: Final = 0.05
_LEAST: Final = 2**30  # bytes that are little on a disk of any size


def judge_space(name: str, what: str, *, free: int, total: int) -> Check:
    """Judge a disk with *free* of *total* bytes; *what* says whose it is."""
    left = free / total if total else 0.0
    detail = f"{what} {in_bytes(free)} of {in_bytes(total)} are free ({in_percent(percent(free, total, decimals=0))})."
    remedy = "Make room, or move to a larger disk: merges and vacuum need room of their own before they free any."
    if left < _FULL or free < _LEAST:
        return wrong(name, detail, remedy)
    return warning(name, detail, remedy) if left < _LOW else ok(name, detail)
