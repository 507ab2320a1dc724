"""Counts the tokens that a run uses, as a model counts them and the stream tells them."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Usage(Struct, frozen=True):
    """Counts the tokens of one or more turns; input includes cache reads and writes, output includes reasoning.

    *long_cache_write_tokens* are those of the cache's writes that it keeps for an hour. *cost_usd* is absent when the
    model's price is not known; *estimated* is there, and true, when an answer was cut and its tokens were not told.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET
