"""Makes draws from one seeded source, cheap enough for half a million of them.

Weights become pools of 4,096 entries once; a pick from one is then a single `getrandbits(12)`. Only `random` and
`getrandbits` are used: their streams are the same on every Python version, those of the convenience methods are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, TypeVar

POOL_BITS: Final = 12
POOL_SIZE: Final = 1 << POOL_BITS

T = TypeVar("T")


class Dice:
    """One seeded source: *share()* is uniform in [0, 1), *bits(n)* a whole number of n random bits."""

    def __init__(self, seed: int) -> None:
        source = Random(seed)
        self.share = source.random
        self.bits = source.getrandbits

    def happens(self, probability: float) -> bool:
        """Return whether something of that probability happens this time."""
        return self.share() < probability

    def one_of(self, values: Sequence[T]) -> T:
        """Return one of a few values, each as likely as the others."""
        return values[self.bits(16) % len(values)]

    def pick(self, pool: Sequence[T]) -> T:
        """Return one entry of a pool made by this module."""
        return pool[self.bits(POOL_BITS)]


def pool_of(weights: Mapping[T, float]) -> tuple[T, ...]:
    """Return a pool in which each key has its share of the weights."""
    total = sum(weights.values())
    pool: list[T] = []
    reached = 0.0
    for value, weight in weights.items():
        reached += weight
        pool.extend([value] * (round(reached / total * POOL_SIZE) - len(pool)))
    return tuple(pool)


def exponential_pool(mean: float) -> tuple[int, ...]:
    """Return whole numbers spread as an exponential distribution of that mean."""
    return tuple(round(-mean * math.log(1 - (slot + 0.5) / POOL_SIZE)) for slot in range(POOL_SIZE))


def bell_pool(low: int, high: int) -> tuple[int, ...]:
    """Return whole numbers from low to high, the middle ones most often (a parabola)."""
    middle, half = (low + high) / 2, (high - low) / 2 + 1
    return pool_of({number: 1 - ((number - middle) / half) ** 2 for number in range(low, high + 1)})
