"""A page is one envelope of results, reached by page number (as the SDKs do), by offset, or by cursor.

A list takes two lines in a handler with `opt=Route(parameters=LISTING).opt`, which gives the route its parameters:

    listing = listing_of(request)
    return listing.answer(await things.list(tenant, listing.window, order=order, only=OnlyThings(...)), fields)

where `fields: Annotated[str | None, FIELDS, Names(Thing)] = None` lets a caller ask for some fields alone, and `order` is
a Literal with `ORDER`. The use case reads its rows by `stores/pages.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from litestar import Response
from litestar.connection import ASGIConnection
from litestar.params import QueryParameter
from msgspec import Struct

from segment_copilot.api.http.etags import UNLESS_KNOWN, unless_known
from segment_copilot.api.http.parameters import optional_parameter
from segment_copilot.api.http.problems import ProblemError
from segment_copilot.errors import InvalidInput
from segment_copilot.lists import DEFAULT_SIZE, Listed, Window

T = TypeVar("T")

MAX_SIZE: Final = 1_000
MAX_CURSOR: Final = 4_096  # it carries an id of up to 256 characters, however they are written

PageNumber = Annotated[int | None, QueryParameter(ge=1, le=1_000_000, description="Which page, from 1")]
PageSize = Annotated[
    int | None, QueryParameter(ge=1, le=MAX_SIZE, description=f"Results a page; {DEFAULT_SIZE} if left out")
]
Limit = Annotated[int | None, QueryParameter(ge=1, le=MAX_SIZE, description="Results at most, with offset or cursor")]
Offset = Annotated[int | None, QueryParameter(ge=0, le=1_000_000_000, description="Results to pass over first")]
Cursor = Annotated[
    str | None, QueryParameter(min_length=1, max_length=MAX_CURSOR, description="`next_cursor` of the page before")
]
ORDER: Final = QueryParameter(description="What comes first: the smallest, or with - before it the largest; null last")
FIELDS: Final = QueryParameter(description="Only these fields of each result, with commas between them")
AFTER: Final = QueryParameter(description="Only those of this instant or later")
BEFORE: Final = QueryParameter(description="Only those before this instant")


class CursorPage(Struct, Generic[T], frozen=True):
    """Some of *count* results. *next* and *previous* are addresses, null at the ends; *next_cursor* continues."""

    count: int
    next: str | None
    previous: str | None
    results: tuple[T, ...]
    next_cursor: str | None


class Slice(Struct, frozen=True):
    """A slice says which results are asked for, and in which of the three ways."""

    limit: int
    offset: int = 0
    cursor: str | None = None
    page: int | None = None

    def next(self, request: ASGIConnection[Any, Any, Any, Any], *, more: bool, cursor: str | None = None) -> str | None:
        """Return the address of the results after these, asked for in the same way."""
        if not more:
            return None
        if self.page is not None:
            return _address(request, {"page": self.page + 1})
        if cursor is not None and (self.cursor is not None or not self.offset):
            return _address(request, {"cursor": cursor, "limit": self.limit})
        return _address(request, {"offset": self.offset + self.limit, "limit": self.limit})

    def previous(self, request: ASGIConnection[Any, Any, Any, Any]) -> str | None:
        """Return the address of the results before these; cursors only go on."""
        if self.page is not None:
            return _address(request, {"page": self.page - 1}) if self.page > 1 else None
        if self.cursor is None and self.offset:
            return _address(request, {"offset": max(self.offset - self.limit, 0), "limit": self.limit})
        return None


class Listing(Struct, frozen=True):
    """A listing is what a request asks of a list, beside its filters and its order, and how it is answered."""

    request: ASGIConnection[Any, Any, Any, Any]
    slice: Slice

    @property
    def window(self) -> Window:
        """Return the part of the list that is asked for."""
        return Window(self.slice.limit, self.slice.offset, self.slice.cursor)

    def answer(self, found: Listed[Any], fields: str | None = None, **more: object) -> Response[Any]:
        """Answer with a `CursorPage` of what was found, of each result these *fields* alone; 304 if the caller has it.

        *more* are members of the page beside those that every page has.
        """
        results = found.results
        if fields is not None:
            names = list(dict.fromkeys(fields.split(",")))
            results = [{name: getattr(result, name) for name in names} for result in results]
        page = {
            "count": found.count,
            "next": self.slice.next(self.request, more=found.cursor is not None, cursor=found.cursor),
            "previous": self.slice.previous(self.request),
            "results": results,
            "next_cursor": found.cursor,
            **more,
        }
        return unless_known(page)


LISTING: Final = (
    *(
        optional_parameter(name, annotation)
        for name, annotation in {
            "page": PageNumber,
            "page_size": PageSize,
            "limit": Limit,
            "offset": Offset,
            "cursor": Cursor,
        }.items()
    ),
    *UNLESS_KNOWN,
)
"""`Route.parameters` of a list. No provider of Litestar's reads them: two of them side by side cost a task group."""


def listing_of(request: ASGIConnection[Any, Any, Any, Any]) -> Listing:
    """Return what *request*, of a route with the parameters `LISTING`, asks of a list."""
    query = request.query_params
    numbers = {name: int(query[name]) if name in query else None for name in ("page", "page_size", "limit", "offset")}
    return Listing(request, slice_of(**numbers, cursor=query.get("cursor")))


def slice_of(
    *,
    page: int | None,
    page_size: int | None,
    limit: int | None,
    offset: int | None,
    cursor: str | None = None,
) -> Slice:
    """Return the slice that the parameters ask for.

    Raises:
        InvalidInput: they mix ways of paging.

    """
    by_number = [name for name, value in {"page": page, "page_size": page_size}.items() if value is not None]
    others = [name for name, value in {"limit": limit, "offset": offset, "cursor": cursor}.items() if value is not None]
    if (by_number and others) or (offset is not None and cursor is not None):
        detail = "Page by page and page_size, by limit and offset, or by limit and cursor."
        findings = [ProblemError("", "conflicting_parameters", detail, parameter=name) for name in (by_number + others)]
        raise InvalidInput(detail, code="conflicting_parameters", findings=findings)
    if others:
        return Slice(limit or DEFAULT_SIZE, offset or 0, cursor)
    size = page_size or DEFAULT_SIZE
    return Slice(size, ((page or 1) - 1) * size, page=page or 1)


def _address(request: ASGIConnection[Any, Any, Any, Any], changed: Mapping[str, object]) -> str:
    kept = {
        name: value for name, value in request.query_params.items() if name not in {"page", "offset", "cursor", "limit"}
    }
    path: str = request.scope["raw_path"].decode("ascii")
    return f"{path}?{urlencode({**kept, **changed})}"
