"""What every test folder shares: engines, databases (`support/`) and Hypothesis profiles."""

from __future__ import annotations

import functools
import os

import httpcore2
import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    f"tests.support.{name}" for name in ("engines", "databases", "resources", "nodes", "sending", "failures")
]

# Every HTTP client loads the system's authorities, 20 ms of computing, and these tests open thousands: once is enough.
httpcore2.default_ssl_context = functools.cache(httpcore2.default_ssl_context)

# A machine that is busy with something else is not a failure; nor is yesterday's counterexample file an input.
settings.register_profile(
    "dev", deadline=None, derandomize=True, database=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True)
settings.register_profile("full", settings.get_profile("ci"), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

STARTS_PROCESSES = {"servers", "own_engines", "node"}
"""Fixtures that start something outside of the tests' own process."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as `engines` what needs a store or another process; `make quick` leaves it out.

    Where tests are shared out, modules with something slow go first: one that came last would run alone.
    """
    for item in items:
        if not STARTS_PROCESSES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("engines")
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)
