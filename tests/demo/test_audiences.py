"""The example questions of the copilot have believable answers on the demo shop, by a plain reading of its events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.demo.segments import SEGMENTS
from segment_copilot.demo.shop import generate_shop
from segment_copilot.events import Event
from segment_copilot.language import decode

EVER = 10_000


class History:
    """What one user did: per event type (days ago, payload), and the traits."""

    def __init__(self) -> None:
        self.did: dict[str, list[tuple[float, dict[str, Any]]]] = defaultdict(list)
        self.traits: dict[str, Any] = {}

    def count(self, event_type: str, *, days: int = EVER) -> int:
        return sum(ago <= days for ago, _ in self.did[event_type])

    def days_since(self, event_type: str) -> float:
        return min((ago for ago, _ in self.did[event_type]), default=float("nan"))  # NaN passes no comparison

    def spent(self) -> float:
        return sum(order["total"] for _, order in self.did["order_placed"])

    def saw(self, path: str) -> bool:
        return any(page["path"] == path for _, page in self.did["page_viewed"])


def read(events: Iterable[Event], ends_at: datetime) -> list[History]:
    """The histories that the events tell."""
    users: dict[str, History] = defaultdict(History)
    for event in events:
        payload = msgspec.json.decode(event.payload)
        user = users[event.user_id]
        user.did[event.event_type].append(((ends_at - event.occurred_at) / timedelta(days=1), payload))
        if event.event_type == "context_identified":
            user.traits |= payload
    return list(users.values())


@pytest.fixture(scope="module")
def histories(ends_at: datetime) -> list[History]:
    return read(generate_shop().events(1, ends_at=ends_at), ends_at)


AUDIENCES: dict[str, tuple[Callable[[History], bool], int, int]] = {
    "purchased in the last 7 days but never added to a wishlist": (
        lambda user: user.count("order_placed", days=7) >= 1 and user.count("wishlist_add") == 0, 50, 1_000,
    ),
    "placed more than 3 orders in the last 90 days": (
        lambda user: user.count("order_placed", days=90) > 3, 50, 2_000,
    ),
    "spent over $500 total and haven't visited in 30 days": (
        lambda user: user.spent() > 500 and user.days_since("page_viewed") > 30, 50, 2_000,
    ),
    "in the US who started a trial but never purchased": (
        lambda user: user.traits.get("country") == "US"
        and user.count("trial_started") >= 1
        and user.count("order_placed") == 0, 50, 1_000,
    ),
    "viewed the /pricing page at least once and hasn't converted": (
        lambda user: user.saw("/pricing") and user.count("order_placed") == 0, 500, 5_000,
    ),
    "total revenue over $1000, at least 5 orders, last order within 60 days": (
        lambda user: user.spent() > 1_000
        and user.count("order_placed") >= 5
        and user.days_since("order_placed") < 60, 50, 1_000,
    ),
    "added to cart but never placed an order in the last 14 days": (
        lambda user: user.count("cart_add") >= 1 and user.count("order_placed", days=14) == 0, 500, 10_000,
    ),
    "added to cart in the last 14 days but placed no order in them": (
        lambda user: user.count("cart_add", days=14) >= 1 and user.count("order_placed", days=14) == 0, 50, 2_000,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("words", AUDIENCES)
def test_an_example_audience_is_neither_nobody_nor_everybody(words, histories):
    matches, least, most = AUDIENCES[words]
    assert least < sum(map(matches, histories)) < most


DEFINITIONS = {
    "purchased in the last 7 days but never added to a wishlist": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1, "window_days": 7},
        {"type": "event_count", "event_type": "wishlist_add", "operator": "eq", "value": 0},
    ],
    "placed more than 3 orders in the last 90 days": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gt", "value": 3, "window_days": 90},
    ],
    "spent over $500 total and haven't visited in 30 days": [
        {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gt", "value": 500},
        {"type": "recency", "event_type": "page_viewed", "operator": "gt", "window_days": 30},
    ],
    "in the US who started a trial but never purchased": [
        {"type": "user_property", "property": "country", "operator": "eq", "value": "US"},
        {"type": "event_count", "event_type": "trial_started", "operator": "gte", "value": 1},
        {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0},
    ],
    "viewed the /pricing page at least once and hasn't converted": [
        {
            "type": "event_count", "event_type": "page_viewed", "operator": "gte", "value": 1,
            "where": [{"property": "path", "operator": "eq", "value": "/pricing"}],
        },
        {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0},
    ],
    "total revenue over $1000, at least 5 orders, last order within 60 days": [
        {"type": "monetary", "event_type": "order_placed", "property": "total", "metric": "sum", "operator": "gt", "value": 1000},
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 5},
        {"type": "recency", "event_type": "order_placed", "operator": "lt", "window_days": 60},
    ],
    "added to cart but never placed an order in the last 14 days": [
        {"type": "event_count", "event_type": "cart_add", "operator": "gte", "value": 1},
        {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0, "window_days": 14},
    ],
    "added to cart in the last 14 days but placed no order in them": [
        {"type": "event_count", "event_type": "cart_add", "operator": "gte", "value": 1, "window_days": 14},
        {"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0, "window_days": 14},
    ],
}  # fmt: skip


@pytest.mark.parametrize("words", AUDIENCES)
async def test_a_preview_counts_what_the_plain_reading_counts(words, shop, demo_tenant, loaded, ends_at):
    matches, _, _ = AUDIENCES[words]
    definition = {"logic": "AND", "conditions": DEFINITIONS[words]}
    preview = await shop.previews.preview(demo_tenant, definition, as_of=ends_at)
    assert preview.matched_users == sum(map(matches, read(loaded, ends_at)))
    assert 0 < preview.matched_users < preview.universe == 4_000
    assert not preview.warnings


@pytest.mark.slow
def test_every_trait_tells_users_apart(histories):
    for trait, value in {
        "country": "US", "plan": "pro", "loyalty_tier": "gold", "email_opt_in": True, "city": "Madrid", "age": 40,
    }.items():  # fmt: skip
        share = sum(user.traits.get(trait) == value for user in histories) / len(histories)
        assert 0.005 < share < 0.6, trait


def test_the_saved_definitions_decode_and_use_every_condition_type():
    ids = {segment.name: number for number, segment in enumerate(SEGMENTS, start=1)}
    definitions = [segment.definition(ids) for segment in SEGMENTS]
    for definition in definitions:
        decode(definition)
    groups = [
        group for definition in definitions for group in (definition, definition.get("exclude", {"conditions": []}))
    ]
    assert {condition["type"] for group in groups for condition in group["conditions"]} == {
        "event_count", "recency", "monetary", "event_property", "user_property", "event_sequence", "segment_membership",
    }  # fmt: skip


def test_the_promised_segments_are_there_with_a_description():
    assert {"High LTV", "Churn Risk", "VIP Buyers", "Newsletter", "Staff"} < {segment.name for segment in SEGMENTS}
    assert len(SEGMENTS) >= 8
    assert all(segment.description for segment in SEGMENTS)


def test_a_segment_leaves_out_only_segments_before_it():
    for place, segment in enumerate(SEGMENTS):
        assert set(segment.without) <= {earlier.name for earlier in SEGMENTS[:place]}
