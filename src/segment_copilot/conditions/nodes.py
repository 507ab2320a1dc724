"""THE LANGUAGE: a closed union of frozen nodes, tagged by ``type``. Each class is one row of docs/language.md.

These structs say what is well-formed JSON. What they cannot say (which operator reads which value, limits, paths)
is in `checks`; what needs a tenant's catalog is in `compiler.bind`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field

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
    "contains_any",
    "contains_all",
    "contains_none",
    "before",
    "after",
    "in_last",
    "not_in_last",
    "in_next",
    "anniversary_in_next",
]
DateOperator = Literal[
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
    "before",
    "after",
    "in_last",
    "not_in_last",
    "in_next",
    "anniversary_in_next",
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


PeriodName = Literal[
    "today",
    "yesterday",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "this_quarter",
    "last_quarter",
    "this_year",
    "last_year",
]


class Window(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    """When: exactly one of `last`, `from` and/or `to`, `between`, `period`."""

    last: Annotated[str, Meta(description="Rolling, up to `as_of`, both ends in: `36h`; m h d w mo y.")] | UnsetType = (
        UNSET
    )
    from_: Annotated[str, Meta(description="A date (local midnight) or an instant; in.")] | UnsetType = UNSET
    to: Annotated[str, Meta(description="A date (local midnight) or an instant; out.")] | UnsetType = UNSET
    between: Annotated[list[str], Meta(description='Two lengths ago, both ends in: `["10d", "7d"]`.')] | UnsetType = (
        UNSET
    )
    period: Annotated[PeriodName, Meta(description="A calendar period in the time zone.")] | UnsetType = UNSET


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


class EventTime(_Condition, frozen=True, tag="event_time"):
    """When the first (or last) matching event happened; a user without one does not match."""

    event_type: EventTypes
    operator: DateOperator
    value: str | list[str]
    value2: str | UnsetType = UNSET
    occurrence: Literal["first", "last"] = "first"
    where: Where | UnsetType = UNSET


class EventPeriods(_Condition, frozen=True, tag="event_periods"):
    """In how many of the last calendar periods, the current one included, there were matching events."""

    event_type: EventTypes
    period: Literal["day", "week", "month"]
    last: Annotated[int, Meta(description="How many periods to look at, 1 to 366.")]
    operator: NumberOperator
    value: Number | list[Number]
    value2: Number | UnsetType = UNSET
    min_per_period: Annotated[int, Meta(description="Matching events that make a period count.")] = 1
    where: Where | UnsetType = UNSET


class UserProperty(_Condition, frozen=True, tag="user_property"):
    """A trait, as it stood at `as_of`."""

    property: str
    operator: PropertyOperator
    value: Value | UnsetType = UNSET
    value2: Scalar | UnsetType = UNSET
    value_type: ValueType | UnsetType = UNSET
    ignore_case: bool = False


class EventMatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Events of a type that pass a filter, when a name is not enough."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a sequence, when a name is not enough; *within* bounds the gap to the step before."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET
    within: Annotated[str, Meta(description="A length in m, h, d or w; d is 24 hours.")] | UnsetType = UNSET


class EventSequence(_Condition, frozen=True, tag="event_sequence"):
    """Events in this order, each strictly later than the one before; *window* bounds first to last step."""

    events: list[str | Step]
    window_days: Days | UnsetType = UNSET
    window: Annotated[Window, Meta(description="The span from first to last step: `last` only.")] | UnsetType = UNSET
    strict: Annotated[bool, Meta(description="No other event between two steps.")] = False
    none_between: (
        Annotated[list[str | EventMatch], Meta(description="None of these between two steps.")] | UnsetType
    ) = UNSET
    search_window: Annotated[Window, Meta(description="Where the steps may lie.")] | UnsetType = UNSET


class SegmentMembership(_Condition, frozen=True, tag="segment_membership"):
    """In, or not in, another segment: its current definition, evaluated at the same `as_of`."""

    segment_id: int
    operator: Literal["in", "not_in"] = "in"


class Sample(_Condition, frozen=True, tag="sample"):
    """A stable share of users, for holdouts and splits: the same users for the same salt."""

    salt: str
    from_: Annotated[Number, Meta(description="Percent, in.")] = field(name="from")
    to: Annotated[Number, Meta(description="Percent, out.")]


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


EventCondition = EventCount | Recency | EventTime | Monetary | EventProperty | EventPeriods
"""The leaves about the matching events of one `event_type` and `where`."""

Leaf = EventCondition | UserProperty | EventSequence | SegmentMembership | Sample
Condition = Leaf | Group

LEAF_TYPES: dict[str, type[Any]] = {leaf.__struct_config__.tag: leaf for leaf in get_args(Leaf)}
