"""A shape is what a schema declares of a payload, made ready to judge payloads quickly: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, cast

from msgspec import Meta, Struct

from segment_copilot.documents import join
from segment_copilot.errors import Finding
from segment_copilot.language.nodes import Scalar
from segment_copilot.language.operators import ValueType
from segment_copilot.language.paths import PATH_PATTERN, format_path, parse_path
from segment_copilot.language.value_types import reads_as_date

PropertyType = Literal["string", "number", "boolean", "datetime", "list", "object", "any"]
"""What a property may be declared as: what conditions compare in, an object (its keys are properties of their own), and
whatever is not null."""

PropertyFormat = Literal["", "epoch_s", "epoch_ms"]
"""Tells how a datetime is written as a number: seconds, or milliseconds, since 1970."""

ViolationCode = Literal["missing_property", "wrong_type"]

MAX_NAME: Final = 1_000
MAX_PROPERTIES: Final = 1_000
MAX_PROPERTY_DESCRIPTION: Final = 2_000
SHOWN_SAMPLES: Final = 10

_TYPES: Final = (
    "string: a text. number: a JSON number, not a text of digits. boolean: true or false. datetime: an ISO 8601 date or "
    "instant as a text; with a format also a number. list: a JSON array. object: a JSON object, whatever is in it; what "
    "is may be declared by path. any: whatever is not null"
)


class SchemaProperty(Struct, frozen=True, forbid_unknown_fields=True):
    r"""A declared property; *name* is a path as in a definition (`a.b`; a dot in a key is `\\.`)."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_NAME,
            description="The path, as conditions write it",
            examples=["total"],
            extra_json_schema={"pattern": PATH_PATTERN},
        ),
    ]
    type: Annotated[PropertyType, Meta(description=_TYPES, examples=["number"])]
    required: Annotated[bool, Meta(description="It is in every event, and not null")] = False
    description: Annotated[str, Meta(max_length=MAX_PROPERTY_DESCRIPTION, examples=["With tax"])] = ""
    format: Annotated[
        PropertyFormat, Meta(description="Of a datetime that is sent as a number: seconds or milliseconds since 1970")
    ] = ""
    sample_values: Annotated[
        tuple[Scalar, ...],
        Meta(description="Values that occurred, of a list its elements; ignored when written", examples=[[12.5, 30]]),
    ] = ()

    @property
    def declares(self) -> ValueType | Literal["object", "any"]:
        """The type, with how a number is read as a datetime."""
        return self.format or self.type


class Violation(Struct, frozen=True):
    """One way in which a payload is not what its schema declares; *pointer* is RFC 6901 into the event."""

    pointer: str
    code: ViolationCode
    detail: str


class Shape:
    """Judges payloads of one event type by what its schema declares."""

    def __init__(self, schema_id: int, properties: Iterable[SchemaProperty], *, strict: bool) -> None:
        self.schema_id = schema_id
        self.strict = strict
        self._checks = [(parse_path(one.name), one, _fits_of(one)) for one in properties]
        self._known = {steps for steps, _, _ in self._checks}

    def violations(self, payload: Mapping[str, Any]) -> tuple[Violation, ...]:
        """Return what of *payload* is missing or of another type; null is as good as absent."""
        found = list[Violation]()
        for steps, declared, fits in self._checks:
            value = payload.get(steps[0]) if len(steps) == 1 else _at(payload, steps)
            if value is None:
                if declared.required:
                    detail = f"{declared.name} is missing; the event schema requires it."
                    found.append(Violation(join("payload", *steps), "missing_property", detail))
            elif not fits(value):
                detail = (
                    f"{declared.name} is {_kind(value)}; the event schema declares it as {_NAMES[declared.declares]}."
                )
                found.append(Violation(join("payload", *steps), "wrong_type", detail))
        return tuple(found)

    def undeclared(self, payload: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Return what of *payload* the schema does not name. That is no violation: events may say more."""
        return tuple(
            Finding(join("payload", *steps), "undeclared_property", f"{format_path(steps)} is not in the event schema.")
            for steps in self._undeclared(payload, ())
        )

    def _undeclared(self, value: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for key, item in value.items():
            steps = (*above, key)
            if item is None or not key or steps in self._known:
                continue
            if isinstance(item, dict) and any(known[: len(steps)] == steps for known in self._known):
                yield from self._undeclared(cast("dict[str, Any]", item), steps)
            else:
                yield steps


def mistakes_in(properties: Sequence[SchemaProperty]) -> Iterator[Finding]:
    """Yield what cannot be declared: a name that is no path, one twice or below a value, a format beside another type."""
    types = dict[tuple[str, ...], PropertyType]()
    for index, declared in enumerate(properties):
        if declared.format and declared.type != "datetime":
            yield Finding(f"/properties/{index}/format", "unread_field", "Only a datetime has a format.")
        here = f"/properties/{index}/name"
        try:
            steps = parse_path(declared.name)
        except ValueError as error:
            yield Finding(here, "bad_path", str(error))
            continue
        if steps in types:
            yield Finding(here, "duplicate_property", f"{declared.name} is declared twice.")
        types.setdefault(steps, declared.type)
    for index, declared in enumerate(properties):
        try:
            steps = parse_path(declared.name)
        except ValueError:
            continue
        for end in range(1, len(steps)):
            if (type_ := types.get(steps[:end], "object")) not in {"object", "any"}:
                above = format_path(steps[:end])
                detail = f"{declared.name} lies inside {above}, which is declared as {_NAMES[type_]}, not an object."
                yield Finding(f"/properties/{index}/name", "conflicting_properties", detail)


_NAMES: Final[Mapping[str, str]] = {
    "string": "a string", "number": "a number", "boolean": "a boolean", "datetime": "a datetime", "list": "a list",
    "object": "an object", "any": "any value", "epoch_s": "a datetime in seconds", "epoch_ms": "a datetime in milliseconds",
}  # fmt: skip
_CLASSES: Final[Mapping[type, str]] = {
    str: "a string", int: "a number", float: "a number", bool: "a boolean", list: "a list", dict: "an object",
}  # fmt: skip
_FITTING: Final[Mapping[str, frozenset[type]]] = {
    "string": frozenset({str}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "list": frozenset({list}),
    "object": frozenset({dict}),
    "any": frozenset(_CLASSES),
}


def _fits_of(declared: SchemaProperty) -> Callable[[Any], bool]:
    """Return what tells whether a value, not null, is of the declared type."""
    if (classes := _FITTING.get(declared.type)) is not None:
        return lambda value: type(value) in classes
    read_as = cast("ValueType", declared.declares)
    return lambda value: type(value) in {str, int, float} and reads_as_date(value, read_as)


def _kind(value: object) -> str:
    """Return what a value is, without the value itself: what is told of an event may be read by others than the event."""
    return _CLASSES[type(value)]


def _at(payload: Mapping[str, Any], steps: tuple[str, ...]) -> Any:
    value: Any = payload
    for step in steps:
        if type(value) is not dict:
            return None
        value = cast("dict[str, Any]", value).get(step)
    return value
