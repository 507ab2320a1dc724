"""Bodies may hold a definition: here are its field, the instant it is asked about, and pointers that lead into it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final, TypeVar, cast, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from segment_copilot.api.http.openapi import DEFINITION
from segment_copilot.audiences.explanations import Stage, UserCondition
from segment_copilot.audiences.previews import ConditionCount
from segment_copilot.errors import Finding, InvalidDefinition
from segment_copilot.language.lengths import EARLIEST, LATEST, Instant

MAX_DEFINITION_BYTES: Final = 256 * 1024

RawDefinition = Annotated[Raw, Meta(extra_json_schema=DEFINITION)]
RawOrNull = Annotated[Raw, Meta(extra_json_schema={"anyOf": [DEFINITION, {"type": "null"}]})]
"""Of a body that may be a draft's: `as_sent` says which. (A union with raw JSON cannot be decoded.)"""

HasPointer = TypeVar("HasPointer", Finding, ConditionCount, Stage, UserCondition)


def instant_mistakes(body: object) -> Iterator[Finding]:
    """Yield a finding when the `as_of` of a body, decoded or not, lies where no event can have happened."""
    as_of = (
        cast("Mapping[str, object]", body).get("as_of") if isinstance(body, Mapping) else getattr(body, "as_of", None)
    )
    try:
        instant = msgspec.convert(as_of, Instant | None)
    except msgspec.ValidationError:
        return  # no instant at all: its type is what is wrong
    if instant is not None and not EARLIEST <= instant <= LATEST:
        yield Finding("/as_of", "out_of_range", "as_of lies between 1900 and 2299, in UTC.")


def as_sent(definition: Raw) -> bytes | None:
    """Return the JSON of a definition, None for null."""
    return None if bytes(definition) == b"null" else bytes(definition)


def may_be_null(type_: Any) -> bool:
    """Return whether the definition of a body of *type_* may be null."""
    if not (isinstance(type_, type) and issubclass(type_, Struct)):
        return False
    types = [field.type for field in msgspec.structs.fields(type_) if field.name == "definition"]
    return any(RawOrNull in (one, *get_args(one)) for one in types)


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
