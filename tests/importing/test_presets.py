"""The exports of other services, rebuilt from the columns that they publish, become events. The data is made up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from segment_copilot.importing import BadRow, guess_preset, make_layout, presets, read_rows

FILES = Path(__file__).parents[1] / "data" / "imports"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
NO_USER = "There is no user: the row cannot be anybody's."
NO_TIME = "There is no time."


class Export(Struct, frozen=True):
    """A file and what its rows become: user, event type, time to the second, id, and values of the payload by key."""

    preset: str
    file: str
    events: list[tuple[str, str, str, str | None, dict[str, Any]]]
    rejected: list[tuple[int, str]]


IDENTIFY = "context_identified"
ANA, BEN = "ana.0001@example.com", "ben.0001@example.com"
IMPORTED = "2026-07-01T00:00:00"
SEGMENT_EVENTS = [
    ("ana-0001", IDENTIFY, "2026-06-20T13:14:58", "m-0001-1", {"plan": "pro"}),
    ("ana-0001", "Order Completed", "2026-06-20T13:15:00", "m-0001-2", {"total": 89.95, "coupon": None, "products": [{"sku": "MUG-1"}]}),
    ("ana-0001", "page", "2026-06-20T13:16:00", "m-0001-3", {"name": "Home", "path": "/", "receivedAt": "2026-06-20T13:16:00.000Z"}),
    ("ana-0001", "group", "2026-06-20T13:17:00", "m-0001-4", {"groupId": "g-0001"}),
]  # fmt: skip
SEGMENT_REJECTED = [(5, f"userId: {NO_USER}"), (6, "It is not JSON: Input data was truncated.")]
POSTHOG_EVENTS = [
    ("ana-0001", IDENTIFY, "2026-06-20T13:14:58", None, {"email": "ana@example.com"}),
    ("ana-0001", "$pageview", "2026-06-20T13:14:58", "019-0001-1", {"$browser": "Firefox"}),
    ("ana-0001", IDENTIFY, "2026-06-20T13:15:58", None, {"plan": "pro"}),
    ("ana-0001", "order placed", "2026-06-20T13:15:58", "019-0001-2", {"total": 89.95, "gift": False}),
]
EXPORTS = [
    Export(
        "shopify",
        "shopify_orders.csv",
        [
            (ANA, "order_placed", "2026-06-20T11:14:58", "shopify-order-58120001", {"Total": 69.9, "Accepts Marketing": True, "Billing Zip": "'01067"}),
            (BEN, "order_placed", "2026-06-21T07:00:00", "shopify-order-58220001", {"Total": 8.5, "Accepts Marketing": False, "Notes": "two\nlines"}),
        ],
        [(6, f"Email: {NO_USER}")],
    ),
    Export(
        "shopify-customers",
        "shopify_customers.csv",
        [
            (ANA, IDENTIFY, IMPORTED, None, {"Accepts Email Marketing": True, "Total Spent": 69.9, "Tags": "vip, tea"}),
            (BEN, IDENTIFY, IMPORTED, None, {"Accepts Email Marketing": False, "Default Address City": "Köln"}),
        ],
        [(4, f"Email: {NO_USER}")],
    ),
    Export("segment", "segment.ndjson", SEGMENT_EVENTS, SEGMENT_REJECTED),
    Export("rudderstack", "rudderstack.ndjson", SEGMENT_EVENTS, SEGMENT_REJECTED),
    Export(
        "mixpanel",
        "mixpanel.ndjson",
        [
            ("ana-0001", "Signup", "2026-06-20T11:54:58", "i-0001-1", {"$city": "Porto"}),
            ("ana-0001", "Purchase", "2026-06-20T12:54:58", "i-0001-2", {"Item": "Coffee", "Amount": 5.5, "Gift": True}),
        ],
        [(3, "properties.time: 'yesterday' is no time that can be read: write year-month-day, as in 2026-04-25 14:32:00, or name its format with --time-format.")],
    ),
    Export(
        "mixpanel-profiles",
        "mixpanel_profiles.ndjson",
        [
            ("ana-0001", IDENTIFY, IMPORTED, None, {"plan": "pro", "seats": 3}),
            ("ben-0001", IDENTIFY, IMPORTED, None, {"plan": "free"}),
        ],
        [(3, f"$distinct_id: {NO_USER}")],
    ),
    Export(
        "amplitude",
        "amplitude.ndjson",
        [
            ("ana-0001", IDENTIFY, "2026-06-20T13:14:58", None, {"plan": "free"}),
            ("ana-0001", "signup", "2026-06-20T13:14:58", "u-0001-1", {"country": "Portugal", "paying": None}),
            ("ana-0001", IDENTIFY, "2026-06-20T14:14:58", None, {"plan": "pro"}),
            ("ana-0001", "purchase", "2026-06-20T14:14:58", "u-0001-2", {"amount": 5.5, "gift": True}),
            ("ana-0001", "purchase", "2026-06-20T15:14:58", "u-0001-3", {"amount": 7}),
        ],
        [(4, f"user_id: {NO_USER}")],
    ),
    Export("posthog", "posthog.ndjson", POSTHOG_EVENTS, [(3, f"timestamp: {NO_TIME}")]),
    Export("posthog", "posthog.csv", POSTHOG_EVENTS, [(4, f"timestamp: {NO_TIME}")]),
    Export(
        "ga4",
        "ga4.ndjson",
        [
            ("1000.0001", IDENTIFY, "2026-06-20T13:14:58", None, {"plan": "pro"}),
            ("1000.0001", "page_view", "2026-06-20T13:14:58", None, {"page_location": "https://example.com/", "ga_session_id": 1781956498}),
            ("1000.0001", "purchase", "2026-06-20T13:15:58", None, {"value": 89.95, "currency": "EUR", "items_total": 3}),
        ],
        [(3, f"event_timestamp: {NO_TIME}")],
    ),
    Export(
        "klaviyo",
        "klaviyo_profiles.csv",
        [
            (ANA, IDENTIFY, IMPORTED, None, {"Accepts Marketing": True, "Zip Code": "04000", "Latitude": 41.15}),
            (BEN, IDENTIFY, IMPORTED, None, {"City": "Köln", "Email Marketing Consent": "NEVER_SUBSCRIBED"}),
        ],
        [(4, f"Email: {NO_USER}")],
    ),
    Export(
        "stripe",
        "stripe_payments.csv",
        [
            (ANA, "Paid", "2026-06-20T13:14:58", "ch_0001a-Paid", {"Amount": 89.95, "Captured": True}),
            (BEN, "Failed", "2026-06-20T13:14:00", "ch_0001b-Failed", {"Amount": "1,089.95", "Captured": False}),
        ],
        [(4, f"Customer Email: {NO_USER}")],
    ),
    Export(
        "stripe-customers",
        "stripe_customers.csv",
        [
            (ANA, IDENTIFY, IMPORTED, None, {"Delinquent": False, "Card Last4": "0424", "Total Spend": 89.95}),
            (BEN, IDENTIFY, IMPORTED, None, {"Delinquent": True, "Payment Count": 0}),
        ],
        [(4, f"Email: {NO_USER}")],
    ),
]  # fmt: skip


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.file)
def test_an_export_becomes_events(export: Export):
    rows = list(read_rows(FILES / export.file, layout=make_layout(preset=export.preset), now=NOW))

    events = [event for row in rows if not isinstance(row, BadRow) for event in row.events]
    assert [(row.line, row.reason) for row in rows if isinstance(row, BadRow)] == export.rejected
    assert [(event["user_id"], event["event_type"], event["occurred_at"][:19]) for event in events] == [
        expected[:3] for expected in export.events
    ]
    for event, (*_, event_id, values) in zip(events, export.events, strict=True):
        assert event_id is None or event["event_id"] == event_id
        found = {name: event["payload"][name] for name in values}
        assert found == values
        assert {name: type(value) for name, value in found.items()} == {name: type(one) for name, one in values.items()}
    assert len({event["event_id"] for event in events}) == len(events)


def test_every_preset_has_an_export():
    assert {export.preset for export in EXPORTS} == set(presets())


@pytest.mark.parametrize("preset", ["segment", "rudderstack"])
@pytest.mark.parametrize("user", ["anonymousId", ("userId", "anonymousId")])
def test_an_anonymous_id_is_the_user_that_the_service_makes_of_it(preset: str, user: str | tuple[str, ...]):
    layout = make_layout(preset=preset, user=user)

    rows = list(read_rows(FILES / f"{preset}.ndjson", layout=layout, now=NOW))

    by_line = {row.line: row.events[-1]["user_id"] for row in rows if not isinstance(row, BadRow)}
    assert by_line[5] == "anon_a-0002"
    assert by_line[1] == ("anon_a-0001" if user == "anonymousId" else "ana-0001")


def test_the_items_of_an_order_are_a_list_of_its_one_event():
    (order, *_) = read_rows(FILES / "shopify_orders.csv", layout=make_layout(preset="shopify"), now=NOW)

    assert not isinstance(order, BadRow)
    assert len(order.sources) == 2
    assert order.events[0]["payload"]["items"] == [
        {"quantity": 2, "name": "Mug", "price": 24.95, "sku": "MUG-1", "requires shipping": True, "taxable": True, "fulfillment status": "fulfilled", "discount": 0.0},
        {"quantity": 1, "name": "Tea, green", "price": 20.0, "requires shipping": True, "taxable": False, "fulfillment status": "fulfilled", "Vendor": "South"},
    ]  # fmt: skip


def test_items_without_their_order_are_told(tmp_path: Path):
    header, first, second, *others = (FILES / "shopify_orders.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "orders.csv"
    path.write_text("".join([header, first.replace('"Tea', "Tea").replace("paid", '"pa"id'), second, *others]))

    bad, lost, *rows = read_rows(path, layout=make_layout(preset="shopify"), now=NOW)

    assert isinstance(bad, BadRow)
    assert isinstance(lost, BadRow)
    assert (bad.line, lost.line) == (2, 3)
    assert lost.reason == "It goes on with '#10001', of which the first row, with 'Total', is missing."
    assert not isinstance(rows[0], BadRow)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.file)
def test_an_export_is_known_by_its_columns(export: Export, tmp_path: Path):
    answer = tmp_path / "answer.json"
    lines = (FILES / export.file).read_text().splitlines()[:2]

    assert guess_preset(FILES / export.file) == export.preset
    if export.file.endswith(".ndjson"):
        answer.write_text(f'{{"results": [{",".join(lines)}]}}')
        assert guess_preset(answer) == export.preset


def test_other_files_are_known_by_nothing(tmp_path: Path):
    path = tmp_path / "file.csv"
    path.write_text("user,event,time\nana,buy,2026-06-20\n")

    assert (guess_preset(path), guess_preset(tmp_path / "nowhere"), guess_preset(tmp_path)) == ("", "", "")
