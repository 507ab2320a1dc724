"""The JSON Schema of the language: everything that is a definition is valid, and what msgspec cannot say is said."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from segment_copilot.language import definition_schema, parse
from segment_copilot.language.nodes import LEAF_TYPES
from tests.support.language.data_sets import draw_world
from tests.support.language.strategies import Draw

Json = dict[str, Any]

SCHEMA = definition_schema()
NODES: dict[str, Json] = SCHEMA["$defs"]
OBJECTS = {name: node for name, node in NODES.items() if name != "Condition"}
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)


def counted(**fields: Any) -> Json:
    return {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order", **fields}]}


def test_it_is_a_json_schema():
    jsonschema_rs.meta.validate(SCHEMA)


@pytest.mark.parametrize("seed", range(4))
def test_every_drawn_definition_is_valid(seed: int):
    draw = Draw(seed, draw_world(seed))
    for _ in range(500):
        definition = draw.definition([1, 2, 3])
        assert parse(definition).findings == ()
        VALIDATOR.validate(definition)


@pytest.mark.parametrize(
    "window",
    [
        {"last": "36h"},
        {"from": "2026-06-01"},
        {"to": "2026-06-01"},
        {"from": "2026-06-01", "to": "2026-07-01"},
        {"between": ["10d", "7d"]},
        {"period": "last_month"},
    ],
    ids=" ".join,
)
def test_a_window_has_one_form(window: Json):
    assert VALIDATOR.is_valid(counted(window=window))
    for other in ({"last": "1d"}, {"from": "2026-06-02"}, {"between": ["2d", "1d"]}, {"period": "today"}):
        both = {**other, **window}
        if both.keys() != window.keys() and both.keys() != {"from", "to"}:
            assert not VALIDATOR.is_valid(counted(window=both)), both
            assert parse(counted(window=both)).findings


INVALID = [
    pytest.param(counted(window={}), id="no form of a window"),
    pytest.param(counted(window={"last": "1d", "until": "2d"}), id="unknown field of a window"),
    pytest.param(counted(window={"period": "next_year"}), id="unknown period"),
    pytest.param(counted(window={"between": ["2d"]}), id="one end of between"),
    pytest.param(counted(window_days=-1), id="days before zero"),
    pytest.param(counted(days=1), id="unknown field of a condition"),
    pytest.param(counted(operator="about"), id="unknown operator"),
    pytest.param(counted(where=[]), id="where without a test"),
    pytest.param(counted(where=[{"property": "total"}]), id="test without operator"),
    pytest.param(counted(where={"logic": "XOR", "conditions": [{"property": "a", "operator": "is_set"}]}), id="logic"),
    pytest.param(counted() | {"name": "Buyers"}, id="unknown field of a definition"),
    pytest.param({"logic": "AND", "conditions": []}, id="empty group"),
    pytest.param({"logic": "AND", "conditions": [{"type": "event"}]}, id="unknown type"),
    pytest.param({"logic": "AND", "conditions": [{"event_type": "order"}]}, id="no type"),
    pytest.param({"conditions": counted()["conditions"]}, id="no logic"),
    pytest.param(counted() | {"logic": "AT_LEAST"}, id="how many at the top"),
    pytest.param(
        {"logic": "AND", "conditions": [{"type": "group"} | counted() | {"logic": "AT_LEAST", "at_least": 0}]},
        id="at least none of them",
    ),
    pytest.param(counted() | {"exclude": counted() | {"timezone": "UTC"}}, id="zone of an exclusion"),
]


@pytest.mark.parametrize("definition", INVALID)
def test_what_is_no_definition_is_not_valid(definition: Json):
    assert parse(definition).findings
    assert not VALIDATOR.is_valid(definition)


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_every_node_is_closed_and_explained(name: str):
    node = OBJECTS[name]

    assert node["additionalProperties"] is False
    assert node["description"].endswith(".")
    for field, schema in node["properties"].items():
        assert schema.get("description", "").endswith("."), field


def test_conditions_are_told_apart_by_type():
    discriminator = NODES["Condition"]["discriminator"]

    assert discriminator["propertyName"] == "type"
    assert discriminator["mapping"].keys() == LEAF_TYPES.keys() | {"group"}
    assert {variant["$ref"] for variant in NODES["Condition"]["anyOf"]} == set(discriminator["mapping"].values())
