"""THE LANGUAGE: a closed union of frozen nodes, tagged by ``type``. Each class is one row of docs/language.md.

These structs say what is well-formed JSON. What they cannot say (which operator reads which value, limits, paths)
is in `checks`; what needs a tenant's catalog is in `compiler.bind`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast, get_args

from msgspec import UNSET, Meta, Struct, UnsetType, field

from segment_copilot.language.operators import (
    DateOperator,
    MembershipOperator,
    NumberOperator,
    PropertyOperator,
    RecencyOperator,
    ValueType,
)

Scalar = str | bool | int | float
Value = Scalar | list[Scalar]
Logic = Annotated[
    Literal["AND", "OR"],
    Meta(description="AND: all of them hold; OR: any of them. Read in any case, kept in upper case."),
]
GroupLogic = Annotated[
    Literal["AND", "OR", "AT_LEAST"],
    Meta(description="AND: all of them hold; OR: any of them; AT_LEAST: at least `at_least` of them."),
]
Metric = Literal["sum", "avg", "min", "max", "median", "count_distinct"]
MeasureName = Literal["count", "sum", "avg", "min", "max", "count_distinct", "days_active"]
MeasureOperator = Literal["eq", "neq", "gt", "gte", "lt", "lte"]

EventTypes = Annotated[
    str | list[str], Meta(description='One event type, a list of them (any of these), or "*" for every event.')
]
Days = Annotated[int, Meta(description="Whole days, 0 to 36,500.")]
Number = int | float
Path = Annotated[str, Meta(description="A property: dots walk into objects; a literal dot is `\\.`.")]
UpperOperand = Annotated[Scalar, Meta(description="The upper end of between and not_between, which is in.")]
GivenType = Annotated[
    ValueType,
    Meta(description="What the test compares as; left out, the event schema says, then the form of the value."),
]
IgnoreCase = Annotated[bool, Meta(description="Compare strings in Unicode lower case.")]
Negate = Annotated[bool, Meta(description="The exact complement: whoever this does not hold for.")]
NumberTest = Annotated[NumberOperator, Meta(description="How the number is compared with `value`.")]
NumberOperand = Annotated[
    Number | list[Number],
    Meta(description="The number compared with; of between and not_between the two ends as a list."),
]
UpperNumber = Annotated[Number, Meta(description="The upper end of between and not_between, which is in.")]
PropertyOperatorField = Annotated[
    PropertyOperator, Meta(description="How the value is tested; which operators there are depends on its type.")
]


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
DatePeriodName = Literal[PeriodName, "tomorrow", "next_week", "next_month", "next_quarter", "next_year"]


class _Window(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"from_": "from"}):
    last: Annotated[str, Meta(description="Rolling, up to `as_of`, both ends in: `36h`; m h d w mo y.")] | UnsetType = (
        UNSET
    )
    from_: Annotated[str, Meta(description="A date (local midnight) or an instant; in.")] | UnsetType = UNSET
    to: Annotated[str, Meta(description="A date (local midnight) or an instant; out.")] | UnsetType = UNSET
    days: (
        Annotated[
            Literal["complete", "with_today"],
            Meta(description="With `last` in d or w: whole local days, those before today, or today and those before."),
        ]
        | UnsetType
    ) = UNSET
    between: Annotated[list[str], Meta(description='Two lengths ago, both ends in: `["10d", "7d"]`.')] | UnsetType = (
        UNSET
    )


class Window(_Window, frozen=True):
    """When: exactly one of `last`, `from` and/or `to`, `between`, `period`."""

    period: Annotated[PeriodName, Meta(description="A calendar period in the time zone.")] | UnsetType = UNSET


class DateWindow(_Window, frozen=True):
    """When a stored date is: one form of a window, whose period may lie ahead; for anniversary_in `period` or `month`."""

    period: (
        Annotated[DatePeriodName, Meta(description="A calendar period in the time zone, which may be to come.")]
        | UnsetType
    ) = UNSET
    month: Annotated[int, Meta(description="Of anniversary_in: the month of any year, 1 to 12.")] | UnsetType = UNSET


AnyWindow = Window | DateWindow


class OtherValue(Struct, frozen=True):
    """Another stored value to compare with: a trait, or a property of the same event; its path."""

    kind: Literal["trait", "property"]
    path: str


class ValueObject(DateWindow, frozen=True, rename={"from_": "from", "of_event": "property"}):
    """What stands where a literal would: a window of dates, or another stored value, a trait or a property of the event.

    As JSON they are told apart by their fields alone, which of structs in one place only one can be.
    """

    trait: (
        Annotated[str, Meta(description="Instead of a literal: a trait of the user, as it stood at `as_of`.")]
        | UnsetType
    ) = UNSET
    of_event: Annotated[str, Meta(description="Instead of a literal: a property of the same event.")] | UnsetType = (
        UNSET
    )

    @property
    def other(self) -> OtherValue | None:
        """The stored value that it names, if it names one."""
        if self.trait is not UNSET:
            return OtherValue("trait", self.trait)
        return None if self.of_event is UNSET else OtherValue("property", self.of_event)

    @property
    def window(self) -> DateWindow:
        """The window alone."""
        return DateWindow(
            last=self.last,
            from_=self.from_,
            to=self.to,
            days=self.days,
            between=self.between,
            period=self.period,
            month=self.month,
        )


Operand = Annotated[
    Value | ValueObject,
    Meta(
        description="What the operator compares with: one value, a list of them, a date, a length such as 30d; "
        "for in_window, not_in_window and anniversary_in a window; or another stored value."
    ),
]


class PropertyTest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A test of one property of an event, or with `any_of` of the items of a list in it.

    All tests of a `where` list must hold. A test of items has `any_of` and `conditions`, and no `property` and `operator`:
    as JSON the two are told apart by their fields alone, which of structs only one can be.
    """

    property: Path = cast("Any", UNSET)
    operator: PropertyOperatorField = cast("Any", UNSET)
    value: Operand | UnsetType = UNSET
    value2: UpperOperand | UnsetType = UNSET
    value_type: GivenType | UnsetType = UNSET
    ignore_case: IgnoreCase = False
    negate: Negate = False
    any_of: (
        Annotated[str, Meta(description="A list in the event: one of its items passes all of `conditions`.")]
        | UnsetType
    ) = UNSET
    conditions: (
        Annotated[
            list[PropertyTest],
            Meta(description="With `any_of`: tests of one item. Paths begin at the item; `.` is the item itself."),
        ]
        | UnsetType
    ) = UNSET

    def is_of_items(self) -> bool:
        """Return whether it tests the items of a list."""
        return self.any_of is not UNSET


class WhereGroup(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Property tests joined by one logic; it does not nest."""

    logic: Logic
    conditions: Annotated[list[PropertyTest], Meta(description="Tests of one event.")]


Where = Annotated[
    list[PropertyTest] | WhereGroup,
    Meta(description="Which of these events: tests that must all hold, or one group of tests."),
]


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class LocalTime(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which weekdays and hours of the local day: at least one of the two."""

    weekdays: Annotated[list[Weekday], Meta(description="On any of these days of the week.")] | UnsetType = UNSET
    hours: (
        Annotated[list[str], Meta(description='From the first (in) to the second (out): `["22:00", "06:00"]`.')]
        | UnsetType
    ) = UNSET


At = Annotated[
    LocalTime, Meta(description="Only events at these times of the local day, in the definition's time zone.")
]

When = Annotated[Window, Meta(description="When the events happened; all history when left out.")]


class _Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type", kw_only=True):
    negate: Negate = False


class EventCount(_Condition, frozen=True, tag="event_count"):
    """How many matching events; a user without any has 0."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET
    operator: NumberTest = "gte"
    value: NumberOperand = 1
    value2: UpperNumber | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: When | UnsetType = UNSET


class Recency(_Condition, frozen=True, tag="recency"):
    """Days since the last matching event; a user who never did it does not match."""

    event_type: EventTypes
    operator: Annotated[RecencyOperator, Meta(description="How the days since the last event compare with the days.")]
    window_days: Days
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET
    value2: Annotated[int, Meta(description="The far end of between, in days.")] | UnsetType = UNSET


class Monetary(_Condition, frozen=True, tag="monetary"):
    """An aggregate of a payload property over the matching events."""

    event_type: EventTypes
    property: Path
    metric: Annotated[Metric, Meta(description="What is made of the values; those that are missing take no part.")]
    operator: NumberTest
    value: NumberOperand
    value2: UpperNumber | UnsetType = UNSET
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: When | UnsetType = UNSET


class EventProperty(_Condition, frozen=True, tag="event_property"):
    """A payload property of the latest (or first, any, every) matching event."""

    event_type: EventTypes
    property: Path
    operator: PropertyOperatorField
    value: Operand | UnsetType = UNSET
    value2: UpperOperand | UnsetType = UNSET
    value_type: GivenType | UnsetType = UNSET
    ignore_case: IgnoreCase = False
    occurrence: Annotated[
        Literal["latest", "first", "any", "every"],
        Meta(description="Which event decides: the newest, the oldest, at least one, or each of at least one."),
    ] = "latest"
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET
    window_days: Days | UnsetType = UNSET
    window: When | UnsetType = UNSET


class EventTime(_Condition, frozen=True, tag="event_time"):
    """When the first (or last) matching event happened; a user without one does not match."""

    event_type: EventTypes
    operator: Annotated[DateOperator, Meta(description="How the instant is tested; all operators of dates.")]
    value: Annotated[
        str | list[str] | DateWindow,
        Meta(description="A date, an instant, a list of them, a length such as 30d, or a window."),
    ]
    value2: Annotated[str, Meta(description="The upper end of between and not_between, which is in.")] | UnsetType = (
        UNSET
    )
    occurrence: Annotated[Literal["first", "last"], Meta(description="Which event's instant it is.")] = "first"
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET


class EventPeriods(_Condition, frozen=True, tag="event_periods"):
    """In how many of the last calendar periods, the current one included, there were matching events."""

    event_type: EventTypes
    period: Annotated[Literal["day", "week", "month"], Meta(description="Calendar periods of the time zone.")]
    last: Annotated[int, Meta(description="How many periods to look at, 1 to 366.")]
    operator: NumberTest
    value: NumberOperand
    value2: UpperNumber | UnsetType = UNSET
    min_per_period: Annotated[int, Meta(description="Matching events that make a period count.")] = 1
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET


class UserProperty(_Condition, frozen=True, tag="user_property"):
    """A trait, as it stood at `as_of`."""

    property: Path
    operator: PropertyOperatorField
    value: Operand | UnsetType = UNSET
    value2: UpperOperand | UnsetType = UNSET
    value_type: GivenType | UnsetType = UNSET
    ignore_case: IgnoreCase = False


class EventMatch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Events of a type that pass a filter, when a name is not enough."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET


class Step(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One step of a sequence, when a name is not enough; *within* bounds the gap to the step before."""

    event_type: EventTypes
    where: Where | UnsetType = UNSET
    within: Annotated[str, Meta(description="A length in m, h, d or w; d is 24 hours.")] | UnsetType = UNSET
    at: At | UnsetType = UNSET


class EventSequence(_Condition, frozen=True, tag="event_sequence"):
    """Events in this order, each strictly later than the one before; *window* bounds first to last step."""

    events: Annotated[list[str | Step], Meta(description="The steps in their order: event types, or more about them.")]
    window_days: Days | UnsetType = UNSET
    window: Annotated[Window, Meta(description="The span from first to last step: `last` only.")] | UnsetType = UNSET
    strict: Annotated[bool, Meta(description="No other event between two steps.")] = False
    none_between: (
        Annotated[list[str | EventMatch], Meta(description="None of these between two steps.")] | UnsetType
    ) = UNSET
    search_window: Annotated[Window, Meta(description="Where the steps may lie.")] | UnsetType = UNSET
    same: (
        Annotated[list[str], Meta(description="Property paths whose value is the same at every step.")] | UnsetType
    ) = UNSET


class Measure(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A number made of a user's matching events."""

    measure: Annotated[
        MeasureName,
        Meta(description="What is made of the events; days_active counts the local days with at least one of them."),
    ]
    event_type: EventTypes
    property: (
        Annotated[str, Meta(description="Whose values are measured; count and days_active look at none.")] | UnsetType
    ) = UNSET
    where: Where | UnsetType = UNSET
    at: At | UnsetType = UNSET
    window: When | UnsetType = UNSET


class MeasureCompare(_Condition, frozen=True, tag="measure_compare"):
    """One measure of a user against another: *left* compared with *factor* times *right*, exactly."""

    left: Annotated[Measure, Meta(description="What is compared.")]
    operator: Annotated[MeasureOperator, Meta(description="How `left` compares with `factor` × `right`.")]
    right: Annotated[Measure, Meta(description="What it is compared with.")]
    factor: Annotated[Number, Meta(description="How many times `right`: 0.1 is a tenth of it. At most 6 decimals.")] = 1


Share = Annotated[Number, Meta(description="Per cent of those who are ranked, more than 0; at most 3 decimals.")]


class Rank(_Condition, frozen=True, tag="rank"):
    """The users who come first, or last, of all the tenant's by a measure; exactly one of `top` to `bottom_percent`."""

    by: Annotated[Measure, Meta(description="What users are ranked by; those for whom it is missing are not ranked.")]
    top: Annotated[int, Meta(description="So many with the greatest.")] | UnsetType = UNSET
    bottom: Annotated[int, Meta(description="So many with the smallest.")] | UnsetType = UNSET
    top_percent: Share | UnsetType = UNSET
    bottom_percent: Share | UnsetType = UNSET


class SegmentMembership(_Condition, frozen=True, tag="segment_membership"):
    """In, or not in, another segment: its current definition, evaluated at the same `as_of`. Of several, in any or in none."""

    segment_id: Annotated[int, Meta(description="A segment of the same tenant.")] | UnsetType = UNSET
    segment_ids: Annotated[list[int], Meta(description="Any of these segments; with not_in, none.")] | UnsetType = UNSET
    operator: Annotated[MembershipOperator, Meta(description="Whether users are in it.")] = "in"

    @property
    def targets(self) -> tuple[int, ...]:
        """The segments that are named, each once."""
        one = () if self.segment_id is UNSET else (self.segment_id,)
        return tuple(dict.fromkeys((*one, *(self.segment_ids or ()))))


class Sample(_Condition, frozen=True, tag="sample"):
    """A stable share of users, for holdouts and splits: the same users for the same salt."""

    salt: Annotated[str, Meta(description="Names the split: another salt shares users out anew.")]
    from_: Annotated[Number, Meta(description="Percent, in.")] = field(name="from")
    to: Annotated[Number, Meta(description="Percent, out.")]


class Group(_Condition, frozen=True, tag="group"):
    """Conditions joined by a logic of their own."""

    logic: GroupLogic
    conditions: Annotated[list[Condition], Meta(description="What is joined; at least one.")]
    at_least: (
        Annotated[int, Meta(description="With AT_LEAST: how many of the conditions have to hold.")] | UnsetType
    ) = UNSET


class Exclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is taken out of the result."""

    logic: Logic
    conditions: Annotated[list[Condition], Meta(description="What is joined; at least one.")]


class Definition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is in a segment: *conditions* joined by *logic*, and not *exclude*."""

    logic: Logic
    conditions: Annotated[list[Condition], Meta(description="What is joined; at least one.")]
    exclude: Annotated[Exclusion, Meta(description="Who is taken out again.")] | UnsetType = UNSET
    timezone: Annotated[str, Meta(description="IANA name; the tenant's zone when left out.")] | UnsetType = UNSET


EventCondition = EventCount | Recency | EventTime | Monetary | EventProperty | EventPeriods
"""The leaves about the matching events of one `event_type` and `where`."""

Leaf = EventCondition | UserProperty | EventSequence | SegmentMembership | Sample | MeasureCompare | Rank
Condition = Leaf | Group

LEAF_TYPES: dict[str, type[Any]] = {leaf.__struct_config__.tag: leaf for leaf in get_args(Leaf)}
