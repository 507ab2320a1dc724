"""Questions about events and values: what counts, for whom, up to when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import structlog

from segment_copilot.access.tenants import Tenant
from segment_copilot.compiler import CompiledQuery
from segment_copilot.errors import InvalidInput
from segment_copilot.events.analytics import MAX_DAYS, DayCount, Span, TypeCount, ValueCount, local_midnight
from segment_copilot.language.catalog import IDENTIFY
from segment_copilot.resources import Resources
from tests.support.resources import NOW, Remember

pytestmark = pytest.mark.shared

DAY = timedelta(days=1)
WEEK = Span(NOW - 7 * DAY, NOW + DAY, NOW)

HISTORY = [
    ("ana", "order_placed", DAY, {"total": 10, "tags": ["new", "gift"]}),
    ("ben", "order_placed", DAY, {"total": 250, "tags": ["gift"]}),
    ("ben", "order_placed", 30 * DAY, {"total": 99}),  # before the week
    ("ana", "page_viewed", 2 * DAY, {"path": "/"}),
    ("ana", "order_placed", -timedelta(hours=1), {"total": 7}),  # not yet, at the instant that is asked about
    ("ana", IDENTIFY, 3 * DAY, {"plan": "free"}),
    ("ana", IDENTIFY, 2 * DAY, {"plan": "pro"}),
    ("ben", IDENTIFY, 2 * DAY, {"plan": "pro"}),
]


@pytest.fixture
async def told(resources: Resources, tenant: Tenant, other_tenant: Tenant, remember: Remember) -> Tenant:
    await remember(tenant, HISTORY)
    await remember(other_tenant, [("eve", "order_placed", DAY, {"total": 1, "tags": ["theirs"]})] * 5)
    return tenant


async def test_the_busiest_types_come_first_and_an_identify_is_none(resources: Resources, told: Tenant):
    found = await resources.analytics.top_events(told, WEEK)
    first = await resources.analytics.top_events(told, WEEK, limit=1)

    assert found.event_types == (TypeCount("order_placed", 2), TypeCount("page_viewed", 1))
    assert (first.event_types, first.total) == ((TypeCount("order_placed", 2),), 3)


async def test_every_local_day_of_the_span_has_its_number(resources: Resources, told: Tenant):
    of_all = await resources.analytics.volume(told, WEEK, timezone="UTC")
    orders = await resources.analytics.volume(told, WEEK, timezone="UTC", event_type="order_placed")
    far_east = await resources.analytics.volume(told, WEEK, timezone="Pacific/Auckland", event_type="order_placed")

    assert [point.count for point in of_all.points] == [0, 0, 0, 0, 0, 1, 2, 0]
    assert [point.count for point in orders.points] == [0, 0, 0, 0, 0, 0, 2, 0]
    assert (orders.points[0].day, orders.points[-1].day, orders.total) == (date(2026, 6, 8), date(2026, 6, 15), 2)
    assert [point.day for point in far_east.points if point.count] == [
        date(2026, 6, 15)
    ]  # noon in UTC is past midnight


async def test_a_test_keeps_the_events_that_pass_it(resources: Resources, told: Tenant):
    dear = CompiledQuery("(payload.total.:Int64 > {p0:Int64})", {"p0": 200})

    found = await resources.analytics.volume(told, WEEK, timezone="UTC", event_type="order_placed", where=dear)

    assert found.total == 1


async def test_values_of_a_property_count_events_and_those_of_a_trait_users(resources: Resources, told: Tenant):
    analytics = resources.analytics

    tags = await analytics.property_values(told, "tags", event_type="order_placed", as_of=NOW)
    totals = await analytics.property_values(told, "total", event_type="order_placed", as_of=NOW, limit=1, span=WEEK)
    plans = await analytics.property_values(told, "plan", event_type=None, as_of=NOW)
    before = await analytics.property_values(told, "plan", event_type=None, as_of=NOW - 2 * DAY - timedelta(hours=1))

    assert tags.values == (ValueCount("gift", 2), ValueCount("new", 1))
    assert (totals.values, totals.total_distinct) == ((ValueCount(10, 1),), 2)
    assert plans.values == (ValueCount("pro", 2),)
    assert before.values == (ValueCount("free", 1),)


@pytest.mark.parametrize(
    ("span", "code"),
    [
        (Span(NOW, NOW, NOW), "empty_range"),
        (Span(datetime(2020, 1, 1, tzinfo=UTC), NOW, NOW), "range_too_long"),
    ],
)
async def test_a_range_has_a_length_and_at_most_a_year(resources: Resources, tenant: Tenant, span, code):
    with pytest.raises(InvalidInput) as raised:
        await resources.analytics.volume(tenant, span, timezone="UTC")

    assert raised.value.code == code
    longest = Span(NOW - (MAX_DAYS - 1) * DAY, NOW, NOW)
    assert len((await resources.analytics.volume(tenant, longest, timezone="UTC")).points) == MAX_DAYS


async def test_a_query_runs_under_the_limits_of_its_callers_purpose(resources: Resources, told: Tenant):
    with structlog.testing.capture_logs() as logs:
        await resources.analytics.top_events(told, WEEK)
        await resources.analytics.top_events(told, WEEK, purpose="copilot")

    assert [log["purpose"] for log in logs if log["event"] == "clickhouse.query"] == ["preview", "copilot"]


async def test_an_event_counts_from_the_start_of_a_span_up_to_its_end(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await remember(tenant, [("ana", "order_placed", when, {}) for when in (NOW - DAY, NOW - timedelta(hours=1), NOW)])
    spans = [Span(NOW - DAY, NOW, NOW), Span(NOW - DAY, NOW + DAY, NOW), Span(NOW - DAY, NOW, NOW - DAY)]

    totals = [(await resources.analytics.top_events(tenant, span)).total for span in spans]

    assert totals == [2, 3, 1]


async def test_a_removed_trait_is_no_value_and_nobody_counts_twice(
    resources: Resources, tenant: Tenant, remember: Remember
):
    await remember(tenant, [
        ("ana", IDENTIFY, 3 * DAY, {"plan": "pro"}),
        ("ana", IDENTIFY, 2 * DAY, {"plan": None}),
        ("ben", IDENTIFY, 3 * DAY, {"plan": "pro"}),
        ("ben", IDENTIFY, 2 * DAY, {"plan": "pro"}),
    ])  # fmt: skip

    found = await resources.analytics.property_values(tenant, "plan", event_type=None, as_of=NOW)

    assert found.values == (ValueCount("pro", 1),)


async def test_values_that_look_alike_stay_apart_and_a_value_in_a_value_stays_text(
    resources: Resources, tenant: Tenant, remember: Remember
):
    values = [1, "1", True, "true", [{"a": 1}, [2]]]
    await remember(tenant, [("ana", "seen", DAY, {"x": value}) for value in values])

    found = await resources.analytics.property_values(tenant, "x", event_type="seen", as_of=NOW)

    assert {repr(one.value) for one in found.values} == {"1", "'1'", "True", "'true'", "'{\"a\":1}'", "'[2]'"}
    assert found.total_distinct == 6


async def test_a_path_walks_into_objects_and_knows_a_dot_inside_a_key(
    resources: Resources, tenant: Tenant, remember: Remember
):
    payload = {"utm": {"source": "inside"}, "utm.source": "dotted"}
    await remember(tenant, [("ana", "seen", DAY, payload), ("ana", IDENTIFY, DAY, payload)])

    for event_type in ("seen", None):
        for path, value in (("utm.source", "inside"), (r"utm\.source", "dotted")):
            found = await resources.analytics.property_values(tenant, path, event_type=event_type, as_of=NOW)
            assert found.values == (ValueCount(value, 1),)


@pytest.mark.parametrize("path", ["", "a..b", "a\\"])
async def test_a_path_that_is_none_is_refused(resources: Resources, tenant: Tenant, path):
    with pytest.raises(InvalidInput) as raised:
        await resources.analytics.property_values(tenant, path, event_type="seen", as_of=NOW)

    assert [(one.pointer, one.code) for one in raised.value.findings] == [("/property", "invalid_path")]


async def test_a_day_that_a_zone_skipped_is_no_day(resources: Resources, tenant: Tenant, remember: Remember):
    """Samoa went from the 29th of December 2011 to the 31st."""
    at = datetime(2011, 12, 30, 9, 59, tzinfo=UTC)  # a minute before the 31st there
    await remember(tenant, [("ana", "seen", at, {}), ("ana", "seen", at + timedelta(minutes=1), {})])

    found = await resources.analytics.volume(tenant, Span(at - DAY, at + DAY, NOW), timezone="Pacific/Apia")

    assert found.points == (
        DayCount(date(2011, 12, 28), 0, partial=True),
        DayCount(date(2011, 12, 29), 1),
        DayCount(date(2011, 12, 31), 1, partial=True),
    )


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (0, datetime(2026, 3, 28, 23, tzinfo=UTC)),
        (1, datetime(2026, 3, 27, 23, tzinfo=UTC)),
        (-1, datetime(2026, 3, 29, 22, tzinfo=UTC)),
    ],
)
def test_a_local_day_begins_at_its_own_midnight_though_clocks_change(before, expected):
    changes = datetime(2026, 3, 29, 12, tzinfo=UTC)  # Madrid's clocks went forward that night

    assert local_midnight(changes, "Europe/Madrid", days_before=before) == expected
