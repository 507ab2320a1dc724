"""Holds what comes of a change: a draft that is another now, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segment_copilot.english.outcomes import Drafted

Json = Mapping[str, Any]


class Edited(Drafted, frozen=True):
    """A draft after a change.

    *document* is the definition with all that was not spoken of as it was, byte for byte; *patch* turns the one before
    into it. *said* tells what is another, in sentences.
    """

    document: Json = {}  # noqa: RUF012  # a struct copies its defaults
    patch: tuple[Json, ...] = ()
    said: tuple[str, ...] = ()
