"""Long work is done beside the event loop: others are served meanwhile, and tenants take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from segment_copilot.stores.aside import Aside

WAIT = 30.0  # seconds, after which a test that hangs fails


def until(event: threading.Event, done: list[str], name: str) -> Callable[[], str]:
    def work() -> str:
        assert event.wait(WAIT)
        done.append(name)
        return name

    return work


async def test_the_loop_goes_on_while_long_work_is_done():
    """What ends the work is done by the loop, which it would wait for for ever on the loop itself."""
    go, done = threading.Event(), list[str]()
    working = asyncio.create_task(Aside().do(1, until(go, done, "long")))
    await asyncio.sleep(0)
    done.append("served")
    go.set()

    assert await working == "long"
    assert done == ["served", "long"]


async def test_what_is_not_long_is_done_where_it_stands():
    assert await Aside().do(1, threading.get_ident, is_long=False) == threading.get_ident()
    assert await Aside().do(1, threading.get_ident) != threading.get_ident()


async def test_what_it_raises_is_raised_and_gives_the_turn_back():
    aside = Aside()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await aside.do(1, lambda: 1 // 0)


async def test_one_piece_at_a_time_in_turns_round_the_tenants():
    aside, go, done = Aside(), threading.Event(), list[str]()
    noisy = [asyncio.create_task(aside.do("noisy", until(go, done, f"noisy {n}"))) for n in range(3)]
    await asyncio.sleep(0)
    quiet = asyncio.create_task(aside.do("quiet", until(go, done, "quiet")))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*noisy, quiet)

    assert done == ["noisy 0", "quiet", "noisy 1", "noisy 2"]


async def test_work_that_nobody_waits_for_keeps_its_turn_until_it_ends():
    aside, begun, go, done = Aside(), threading.Event(), threading.Event(), list[str]()

    def given_up() -> None:
        begun.set()
        until(go, done, "given up")()

    task = asyncio.create_task(aside.do(1, given_up))
    await asyncio.to_thread(begun.wait, WAIT)
    task.cancel()
    next_one = asyncio.create_task(aside.do(1, until(go, done, "next")))
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert done == []
    go.set()

    await next_one
    assert done == ["given up", "next"]
