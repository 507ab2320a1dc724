"""Bodies that hold a definition: its field, the instant it is asked about, and pointers that lead into it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Raw

from segment_copilot.api.http.openapi import DEFINITION
from segment_copilot.audiences.explanations import Stage, UserCondition
from segment_copilot.audiences.previews import ConditionCount
from segment_copilot.errors import Finding, InvalidDefinition, InvalidInput
from segment_copilot.language.lengths import EARLIEST, LATEST

MAX_DEFINITION_BYTES: Final = 256 * 1024

RawDefinition = Annotated[Raw, Meta(extra_json_schema=DEFINITION)]
Instant = Annotated[datetime, Meta(tz=True, description="An instant with its offset; now when left out")]

Pointed = TypeVar("Pointed", Finding, ConditionCount, Stage, UserCondition)


def checked_as_of(as_of: datetime | None) -> datetime | None:
    """Returns the instant, when events can have happened at it.

    Raises:
        InvalidInput: they cannot.

    """
    if as_of is None or EARLIEST <= as_of <= LATEST:
        return as_of
    finding = Finding("/as_of", "out_of_range", "as_of lies between 1900 and 2299, in UTC.")
    raise InvalidInput(finding.detail, findings=[finding])


@contextmanager
def pointed() -> Generator[None]:
    """Makes findings of a definition point into the request body that holds it."""
    try:
        yield
    except InvalidDefinition as error:
        findings = at_definition(error.findings)
        raise InvalidDefinition(error.detail, code=error.code, findings=findings, context=error.context) from error


def at_definition(found: tuple[Pointed, ...]) -> tuple[Pointed, ...]:
    """Returns the same, with pointers into what holds the definition."""
    return tuple(msgspec.structs.replace(each, pointer=f"/definition{each.pointer}") for each in found)
