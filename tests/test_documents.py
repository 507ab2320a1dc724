"""Documents: pointers that lead back, and what no store can keep found where it is."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jsonpointer import JsonPointer

from segment_copilot.documents import (
    MAX_DEPTH,
    MAX_DIGITS,
    escape,
    is_plain,
    items_of,
    join,
    parse,
    repeats_a_key,
    unstorable,
    unstorable_text,
)
from segment_copilot.stores.postgres import Postgres

texts = st.text(st.sampled_from('ab/~0.1[]"\\\0é😀\ud800\udfff')) | st.text(st.characters(codec=None))
"""Text with what is special somewhere; halves of surrogate pairs too, which JSON can write and no UTF-8 holds."""

whole_texts = st.text(st.sampled_from('ab/~0.1[]"\\é😀')) | st.text()
numbers = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -(2**70), 10**308, 10**309, -(10**400), 1e308])
documents = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


# Pointers


@given(steps=st.lists(whole_texts))
@example(steps=["~1", "~01", "/~0", ""])
def test_a_pointer_is_read_back_into_its_steps(steps: list[str]):
    assert parse(join(*steps)) == tuple(steps)


@given(keys=st.lists(whole_texts), value=st.integers())
def test_a_pointer_leads_where_its_steps_lead(keys: list[str], value: int):
    document: Any = value
    for key in reversed(keys):
        document = [{key: document, f"{key}/": None, f"{key}~": None}]
    steps = [step for key in keys for step in (0, key)]

    assert JsonPointer(join(*steps)).resolve(document) == value


@given(step=texts)
def test_a_pointer_can_always_be_sent(step: str):
    assert msgspec.json.decode(msgspec.json.encode(join(step))) == join(step)


def test_half_of_a_surrogate_pair_is_written_out_in_a_pointer():
    assert join("a\ud800/") == r"/a\ud800~1"


# What no store can keep


def at(document: Any, pointer: str) -> tuple[Any, Any]:
    """The key or index that *pointer* ends with, and the value there."""
    last: Any = None
    for step in pointer.split("/")[1:]:
        last = int(step) if isinstance(document, list) else next(key for key in document if escape(key) == step)
        document = document[last]
    return last, document


def is_wrong(text: object, code: str) -> bool:
    """Whether *text* is one, and has the flaw, judged by what a store does with it."""
    if not isinstance(text, str):
        return False
    return "\0" in text if code == "nul_character" else any(0xD800 <= ord(character) < 0xE000 for character in text)


def sizes(document: Any) -> Any:
    """Numbers as floats: what is left of the difference between 1e22 and the integer when a store has kept either."""
    match document:
        case dict():
            return {key: sizes(value) for key, value in document.items()}
        case list():
            return [sizes(value) for value in document]
        case int() | float() if not isinstance(document, bool):
            return float(document)
        case _:
            return document


@given(document=documents)
@example(document=[-(10**308), 5e-324, 1e308, 2**70, {"": "\x01\u2028"}])
@example(document=json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH))
async def test_what_is_accepted_is_kept_by_postgres_and_by_our_json(module_postgres: Postgres, document: Any):
    assume(not any(unstorable(document)))

    text = msgspec.json.encode(document).decode()
    kept = await module_postgres.fetchrow("SELECT $1::text AS text, $1::text::jsonb::text AS jsonb", text)

    assert kept is not None
    assert kept["text"] == text
    assert sizes(msgspec.json.decode(text)) == sizes(document)
    assert sizes(json.loads(kept["jsonb"])) == sizes(document)


@given(document=documents)
def test_what_is_refused_is_wrong_where_its_pointer_leads(document: Any):
    found = list(unstorable(document, deepest=2))

    for flaw in found:
        key, value = at(document, flaw.pointer)
        match flaw.code:
            case "nul_character" | "lone_surrogate":
                assert is_wrong(key, flaw.code) or is_wrong(value, flaw.code)
            case "number_out_of_range":
                with pytest.raises((ValueError, OverflowError)):
                    json.dumps(float(value), allow_nan=False)
            case _:
                assert flaw.code == "too_deep"
                assert isinstance(value, dict | list)
                assert flaw.pointer.count("/") == 2


@given(document=documents, deepest=st.integers(0, 3))
def test_of_what_is_plain_nothing_is_refused(document: Any, deepest: int):
    found = list(unstorable(document, deepest=deepest))

    assert not (found and is_plain(document, deepest=deepest))


@pytest.mark.parametrize(("within", "beyond"), [(2**64 - 1, 2**64), (-(2**63), -(2**63) - 1)])
def test_a_whole_number_beyond_64_bits_is_storable_but_not_plain(within: int, beyond: int):
    assert is_plain({"a": [within, True, None, 0.5, "é"]})
    assert not is_plain([beyond])
    assert not any(unstorable([within, beyond]))


def test_everything_that_is_wrong_is_found_at_once_in_order():
    document = {"a/b": ["x\0", {"~\ud800": 10**400}], "\0": float("nan"), "fine": [1, None, "é"]}

    assert [(flaw.pointer, flaw.code) for flaw in unstorable(document, "/top")] == [
        ("/top/a~1b/0", "nul_character"),
        (r"/top/a~1b/1/~0\ud800", "lone_surrogate"),
        (r"/top/a~1b/1/~0\ud800", "number_out_of_range"),
        ("/top/\0", "nul_character"),
        ("/top/\0", "number_out_of_range"),
    ]


@given(document=st.dictionaries(texts, documents, max_size=4))
def test_in_a_text_the_same_is_found_as_in_what_it_decodes_to(document: Any):
    text = json.dumps(document)
    assume("Infinity" not in text and "NaN" not in text)
    document = json.loads(text)  # two halves side by side are one character now
    found = [flaw for flaw in unstorable(document) if flaw.code != "number_out_of_range"]
    long = [flaw for flaw in unstorable_text(text) if flaw.code == "number_too_long"]

    assert [flaw for flaw in unstorable_text(text) if flaw not in long] == found
    assert all(abs(at(document, flaw.pointer)[1]) >= 10**MAX_DIGITS for flaw in long)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1.5e400", "9" * 309 + ".0"])
def test_a_fraction_beyond_the_doubles_is_found_where_it_is(number: str):
    text = f'{{"a": [1e308, {{"b/": {number}}}]}}'

    assert [(flaw.pointer, flaw.code) for flaw in unstorable_text(text)] == [("/a/1/b~1", "number_out_of_range")]


items = st.recursive(
    st.sampled_from(["1", '"a,]}\\""', "null", "-1e5", r'"\ud800"', "{}", "[]"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda each: f"[{' , '.join(each)}]")
        | st.lists(inner, max_size=3).map(lambda each: "{" + ",".join(f'"a:[{{" : {item}' for item in each) + "}")
    ),
    max_leaves=8,
)


@given(texts=st.lists(items, max_size=5), space=st.sampled_from(["", " ", "\n"]))
@example(texts=["[" * 5_000 + "]" * 5_000, "1"], space="")
def test_the_items_of_a_list_are_cut_out_as_they_were_written(texts: list[str], space: str):
    within = f"{space},{space}".join(texts)

    found = items_of(f'{space}{{"events":{space}[{space}{within}{space}]{space}}}')

    assert found is not None
    assert [item.strip() for item in found] == texts
    assert items_of(f'{{"events": [], "events": [{within}]}}') is None


@given(document=documents, key=texts)
def test_a_key_that_is_repeated_anywhere_is_found(document: Any, key: str):
    inner = json.dumps(document).replace("Infinity", "1").replace("NaN", "1").replace("-1", "1")
    text = f'{{"a": [{inner}, {{{json.dumps(key)}: 1, "other {key!a:.0}": {inner}, {json.dumps(key)}: 2}}]}}'

    found = [flaw.pointer for flaw in unstorable_text(text) if flaw.code == "duplicate_key"]

    assert found == [join("a", 1, key)]


@given(document=documents)
def test_where_no_key_is_repeated_none_is_suspected_unless_a_text_looks_like_one(document: Any):
    text = msgspec.json.encode(json.loads(json.dumps(document).replace("\\ud", "\\u0").replace("\\uD", "\\u0")))
    decoded = msgspec.json.decode(text)

    assert not repeats_a_key(text, decoded) or b'\\":' in text
    assert repeats_a_key(b'{"a":1,"b":[{"a" :%s,"a"\n:2}]}' % text, {"a": 1, "b": [{"a": 2}]})


def test_depth_is_told_by_a_pointer_that_leads_there_whatever_the_keys_hold():
    keys = ['a"b', "\\", "a/b~", "\t", "[{", "é"]
    document: Any = {}
    for number in range(MAX_DEPTH):
        document = {keys[number % len(keys)]: document} if number % 3 else [0, document]

    (flaw,) = unstorable_text(json.dumps(document))

    assert flaw.code == "too_deep"
    assert JsonPointer(flaw.pointer).resolve(document) == {}
    assert len(parse(flaw.pointer)) == MAX_DEPTH
    assert unstorable_text(json.dumps(document[1])) == ()
    assert [one.pointer for one in unstorable(document)] == [flaw.pointer]


def test_depth_costs_no_stack():
    deep: Any = []
    for _ in range(50_000):
        deep = [deep]

    assert [flaw.code for flaw in unstorable(deep)] == ["too_deep"]
    assert not is_plain(deep)
    assert [flaw.code for flaw in unstorable_text("[" * 100_000)] == ["too_deep"]


@pytest.mark.parametrize("text", ["", "{", "[1,]", "{} {}", "NaN", '{"a": -Infinity}', "'a'"])
def test_what_is_no_json_is_a_value_error(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        unstorable_text(text)
