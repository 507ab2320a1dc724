"""Computes rates with their uncertainty. Three formulas need a few lines; statsmodels would bring scipy and numpy."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt
from random import Random
from typing import Final

_Z: Final = 1.959963984540054  # 97.5 % of the normal distribution
_RESAMPLES: Final = 2_000


def wilson(passed: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a rate (Wilson 1927), which stays within 0 and 1 and works for few cases."""
    if total == 0:
        return 0.0, 1.0
    rate = passed / total
    middle = rate + _Z**2 / (2 * total)
    spread = _Z * sqrt(rate * (1 - rate) / total + _Z**2 / (4 * total**2))
    scale = 1 + _Z**2 / total
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)


def pass_hat_k(passed: int, trials: int, k: int) -> float:
    """Return the chance that k trials drawn from these all passed: C(c, k) / C(n, k)."""
    return comb(passed, k) / comb(trials, k)


def pass_at_k(passed: int, trials: int, k: int) -> float:
    """Return the chance that of k trials drawn from these at least one passed."""
    return 1 - comb(trials - passed, k) / comb(trials, k)


def paired_bootstrap(before: Sequence[float], after: Sequence[float], *, seed: int = 1) -> tuple[float, float, float]:
    """Return the mean difference of paired scores, and its 95 % interval by resampling the pairs (Efron 1979)."""
    differences = [new - old for old, new in zip(before, after, strict=True)]
    if not differences:
        return 0.0, 0.0, 0.0
    source, count = Random(seed), len(differences)
    means = sorted(sum(source.choices(differences, k=count)) / count for _ in range(_RESAMPLES))
    low, high = means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]
    return sum(differences) / count, low, high


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies; the nearest one, none made up."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
