"""So many requests a minute, of a key and of a tenant."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from segment_copilot.access.keys import Caller
from segment_copilot.access.limits import RateLimits
from segment_copilot.access.tenants import Tenant
from tests.support.clocks import Clock

ANA = Caller(Tenant(1, "acme"), 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)
    return clock


def spent(limits: RateLimits, caller: Caller) -> list[str]:
    """The limit that one more request is too many for."""
    return [spent] if (spent := limits.take(caller).spent) else []


def test_a_key_has_its_minute_and_then_another(clock: Clock):
    limits = RateLimits(per_key=3, per_tenant=10)

    left = [limits.take(ANA) for _ in range(3)]
    refused = limits.take(ANA)
    clock.now += 120

    assert [(one.nearest, one.remaining) for one in left] == [("key", 2), ("key", 1), ("key", 0)]
    assert (refused.of_tenant, refused.of_key, refused.spent) == (10, 3, "key")
    assert 1 <= refused.reset_seconds <= 60
    assert spent(limits, ANA) == []


def test_keys_of_a_tenant_share_its_limit_and_no_other_tenants(clock: Clock):
    limits = RateLimits(per_key=3, per_tenant=4)
    other_key, rival = replace(ANA, key_id=2), Caller(Tenant(2, "rival"), 3)

    assert [spent(limits, ANA) for _ in range(4)] == [[], [], [], ["key"]]
    assert [spent(limits, other_key) for _ in range(2)] == [[], ["tenant"]]
    assert spent(limits, rival) == []


def test_a_request_that_is_refused_is_counted_for_nobody(clock: Clock):
    limits = RateLimits(per_key=1, per_tenant=2)
    other_key = replace(ANA, key_id=2)

    assert [spent(limits, ANA) for _ in range(3)] == [[], ["key"], ["key"]]
    assert spent(limits, other_key) == []


def test_a_tenants_own_limit_is_what_counts_and_bounds_its_keys(clock: Clock):
    limits = RateLimits(per_key=3, per_tenant=4)
    few: Any = Caller(Tenant(1, "acme", requests_per_minute=2), 1)

    assert [spent(limits, few) for _ in range(3)] == [[], [], ["tenant"]]


def test_every_user_of_a_public_key_has_a_limit_of_their_own(clock: Clock):
    limits = RateLimits(per_key=1, per_tenant=10)
    ana, ben = [replace(ANA, session="track", session_user=user) for user in ("ana", "ben")]

    assert [spent(limits, one) for one in (ana, ben, ana)] == [[], [], ["key"]]


def test_a_window_slides_over_the_minute_before(clock: Clock):
    limits = RateLimits(per_key=4, per_tenant=100)
    clock.now = 6_000.0
    for _ in range(4):
        limits.take(ANA)

    clock.now = 6_060.0  # all four lie within the last minute
    refused = limits.take(ANA)
    clock.now += refused.reset_seconds

    assert (refused.spent, refused.reset_seconds) == ("key", 1)
    assert [spent(limits, ANA) for _ in range(2)] == [[], ["key"]]  # of the four, a little less than four weigh now
    clock.now = 6_075.0  # of the four, three: with the one since then that is four
    assert spent(limits, ANA) == ["key"]
    clock.now = 6_075.1
    assert [spent(limits, ANA) for _ in range(2)] == [[], ["key"]]
