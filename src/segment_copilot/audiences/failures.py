"""Holds why work in the background failed, as its record tells it."""

from __future__ import annotations

from msgspec import Struct


class Failure(Struct, frozen=True):
    """A computation, an export or a snapshot failed for this reason."""

    code: str
    detail: str
