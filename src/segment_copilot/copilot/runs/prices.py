"""Knows what a model's tokens cost: a table with its date. A model that is not in it has no cost, rather than a guessed one."""

from __future__ import annotations

from datetime import date
from typing import Final

from msgspec import Struct

from segment_copilot.copilot.stream.usage import Usage

AS_OF: Final = date(2026, 11, 22)
"""When the table was last compared with the provider's list prices."""

_CACHE_READ: Final = 0.1  # of the input's price
_CACHE_WRITE: Final = 1.25  # kept five minutes
_LONG_CACHE_WRITE: Final = 2.0  # kept an hour
_MILLION: Final = 1_000_000


class Price(Struct, frozen=True):
    """A price is in USD for a million tokens."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        """Return what *usage* cost, in USD."""
        fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
        short = usage.cache_write_tokens - usage.long_cache_write_tokens
        read = (
            fresh
            + usage.cache_read_tokens * _CACHE_READ
            + short * _CACHE_WRITE
            + usage.long_cache_write_tokens * _LONG_CACHE_WRITE
        )
        return round((read * self.input + usage.output_tokens * self.output) / _MILLION, 6)


_LISTED: Final = {
    "claude-sonnet-5-5": Price(2, 10),
    "claude-opus-5-5": Price(4, 20),
}


def price_of(model: str, setting: str = "") -> Price | None:
    """Return the price of *model*: the *setting* ("input/output") before the table; None when neither has one."""
    if setting:
        input_price, _, output_price = setting.partition("/")
        return Price(float(input_price), float(output_price))
    return _LISTED.get(model)
