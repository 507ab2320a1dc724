"""From a sentence to a draft, a question or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from segment_copilot.english_next.outcomes import Asked, Drafted, Refused
from segment_copilot.language.catalog import Catalog


def read_audience(
    text: str, catalog: Catalog, as_of: datetime, timezone: str, *, weights: Mapping[str, float] | None = None
) -> Drafted | Asked | Refused:
    """Return what *text* asks for, in a tenant's *catalog*, at *as_of*: a draft only when it is clearly meant."""
    del text, catalog, as_of, timezone, weights
    return Refused("Nothing is understood yet.")
