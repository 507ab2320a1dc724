"""A time in a file is read as it was meant, or not at all."""

from __future__ import annotations

import pytest

from segment_copilot.errors import InvalidInput
from segment_copilot.importing.times import find_order, is_date_of_people, make_reading


def read(text: object, time_format: str = "", timezone: str = "UTC") -> str | None:
    moment = make_reading(time_format, timezone).read(text)
    return None if moment is None else moment.isoformat().removesuffix("+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-20 13:14:58 -0400", "2026-06-20T17:14:58"),
        ("2026-06-20 13:14:58 UTC", "2026-06-20T13:14:58"),
        ("2026-06-20T13:14:58.123456789Z", "2026-06-20T13:14:58.123456"),
        ("20260620", "2026-06-20T00:00:00"),
        ("20260620T131458Z", "2026-06-20T13:14:58"),
        ("2026/6/20", "2026-06-20T00:00:00"),
        ("20.06.2026 13:14", "2026-06-20T13:14:00"),
        ("2.5.26, 13:14:58", "2026-05-02T13:14:58"),
        ("6/6/2026", "2026-06-06T00:00:00"),
        ("20 Jun 2026 13:14", "2026-06-20T13:14:00"),
        ("20-Jun-26", "2026-06-20T00:00:00"),
        ("June 20, 2026 at 1:14:05 PM", "2026-06-20T13:14:05"),
        ("Sat, 20 Jun 2026 13:14:00 +0200", "2026-06-20T11:14:00"),
        ("Jun 20, 2026 12:14 a.m.", "2026-06-20T00:14:00"),
        ("Jun 20, 2026 12:14\u202fPM", "2026-06-20T12:14:00"),
        ("46193.55", "2026-06-20T13:12:00"),
        ("45384.34789351852", "2024-04-02T08:20:58"),
        (46193, "2026-06-20T00:00:00"),
        ("1781956498", "2026-06-20T11:54:58"),
        (1781956498.5, "2026-06-20T11:54:58.500000"),
        ("1781956498123", "2026-06-20T11:54:58.123000"),
        (1781956498123456, "2026-06-20T11:54:58.123456"),
    ],
)
def test_what_is_unambiguous_is_read(text: object, expected: str):
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    ["06/20/2026", "05/06/2026", "26-06-20", "1.78196E+09", "20.06.2026 25:00", "31 Jun 2026", "13:14", "2026", "3 Foo 2026",
     "20.06.2026 13", "Jun 20, 2026 13:14 PM", "4619.55", True, None, [], ""],
)  # fmt: skip
def test_what_is_not_is_no_time(text: object):
    assert read(text) is None


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("day-first", "05/06/2026 1:14 PM", "2026-06-05T13:14:00"),
        ("month-first", "05/06/2026 1:14 PM", "2026-05-06T13:14:00"),
        ("month-first", "13/06/2026", None),
        ("month-first", "46193.5", "2026-06-20T12:00:00"),
        ("seconds", "86400", "1970-01-02T00:00:00"),
        ("milliseconds", "86400000", "1970-01-02T00:00:00"),
        ("microseconds", "86400000000", "1970-01-02T00:00:00"),
        ("excel-days", "61", "1900-03-01T00:00:00"),
        ("seconds", "2026-06-20", None),
        ("%d/%m/%Y %H:%M", "05/06/2026 13:14", "2026-06-05T13:14:00"),
        ("%d/%m/%Y %H:%M", "2026-06-05", None),
        ("%Y%m%d%H%M%S%z", "20260620131458+0200", "2026-06-20T11:14:58"),
    ],
)
def test_a_format_that_is_given_is_the_only_one(time_format: str, text: str, expected: str | None):
    assert read(text, time_format) == expected


def test_a_wall_time_is_in_the_time_zone():
    assert read("20.06.2026 13:14", timezone="Europe/Berlin") == "2026-06-20T11:14:00"
    assert read("46193.5", timezone="America/New_York") == "2026-06-20T16:00:00"
    assert read("05/06/2026 1:14 PM", "month-first", "America/New_York") == "2026-05-06T17:14:00"


@pytest.mark.parametrize("time_format", ["%d/%m", "foo", "%Q", "%Y", "%H:%M"])
def test_a_format_without_a_day_is_refused(time_format: str):
    with pytest.raises(InvalidInput, match="gives no day"):
        make_reading(time_format, "UTC")


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["05/06/2026", "20/06/2026 13:14"], "day-first"),
        (["05/06/2026", "06/20/2026 1:14 PM", "46193"], "month-first"),
        (["5-6-2026", "20-6-2026"], "day-first"),
        (["20.06.2026", "2026-06-20", 1781956498, None, "6/6/2026", "soon"], None),
    ],
)
def test_the_whole_file_shows_the_order_of_day_and_month(cells: list[object], order: str | None):
    assert find_order(cells) == order


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["2026-06-20", "05/06/2026"], "'05/06/2026' may be read with the day or with the month first"),
        (["20/06/2026", "06/20/2026"], "the day first ('20/06/2026') and some the month ('06/20/2026')"),
    ],
)
def test_an_order_that_nothing_shows_is_asked_for(cells: list[object], sentence: str):
    with pytest.raises(InvalidInput, match="--time-format day-first, or month-first") as caught:
        find_order(cells)

    assert sentence in caught.value.detail


def test_dates_that_the_language_does_not_read_are_known():
    assert [text for text in ("06/20/2026", "20.06.2026", "2026-06-20", "Jun 20, 2026", "1.2.3", "12/2026") if is_date_of_people(text)] == [
        "06/20/2026", "20.06.2026", "Jun 20, 2026",
    ]  # fmt: skip
