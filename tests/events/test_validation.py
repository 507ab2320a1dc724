"""What is stored of an event, and what is said about one that is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segment_copilot.events import EventRejected, validate

RECEIVED = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


def sent(**fields: Any) -> bytes:
    """An event as it comes over the wire."""
    return msgspec.json.encode({"user_id": "ana", "event_type": "order_placed", **fields})


def with_payload(text: str) -> bytes:
    return b'{"user_id":"ana","event_type":"order_placed","payload":%s}' % text.encode()


def refused(event: Any) -> tuple[str, str]:
    """Pointer and code of why *event* is refused."""
    with pytest.raises(EventRejected) as caught:
        validate(event, received_at=RECEIVED)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer, caught.value.code


TIMES = [
    ("2026-04-25T14:32:00Z", datetime(2026, 4, 25, 14, 32, tzinfo=UTC)),
    ("2026-11-21T17:29:46.725056+00:00", datetime(2026, 11, 21, 17, 29, 46, 725056, tzinfo=UTC)),  # the Python SDK
    ("2026-04-25T14:32:00.9999999Z", datetime(2026, 4, 25, 14, 32, 0, 999999, tzinfo=UTC)),  # cut, not rounded
    ("2026-04-25T14:32:00.1Z", datetime(2026, 4, 25, 14, 32, 0, 100000, tzinfo=UTC)),
    ("2026-04-25 14:32", datetime(2026, 4, 25, 14, 32, tzinfo=UTC)),  # no offset is UTC
    ("2026-04-25t14:32:00+02:00", datetime(2026, 4, 25, 12, 32, tzinfo=UTC)),
    ("2026-04-25T14:32:00-0330", datetime(2026, 4, 25, 18, 2, tzinfo=UTC)),
    ("2026-04-25", datetime(2026, 4, 25, tzinfo=UTC)),
    ("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)),
    ("2299-12-31T23:59:59.999999Z", datetime(2299, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("1899-12-31T23:00:00-02:00", datetime(1900, 1, 1, 1, tzinfo=UTC)),
    (None, RECEIVED),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_a_time_is_read_to_the_microsecond(text, expected):
    assert validate(sent(occurred_at=text), received_at=RECEIVED).occurred_at == expected


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30T00:00:00Z", "2026-04-25T24:00:00Z", "2026-04-25T23:59:60Z", "20260425T143200Z",
     "2026-W17-6", "2026-04-25T14:32:00Z ", "2026-04-25T14:32:00+25:00", "٢٠٢٦-04-25", 1700000000, True, ["2026-04-25"]],
)  # fmt: skip
def test_what_is_no_time_is_refused(text):
    assert refused(sent(occurred_at=text)) == ("/occurred_at", "wrong_time")


@pytest.mark.parametrize("text", ["1899-12-31T23:59:59Z", "2300-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00"])
def test_a_time_the_store_cannot_hold_is_refused(text):
    assert refused(sent(occurred_at=text)) == ("/occurred_at", "time_out_of_range")


PAYLOADS = [
    ("null", "{}"),
    ("{}", "{}"),
    ('{ "a" : [ 1, "x", {"b": null} ] }', '{"a":[1,"x",{"b":null}]}'),
    ('{"a":"x\\":1","b" : {"c": "\\":"}}', '{"a":"x\\":1","b":{"c":"\\":"}}'),  # text that looks like keys
    ('{"a":18446744073709551615,"b":-9223372036854775808}', '{"a":18446744073709551615,"b":-9223372036854775808}'),
    # Integers that ClickHouse would keep as strings become floats.
    ('{"a":18446744073709551616,"b":[-9223372036854775809]}', '{"a":1.8446744073709552e19,"b":[-9.223372036854776e18]}'),
    ('{"a.b":1,"a":{"b":2},"":3}', '{"a.b":1,"a":{"b":2},"":3}'),
    ('{"a":"2026-01-01","b":"007","é":"😀\\u0001"}', '{"a":"2026-01-01","b":"007","é":"😀\\u0001"}'),
    ('{"a":5e-324,"b":1e16,"c":-0.0}', '{"a":5e-324,"b":1e16,"c":-0.0}'),
    ("{" + '"a":{' * 15 + "}" * 16, "{" + '"a":{' * 15 + "}" * 16),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), PAYLOADS)
def test_a_payload_is_stored_as_compact_json_text(text, expected):
    assert validate(with_payload(text), received_at=RECEIVED).payload == expected


BAD_PAYLOADS = [
    ("[]", "/payload", "wrong_type"),
    ('"text"', "/payload", "wrong_type"),
    ('{"a":1e400}', "/payload/a", "number_out_of_range"),
    ('{"a":{"b":[0,-1e999]}}', "/payload/a/b/1", "number_out_of_range"),
    ('{"a":1' + "0" * 400 + "}", "/payload/a", "number_out_of_range"),
    ('{"a":"x\\u0000"}', "/payload/a", "nul_character"),
    ('{"a":["é\\u0000"]}', "/payload/a/0", "nul_character"),
    ('{"x\\u0000":1}', "/payload/x\0", "nul_character"),
    ('{"a/b":{"~":"\\ud800"}}', "/payload/a~1b/~0", "lone_surrogate"),
    ('{"a%2Eb":1}', "/payload/a%2Eb", "unsupported_key"),
    ('{"a":"' + "x" * 70_000 + '"}', "/payload", "payload_too_large"),
    ("{" + '"a":{' * 16 + "}" * 17, "/payload" + "/a" * 16, "payload_too_deep"),
    ('{"a":' + "[" * 16 + "]" * 16 + "}", "/payload/a" + "/0" * 15, "payload_too_deep"),
]


@pytest.mark.parametrize(("text", "pointer", "code"), BAD_PAYLOADS, ids=[row[0][:20] for row in BAD_PAYLOADS])
def test_a_payload_that_cannot_be_stored_is_refused_where_it_is_wrong(text, pointer, code):
    assert refused(with_payload(text)) == (pointer, code)


BAD_EVENTS = [
    (b"[]", "", "wrong_type"),
    (b"null", "", "wrong_type"),
    (b'{"user_id":"a","event_type":"x"', "", "malformed_json"),
    (b'{"user_id":"a\xff","event_type":"x"}', "", "malformed_json"),
    (b'{"user_id":"a","event_type":NaN}', "", "malformed_json"),
    (b"[" * 100_000, "", "payload_too_deep"),
    (b'{"user_id":"a","event_type":"x","user_id":"b"}', "/user_id", "duplicate_key"),
    (b'{"user_id":"a","event_type":"x","payload":{"a":[{"b" :1, "b"\n: 1}]}}', "/payload/a/0/b", "duplicate_key"),
    (b'{"user_id":"a","event_type":"x","payload":{"a":1,"\\u0061":"\\":"}}', "/payload/a", "duplicate_key"),
    (b'{"event_type":"x"}', "/user_id", "missing_field"),
    (sent(user_id=None), "/user_id", "missing_field"),
    (sent(user_id=7), "/user_id", "wrong_type"),
    (sent(user_id=True), "/user_id", "wrong_type"),
    (sent(user_id=""), "/user_id", "empty_string"),
    (sent(user_id="a" * 257), "/user_id", "too_long"),
    (sent(user_id="a\0"), "/user_id", "nul_character"),
    (b'{"user_id":"\\udfff","event_type":"x"}', "/user_id", "lone_surrogate"),
    (b'{"user_id":"a"}', "/event_type", "missing_field"),
    (sent(event_type=["x"]), "/event_type", "wrong_type"),
    (sent(event_type="x" * 129), "/event_type", "too_long"),
    (sent(event_id="i" * 129), "/event_id", "too_long"),
    (sent(event_id=5), "/event_id", "wrong_type"),
    (sent(anonymous_id=5), "/anonymous_id", "wrong_type"),
    (sent(anonymous_id=""), "/anonymous_id", "empty_string"),
    (sent(anonymous_id="a" * 252), "/anonymous_id", "too_long"),
    (sent(anonymous_id="a", user_id=""), "/user_id", "empty_string"),
    (sent(properties={}), "/properties", "unknown_field"),
]


@pytest.mark.parametrize(("event", "pointer", "code"), BAD_EVENTS)
def test_an_event_that_is_wrong_is_refused_with_the_first_reason(event, pointer, code):
    assert refused(event) == (pointer, code)


def test_the_longest_ids_fit_and_the_optional_fields_may_be_null():
    event = sent(user_id="ü" * 256, event_type="e" * 128, event_id="i" * 128, anonymous_id=None, payload=None)

    valid = validate(event, received_at=RECEIVED)

    assert (len(valid.user_id), len(valid.event_type), len(valid.event_id or "")) == (256, 128, 128)


@pytest.mark.parametrize("event_id", [None, ""])
def test_an_empty_event_id_is_no_id(event_id):
    assert validate(sent(event_id=event_id), received_at=RECEIVED).event_id is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(
    fields=st.dictionaries(
        st.sampled_from(["user_id", "event_type", "payload", "occurred_at", "event_id"]), json_values
    )
)
def test_any_value_anywhere_is_either_stored_as_text_or_refused(fields):
    try:
        valid = validate({"user_id": "ana", "event_type": "x"} | fields, received_at=RECEIVED)
    except EventRejected:
        return

    assert isinstance(msgspec.json.decode(valid.payload.encode()), dict)
    assert "\0" not in valid.user_id + valid.event_type + (valid.event_id or "")
