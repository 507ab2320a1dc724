"""Bodies may hold a definition: here are its field, the instant it is asked about, and pointers that lead into it."""

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

HasPointer = TypeVar("HasPointer", Finding, ConditionCount, Stage, UserCondition)


def check_as_of(as_of: datetime | None) -> datetime | None:
    """Check that events can have happened at the instant, and return it.

    Raises:
        InvalidInput: They cannot.

    """
    if as_of is None or EARLIEST <= as_of <= LATEST:
        return as_of
    finding = Finding("/as_of", "out_of_range", "as_of lies between 1900 and 2299, in UTC.")
    raise InvalidInput(finding.detail, findings=[finding])


@contextmanager
def relocate_findings() -> Generator[None]:
    """Let findings of a definition point into the request body that holds it, inside the block."""
    try:
        yield
    except InvalidDefinition as error:
        raise error.relocate(_in_body) from error


def point_into_body(found: tuple[HasPointer, ...]) -> tuple[HasPointer, ...]:
    """Return findings whose pointers lead into the request body that holds the definition."""
    return tuple(msgspec.structs.replace(each, pointer=_in_body(each.pointer)) for each in found)


def _in_body(pointer: str) -> str:
    return f"/definition{pointer}"
