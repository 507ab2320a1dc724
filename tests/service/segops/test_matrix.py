"""Every method of SegOps' SDKs works against the running service, and the page of the docs says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.service.segops.calls import CALLS
from tests.service.segops.matrix import Outcome, expected, page, run
from tests.service.segops.world import World

pytestmark = pytest.mark.engines
PAGE = Path(__file__).parents[3] / "docs" / "segops.md"


@pytest.fixture(scope="module")
async def outcomes(url: str, key: str, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """How every call went."""
    world = World(url, key, tmp_path_factory.mktemp("scratch"))
    await asyncio.to_thread(world.remember)
    return await asyncio.to_thread(run, world)


def test_every_method_of_this_product_is_called():
    called = {call.method.removesuffix(" with a public key") for call in CALLS}

    assert called == set(expected())


@pytest.mark.parametrize("method", [call.method for call in CALLS])
async def test_the_method_works(outcomes, method):
    assert [outcome.failure for outcome in outcomes if outcome.method == method] == [""]


async def test_the_page_is_current(outcomes):
    """Write it anew with: make segops."""
    assert PAGE.read_text() == page(outcomes)
