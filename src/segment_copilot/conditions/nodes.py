"""THE LANGUAGE: a closed union of frozen nodes, tagged by ``type``. Each class is one row of docs/language.md.

These structs say what is well-formed JSON. What they cannot say (which operator reads which value, limits, paths)
is in `checks`; what needs a tenant's catalog is in `compiler.bind`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

Scalar = str | bool | int | float
Value = Scalar | list[Scalar]
Logic = Literal["AND", "OR"]
ValueType = Literal["string", "number", "boolean", "datetime", "list"]

PropertyOperator = Literal[
    "eq",
    "neq",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "not_between",
    "in",
    "not_in",
    "contains",
    "does_not_contain",
    "starts_with",
    "ends_with",
    "matches_regex",
    "is_set",
    "is_not_set",
    "is_true",
    "is_false",
]
NumberOperator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "between", "not_between"]
RecencyOperator = Literal["gt", "gte", "lt", "lte", "eq", "between"]
Metric = Literal["sum", "avg", "min", "max", "median", "count_distinct"]

EventTypes = Annotated[
    str | list[str], Meta(description='One event type, a list of them (any of these), or "*" for every event.')
]
Days = Annotated[int, Meta(description="Whole days, 0 to 36,500.")]
Number = int | float


class PropertyTest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A test of one property of an event; all tests of a `where` list must hold."""

    property: Annotated[str, Meta(description="Dots walk into objects; a literal dot is `\\.`.")]
    operator: PropertyOperator
    value: Value | UnsetType = UNSET
    value2: Scalar | UnsetType = UNSET
    value_type: ValueType | UnsetType = UNSET
    ignore_case: bool = False
    negate: bool = False


class WhereGroup(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Property tests joined by one logic; it does not nest."""

    logic: Logic
    conditions: list[PropertyTest]


Where = list[PropertyTest] | WhereGroup


class LastWindow(Struct, frozen=True, forbid_unknown_fields=True):
    """Rolling: from `as_of` minus this length up to `as_of`, both ends in."""

    last: Annotated[str, Meta(description="A length: a whole number and m, h, d, w, mo or y, as in `36h`.")]


Window = LastWindow


class _Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", kw_only=True):
    negate: bool = False


class EventCount(_Condition, frozen=True, tag="event_count"):
    """How many matching events; a user without any has 0."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET
    operator: NumberOperator = "gte"
    value: Number | list[Number] = 1
    value2: Number | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: Window | UnsetType = UNSET


class Recency(_Condition, frozen=True, tag="recency"):
    """Days since the last matching event; a user who never did it does not match."""

    event_type: EventTypes
    operator: RecencyOperator
    window_days: Days
    where: Where | UnsetType = UNSET
    value2: Annotated[int, Meta(description="The far end of between, in days.")] | UnsetType = UNSET


class Monetary(_Condition, frozen=True, tag="monetary"):
    """An aggregate of a payload property over the matching events."""

    event_type: EventTypes
    property: str
    metric: Metric
    operator: NumberOperator
    value: Number | list[Number]
    value2: Number | UnsetType = UNSET
    where: Where | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: Window | UnsetType = UNSET


class EventProperty(_Condition, frozen=True, tag="event_property"):
    """A payload property of the latest (or first, any, every) matching event."""

    event_type: EventTypes
    property: str
    operator: PropertyOperator
    value: Value | UnsetType = UNSET
    value2: Scalar | UnsetType = UNSET
    value_type: ValueType | UnsetType = UNSET
    ignore_case: bool = False
    occurrence: Literal["latest", "first", "any", "every"] = "latest"
    where: Where | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: Window | UnsetType = UNSET


class UserProperty(_Condition, frozen=True, tag="user_property"):
    """A trait, as it stood at `as_of`."""

    property: str
    operator: PropertyOperator
    value: Value | UnsetType = UNSET
    value2: Scalar | UnsetType = UNSET
    value_type: ValueType | UnsetType = UNSET
    ignore_case: bool = False


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a sequence, when a name is not enough."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET


class EventSequence(_Condition, frozen=True, tag="event_sequence"):
    """Events in this order, each strictly later than the one before; *window* bounds first to last step."""

    events: list[str | Step]
    window_days: Days | UnsetType = UNSET
    window: Window | UnsetType = UNSET
    strict: bool = False


class SegmentMembership(_Condition, frozen=True, tag="segment_membership"):
    """In, or not in, another segment: its current definition, evaluated at the same `as_of`."""

    segment_id: int
    operator: Literal["in", "not_in"] = "in"


class Group(_Condition, frozen=True, tag="group"):
    """Nesting."""

    logic: Logic
    conditions: list[Condition]


class Exclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is taken out of the result."""

    logic: Logic
    conditions: list[Condition]


class Definition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is in a segment: *conditions* joined by *logic*, and not *exclude*."""

    logic: Logic
    conditions: list[Condition]
    exclude: Exclusion | UnsetType = UNSET
    timezone: Annotated[str, Meta(description="IANA name; the tenant's zone when left out.")] | UnsetType = UNSET


EventCondition = EventCount | Recency | Monetary | EventProperty
Windowed = EventCount | Monetary | EventProperty | EventSequence
Leaf = EventCount | Recency | Monetary | EventProperty | UserProperty | EventSequence | SegmentMembership
Condition = Leaf | Group

LEAF_TYPES: dict[str, type[Any]] = {leaf.__struct_config__.tag: leaf for leaf in get_args(Leaf)}
