"""Request bodies: from bytes to a typed value, or one error that says everything that is wrong and where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NoReturn, TypeVar, cast

import msgspec
from msgspec import Struct

from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language.catalog import nearest

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 400  # the largest double has 309

T = TypeVar("T")

_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)
_PATH_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_UNSTORABLE = re.compile(r"\\u(?:0000|d[89a-f])", re.IGNORECASE)  # NUL and surrogates can only come escaped


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
        check_json(text)
    try:
        return _typed(body, type_)
    except (msgspec.DecodeError, RecursionError) as error:
        _refuse("malformed_json", f"The body is not JSON: {error}.")


def _typed(body: bytes, type_: type[T]) -> T:
    try:
        return _decoder(type_).decode(body)
    except msgspec.ValidationError as error:
        findings = _mistakes(body, type_) or [_finding("", error)]
    raise InvalidInput(" ".join(finding.detail for finding in findings), findings=findings)


def check_json(text: str) -> None:
    """Refuse what no store can keep: nesting past MAX_DEPTH, keys sent twice, NUL, half surrogates, endless numbers."""
    if text.count("[") + text.count("{") > MAX_DEPTH and (pointer := _too_deep(text)) is not None:
        _refuse("too_deep", f"A body nests at most {MAX_DEPTH} deep.", pointer)
    suspects: list[object] = []

    def members(pairs: list[tuple[str, Any]]) -> _Object:
        found = _Object(pairs)
        if len(found) < len(pairs):
            found.keys_sent = [key for key, _ in pairs]
            suspects.append(found)
        return found

    def number(digits: str) -> object:
        if len(digits) <= MAX_DIGITS:
            return None
        suspects.append(digits)
        return _LongNumber()

    try:
        document = json.loads(
            text, object_pairs_hook=members, parse_int=number, parse_float=number, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        _refuse("malformed_json", f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.")
    if suspects or _UNSTORABLE.search(text):
        findings = tuple(_flaws("", document))
        if findings:
            raise InvalidInput(findings[0].detail, code=findings[0].code, findings=findings)


class _LongNumber:
    """A number of more than MAX_DIGITS digits."""


class _Object(dict[str, Any]):
    """A JSON object that remembers a key sent twice."""

    keys_sent: list[str] = []  # noqa: RUF012  # replaced, never changed


def _no_constant(name: str) -> NoReturn:
    _refuse("malformed_json", f"The body is not JSON: {name} is not a JSON number.")


def _flaws(pointer: str, value: object) -> Iterator[Finding]:
    match value:
        case str():
            yield from _text_flaws(pointer, value)
        case list():
            for index, item in enumerate(cast("list[object]", value)):
                yield from _flaws(f"{pointer}/{index}", item)
        case _Object():
            for key in sorted({key for key in value.keys_sent if value.keys_sent.count(key) > 1}):
                yield _flaw(_member(pointer, key), "duplicate_key", "This key occurs twice in one object.")
            for key, item in value.items():
                yield from _text_flaws(_member(pointer, key), key)
                yield from _flaws(_member(pointer, key), item)
        case _LongNumber():
            yield _flaw(pointer, "number_too_long", f"A number has at most {MAX_DIGITS} digits.")
        case _:
            return


def _text_flaws(pointer: str, text: str) -> Iterator[Finding]:
    if "\x00" in text:
        yield _flaw(pointer, "nul_character", "Text may not hold the character NUL (\\u0000).")
    if text != text.encode(errors="ignore").decode():
        yield _flaw(pointer, "lone_surrogate", "Text may not hold half of a surrogate pair.")


def _flaw(pointer: str, code: str, detail: str) -> Finding:
    """A finding whose pointer can be sent, whatever the keys on its way hold."""
    return Finding(pointer.replace("\x00", "\\u0000").encode(errors="backslashreplace").decode(), code, detail)


def _too_deep(text: str) -> str | None:
    """The pointer of the first value nested past MAX_DEPTH; reads brackets only, so that depth costs no stack."""
    path: list[str | int] = []  # per open container: the index reached, or the key
    latest = ""
    for found in _MARK.finditer(text):
        mark = found[0]
        if mark in "[{":
            if len(path) >= MAX_DEPTH:
                return "".join(_member("", str(step)) for step in path)
            path.append(0 if mark == "[" else "")
        elif mark in "]}":
            del path[-1:]
        elif mark == ":":
            path[-1:] = [latest]
        elif mark != ",":
            latest = mark[1:-1]
        elif path and isinstance(index := path[-1], int):
            path[-1] = index + 1
    return None


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
        Finding(_member("", name), "unknown_field", f"There is no field {name[:64]!r} here.", nearest(name, fields))
        for name in sent
        if name not in fields and struct.__struct_config__.forbid_unknown_fields
    ]
    for name, field in fields.items():
        if name in sent:
            findings += _field_mistakes(name, sent[name], field.type)
        elif field.required:
            findings.append(Finding(_member("", name), "missing_field", f"{name} is missing."))
    return findings


def _is_struct(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _field_mistakes(name: str, raw: msgspec.Raw, type_: Any) -> Iterator[Finding]:
    try:
        _decoder(type_).decode(raw)
    except msgspec.ValidationError as error:
        yield _finding(_member("", name), error)


def _finding(pointer: str, error: msgspec.ValidationError) -> Finding:
    """The sentence of msgspec and the path at its end; where it hides a key (`[...]`) the pointer ends before it."""
    sentence, _, path = str(error).partition(" - at `$")
    for step in _PATH_STEP.finditer(path.partition("[...]")[0].removesuffix("`")):
        pointer = _member(pointer, step[1] or step[2])
    return Finding(pointer, _code_of(sentence), f"{pointer.lstrip('/') or 'The body'}: {sentence}.")


def _code_of(sentence: str) -> str:
    if "unknown field" in sentence:
        return "unknown_field"
    if "missing required field" in sentence:
        return "missing_field"
    return "out_of_range" if "of length" in sentence or "` <= " in sentence or "` >= " in sentence else "wrong_type"


def _member(pointer: str, key: str) -> str:
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def _refuse(code: str, detail: str, pointer: str = "") -> NoReturn:
    raise InvalidInput(detail, code=code, findings=[Finding(pointer, code, detail)])
