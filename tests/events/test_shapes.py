"""A shape judges payloads; what is inferred from events holds of each of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.events.inference import Inference
from segment_copilot.events.shapes import SchemaProperty, Shape, mistakes_in

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.sampled_from(["", "x", "2026-06-15", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "c.d", "\\", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)
PAYLOADS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c.d", "\\", ""]), ANYTHING, max_size=4), min_size=1, max_size=5
)


def infer(*payloads: dict[str, Any]) -> Any:
    events = [{"user_id": "ana", "event_type": "it", "payload": payload} for payload in payloads]
    inference = Inference(clickhouse=None, discovery=None)  # pyright: ignore[reportArgumentType] — nothing is stored
    return inference.from_events(events)


@given(PAYLOADS)
def test_what_is_inferred_can_be_declared_and_holds_of_every_event(payloads):
    (schema,) = infer(*payloads).schemas

    assert [*mistakes_in(schema.properties)] == []
    shape = Shape(1, schema.properties, strict=True)
    for payload in payloads:
        assert shape.violations(payload) == ()
        assert not [one for one in shape.undeclared(payload) if not one.pointer.endswith("/")]


@pytest.mark.parametrize(
    ("type_", "format_", "fitting", "others"),
    [
        ("string", "", ["", "1"], [1, True, [], {}]),
        ("number", "", [1, 1.5], ["1", True, [], {}]),
        ("boolean", "", [True, False], ["true", 1, 0]),
        ("datetime", "", ["2026-06-15", "2026-06-15T12:00:00.5+02:00"], ["15/06/2026", "1800-01-01", 1_781_524_800, True]),
        ("datetime", "epoch_s", ["2026-06-15", 1_781_524_800], ["1781524800", 1_781_524_800_000, True]),
        ("datetime", "epoch_ms", [1_781_524_800_000], [10**18]),
        ("list", "", [[], [1]], ["[]", {}]),
        ("object", "", [{}, {"a": 1}], [[], "{}"]),
        ("any", "", ["", 0, False, [], {}], []),
    ],
)  # fmt: skip
def test_a_value_fits_a_type_or_not(type_, format_, fitting, others):
    shape = Shape(1, [SchemaProperty("p", type_, format=format_)], strict=False)

    assert [value for value in fitting if shape.violations({"p": value})] == []
    assert [value for value in others if not shape.violations({"p": value})] == []
    assert shape.violations({"p": None}) == shape.violations({}) == ()


def test_a_required_property_is_there_and_not_null_however_deep():
    shape = Shape(1, [SchemaProperty(r"a.b\.c", "number", required=True)], strict=False)

    assert shape.violations({"a": {"b.c": 1}}) == ()
    for payload in ({}, {"a": None}, {"a": 1}, {"a": {"b": {"c": 1}}}, {"a": {"b.c": None}}):
        (found,) = shape.violations(payload)
        assert (found.pointer, found.code) == ("/payload/a/b.c", "missing_property")


def test_undeclared_are_the_outermost_keys_that_no_schema_names():
    shape = Shape(1, [SchemaProperty("a.b", "number"), SchemaProperty("o", "object")], strict=False)

    found = shape.undeclared({"a": {"b": 1, "c": {"d": 1}}, "o": {"x": 1}, "z": {"y": 1}, "gone": None})

    assert [one.pointer for one in found] == ["/payload/a/c", "/payload/z"]


def test_of_very_many_properties_the_most_frequent_are_kept_and_the_rest_is_told():
    (schema,) = infer({f"p{number}": 1 for number in range(1_200)}, {"p1199": 2}).schemas

    assert (len(schema.properties), schema.properties_left_out) == (1_000, 200)
    assert [one.name for one in schema.properties if one.required] == ["p1199"]
    msgspec.json.encode(schema)
