"""Lists of users as people have them are read whole, or not at all and with the lines that are wrong."""

from __future__ import annotations

import pytest

from segment_copilot.audiences.user_lists import read_csv, read_ndjson
from segment_copilot.errors import InvalidInput


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ("user_id\nana\nben\n", ["ana", "ben"]),
        ("user_id\r\nana\r\nben", ["ana", "ben"]),
        ("\ufeffUser_ID\nana\n", ["ana"]),
        ("name,user_id\nAna,ana\n\nBen,ben\n", ["ana", "ben"]),
        ("name;user_id\nAna, M.;ana\n", ["ana"]),
        ("user_id\tname\nana\tAna\n", ["ana"]),
        ('user_id\n"a,""b"""\n"two\nlines"\n', ['a,"b"', "two\nlines"]),
        ("user_id\nana\nana\nben\nana\n", ["ana", "ben"]),
        ("user_id\nñandú \U0001f600\nx\u2028y\n", ["ñandú \U0001f600", "x\u2028y"]),
        ("user_id\n 1 \n007\n", [" 1 ", "007"]),
        ("user_id\n", []),
    ],
)
def test_csv_is_read_as_spreadsheets_write_it(content: str, ids: list[str]):
    assert read_csv(content.encode()) == ids


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        ('{"user_id": "ana"}\n"ben"\n', ["ana", "ben"]),
        ('\n{"user_id": "ana", "age": 3}\r\n\n"\\u00f1"', ["ana", "ñ"]),
        ('"x\u2028y"\n"ana"\n"ana"', ["x\u2028y", "ana"]),
        ("", []),
    ],
)
def test_a_line_of_json_is_a_user(content: str, ids: list[str]):
    assert read_ndjson(content.encode()) == ids


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("ana\nben\n", "The first line names the columns"),
        ("", "The first line names the columns"),
        ("user_id,user_id\na,b\n", "names it more than once"),
        ('user_id\n"ana\n', "is no CSV"),
        ("user_id,name\nana,\n,Ben\n \n", "Line 3: user_id is empty."),
        (f"user_id\n{'x' * 257}\n", "256 characters at most; this one has 257"),
        ("user_id\na\0b\n", "Line 2"),
    ],
)
def test_a_csv_that_cannot_be_read_says_where(content: str, told: str):
    with pytest.raises(InvalidInput) as refused:
        read_csv(content.encode())
    assert told in refused.value.detail
    assert refused.value.findings[0].code == refused.value.code in {"invalid_list", "invalid_row"}


@pytest.mark.parametrize(
    "line", ["ana", "{}", '{"user_id": 7}', "7", "null", '["ana"]', '""', '"\\u0000"', '"\\ud800"', "[" * 9999]
)
def test_a_line_that_is_no_user_is_told(line: str):
    with pytest.raises(InvalidInput) as refused:
        read_ndjson(f'"ana"\n{line}\n"ben"\n{line}\n'.encode())
    assert [one.detail.partition(":")[0] for one in refused.value.findings] == ["Line 2", "Line 4"]


def test_what_is_not_utf_8_is_told_with_its_line():
    with pytest.raises(InvalidInput, match="Line 3 is not UTF-8"):
        read_csv(b"user_id\nana\n\xff\n")


def test_a_list_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("segment_copilot.audiences.user_lists.MAX_USERS", 2)
    assert read_csv(b"user_id\na\nb\nb\n") == ["a", "b"]
    with pytest.raises(InvalidInput, match="2 users at most; this one has 3"):
        read_csv(b"user_id\na\nb\nc\n")
