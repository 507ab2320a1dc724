"""Makes `protocol.json`: the JSON Schema of our own protocol, from the same structs that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, Final, cast, get_args

import msgspec

from segment_copilot.copilot.stream.components import Component
from segment_copilot.copilot.stream.run_events import Event, TurnFinished, TurnReset, TurnStarted
from segment_copilot.language import language_components

PROTOCOL: Final = "segment-copilot/1"
"""The name of our own protocol, and its version."""

_REFERENCE: Final = "#/$defs/{name}"
_COMMON: Final[dict[str, Any]] = {
    "seq": {"type": "integer", "minimum": 0, "description": "0, 1, 2, …: none is left out"},
    "run_id": {"type": "string"},
    "ts": {"type": "integer", "description": "Milliseconds since 1970"},
}
_TURN: Final = {"turn": {"type": "integer", "minimum": 1, "description": "Inside a turn: its number"}}


def protocol_document() -> dict[str, Any]:
    """Return a schema that each event's `data` fits; `components` names the schema of each component's props."""
    _, types = msgspec.json.schema_components([Event, Component], ref_template=_REFERENCE)
    definitions = {name: _tidy(schema) for name, schema in types.items()} | language_components(_REFERENCE)
    add_common(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": PROTOCOL,
        "description": "One event of a copilot stream: the JSON of its `data` line. Members may be added, none renamed.",
        "anyOf": [{"$ref": _REFERENCE.format(name=event.__name__)} for event in get_args(Event)],
        "events": {
            str(event.__struct_config__.tag): {"$ref": _REFERENCE.format(name=event.__name__)}
            for event in get_args(Event)
        },
        "components": {
            component.__name__: {"$ref": _REFERENCE.format(name=component.__name__)}
            for component in get_args(Component)
        },
        "$defs": dict(sorted(definitions.items())),
    }


def add_common(definitions: Mapping[str, dict[str, Any]]) -> None:
    """Give the schema of each event, by its name in *definitions*, what every event carries as it is sent."""
    for event in get_args(Event):
        schema = definitions[event.__name__]
        names_its_turn = event in (TurnStarted, TurnReset, TurnFinished)
        schema["properties"] = {**schema["properties"], **_COMMON, **({} if names_its_turn else _TURN)}
        schema["required"] = [*schema["required"], *_COMMON]


def _tidy(schema: Any) -> Any:
    """Drop what is no JSON Schema (`discriminator`); docstrings without their indent; definitions by their schema."""
    match schema:
        case dict():
            fields = {
                key: _tidy(value) for key, value in cast("dict[str, Any]", schema).items() if key != "discriminator"
            }
            if isinstance(fields.get("description"), str):
                fields["description"] = cleandoc(fields["description"])
            if (properties := fields.get("properties")) and properties.get("definition") == {"type": "object"}:
                properties["definition"] = {"$ref": _REFERENCE.format(name="Definition")}
            return fields
        case list():
            return [_tidy(item) for item in cast("list[Any]", schema)]
        case _:
            return schema
