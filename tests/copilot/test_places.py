"""How many runs may go on at once."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from segment_copilot.copilot.runs.places import Places
from segment_copilot.copilot.runs.run import prepare_run
from segment_copilot.errors import TooManyRequests, Unavailable
from tests.support.copilot_runs import Script, Shop, asking, says, wired


def test_a_tenant_takes_no_more_than_its_places_and_leaves_those_of_others():
    places = Places()
    first = places.take(1, most=3, most_of_tenant=1)

    with pytest.raises(TooManyRequests) as caught:
        places.take(1, most=3, most_of_tenant=1)
    assert caught.value.context["retry_after_seconds"] > 0
    places.take(2, most=3, most_of_tenant=1)

    first.leave()
    first.leave()
    assert places.count == 1
    places.take(1, most=3, most_of_tenant=1)


def test_a_process_takes_no_more_than_its_places():
    places = Places()
    places.take(1, most=2, most_of_tenant=2)
    places.take(2, most=2, most_of_tenant=2)

    with pytest.raises(Unavailable) as caught:
        places.take(3, most=2, most_of_tenant=2)

    assert caught.value.code == "service_full"


async def test_a_run_has_its_place_until_it_is_over(shop: Shop):
    copilot = wired(shop.resources, Script([asyncio.Event()]))
    run = await prepare_run(copilot, shop.tenant, asking())

    async with asyncio.timeout(5), run.drive():
        await run.events.take()
        assert copilot.places.count == 1

    assert copilot.places.count == 0


async def test_a_run_that_nobody_drives_gives_its_place_back(shop: Shop):
    copilot = wired(shop.resources, Script(says("Never.")))
    run: Any = await prepare_run(copilot, shop.tenant, asking())
    assert copilot.places.count == 1

    del run
    gc.collect()

    assert copilot.places.count == 0
