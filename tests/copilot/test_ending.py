"""The server's own words at the end of a run, and the run's time."""

from __future__ import annotations

import asyncio
import math

import pytest

from segment_copilot.copilot.runs.deadline import Deadline
from segment_copilot.copilot.runs.ending import closing_words, uncounted_extreme


@pytest.mark.parametrize(
    ("said", "count", "sentence"),
    [
        ("Here it is.", 0, "The last count matches nobody: 0 of 1,000 users."),
        ("Nobody did.", 0, ""),
        ("Here it is.", 1000, "The last count matches everybody: 1,000 of 1,000 users."),
        ("Here it is.", 960, "The last count matches nearly everybody: 960 of 1,000 users."),
        ("That is 960 users.", 960, ""),
        ("That is 1.000 users.", 1000, ""),
        ("Here it is.", 950, ""),
    ],
)
def test_nobody_and_nearly_everybody_are_told(said: str, count: int, sentence: str):
    assert uncounted_extreme(said, [], {"matched_users": count, "universe": 1000}) == sentence


def test_what_was_not_counted_is_not_told():
    assert uncounted_extreme("Here it is.", [], None) == ""


def test_a_silent_run_ends_with_a_sentence():
    assert closing_words("limit", "max_turns", []).startswith("I stopped here")
    assert closing_words("refused", None, []).startswith("I cannot help")
    assert closing_words("completed", None, []) == "I have nothing to add to what is shown."


async def test_a_run_that_was_stopped_before_it_began_has_no_time():
    deadline = Deadline(60)
    deadline.stop("server_draining")
    deadline.stop("internal")

    with pytest.raises(TimeoutError):
        await _spend(deadline)

    assert deadline.code == "server_draining", "the first reason stands"
    assert deadline.seconds_left() == math.inf


async def test_a_run_that_is_stopped_ends_at_once():
    deadline = Deadline(60)
    spending = asyncio.create_task(_spend(deadline))
    await asyncio.sleep(0)
    assert 0 < deadline.seconds_left() <= 60

    deadline.stop("server_draining")

    with pytest.raises(TimeoutError):
        await spending


async def _spend(deadline: Deadline) -> None:
    async with asyncio.timeout(5), deadline.running():
        await asyncio.Event().wait()
