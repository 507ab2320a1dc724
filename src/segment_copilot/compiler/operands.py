"""Plans what a test names besides literals: the value that is tested, and another stored one that it is compared with."""

from __future__ import annotations

from typing import cast

from segment_copilot.compiler.slots import Kind, Other, Test
from segment_copilot.language.nodes import OtherValue
from segment_copilot.language.operand_checks import ITEM
from segment_copilot.language.operators import DATETIMES, POSITIVE_OF, PropertyOperator
from segment_copilot.language.paths import parse_path
from segment_copilot.language.value_types import EPOCH_UNITS, AnyTest, resolve_type


def plan_comparison(test: AnyTest, other: OtherValue, *, zone: str) -> Test:
    """Plan *test*, its operator made positive; bare dates that are stored begin in *zone*."""
    operator = cast("PropertyOperator", POSITIVE_OF.get(test.operator, test.operator))
    type_ = resolve_type(test, None) or "string"
    return Test(
        plan_path(test.property),
        "datetime" if type_ in DATETIMES else cast("Kind", type_),
        operator,
        ignore_case=test.ignore_case,
        complement=operator != test.operator,
        epoch=EPOCH_UNITS.get(type_, 0),
        other=_other(other, zone),
    )


def plan_path(path: str) -> tuple[str, ...]:
    """Return the keys of the path of a test; none for an item itself."""
    return () if path == ITEM else parse_path(path)


def _other(other: OtherValue, zone: str) -> Other:
    steps = parse_path(other.path)
    if other.kind == "property":
        return Other(None, steps, zone)
    return Other(steps[0], ("v", *steps[1:]), zone)
