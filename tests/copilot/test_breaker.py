"""The breaker: it opens after failures in a row, lets one run through after each pause, and closes with an answer."""

from __future__ import annotations

import pytest
from msgspec import structs

from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.errors import Unavailable
from tests.support.copilot_runs import Script, Shop, asking, run_to_end, says, wired


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=2, seconds=10, clock=clock)


def fail(breaker: Breaker, code: str = "upstream_overloaded") -> None:
    """One request to the model that fails."""
    with pytest.raises(Unavailable), breaker.watching():
        raise Unavailable("down", code=code)


def refused_for(breaker: Breaker) -> int | None:
    """Seconds after which to ask again; None when a run may begin."""
    try:
        breaker.check()
    except Unavailable as error:
        return error.context["retry_after_seconds"] if error.code == "upstream_unavailable" else -1
    return None


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker):
    fail(breaker)
    assert refused_for(breaker) is None

    fail(breaker)

    assert refused_for(breaker) == 10


def test_an_answer_between_two_failures_keeps_it_closed(breaker: Breaker):
    fail(breaker)
    with breaker.watching():
        pass
    fail(breaker)

    assert refused_for(breaker) is None


@pytest.mark.parametrize("code", ["upstream_bad_request", "context_too_long", "model_output_invalid"])
def test_what_is_wrong_with_one_request_is_no_outage(breaker: Breaker, code: str):
    fail(breaker)
    fail(breaker, code)
    fail(breaker)

    assert refused_for(breaker) is None


def test_a_request_that_is_given_up_says_nothing(breaker: Breaker):
    fail(breaker)
    with pytest.raises(GeneratorExit), breaker.watching():
        raise GeneratorExit
    fail(breaker)

    assert refused_for(breaker) == 10


def test_one_run_is_let_through_after_each_pause(breaker: Breaker, clock: Clock):
    fail(breaker)
    fail(breaker)
    clock.now += 9.5
    assert refused_for(breaker) == 1

    clock.now += 0.5

    assert refused_for(breaker) is None
    assert refused_for(breaker) == 10
    clock.now += 10  # nothing was heard of that run
    assert refused_for(breaker) is None


def test_the_run_that_was_let_through_closes_it_with_an_answer(breaker: Breaker, clock: Clock):
    fail(breaker)
    fail(breaker)
    clock.now += 10
    assert refused_for(breaker) is None

    with breaker.watching():
        pass

    assert refused_for(breaker) is None
    assert refused_for(breaker) is None


def test_the_run_that_was_let_through_begins_the_pause_anew_when_it_fails(breaker: Breaker, clock: Clock):
    fail(breaker)
    fail(breaker)
    clock.now += 10
    assert refused_for(breaker) is None
    clock.now += 4

    fail(breaker)

    assert refused_for(breaker) == 10


async def test_runs_share_it(shop: Shop, breaker: Breaker, clock: Clock):
    down = Unavailable("down", code="upstream_overloaded", context={"retry_after_ms": 0})
    failing = structs.replace(wired(shop.resources, Script([down], [down], [down])), breaker=breaker)
    assert (await run_to_end(failing, shop.tenant, asking())).frames[-1]["code"] == "upstream_overloaded"
    well = structs.replace(wired(shop.resources, Script(says("Fine."))), breaker=breaker)

    with pytest.raises(Unavailable, match="does not answer"):
        await run_to_end(well, shop.tenant, asking())

    clock.now += 10
    assert (await run_to_end(well, shop.tenant, asking())).frames[-1]["outcome"] == "completed"
