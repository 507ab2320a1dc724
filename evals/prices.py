"""Prices a run by a table with a date; an unknown model has no price, and then no cost is claimed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

PRICED_ON: Final = "2026-11-01"


class Price(Struct, frozen=True):
    """US dollars per million tokens."""

    input: float
    output: float
    cache_read: float
    cache_write: float


PRICES: Final[Mapping[str, Price]] = {
    "claude-sonnet-5-5": Price(2.0, 10.0, 0.2, 4.0),
    "claude-opus-5-5": Price(4.0, 20.0, 0.4, 8.0),
}
"""By documentation read on PRICED_ON, cache writes at the one-hour rate; not an invoice."""


def cost(model: str, usage: Mapping[str, int]) -> float | None:
    """Return the US dollars of a run's tokens; None for a model without a price. The input count includes the cached tokens."""
    price = PRICES.get(model)
    if model.startswith("offline"):
        return 0.0
    if price is None:
        return None
    read, written = usage.get("cache_read_tokens", 0), usage.get("cache_write_tokens", 0)
    plain = usage.get("input_tokens", 0) - read - written
    spent = (
        plain * price.input
        + read * price.cache_read
        + written * price.cache_write
        + usage.get("output_tokens", 0) * price.output
    )
    return spent / 1_000_000


class Budget:
    """Limits what a run may spend: US dollars, tokens, seconds of nothing. It counts; the run asks whether it may go on."""

    def __init__(self, *, usd: float | None = None, tokens: int | None = None) -> None:
        self._usd = usd
        self._most = tokens
        self._spent: float | None = 0.0
        self._counted: dict[str, int] = {}

    def spend(self, model: str, usage: Mapping[str, int]) -> None:
        """Count one answer."""
        for name, count in usage.items():
            self._counted[name] = self._counted.get(name, 0) + count
        price = cost(model, usage)
        self._spent = None if self._spent is None or price is None else self._spent + price

    @property
    def spent_usd(self) -> float | None:
        """The US dollars spent so far; None when some of it has no price."""
        return None if self._spent is None else round(self._spent, 6)

    @property
    def tokens(self) -> Mapping[str, int]:
        """The tokens spent so far, by kind."""
        return dict(self._counted)

    @property
    def limited(self) -> bool:
        """True when there is a limit at all."""
        return self._usd is not None or self._most is not None

    @property
    def exhausted(self) -> bool:
        """Return whether nothing more may be asked. A limit in dollars with an unknown price counts as spent."""
        over_tokens = self._most is not None and (
            self._counted.get("input_tokens", 0) + self._counted.get("output_tokens", 0) >= self._most
        )
        over_usd = self._usd is not None and (self._spent is None or self._spent >= self._usd)
        return over_tokens or over_usd

    def __str__(self) -> str:
        parts = [f"${self._usd:g}"] if self._usd is not None else []
        return " and ".join([*parts, *([f"{self._most:,} tokens"] if self._most is not None else [])]) or "none"
