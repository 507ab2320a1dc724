"""Request bodies: from bytes to a typed value, or one error that says everything that is wrong and where."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Final, NoReturn, TypeVar, cast

import msgspec
from msgspec.structs import replace

from segment_copilot.api.http.definitions import instant_mistakes, may_be_null, point_into_body
from segment_copilot.documents import escape, read_json, unstorable_text, with_whole_numbers
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.language import parse
from segment_copilot.language.catalog import nearest
from segment_copilot.mistakes import Mistake, mistakes, unreadable

MAX_FINDINGS: Final = 100
MAX_TOLD: Final = 10  # in the one sentence that stands above the findings

ReadOnly = Annotated[
    Any,
    msgspec.Meta(
        description="Ignored; here so that what was read can be sent back", extra_json_schema={"readOnly": True}
    ),
]
"""A field that the server alone writes, such as a count: what was read may be old, so it is not compared."""

T = TypeVar("T")


def decode_body(body: bytes, type_: type[T], *, strict: bool = True) -> T:
    """Decode *body* as *type_*; *strict* also refuses what JSON allows and a store cannot keep.

    Raises:
        InvalidInput: with a finding for each mistake, those of a definition in the body among them.

    """
    try:
        text = body.decode()  # what stays raw would else be read first where nothing can be told of the body
    except UnicodeDecodeError:
        _refuse_unreadable(body)
    if strict:
        _check_storable(text)
    try:
        decoded: T = _decoder(type_).decode(body)
        if not any(instant_mistakes(decoded)):
            return decoded
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError):
        _refuse_unreadable(body)
    try:
        document = read_json(text)
    except (ValueError, RecursionError):  # the decoder stops at the first mistake, before what is no JSON
        _refuse_unreadable(body)
    if strict:
        document = with_whole_numbers(document)
    check_body(document, type_)
    return _decoder(type_).decode(msgspec.json.encode(document))


def check_body(document: object, type_: Any) -> None:
    """Refuse a *document*, a body in plain values, that is no *type_*.

    Raises:
        InvalidInput: with a finding for each mistake.

    """
    if findings := list(_findings(document, type_)):
        detail = " ".join(finding.detail for finding in findings[:MAX_TOLD])
        raise InvalidInput(detail, findings=findings[:MAX_FINDINGS])


def _refuse_unreadable(body: bytes | str) -> NoReturn:
    """Refuse a body that is no JSON."""
    detail = f"The body is not JSON: {unreadable(body) or 'it cannot be read'}."
    raise InvalidInput(detail, code="malformed_json", findings=[Finding("", "malformed_json", detail)])


def _check_storable(text: str) -> None:
    """Refuse what no store can keep. In a pointer that is sent, NUL is written out."""
    try:
        found = unstorable_text(text)
    except ValueError:
        _refuse_unreadable(text)
    if found:
        findings = [replace(one, pointer=one.pointer.replace("\0", "\\u0000")) for one in found[:MAX_FINDINGS]]
        raise InvalidInput(findings[0].detail, code=findings[0].code, findings=findings)


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _findings(document: object, type_: Any) -> Iterator[Finding]:
    """Yield what is wrong with a body, and with the definition and the instant that it may hold."""
    for mistake in mistakes(document, type_):
        yield _finding(mistake)
    if not isinstance(document, dict):
        return
    body = cast("dict[str, object]", document)
    yield from instant_mistakes(body)
    if "definition" in body and not (body["definition"] is None and may_be_null(type_)):
        yield from point_into_body(parse(cast("Any", body["definition"])).findings)


def _finding(mistake: Mistake) -> Finding:
    """A value that is none of those allowed has `wrong_type` in a body: a code that was shipped does not change."""
    here = f"{mistake.pointer}/{escape(mistake.name)}"
    match mistake.code:
        case "unknown_field":
            suggestions = nearest(mistake.name, mistake.choices)
            return Finding(here, mistake.code, f"There is no field {mistake.name[:64]!r} here.", suggestions)
        case "missing_field":
            return Finding(here, mistake.code, f"{here[1:]} is missing.")
        case "unknown_value":
            suggestions = nearest(mistake.name, mistake.choices)
            return Finding(mistake.pointer, "wrong_type", _sentence(mistake), suggestions)
        case _:
            return Finding(mistake.pointer, mistake.code, _sentence(mistake))


def _sentence(mistake: Mistake) -> str:
    return f"{mistake.pointer[1:] or 'The body'} {mistake.sentence}."
