"""Configs of connectors: read from JSON with every mistake located, secrets sealed before they are stored, masked when shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from segment_copilot.activations.secrets import Secrets
from segment_copilot.documents import escape
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.catalog import nearest
from segment_copilot.mistakes import Mistake, is_marked, mistakes

MASK: Final = "***"

_SECRET_SCHEMA: Final = {"writeOnly": True, "format": "password"}

Secret = Annotated[str, Meta(min_length=1, max_length=4096, extra_json_schema=_SECRET_SCHEMA)]
"""The type of a secret field of a config: sealed where it is stored, shown as `***`."""


_URL_SCHEMA: Final = {"format": "uri"}

Url = Annotated[str, Meta(min_length=1, max_length=2000, extra_json_schema=_URL_SCHEMA)]
"""The type of a field that names where requests go: judged when the config is saved, and at each request."""


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A config of a connector; its fields are a subclass's. It shows nothing of itself in logs."""

    def wrong(self) -> tuple[str, str] | None:
        """Return what is wrong beyond types, as the name of a field and a sentence without a full stop; None if nothing is.

        A secret that is kept from before is `***` here.
        """
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


def secret_fields(config: type[Config]) -> frozenset[str]:
    """Return the names of the secret fields of a type of config."""
    return _marked(config, "writeOnly", mark=True)


def secrets_in(config: Config) -> tuple[str, ...]:
    """Return the values of the secret fields that are set."""
    values: dict[str, Any] = msgspec.to_builtins(config)
    return tuple(values[name] for name in secret_fields(type(config)) if values.get(name) is not None)


def url_fields(config: type[Config]) -> frozenset[str]:
    """Return the names of the fields that say where requests go."""
    return _marked(config, "format", mark="uri")


@cache
def _marked(config: type[Config], key: str, *, mark: object) -> frozenset[str]:
    fields = msgspec.structs.fields(config)
    return frozenset(field.encode_name for field in fields if is_marked(field.type, key, mark=mark))


def json_schema(config: type[Config]) -> Mapping[str, Any]:
    """Return the JSON Schema of a type of config, whole in itself."""
    (schema,), parts = msgspec.json.schema_components([config], ref_template="#/$defs/{name}")
    own: dict[str, Any] = parts.pop(schema["$ref"].rsplit("/", 1)[-1])
    own.pop("title", None)
    return own | ({"$defs": parts} if parts else {})


def read_config(document: object, config: type[Config], *, pointer: str = "/config") -> Config:
    """Return a config from decoded JSON.

    Raises:
        InvalidInput: Something in it is wrong; there is a finding for each mistake. None shows a secret.
    """
    if findings := [_finding(one) for one in mistakes(document, config, pointer)]:
        raise InvalidInput(" ".join(finding.detail for finding in findings), findings=findings)
    read = msgspec.convert(document, config)
    if wrong := read.wrong():
        field, sentence = wrong
        raise InvalidInput(f"{sentence}.", findings=[Finding(f"{pointer}/{field}", "invalid_config", f"{sentence}.")])
    return read


def _finding(mistake: Mistake) -> Finding:
    here = f"{mistake.pointer}/{escape(mistake.name)}"
    match mistake.code:
        case "unknown_field":
            detail = f"There is no field {mistake.name[:64]!r} in this connector's config."
            return Finding(here, mistake.code, detail, nearest(mistake.name, mistake.choices))
        case "missing_field":
            return Finding(here, mistake.code, f"{here[1:]} is missing.")
        case _:
            suggestions = nearest(mistake.name, mistake.choices) if mistake.name else ()
            return Finding(mistake.pointer, mistake.code, f"{mistake.pointer[1:]} {mistake.sentence}.", suggestions)


def seal_fields(config: Mapping[str, Any], names: Iterable[str], secrets: Secrets, *, context: bytes) -> dict[str, Any]:
    """Return a config in plain values with the fields of these *names* sealed, each for its own place.

    Raises:
        Conflict: There are some, and the service has no key.
    """
    return {**config, **{name: secrets.seal(config[name], context=_place(context, name)) for name in names}}


def unseal(stored: Mapping[str, Any], config: type[Config], secrets: Secrets, *, context: bytes) -> Config:
    """Return a stored config, ready to be used.

    Raises:
        Conflict: A secret does not open.
        InvalidInput: What is stored does not fit the connector any more.
    """
    opened = dict(stored)
    for name in secret_fields(config):
        if isinstance(value := opened.get(name), str):
            opened[name] = secrets.open(value, context=_place(context, name))
    return read_config(opened, config)


def mask(stored: Mapping[str, Any], config: type[Config]) -> dict[str, Any]:
    """Return a stored config as it is shown: `***` in place of every secret that is set."""
    secret = secret_fields(config)
    return {name: MASK if name in secret and value is not None else value for name, value in stored.items()}


def _place(context: bytes, field: str) -> bytes:
    return context + b"/" + field.encode()
