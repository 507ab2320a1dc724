"""Checks what a test names besides a literal: the path of its property, and another stored value."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from segment_copilot.errors import Finding
from segment_copilot.language.nodes import OtherValue, UserProperty
from segment_copilot.language.operators import OPERATORS
from segment_copilot.language.paths import parse_path
from segment_copilot.language.value_types import AnyTest


def check_path(pointer: str, path: str) -> Iterator[Finding]:
    """Check that a path is one."""
    try:
        parse_path(path)
    except ValueError as error:
        yield Finding(pointer, "bad_path", str(error))


def check_other_value(pointer: str, test: AnyTest, other: OtherValue) -> Iterator[Finding]:
    """Check that another stored value can be read where the test is, and that its operator compares with one."""
    here = f"{pointer}/value"
    if not OPERATORS[test.operator].takes_other:
        able = tuple(row.name for row in OPERATORS.values() if row.takes_other)
        detail = f"{test.operator} compares with no other stored value; {', '.join(able)} do."
        yield Finding(here, "wrong_type", detail, able)
    if test.value2 is not UNSET:
        yield Finding(f"{pointer}/value2", "unread_field", f"{test.operator} does not read value2; leave it out.")
    if (other.trait is UNSET) == (other.of_event is UNSET):
        detail = "Another stored value is {trait: …} or, of the same event, {property: …}: one of the two."
        yield Finding(here, "missing_field", detail)
    elif isinstance(test, UserProperty) and other.of_event is not UNSET:
        detail = "A trait has no event beside it: compare it with another trait, {trait: …}."
        yield Finding(f"{here}/property", "unread_field", detail)
    else:
        yield from check_path(f"{here}/{'property' if other.trait is UNSET else 'trait'}", other.path)
