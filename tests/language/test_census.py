"""Each piece of the language is drawn often enough, in every way in which it may stand (`census.py` reads what is drawn)."""

from __future__ import annotations

from collections import Counter

from tests.language.census import A_DATA_SET, Census, draw_definitions, draw_references
from tests.support.language.data_sets import SEGMENT_IDS, draw_world
from tests.support.language.pieces import PIECES, POSITIONS, pieces_of, placed
from tests.support.language.strategies import Draw


def test_each_piece_is_drawn_a_hundred_times_in_five_thousand_and_stands_in_every_way():
    drawn: Counter[tuple[str, str]] = Counter()
    definitions = 1_000
    for number in range(definitions // A_DATA_SET):
        draw = Draw(10_000 + number, draw_world(number))
        references = draw_references(draw, {id_: draw.definition() for id_ in SEGMENT_IDS}, number)
        for definition in draw_definitions(draw, number * A_DATA_SET, A_DATA_SET):
            drawn.update(placed(definition, references))
    assert Census(definitions=definitions, drawn=drawn).rare == []
    assert [(name, position) for name in PIECES for position in POSITIONS if not drawn[name, position]] == []


def test_pieces_are_found_where_they_stand():
    step = {"event_type": "view", "where": [{"property": "tags", "operator": "equals_set", "value": ["a"]}]}
    sequence = {"type": "event_sequence", "events": [step, "cart"], "same": ["sku"]}
    assert pieces_of(sequence) == {"same", "equals_set"}
    group = {"type": "group", "logic": "AT_LEAST", "at_least": 1, "conditions": [sequence]}
    assert pieces_of(group) == {"at_least"}
    found = placed({"logic": "OR", "conditions": [group, sequence, sequence | {"negate": True}]}, {})
    ways = {"": 3, "nested": 1, "negated": 1, "beside its complement": 2}
    assert {way: found["same", way] for way in ways} == ways
    assert found["same", "alone"] == found["same", "referred"] == 0
    assert placed({"logic": "OR", "conditions": [sequence]}, {})["same", "alone"] == 1
    behind = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": 1}]}
    assert placed(behind, {1: {"logic": "AND", "conditions": [group]}})["same", "referred"] == 1
