"""Mistakes: everything that msgspec would refuse is told, where it is, in words that are no Python."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from segment_copilot.mistakes import MAX_SHOWN, Mistake, described, mistakes, unreadable
from tests.support.sentences import python_words


class Small(Struct, forbid_unknown_fields=True, tag_field="type", tag="small"):
    size: Annotated[int, Meta(ge=1)] = 1
    kind: Literal["short", "long"] = "short"


class Large(Struct, forbid_unknown_fields=True, tag_field="type", tag="large"):
    area: Annotated[float, Meta(gt=0)]


class Inner(Struct, forbid_unknown_fields=True, rename="camel"):
    how_many: Annotated[int, Meta(ge=1, le=1000)] = 1


class Outer(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(min_length=2)]
    code: Annotated[str, Meta(pattern="^[a-z]+$")] | UnsetType = UNSET
    inner: Inner | None = None
    many: Annotated[tuple[Inner, ...], Meta(max_length=2)] = ()
    either: Small | Large | None = None
    filters: list[Annotated[str, Meta(min_length=1)] | Inner] | Inner = []
    by_key: Mapping[str, Inner] = {}
    anything: Mapping[str, Any] = {}
    raw: Raw | UnsetType = UNSET
    at: Annotated[datetime, Meta(tz=True)] | None = None
    on: date | None = None
    ratio: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    by_fives: Annotated[int, Meta(multiple_of=5)] = 5
    flag: bool = False
    major: Literal[5, 6] = 6
    value: Annotated[str | bool | int | float | list[str | int], Meta(description="x")] = 1


def told(document: Any, type_: Any = Outer) -> list[tuple[str, str, str]]:
    return [(one.pointer, one.code, one.sentence) for one in mistakes(document, type_)]


# One of each form in which msgspec refuses a value.
FORMS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"extra": 1}, "", "unknown_field", 'has no field "extra"'),
    ({"a`b - at\n/": 1}, "", "unknown_field", r'has no field "a`b - at\n/"'),
    ({"many": [{"extra": 1}]}, "/many/0", "unknown_field", 'has no field "extra"'),
    ({"inner": {"how_many": 1}}, "/inner", "unknown_field", 'has no field "how_many"'),
    ({"either": {"type": "large"}}, "/either", "missing_field", "area is missing"),
    ({"either": {"size": 1}}, "/either", "missing_field", "type is missing"),
    ({"either": {"type": "huge"}}, "/either/type", "unknown_value", 'must be one of large, small; it is "huge"'),
    ({"either": {"type": 5}}, "/either/type", "wrong_type", "must be one of large, small; it is 5"),
    ({"name": "a"}, "/name", "out_of_range", 'must be a string of at least 2 characters; it is "a"'),
    ({"name": 7}, "/name", "wrong_type", "must be a string of at least 2 characters; it is 7"),
    ({"name": None}, "/name", "wrong_type", "must be a string of at least 2 characters; it is null"),
    ({"code": "A"}, "/code", "wrong_type", 'must be a string that matches ^[a-z]+$; it is "A"'),
    ({"inner": []}, "/inner", "wrong_type", "must be an object or null; it is a list"),
    ({"inner": {"howMany": 0}}, "/inner/howMany", "out_of_range", "must be a whole number from 1 to 1,000; it is 0"),
    (
        {"inner": {"howMany": 10**18}},
        "/inner/howMany",
        "out_of_range",
        "must be a whole number from 1 to 1,000; it is 1000000000000000000",
    ),
    ({"inner": {"howMany": 1.5}}, "/inner/howMany", "wrong_type", "must be a whole number from 1 to 1,000; it is 1.5"),
    ({"inner": {"howMany": True}}, "/inner/howMany", "wrong_type", "must be a whole number from 1 to 1,000; it is true"),
    ({"many": [{}, {}, {}]}, "/many", "out_of_range", "must be a list of at most 2 items; it has 3 items"),
    ({"many": [3]}, "/many/0", "wrong_type", "must be an object; it is 3"),
    ({"either": {"type": "small", "kind": "tall"}}, "/either/kind", "unknown_value", 'must be one of long, short; it is "tall"'),
    ({"either": {"type": "small", "size": -3}}, "/either/size", "out_of_range", "must be a whole number of at least 1; it is -3"),
    ({"either": {"type": "large", "area": 0}}, "/either/area", "out_of_range", "must be a number above 0; it is 0"),
    ({"ratio": 1.0}, "/ratio", "out_of_range", "must be a number of at least 0 and below 1; it is 1.0"),
    ({"by_fives": 7}, "/by_fives", "out_of_range", "must be a whole number in steps of 5; it is 7"),
    ({"filters": ["a", ""]}, "/filters/1", "out_of_range", 'must be a string of at least 1 character or an object; it is ""'),
    ({"filters": [{"howMany": 0}]}, "/filters/0/howMany", "out_of_range", "must be a whole number from 1 to 1,000; it is 0"),
    ({"filters": {"howMany": 0}}, "/filters/howMany", "out_of_range", "must be a whole number from 1 to 1,000; it is 0"),
    ({"filters": 1}, "/filters", "wrong_type", "must be a list or an object; it is 1"),
    ({"by_key": {"a/b": {"howMany": "x"}}}, "/by_key/a~1b/howMany", "wrong_type", 'must be a whole number from 1 to 1,000; it is "x"'),
    ({"anything": "x"}, "/anything", "wrong_type", 'must be an object; it is "x"'),
    ({"at": "yesterday"}, "/at", "wrong_type", 'must be an instant with its offset, such as 2026-06-01T12:00:00Z or null; it is "yesterday"'),
    ({"at": "2026-06-01T12:00:00"}, "/at", "wrong_type", 'must be an instant with its offset, such as 2026-06-01T12:00:00Z or null; it is "2026-06-01T12:00:00"'),
    ({"at": 5}, "/at", "wrong_type", "must be an instant with its offset, such as 2026-06-01T12:00:00Z or null; it is 5"),
    ({"on": "2026-02-31"}, "/on", "wrong_type", 'must be a date, such as 2026-06-01 or null; it is "2026-02-31"'),
    ({"flag": 1}, "/flag", "wrong_type", "must be true or false; it is 1"),
    ({"major": 7}, "/major", "wrong_type", "must be one of 5, 6; it is 7"),
    ({"value": None}, "/value", "wrong_type", "must be a string, true or false, a number or a list; it is null"),
    ({"value": ["a", {}]}, "/value/1", "wrong_type", "must be a string or a whole number; it is an object"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "pointer", "code", "sentence"), FORMS, ids=[str(row[0])[:40] for row in FORMS])
def test_each_form_of_mistake_has_a_place_a_code_and_a_sentence(document, pointer, code, sentence):
    assert told({"name": "ab"} | document) == [(pointer, code, sentence)]


def test_all_mistakes_are_told_at_once_in_their_order():
    document = {"nome": 1, "inner": {"howMany": 0, "x": 1}, "many": [{}, 3, {"howMany": "7"}], "flag": None}

    assert [(pointer, code) for pointer, code, _ in told(document)] == [
        ("", "unknown_field"),
        ("", "missing_field"),
        ("/inner", "unknown_field"),
        ("/inner/howMany", "out_of_range"),
        ("/many", "out_of_range"),
        ("/many/1", "wrong_type"),
        ("/many/2/howMany", "wrong_type"),
        ("/flag", "wrong_type"),
    ]


def test_a_document_of_another_kind_is_one_mistake():
    assert told([], Outer) == [("", "wrong_type", "must be an object; it is a list")]
    assert told("x", list[int] | None) == [("", "wrong_type", 'must be a list or null; it is "x"')]


def test_a_long_value_is_cut_and_its_length_told_where_that_is_the_mistake():
    assert told("x" * 60, Annotated[str, Meta(max_length=50)])[0][2].endswith("; it has 60 characters")
    assert told("x" * 60, int)[0][2] == f'must be a whole number; it is "{"x" * (MAX_SHOWN - 1)}…"'
    assert told("\ud800", int)[0][2] == r'must be a whole number; it is "\ud800"'


fields = st.sampled_from(list(Outer.__annotations__)) | st.sampled_from(
    ["howMany", "type", "size", "kind", "area", "x"]
)
leaves = (
    st.none() | st.booleans() | st.integers(-5, 2000) | st.floats(-2, 2) | st.text(max_size=3)
    | st.sampled_from(["small", "large", "short", "2026-06-01T12:00:00Z", "2026-06-01", 10**30])
)  # fmt: skip
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=5),
    max_leaves=20,
)


@given(document=documents | st.dictionaries(fields, documents, max_size=8).map(lambda each: {"name": "ab"} | each))
def test_something_is_told_exactly_where_msgspec_refuses_and_no_word_of_it_is_python(document: Any):
    if isinstance(document, dict):
        document.pop("raw", None)
    try:
        msgspec.convert(document, Outer)
    except msgspec.ValidationError:
        is_refused = True
    else:
        is_refused = False

    found = list(mistakes(document, Outer))

    assert bool(found) == is_refused
    assert all(not python_words(one.sentence) for one in found)
    assert len({(one.pointer, one.name, one.sentence) for one in found}) == len(found)


@given(document=st.dictionaries(fields, documents, max_size=8))
def test_what_is_told_leads_to_what_is_wrong_and_without_it_less_is(document: dict[str, Any]):
    document.pop("raw", None)
    for one in mistakes(document, Outer):
        top = one.pointer.split("/")[1] if one.pointer else one.name
        if one.code != "missing_field" or one.pointer:
            less = {key: value for key, value in document.items() if key != top}
            assert one not in list(mistakes(less, Outer))


def test_what_is_raw_is_not_looked_into():
    assert told({"name": "ab", "raw": {"any": 1}}) == []
    assert told([{}, 1, "\ud800"], list[Raw]) == []
    assert told({"name": "ab", "raw": {"any": 1}, "flag": 0}) == [
        ("/flag", "wrong_type", "must be true or false; it is 0")
    ]


def test_a_type_is_described_without_repeating_itself():
    assert described(Literal["a"] | None) == "a or null"
    assert described(Annotated[str, Meta(min_length=1, max_length=200)]) == "a string of 1 to 200 characters"
    assert described(Inner | list[int]) == "an object or a list"
    assert Mistake("", "wrong_type", "").choices == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "a value is missing at line 1, column 1"),
        (b"{definition", "a key in double quotes is missing at line 1, column 2"),
        (b"{'a': 1}", "a key in double quotes is missing at line 1, column 2"),
        (b'{"a" 1}', "a colon is missing at line 1, column 6"),
        (b'{"a":\n}', "a value is missing at line 2, column 1"),
        (b'{"a": 1 "b"}', "a comma, or the end of the list or object, is missing at line 1, column 9"),
        (b"[1,", "a value is missing at line 1, column 4"),
        (b"{} {}", "something follows the end of the document at line 1, column 4"),
        (b'["a', "a string begins that does not end at line 1, column 2"),
        (b'["a\n"]', "a control character is not escaped at line 1, column 4"),
        (rb'["\x"]', "an escape is wrong at line 1, column 3"),
        (rb'["\u12"]', "an escape is wrong at line 1, column 4"),
        ("\ufeff{}".encode(), "a byte order mark stands at line 1, column 1"),
        (b"[NaN]", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b'"\xff"', "byte 1 is 0xff, which is not UTF-8"),
        (b"[" * 100_000, "it nests too deep"),
        (rb'["\ud800", 1e999]', ""),
        (b"1" * 5000, ""),
        (Raw(b"nul"), "a value is missing at line 1, column 1"),
    ],
    ids=lambda each: str(bytes(each) if isinstance(each, Raw) else each)[:30],  # one process names them as another does
)
def test_what_is_not_json_is_told_by_line_and_column(text: bytes, reason: str):
    assert unreadable(text) == reason
    assert not python_words(reason)
