"""Makes a tool's schema of its signature and docstring: what the model is told, and what is checked when it calls."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast, get_type_hints

import msgspec
from msgspec import Meta, Struct

from segment_copilot.copilot.models import ToolSpecification
from segment_copilot.documents import unstorable
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language import language_components
from segment_copilot.mistakes import Mistake, mistakes

DefinitionDocument = Annotated[dict[str, Any], Meta(extra_json_schema={"$ref": "#/$defs/Definition"})]
"""A definition as the model wrote it. The use case decodes it, so that every mistake is found at once."""

_ARGUMENT = re.compile(r"^ {4}(\w+): (.+)$", re.MULTILINE)


def arguments_of(tool: Any) -> type[Struct]:
    """Return the tool's parameters after the context, as a struct; `from_` is `from` in JSON."""
    hints = get_type_hints(tool, include_extras=True)
    descriptions = dict(_ARGUMENT.findall(_documentation(tool)[1]))
    fields: list[Any] = []
    for name, parameter in list(inspect.signature(tool).parameters.items())[1:]:
        hint = Annotated[hints[name], Meta(description=descriptions[name])]  # KeyError: an argument nobody explained
        fields.append((name, hint) if parameter.default is parameter.empty else (name, hint, parameter.default))
    return msgspec.defstruct(
        tool.__name__,
        fields,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        rename=lambda name: name.rstrip("_"),
    )


def specification(tool: Any, arguments: type[Struct]) -> ToolSpecification:
    """Return what a model is told: an object at the root, shared types under `$defs`."""
    _, types = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    schema = types.pop(arguments.__name__)
    if "#/$defs/Definition" in str(schema):
        types |= language_components("#/$defs/{name}")
    if types:
        schema["$defs"] = types
    return ToolSpecification(tool.__name__, _documentation(tool)[0], _drop_noise(schema))


def decode_arguments(arguments: Mapping[str, Any], kind: type[Struct]) -> Mapping[str, Any]:
    """Check *arguments* and return them by parameter name; raises InvalidInput with a finding for each mistake."""
    if flaws := [(flaw.pointer, flaw.detail) for flaw in unstorable(arguments)]:
        raise _invalid(flaws)
    try:
        checked = msgspec.convert(arguments, kind)
    except msgspec.ValidationError:
        found = [(mistake.pointer, _sentence(mistake)) for mistake in mistakes(arguments, kind)]
        raise _invalid(found) from None
    return {name: getattr(checked, name) for name in kind.__struct_fields__}


def _sentence(mistake: Mistake) -> str:
    subject = "" if mistake.code == "missing_field" else f"{mistake.pointer[1:] or 'The call'} "
    return f"{subject}{mistake.sentence}."


def _invalid(found: Sequence[tuple[str, str]]) -> InvalidInput:
    return InvalidInput(
        f"The arguments do not fit the tool: {' '.join(detail for _, detail in found)}",
        code="invalid_arguments",
        findings=[Finding(pointer, "invalid_arguments", detail) for pointer, detail in found],
    )


def _documentation(tool: Any) -> tuple[str, str]:
    text, _, arguments = (inspect.getdoc(tool) or "").partition("\n\nArgs:\n")
    return " ".join(text.split()), arguments


def _drop_noise(schema: Any) -> Any:
    """Drop what is no JSON Schema (`discriminator`) and what tells a model nothing (`title`)."""
    match schema:
        case dict():
            fields = cast("dict[str, Any]", schema)
            return {key: _drop_noise(value) for key, value in fields.items() if key not in _noise(fields)}
        case list():
            return [_drop_noise(item) for item in cast("list[Any]", schema)]
        case _:
            return schema


def _noise(schema: Mapping[str, Any]) -> tuple[str, ...]:
    return ("discriminator", "title") if isinstance(schema.get("title", ""), str) else ("discriminator",)
