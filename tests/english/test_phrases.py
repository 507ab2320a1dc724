"""The small phrases: numbers, comparisons, time spans."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from segment_copilot.english.times.phrases import quantity
from segment_copilot.english.times.windows import window
from segment_copilot.english.words.lexer import read

TODAY = date(2026, 7, 15)  # a Wednesday
AS_OF = datetime(2026, 7, 15, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "operator", "value", "value2"),
    [
        ("more than 3", "gt", 3, None),
        ("over 1,500.50", "gt", 1500.5, None),
        ("at least once", "gte", 1, None),
        ("no fewer than twenty-five", "gte", 25, None),
        ("3+", "gte", 3, None),
        ("5 or more", "gte", 5, None),
        ("three times or more", "gte", 3, None),
        ("a minimum of 2", "gte", 2, None),
        ("fewer than a hundred", "lt", 100, None),
        ("no more than half a dozen", "lte", 6, None),
        ("up to 1.5k", "lte", 1500, None),
        ("10 or less", "lte", 10, None),
        ("exactly twice", "eq", 2, None),
        ("between 2 and 5", "between", 2, 5),
        ("18-25", "between", 18, 25),
        ("$100 to $200", "between", 100, 200),
        ("not more than 4", "lte", 4, None),
        (">= 7", "gte", 7, None),
        ("≥ 7", "gte", 7, None),
        ("zero", "eq", 0, None),
        ("no", "eq", 0, None),
        ("a couple of", "gte", 2, None),
        ("12", "gte", 12, None),
        ("$2k", "gte", 2000, None),
        ("500 dollars or more", "gte", 500, None),
    ],
)
def test_a_comparison_is_read_whole(text: str, operator: str, value: float, value2: float | None) -> None:
    tokens = read(text)
    found = quantity(tokens, 0)
    assert found is not None
    assert (found[0].operator, found[0].value, found[0].value2) == (operator, value, value2)
    assert found[1] == len(tokens)


@pytest.mark.parametrize(
    ("text", "json"),
    [
        ("in the last 7 days", {"window_days": 7}),
        ("within 2 weeks", {"window": {"last": "2w"}}),
        ("over the past month", {"window": {"last": "1mo"}}),
        ("during the previous 36 hours", {"window": {"last": "36h"}}),
        ("last 90 days", {"window_days": 90}),
        ("in the last 24h", {"window": {"last": "24h"}}),
        ("this past fortnight", {"window": {"last": "2w"}}),
        ("in the last half year", {"window": {"last": "6mo"}}),
        ("in the last quarter", {"window": {"last": "3mo"}}),
        ("in the last 7", {"window_days": 7}),
        ("last week", {"window": {"period": "last_week"}}),
        ("this month", {"window": {"period": "this_month"}}),
        ("yesterday", {"window": {"period": "yesterday"}}),
        ("since Monday", {"window": {"from": "2026-07-13"}}),
        ("since the start of the year", {"window": {"from": "2026-01-01"}}),
        ("in June", {"window": {"from": "2026-06-01", "to": "2026-07-01"}}),
        ("in Q2 2025", {"window": {"from": "2025-04-01", "to": "2025-07-01"}}),
        ("in 2025", {"window": {"from": "2025-01-01", "to": "2026-01-01"}}),
        ("between June 1 and June 15", {"window": {"from": "2026-06-01", "to": "2026-06-16"}}),
        ("on June 5th, 2025", {"window": {"from": "2025-06-05", "to": "2025-06-06"}}),
        ("before 2026-03-01", {"window": {"to": "2026-03-01"}}),
        ("between 10 and 7 days ago", {"window": {"between": ["10d", "7d"]}}),
        ("of all time", {}),
    ],
)
def test_a_time_span_is_read_whole(text: str, json: dict) -> None:
    tokens = read(text)
    start = 1 if text.startswith("this past") else 0
    found = window(tokens, start, TODAY)
    assert found is not None
    assert found[0].json() == json
    assert found[1] == len(tokens)


@pytest.mark.parametrize(
    ("text", "operator", "length"),
    [
        ("more than 30 days ago", "gt", "30d"),
        ("a week ago", "eq", "1w"),
        ("less than 2 months ago", "lt", "2mo"),
        ("for 30+ days", "gte", "30d"),
    ],
)
def test_an_age_keeps_its_comparison(text: str, operator: str, length: str) -> None:
    found = window(read(text), 0, TODAY)
    assert found is not None
    assert found[0].length is not None
    assert (found[0].operator, found[0].length.json) == (operator, length)


def test_a_span_ends_at_the_instant_of_the_question_and_starts_at_local_midnight() -> None:
    found = window(read("this week"), 0, TODAY)
    assert found is not None
    start, end = found[0].span(AS_OF, "Europe/Madrid")
    assert (start, end) == (datetime(2026, 7, 12, 22, tzinfo=UTC), AS_OF)


def test_rolling_months_step_by_the_calendar() -> None:
    found = window(read("in the last month"), 0, TODAY)
    assert found is not None
    start, _ = found[0].span(datetime(2026, 3, 31, 12, tzinfo=UTC), "UTC")
    assert start == datetime(2026, 2, 28, 12, tzinfo=UTC)
