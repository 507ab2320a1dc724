"""Parameters of a route: what a handler says of each, as one type that the document shows and requests are held to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Literal, Union
from urllib.parse import parse_qsl

from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter, ParameterKwarg, PathParameter, QueryParameter
from litestar.typing import FieldDefinition
from msgspec import UNSET, Meta, Struct, inspect

from segment_copilot.api.http.problems import ProblemError
from segment_copilot.api.http.routes import MAX_ID, route_of
from segment_copilot.documents import unstorable
from segment_copilot.errors import InvalidInput
from segment_copilot.language.catalog import nearest
from segment_copilot.mistakes import mistakes, with_meta

_WHOLE: Final = re.compile(r"-?[0-9]{1,40}")
_TRUTHS: Final = {"true": True, "false": False}  # in any case: Python's clients send True
_INSTANT: Final = Annotated[datetime, Meta(tz=True, extra_json_schema={"pattern": "^(19|2[0-2])[0-9]{2}-"})]
_YEARS: Final = range(1900, 2300)


class Names(Struct, frozen=True):
    """Marks a parameter that takes names of a record's fields with commas between them."""

    record: type[Struct]

    @property
    def type_(self) -> Any:
        """The list of names that may be given."""
        return Annotated[list[Literal[self.record.__struct_encode_fields__]], Meta(min_length=1)]  # type: ignore[valid-type]


class Parameter(Struct, frozen=True):
    """Holds what is known of one parameter. *type_* is msgspec's, with the limits in it, and never null."""

    name: str
    place: str  # path, query or header
    type_: Any
    description: str
    is_required: bool
    default: Any = UNSET
    record: type[Struct] | None = None
    """Whose fields it names, where it does: its text is a list with commas."""

    @property
    def is_truth(self) -> bool:
        """Return whether its values are true and false."""
        return self.type_ is bool

    @property
    def is_whole(self) -> bool:
        """Return whether its values are whole numbers, so that its text is read as one."""
        kind = inspect.type_info(self.type_)
        kind = kind.type if isinstance(kind, inspect.Metadata) else kind
        values = kind.values if isinstance(kind, inspect.LiteralType) else ()
        return isinstance(kind, inspect.IntType) or any(isinstance(value, int) for value in values)


@cache
def parameters_of(handler: BaseRouteHandler) -> tuple[Parameter, ...]:
    """Return what *handler* reads of the path, the query and the headers."""
    named = tuple(
        _parameter(name, field, field.kwarg_definition)
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, PathParameter | QueryParameter | HeaderParameter)
    )
    return (*named, *route_of(handler).parameters)


class _Checks(Struct, frozen=True):
    """Holds the parameters of a route by name; names of headers are as a server passes them on."""

    query: Mapping[str, Parameter]
    headers: Mapping[bytes, Parameter]


@cache
def _checks(handler: BaseRouteHandler) -> _Checks:
    every = parameters_of(handler)
    return _Checks(
        {one.name: one for one in every if one.place == "query"},
        {one.name.lower().encode(): one for one in every if one.place == "header"},
    )


def optional_parameter(name: str, annotation: Any) -> Parameter:
    """Return the parameter that *annotation* makes of an argument *name* with a default, for `Route.parameters`."""
    field = FieldDefinition.from_kwarg(annotation, name, default=None)
    assert isinstance(field.kwarg_definition, ParameterKwarg)  # noqa: S101  # what the annotations of our modules hold
    return _parameter(name, field, field.kwarg_definition)


_LIMITS: Final = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length")


def given_type(field: FieldDefinition) -> Any:
    """Return the type of what was given: an optional parameter or body may be left out, but is never `null`."""
    types = tuple(part.annotation for part in field.inner_types if not part.is_none_type) if field.is_optional else ()
    return Union[types or field.annotation]  # noqa: UP007


def _parameter(name: str, field: FieldDefinition, kind: ParameterKwarg) -> Parameter:
    limits = {limit: getattr(kind, limit) for limit in _LIMITS}
    place = kind.param_type.value
    type_ = given_type(field)
    if place == "path" and type_ is int:
        limits |= {"ge": 1, "le": MAX_ID}
    names = next((mark for mark in field.metadata if isinstance(mark, Names)), None)
    if names is not None:
        type_ = names.type_
    elif type_ == (datetime,) or type_ is datetime:
        type_ = _INSTANT
    return Parameter(
        kind.name or name,
        place,
        with_meta(type_, **limits),
        kind.description or "",
        is_required=not field.has_default,
        default=field.default if field.has_default and field.default is not None else UNSET,
        record=names and names.record,
    )


def check_query(query: bytes, handler: BaseRouteHandler) -> None:
    """Refuse a query with a parameter that is unknown, repeated, missing, or has a value that it cannot have.

    Raises:
        InvalidInput: with a finding for each.

    """
    known = _checks(handler).query
    if not query and not any(one.is_required for one in known.values()):
        return
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:  # UnicodeDecodeError is one
        raise InvalidInput("The query is not percent-encoded UTF-8.", code="invalid_parameter") from None
    _refuse(_wrong_in_query(pairs, known))


def check_headers(headers: Iterable[tuple[bytes, bytes]], handler: BaseRouteHandler) -> None:
    """Refuse a header that the route reads and that has a value which it cannot have.

    Raises:
        InvalidInput: with a finding for each.

    """
    known = _checks(handler).headers
    for name, value in headers:
        if name in known:
            _refuse(_wrong_value(known[name], value.decode("latin-1")))


def _refuse(found: Iterable[ProblemError]) -> None:
    if findings := list(found):
        raise InvalidInput(findings[0].detail, code=findings[0].code, findings=findings)


def _wrong_in_query(pairs: list[tuple[str, str]], known: Mapping[str, Parameter]) -> Iterator[ProblemError]:
    seen = set[str]()
    for name, value in pairs:
        if name not in known:
            detail = f"There is no query parameter {name[:64]!r} here."
            yield ProblemError("", "unknown_parameter", detail, nearest(name, known), parameter=name[:64])
        elif name in seen:
            yield ProblemError("", "duplicate_parameter", f"{name} is given twice.", parameter=name)
        else:
            yield from _wrong_value(known[name], value)
        seen.add(name)
    for name, parameter in known.items():
        if parameter.is_required and name not in seen:
            yield ProblemError("", "invalid_parameter", f"{name} is missing.", parameter=name)


def _wrong_value(parameter: Parameter, text: str) -> Iterator[ProblemError]:
    name = parameter.name
    yield from (ProblemError("", flaw.code, flaw.detail, parameter=name) for flaw in unstorable(text))
    for mistake in mistakes(_value(parameter, text), parameter.type_):
        suggestions = nearest(mistake.name, mistake.choices) if mistake.name else ()
        yield ProblemError("", "invalid_parameter", f"{name} {mistake.sentence}.", suggestions, parameter=name)
    if parameter.type_ == _INSTANT and text[:4].isdigit() and int(text[:4]) not in _YEARS:
        yield ProblemError("", "out_of_range", f"{name} lies between 1900 and 2299.", parameter=name)


def _value(parameter: Parameter, text: str) -> object:
    """Return the value that *text* stands for, as JSON would have it; the text itself where it is none."""
    if parameter.record is not None:
        return text.split(",")
    if parameter.is_whole and _WHOLE.fullmatch(text):
        return int(text)
    return _TRUTHS.get(text.lower(), text) if parameter.is_truth else text
