from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from segment_copilot.demo.schemas import SCHEMAS
from segment_copilot.demo.shop import Shop, generate_shop
from segment_copilot.events import Event

pytestmark = pytest.mark.slow  # a shop of the promised size is generated

ENDS_AT = datetime(2026, 6, 10, 15, 30, tzinfo=UTC)
TRAITS = {"country", "city", "plan", "loyalty_tier", "email_opt_in", "age", "tags", "signup_date"}
PAYLOADS = {
    "page_viewed": {"path", "utm_source", "device"},
    "search_performed": {"query", "results"},
    "product_viewed": {"product_id", "category", "price"},
    "wishlist_add": {"product_id"},
    "cart_add": {"product_id"},
    "checkout_started": {"value"},
    "order_placed": {"total", "currency", "items", "category"},
    "order_refunded": {"total", "reason"},
    "email_opened": {"campaign"},
    "email_clicked": {"campaign"},
    "trial_started": {"plan"},
    "support_ticket_opened": {"priority"},
}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate_shop()


@pytest.fixture(scope="module")
def events(shop: Shop) -> list[Event]:
    return list(shop.events(1, ends_at=ENDS_AT))


def digest(events: list[Event]) -> str:
    return hashlib.sha256(msgspec.json.encode(events)).hexdigest()


def payload(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(event.payload)


def test_the_shop_has_the_promised_size(events):
    assert len({event.user_id for event in events}) == 20_000
    assert 360_000 < len(events) < 440_000
    assert len({event.event_id for event in events}) == len(events)


def test_the_events_lie_in_order_within_180_days_that_end_now(events):
    instants = [event.occurred_at for event in events]
    assert instants == sorted(instants)
    assert instants[0] >= ENDS_AT - timedelta(days=180)
    assert ENDS_AT - timedelta(hours=1) < instants[-1] <= ENDS_AT


def test_the_same_seed_gives_the_same_shop_in_another_process():
    program = (
        "import hashlib, msgspec, datetime as d; from segment_copilot.demo.shop import generate_shop;"
        "ends_at = d.datetime(2026, 6, 10, 15, 30, tzinfo=d.timezone.utc);"
        "events = list(generate_shop(seed=7, users=400).events(1, ends_at=ends_at));"
        "print(hashlib.sha256(msgspec.json.encode(events)).hexdigest())"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": "4"})
    here = list(generate_shop(seed=7, users=400).events(1, ends_at=ENDS_AT))
    assert printed.decode().strip() == digest(here)


def test_another_seed_gives_another_shop():
    first, second = (list(generate_shop(seed=seed, users=400).events(1, ends_at=ENDS_AT)) for seed in (7, 8))
    assert digest(first) != digest(second)


def test_another_end_shifts_every_event_and_changes_nothing_but_the_dates():
    shop, by = generate_shop(users=400), timedelta(days=91, hours=7, microseconds=5)
    for before, after in zip(shop.events(1, ends_at=ENDS_AT), shop.events(1, ends_at=ENDS_AT + by), strict=True):
        assert after.occurred_at - before.occurred_at == by
        left, right = payload(before), payload(after)
        if (signed_up := left.pop("signup_date", None)) is not None:
            moved = datetime.fromisoformat(right.pop("signup_date")) - datetime.fromisoformat(signed_up)
            assert abs(moved - by) < timedelta(days=1)
        assert msgspec.structs.replace(before, occurred_at=ENDS_AT, payload="") == msgspec.structs.replace(
            after, occurred_at=ENDS_AT, payload=""
        )
        assert left == right


def test_every_payload_has_exactly_the_keys_of_its_event_type(events):
    seen: dict[str, Counter[str]] = {}
    for event in events:
        seen.setdefault(event.event_type, Counter()).update(payload(event).keys())
    count = Counter(event.event_type for event in events)
    assert set(seen.pop("context_identified")) == TRAITS
    coupons = seen["order_placed"].pop("coupon")
    assert 0.1 < coupons / count["order_placed"] < 0.3
    assert {event_type: set(keys) for event_type, keys in seen.items()} == PAYLOADS
    for event_type, keys in seen.items():
        assert set(keys.values()) == {count[event_type]}


def test_every_event_type_and_property_has_a_described_schema():
    required = {schema.event_type: {item.name for item in schema.properties if item.required} for schema in SCHEMAS}
    optional = {schema.event_type: {item.name for item in schema.properties if not item.required} for schema in SCHEMAS}
    assert required == {**PAYLOADS, "context_identified": set()}
    assert {name: items for name, items in optional.items() if items} == {
        "order_placed": {"coupon"},
        "context_identified": TRAITS,
    }
    assert all(schema.description for schema in SCHEMAS)
    assert all(item.description for schema in SCHEMAS for item in schema.properties)


def test_funnels_narrow_from_step_to_step(events):
    count = Counter(event.event_type for event in events)
    funnel = [count[name] for name in ("page_viewed", "product_viewed", "cart_add", "checkout_started", "order_placed")]
    assert funnel == sorted(funnel, reverse=True)
    assert 0.02 < count["order_placed"] / count["page_viewed"] < 0.1
    assert 0.02 < count["order_refunded"] / count["order_placed"] < 0.1


def test_the_last_seven_days_are_an_ordinary_week(events):
    weeks = Counter((ENDS_AT - event.occurred_at).days // 7 for event in events if event.event_type == "order_placed")
    assert 0.7 < weeks[0] / weeks[1] < 1.4


def test_days_have_their_hours(events):
    # the shop's clock ends at 18:00, so its nights lie from 4 to 11 hours before that
    hours = Counter((ENDS_AT - event.occurred_at).seconds // 3600 for event in events)
    assert max(hours.values()) > 4 * min(hours.values())
    assert {hour for hour, _ in hours.most_common()[-6:]} <= set(range(11, 19))


def test_some_users_are_known_by_an_identify_alone_and_some_never_identified(events):
    types: dict[str, set[str]] = {}
    for event in events:
        types.setdefault(event.user_id, set()).add(event.event_type)
    assert 200 < sum(names == {"context_identified"} for names in types.values()) < 2_000
    assert 1_000 < sum("context_identified" not in names for names in types.values()) < 4_000


def test_traits_change_for_some_users(events):
    identifies = Counter(event.user_id for event in events if event.event_type == "context_identified")
    assert 1_000 < sum(count > 1 for count in identifies.values()) < 10_000
