"""Writes the language as JSON Schema 2020-12: what msgspec reads off the nodes, and what their types cannot say."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from segment_copilot.language.checks import MAX_LIST, MAX_STRING, MAX_TESTS, PERIODS, SEGMENTS, STEPS
from segment_copilot.language.decode import MAX_CONDITIONS
from segment_copilot.language.local_times import CLOCK_PATTERN
from segment_copilot.language.measure_checks import MAX_FACTOR, MOST_RANKED, OF_EVENTS, RANKED
from segment_copilot.language.nodes import Condition, Definition
from segment_copilot.language.paths import PATH_PATTERN
from segment_copilot.language.window_checks import MAX_DAYS, MONTHS

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _with(name: str) -> Schema:
    """Require a field, named where it is required: beside a discriminator a linter looks for it there."""
    return {"properties": {name: {}}, "required": [name]}


_WINDOW_FORMS: Final[list[Schema]] = [
    _with("last"),
    {"anyOf": [_with("from"), _with("to")]},
    _with("between"),
    _with("period"),
]
_FORMS: Final[dict[str, Schema]] = {
    "LocalTime": {"anyOf": [{"required": ["weekdays"]}, {"required": ["hours"]}]},
    "PropertyTest": {
        "oneOf": [
            {"properties": {name: {} for name in names}, "required": [*names]}
            for names in (("property", "operator"), ("any_of", "conditions"))
        ]
    },
    "Rank": {"oneOf": [_with(name) for name in RANKED]},
    "Measure": {
        "oneOf": [
            {"properties": {"measure": {"enum": sorted(OF_EVENTS)}}, "not": _with("property")},
            {
                "properties": {"measure": {"not": {"enum": sorted(OF_EVENTS)}}, "property": {}},
                "required": ["property"],
            },
        ]
    },
    "SegmentMembership": {"oneOf": [_with(name) for name in ("segment_id", "segment_ids")]},
    "Window": {"oneOf": _WINDOW_FORMS, "dependentRequired": {"days": ["last"]}},
    "DateWindow": {"oneOf": [*_WINDOW_FORMS, _with("month")], "dependentRequired": {"days": ["last"]}},
    "ValueObject": {
        "oneOf": [*_WINDOW_FORMS, *(_with(name) for name in ("month", "trait", "property"))],
        "dependentRequired": {"days": ["last"]},
    },
}
_ANY_CASE: Final[list[Schema]] = [
    {"enum": ["AND", "OR"]},
    {"type": "string", "pattern": "^([Aa][Nn][Dd]|[Oo][Rr])$"},
]
_GROUP_LOGIC: Final[list[Schema]] = [
    {"enum": ["AND", "OR", "AT_LEAST"]},
    {"type": "string", "pattern": "^([Aa][Nn][Dd]|[Oo][Rr]|[Aa][Tt]_[Ll][Ee][Aa][Ss][Tt])$"},
]
_NAME: Final[Schema] = {"type": "string", "minLength": 1}
_LENGTH: Final = "^[1-9][0-9]{0,4}(?:m|h|d|w|mo|y)$"
_NEARER_LENGTH: Final = "^(?:0|[1-9][0-9]{0,4})(?:m|h|d|w|mo|y)$"
_SPAN: Final = "^[1-9][0-9]{0,4}[mhdw]$"
_MOMENT: Final = (
    "^(?:19|2[0-2])[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)
_LARGEST: Final = 2**63 - 1
_COUNT: Final = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_COUNTS: Final = {"anyOf": [_COUNT, {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}]}
_DAYS: Final = {"minimum": 0, "maximum": MAX_DAYS}
_TESTS: Final = {"minItems": 1, "maxItems": MAX_TESTS}
_NAMES: Final[Schema] = {"minItems": 1, "items": {"type": "string", "minLength": 1}}
_LIMITS: Final[dict[tuple[str, str], Schema]] = {
    **{
        (group, "conditions"): {"minItems": 1, "maxItems": MAX_CONDITIONS}
        for group in ("Definition", "Exclusion", "Group")
    },
    ("Group", "at_least"): {"minimum": 1, "maximum": MAX_CONDITIONS},
    ("WhereGroup", "conditions"): _TESTS,
    **{
        (leaf, "window_days"): _DAYS for leaf in ("EventCount", "Recency", "Monetary", "EventProperty", "EventSequence")
    },
    ("Recency", "value2"): _DAYS,
    **{
        (window, field): limit
        for window in ("Window", "DateWindow", "ValueObject")
        for field, limit in (
            ("last", {"pattern": _LENGTH}),
            ("from", {"pattern": _MOMENT}),
            ("to", {"pattern": _MOMENT}),
            ("between", {"items": {"type": "string", "pattern": _NEARER_LENGTH}, "minItems": 2, "maxItems": 2}),
        )
    },
    ("DateWindow", "month"): {"minimum": MONTHS[0], "maximum": MONTHS[-1]},
    ("ValueObject", "month"): {"minimum": MONTHS[0], "maximum": MONTHS[-1]},
    ("Step", "within"): {"pattern": _SPAN},
    ("LocalTime", "weekdays"): {"minItems": 1},
    ("LocalTime", "hours"): {"items": {"type": "string", "pattern": CLOCK_PATTERN}, "minItems": 2, "maxItems": 2},
    **{
        (leaf, field): limit
        for leaf in ("EventCount", "EventPeriods")
        for field, limit in (("value", _COUNTS), ("value2", _COUNT))
    },
    **{
        (node, "property"): {"minLength": 1, "pattern": PATH_PATTERN}
        for node in ("PropertyTest", "Monetary", "EventProperty", "UserProperty", "ValueObject", "Measure")
    },
    ("ValueObject", "trait"): {"minLength": 1, "pattern": PATH_PATTERN},
    ("PropertyTest", "property"): {"minLength": 1, "pattern": rf"^\.$|{PATH_PATTERN}"},
    ("PropertyTest", "any_of"): {"minLength": 1, "pattern": PATH_PATTERN},
    ("PropertyTest", "conditions"): _TESTS,
    ("EventPeriods", "last"): {"minimum": PERIODS[0], "maximum": PERIODS[-1]},
    ("EventPeriods", "min_per_period"): {"minimum": 1, "maximum": _LARGEST},
    ("EventSequence", "events"): {"minItems": STEPS[0], "maxItems": STEPS[-1]},
    ("EventSequence", "none_between"): {"minItems": 1},
    ("EventSequence", "same"): {
        "items": {"type": "string", "minLength": 1, "pattern": PATH_PATTERN},
        "minItems": 1,
        "maxItems": MAX_TESTS,
    },
    ("SegmentMembership", "segment_id"): {"minimum": 1, "maximum": _LARGEST},
    ("SegmentMembership", "segment_ids"): {
        "items": {"type": "integer", "minimum": 1, "maximum": _LARGEST},
        "minItems": SEGMENTS[0],
        "maxItems": SEGMENTS[-1],
    },
    ("Definition", "timezone"): {"minLength": 1},
    **{("Rank", name): {"minimum": 1, "maximum": MOST_RANKED[-1]} for name in RANKED[:2]},
    **{("Rank", name): {"exclusiveMinimum": 0, "maximum": 100} for name in RANKED[2:]},
    ("MeasureCompare", "factor"): {"minimum": -MAX_FACTOR, "maximum": MAX_FACTOR},
    ("Sample", "salt"): {"minLength": 1},
    ("Sample", "from"): {"minimum": 0, "maximum": 100},
    ("Sample", "to"): {"minimum": 0, "maximum": 100},
}
"""Node and field → the limits that `checks` and `decode` hold it to."""


def definition_schema() -> Schema:
    """Return the schema of a whole definition, complete in itself: every node is under `$defs`."""
    return {"$schema": _DIALECT, "$ref": "#/$defs/Definition", "$defs": language_components("#/$defs/{name}")}


def language_components(reference: str) -> dict[str, Schema]:
    """Return the schema of every node, and of `Condition`, their union; *reference* has `{name}` where a name goes.

    A definition that decodes is valid; one that is valid may still not decode (an operator's operands, nesting).
    """
    (_, union), nodes = msgspec.json.schema_components([Definition, Condition], ref_template=reference)
    here = {"$ref": reference.format(name="Condition")}
    components = {name: _referring(schema, union, here) for name, schema in nodes.items()}
    for name, node in components.items():
        _complete(name, node)
    described = {"description": "One condition; `type` says which."}
    return {"Condition": described | union, **components}


def _complete(name: str, node: Schema) -> None:
    """Add what a type cannot say: the one-of of window forms, any case of `logic`, limits."""
    fields = cast("dict[str, Schema]", node["properties"])
    if "type" in fields:
        fields["type"]["description"] = "Which condition this is."
    if "logic" in fields:
        del fields["logic"]["enum"]
        fields["logic"]["anyOf"] = _GROUP_LOGIC if name == "Group" else _ANY_CASE
    for names in (fields[name] for name in ("event_type",) if name in fields):
        for form in cast("list[Schema]", names["anyOf"]):
            form.update(_NAMES if form["type"] == "array" else {"minLength": 1})
    if "where" in fields:
        tests, _ = fields["where"]["anyOf"]
        tests.update(_TESTS)
    node |= _FORMS.get(name, {})
    if node["required"] == []:
        del node["required"]
    for field in ("events", "none_between"):
        if field in fields:
            fields[field]["items"]["anyOf"] = [
                form | _NAME if form.get("type") == "string" else form for form in fields[field]["items"]["anyOf"]
            ]
    for field, schema in fields.items():
        limits = _LIMITS.get((name, field), {})
        if "anyOf" in limits or limits is _COUNT:
            schema.pop("anyOf", None)
        schema.update(limits)
        if field in ("value", "value2"):
            _forbid_empty_lists(schema)
        _bound(schema)


def _forbid_empty_lists(schema: Schema) -> None:
    for form in cast("list[Schema]", schema.get("anyOf", [])):
        if form.get("type") == "array":
            form.setdefault("minItems", 1)


def _bound(schema: Any) -> None:
    """Say how long a text and a list may be wherever one stands in a condition."""
    if isinstance(schema, list):
        for item in cast("list[Any]", schema):
            _bound(item)
    elif isinstance(schema, dict):
        part = cast("Schema", schema)
        if part.get("type") == "string" and "enum" not in part:
            part.setdefault("maxLength", MAX_STRING)
        if part.get("type") == "array":
            part.setdefault("maxItems", MAX_LIST)
        for item in list(part.values()):
            _bound(item)


def _referring(schema: Any, union: Schema, reference: Schema) -> Any:
    """Return *schema* with *reference* where the union of all conditions is written out."""
    if schema == union:
        return reference
    if isinstance(schema, list):
        return [_referring(item, union, reference) for item in cast("list[Any]", schema)]
    if isinstance(schema, dict):
        return {key: _referring(value, union, reference) for key, value in cast("Schema", schema).items()}
    return schema
