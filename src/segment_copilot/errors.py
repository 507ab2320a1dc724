"""The error tree: stable codes and sentences, no HTTP.

`api/http/problems.py` gives each class its status; `copilot/runs/calls.py` turns each into a tool result.
Raise the most specific class; *detail* is one sentence that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from msgspec import UNSET, Struct, structs


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong (or odd) in what a caller sent, and where.

    *pointer* is an RFC 6901 pointer; "" is the whole document.
    """

    pointer: str
    code: str
    detail: str
    suggestions: tuple[str, ...] = ()


class SegmentCopilotError(Exception):
    """A failure we foresaw and may explain to the caller. Anything else is our bug."""

    code = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        findings: Sequence[Finding] = (),
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.findings = tuple(findings)
        self.context = dict(context or {})


# What the caller sent


class InvalidInput(SegmentCopilotError):
    """A body, parameter or header has the wrong shape."""

    code = "invalid_input"

    def relocate(self, place: Callable[[str], str]) -> Self:
        """Return the same error for a document that holds what was judged: *place* says where each pointer is in it."""
        findings = [structs.replace(one, pointer=place(one.pointer)) for one in self.findings]
        return type(self)(self.detail, code=self.code, findings=findings, context=self.context)


class InvalidDefinition(InvalidInput):
    """A definition does not decode or does not bind; *findings* holds every mistake."""

    code = "invalid_definition"


class QueryTooExpensive(InvalidInput):
    """The store refused the query for its cost (memory, rows read)."""

    code = "query_too_expensive"


class IdempotencyKeyReused(SegmentCopilotError):
    """An Idempotency-Key came with another request before."""

    code = "idempotency_key_reused"


class OutOfRange(SegmentCopilotError):
    """The part of a file that is asked for begins after its end; *context* says its size."""

    code = "range_not_satisfiable"


# Who the caller is


class Unauthenticated(SegmentCopilotError):
    """The request has no key, or one that does not exist (any more)."""

    code = "unauthenticated"


class Forbidden(SegmentCopilotError):
    """The key may not do this."""

    code = "forbidden"


# What is stored


class NotFound(SegmentCopilotError):
    """The tenant has nothing of that id. Another tenant's id answers the same."""

    code = "not_found"


class Gone(SegmentCopilotError):
    """The request refers to something that was here and is no more."""

    code = "gone"


class Conflict(SegmentCopilotError):
    """The request contradicts what is stored."""

    code = "conflict"


class PreconditionFailed(SegmentCopilotError):
    """If-Match named another version than the stored one."""

    code = "precondition_failed"


# How much the caller asks for


class TooManyRequests(SegmentCopilotError):
    """The tenant asks for more at once than it may have; *context* says after how many seconds to try again."""

    code = "too_many_requests"


# What we depend on


class Unavailable(SegmentCopilotError):
    """A store or an upstream service does not answer; trying again later may help."""

    code = "unavailable"


class QueryTimeout(SegmentCopilotError):
    """The store gave up on a query after its time limit."""

    code = "query_timeout"


def check_fixed(given: Mapping[str, object], kept: Mapping[str, object], *, instead: str) -> None:
    """Refuse a record that comes back with something else in a field that is chosen once; UNSET says nothing.

    Raises:
        InvalidInput: with a finding for each such field, `fixed`; *instead* says what to do.
    """
    findings = list[Finding]()
    for name, value in given.items():
        if value is not UNSET and value != kept[name]:
            stays = repr(kept[name]) if isinstance(kept[name], str | int) else "as it is"
            findings.append(Finding(f"/{name}", "fixed", f"{name} stays {stays}: {instead}."))
    if findings:
        raise InvalidInput(" ".join(one.detail for one in findings), findings=findings)
