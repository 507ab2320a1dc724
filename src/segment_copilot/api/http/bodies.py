"""Request bodies: from bytes to a typed value, or one error that says everything that is wrong and where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from segment_copilot.documents import join, mistake_of, unstorable_text
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.catalog import nearest

T = TypeVar("T")


def decode_body(body: bytes, type_: type[T], *, strict: bool = True) -> T:
    """Decode *body* as *type_*; *strict* also refuses what JSON allows and a store cannot keep.

    Raises:
        InvalidInput: with a finding for each mistake.

    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        _refuse("malformed_json", f"The body is not UTF-8: byte {error.start} is {body[error.start]:#04x}.")
    if strict:
        _check_storable(text)
    try:
        return _decode_typed(body, type_)
    except (msgspec.DecodeError, RecursionError) as error:
        _refuse("malformed_json", f"The body is not JSON: {error}.")


def _decode_typed(body: bytes, type_: type[T]) -> T:
    try:
        return _decoder(type_).decode(body)
    except msgspec.ValidationError as error:
        findings = _mistakes(body, type_) or [_finding(error)]
    raise InvalidInput(" ".join(finding.detail for finding in findings), findings=findings)


def _check_storable(text: str) -> None:
    """Refuse what no store can keep. In a pointer that is sent, NUL is written out."""
    try:
        found = unstorable_text(text)
    except ValueError as error:
        _refuse("malformed_json", f"The body is not JSON: {error}.")
    if found:
        findings = [replace(one, pointer=one.pointer.replace("\0", "\\u0000")) for one in found]
        raise InvalidInput(findings[0].detail, code=findings[0].code, findings=findings)


@cache
def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type_)


def _mistakes(body: bytes, type_: Any) -> list[Finding]:
    """List what is wrong, field by field: the decoder stops at the first mistake. Empty when no field is to blame."""
    struct = next((part for part in (type_, *getattr(type_, "__args__", ())) if _is_struct(part)), None)
    if struct is None:
        return []
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:
        return [Finding("", "wrong_type", "The body is a JSON object.")]
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    findings = [
        Finding(join(name), "unknown_field", f"There is no field {name[:64]!r} here.", nearest(name, fields))
        for name in sent
        if name not in fields and struct.__struct_config__.forbid_unknown_fields
    ]
    for name, field in fields.items():
        if name in sent:
            findings += _field_mistakes(name, sent[name], field.type)
        elif field.required:
            findings.append(Finding(join(name), "missing_field", f"{name} is missing."))
    return findings


def _is_struct(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _field_mistakes(name: str, raw: msgspec.Raw, type_: Any) -> Iterator[Finding]:
    try:
        _decoder(type_).decode(raw)
    except msgspec.ValidationError as error:
        yield _finding(error, join(name))


def _finding(error: msgspec.ValidationError, pointer: str = "") -> Finding:
    """A value that is none of those allowed has `wrong_type` in a body: a code that was shipped does not change."""
    mistake = mistake_of(error, pointer)
    code = "wrong_type" if mistake.code == "unknown_value" else mistake.code
    return Finding(mistake.pointer, code, f"{mistake.pointer.lstrip('/') or 'The body'}: {mistake.sentence}.")


def _refuse(code: str, detail: str, pointer: str = "") -> NoReturn:
    raise InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])
