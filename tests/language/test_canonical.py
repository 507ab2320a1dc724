from __future__ import annotations

import msgspec
import pytest

from segment_copilot.errors import InvalidDefinition
from segment_copilot.language import decode, encode, read_stored
from segment_copilot.language.canonical import canonical, fingerprint, meaning
from tests.support.language.strategies import AS_OFS, ZONES, Draw, world

COUNT = {"type": "event_count", "event_type": "order_placed"}
TEST = {"property": "total", "operator": "gt", "value": 5}

SAME = [
    (COUNT | {"window_days": 7}, COUNT | {"window": {"last": "7d"}}),
    (COUNT | {"event_type": ["order_placed"]}, COUNT),
    (COUNT | {"operator": "gte", "value": 1, "negate": False}, COUNT),
    (COUNT | {"operator": "between", "value": [1, 3]}, COUNT | {"operator": "between", "value": 1, "value2": 3}),
    (COUNT | {"value": 2.0}, COUNT | {"value": 2}),
    (COUNT | {"where": {"logic": "and", "conditions": [TEST, TEST]}}, COUNT | {"where": [TEST, TEST]}),
    (COUNT | {"where": {"logic": "OR", "conditions": [TEST]}}, COUNT | {"where": [TEST]}),
    (COUNT | {"at": {"weekdays": ["sun", "mon", "sun"]}}, COUNT | {"at": {"weekdays": ["mon", "sun"]}}),
    ({"type": "segment_membership", "segment_ids": [2]}, {"type": "segment_membership", "segment_id": 2}),
]
TEST_TRAIT = {"type": "user_property", "property": "plan", "operator": "is_set"}
OTHER = [
    (COUNT | {"window_days": 7}, COUNT | {"window_days": 8}),
    (COUNT | {"window_days": 7}, COUNT | {"window": {"last": "168h"}}),
    (COUNT | {"value": 2}, COUNT | {"value": 3}),
    (COUNT | {"where": [TEST]}, COUNT | {"where": [TEST | {"value": "5"}]}),
    (COUNT, COUNT | {"negate": True}),
]


def of(*conditions, logic="AND"):
    return decode({"logic": logic, "conditions": list(conditions)})


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_spellings_have_one_fingerprint(one, other):
    assert canonical(of(one)) == canonical(of(other))
    assert fingerprint(of(one)) == fingerprint(of(other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_meaning_has_another_fingerprint(one, other):
    assert fingerprint(of(one)) != fingerprint(of(other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_meaning_is_another_one_in_any_order(one, other):
    assert meaning(of(one)) != meaning(of(other))
    assert meaning(of(one, other, logic="AND")) != meaning(of(one, other, logic="OR"))


@pytest.mark.parametrize(("one", "other"), [*SAME, *OTHER])
def test_order_and_a_lonely_logic_do_not_change_the_meaning(one, other):
    assert meaning(of(one, other)) == meaning(of(other, one))
    assert fingerprint(of(one, other)) != fingerprint(of(other, one)) or (one, other) in SAME
    assert meaning(of(one, logic="AND")) == meaning(of(one, logic="OR"))
    nested = {"type": "group", "logic": "OR"}
    assert meaning(of(nested | {"conditions": [one, other]})) == meaning(of(nested | {"conditions": [other, one]}))


def test_measures_are_spelled_in_one_way():
    left = {"measure": "count", "event_type": ["a"], "where": {"logic": "AND", "conditions": [TEST]}}
    condition = {"type": "measure_compare", "left": left, "operator": "gt", "right": left, "factor": 1.0}
    plain = {"measure": "count", "event_type": "a", "where": [TEST]}
    assert canonical(of(condition)) == canonical(of({**condition, "left": plain, "right": plain, "factor": 1}))
    assert b"factor" not in canonical(of(condition))
    assert b"factor" in canonical(of({**condition, "factor": 0.5}))


def test_how_many_have_to_hold_is_a_part_of_the_meaning():
    counted = {"type": "group", "logic": "AT_LEAST", "conditions": [COUNT, TEST_TRAIT]}
    turned = counted | {"conditions": [TEST_TRAIT, COUNT]}
    assert meaning(of(counted | {"at_least": 2})) == meaning(of(turned | {"at_least": 2}))
    assert meaning(of(counted | {"at_least": 2})) != meaning(of(counted | {"at_least": 1}))
    alone = counted | {"conditions": [COUNT], "at_least": 1}
    assert meaning(of(alone)) == meaning(of({"type": "group", "logic": "AND", "conditions": [COUNT]}))


def test_the_order_of_steps_is_a_part_of_the_meaning():
    assert meaning(of({"type": "event_sequence", "events": ["a", "b"]})) != meaning(
        of({"type": "event_sequence", "events": ["b", "a"]})
    )


def test_the_canonical_form_decodes_to_itself():
    draw = Draw(11, world(AS_OFS[:1], ZONES[:2]))
    for _ in range(300):
        written = canonical(decode(draw.definition((1,))))

        assert canonical(decode(written)) == written
        assert msgspec.json.encode(msgspec.json.decode(written), order="sorted") == written


def test_what_was_written_is_read_without_being_judged_again():
    draw = Draw(17, world(AS_OFS[:1], ZONES[:2]))
    for _ in range(300):
        definition = decode(draw.definition((1,)))
        text = encode(definition).decode()

        assert read_stored(text) == definition
        assert encode(read_stored(text)).decode() == text


def test_what_somebody_else_wrote_is_read_as_what_is_sent():
    written = '{"logic": "and", "conditions": [{"type": "event_count", "event_type": "x", "value": 2.0}]}'
    assert read_stored(written) == decode(written.encode())
    with pytest.raises(InvalidDefinition):
        read_stored('{"logic": "and", "conditions": []}')
