"""Checks what a test names besides a literal: the path of its property, another stored value, the items of a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from segment_copilot.errors import Finding
from segment_copilot.language.nodes import DateWindow, PropertyTest, UserProperty, ValueObject
from segment_copilot.language.operators import OPERATORS
from segment_copilot.language.paths import parse_path
from segment_copilot.language.value_types import AnyTest

ITEM: Final = "."
"""The path of an item itself, of a list whose items are tested."""

_OF_A_PROPERTY: Final = ("property", "operator", "value", "value2", "value_type", "ignore_case")


def check_form(pointer: str, test: PropertyTest, *, inside: bool) -> Iterator[Finding]:
    """Check that a test of a `where` is one of a property or, not *inside* of another, one of items."""
    if test.any_of is UNSET and test.conditions is UNSET:
        for name in ("property", "operator"):
            if getattr(test, name) is UNSET:
                yield Finding(pointer, "missing_field", f"{name} is missing.")
        return
    if inside:
        name = "any_of" if test.any_of is not UNSET else "conditions"
        yield Finding(
            f"{pointer}/{name}", "unread_field", "Items are tested by their properties; any_of does not nest."
        )
        return
    for name in ("any_of", "conditions"):
        if getattr(test, name) is UNSET:
            detail = "A test of items has any_of, the list, and conditions, the tests of one item."
            yield Finding(pointer, "missing_field", detail)
    for name in _OF_A_PROPERTY:
        if getattr(test, name) not in {UNSET, False}:
            detail = f"A test of items has any_of, conditions and negate; {name} belongs into one of the conditions."
            yield Finding(f"{pointer}/{name}", "unread_field", detail)
    if test.any_of is not UNSET:
        yield from check_path(f"{pointer}/any_of", test.any_of)
    if test.conditions is not UNSET and not test.conditions:
        yield Finding(f"{pointer}/conditions", "empty_group", "Say at least one test of an item.")


def check_path(pointer: str, path: str) -> Iterator[Finding]:
    """Check that a path is one."""
    try:
        parse_path(path)
    except ValueError as error:
        yield Finding(pointer, "bad_path", str(error))


def check_other_value(pointer: str, test: AnyTest, value: ValueObject) -> Iterator[Finding]:
    """Check that another stored value can be read where the test is, and that its operator compares with one."""
    here = f"{pointer}/value"
    if not OPERATORS[test.operator].takes_other:
        able = tuple(row.name for row in OPERATORS.values() if row.takes_other)
        detail = f"{test.operator} compares with no other stored value; {', '.join(able)} do."
        yield Finding(here, "wrong_type", detail, able)
    if test.value2 is not UNSET:
        yield Finding(f"{pointer}/value2", "unread_field", f"{test.operator} does not read value2; leave it out.")
    is_two = value.trait is not UNSET and value.of_event is not UNSET
    if is_two or value.window != DateWindow():
        detail = "Another stored value is {trait: …} or, of the same event, {property: …}: one of the two, and nothing beside it."
        yield Finding(here, "unread_field", detail)
    elif isinstance(test, UserProperty) and value.of_event is not UNSET:
        detail = "A trait has no event beside it: compare it with another trait, {trait: …}."
        yield Finding(f"{here}/property", "unread_field", detail)
    else:
        for name, path in (("trait", value.trait), ("property", value.of_event)):
            if path is not UNSET:
                yield from check_path(f"{here}/{name}", path)
