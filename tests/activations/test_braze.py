"""The connector `braze`: what is its alone. What it shares with the others is in test_connectors.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from segment_copilot.activations.connectors import Outcome, Refused, TryLater
from segment_copilot.activations.connectors.braze import Braze, BrazeConfig
from tests.support.braze_server import BrazeServer
from tests.support.destinations import OUTGOING, batch, crowd
from tests.support.service_server import Answer, serving


@pytest.fixture
async def server() -> AsyncGenerator[BrazeServer]:
    async with serving(BrazeServer()) as server:
        yield server


def config(server: BrazeServer, segment_id: str | None = None) -> BrazeConfig:
    return BrazeConfig(rest_endpoint=f"{server.url}/", api_key=f"{server.key}\n", segment_id=segment_id)


async def test_the_attribute_names_the_segment_and_nobody_is_made_for_having_left(server: BrazeServer):
    server.users = {"u1": {"country": "ES"}}

    await Braze().send(batch(crowd(2), crowd(2, start=10)), config(server), OUTGOING)

    assert server.users == {"u0": {"segops_segment_7": True}, "u1": {"country": "ES", "segops_segment_7": True}}
    await Braze().send(batch(left=crowd(2)), config(server), OUTGOING)
    assert server.users == {"u0": {"segops_segment_7": False}, "u1": {"country": "ES", "segops_segment_7": False}}


async def test_a_group_is_changed_by_fifty_and_no_attribute_is_set(server: BrazeServer):
    await Braze().send(batch(crowd(75)), config(server, server.group), OUTGOING)

    assert [len(request.document["external_id"]) for request in server.requests] == [50, 25]
    assert server.users == {}


async def test_a_group_that_is_not_there_is_refused_in_its_own_words(server: BrazeServer):
    with pytest.raises(Refused, match="Subscription group ID is invalid"):
        await Braze().send(batch(crowd(2)), config(server, "none"), OUTGOING)


async def test_what_is_queued_in_a_maintenance_has_arrived(server: BrazeServer):
    server.always = Answer(202, {"message": "queued"})

    assert await Braze().send(batch(crowd(2)), config(server), OUTGOING) == Outcome()


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"X-RateLimit-Reset": "9999999999"}, 3600, 3600),
        ({"X-RateLimit-Reset": "1000000000"}, 0, 0),
        ({"X-RateLimit-Reset": "soon"}, None, None),
        ({"X-RateLimit-Reset": "9" * 40}, None, None),
        ({"X-RateLimit-Retry-After": "12", "X-RateLimit-Reset": "1000000000"}, 12, 12),
        ({"Retry-After": "9"}, 9, 9),
        ({}, None, None),
    ],
)
async def test_a_limit_says_when_it_is_over(
    server: BrazeServer, headers: dict[str, str], least: int | None, most: int | None
):
    server.always = Answer(429, {"message": "Too many requests"}, headers)

    with pytest.raises(TryLater) as later:
        await Braze().send(batch(crowd(2)), config(server), OUTGOING)

    after = later.value.after
    assert after is None if least is None or most is None else after is not None
    if after is not None and least is not None and most is not None:
        assert timedelta(seconds=least) <= after <= timedelta(seconds=most)


async def test_errors_that_name_nobody_of_the_batch_reject_nobody(server: BrazeServer):
    errors = [{"type": "odd", "input_array": "attributes", "index": 99}, "a sentence", {"type": "no index"}]
    server.always = Answer(201, {"message": "success", "errors": errors})

    assert await Braze().send(batch(crowd(2)), config(server), OUTGOING) == Outcome()
