"""Lists of users as people have them: a CSV with a column `user_id`, or a line of JSON for each. All of a list is read, or none.

Other columns and keys are left aside, as are empty lines; an id that comes twice counts once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from segment_copilot.documents import unstorable
from segment_copilot.errors import Finding, InvalidInput
from segment_copilot.events.validation import MAX_USER_LENGTH

COLUMN: Final = "user_id"
MAX_USERS: Final = 1_000_000
_MAX_FINDINGS: Final = 100
_DELIMITERS: Final = ",;\t"


class _Line(Struct, frozen=True):
    """What a line says is a user's id; its number counts from 1, as editors show it."""

    number: int
    user_id: object


class _Named(Struct, frozen=True):
    user_id: str


def read_csv(content: bytes) -> list[str]:
    """Return the distinct ids in the column `user_id`, in their order.

    Raises:
        InvalidInput: With a finding for each line that has no id, or the first thing that keeps it from being read.
    """
    return _checked(_csv_lines(_text(content)))


def read_ndjson(content: bytes) -> list[str]:
    """Return the distinct ids of lines such as `{"user_id": "ana"}` or `"ana"`, in their order; raises like `read_csv`."""
    return _checked(_ndjson_lines(_text(content)))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"Line {line} is not UTF-8; save the file as UTF-8.") from None


def _csv_lines(text: str) -> Iterator[_Line]:
    head = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, list[str]())]
        if names.count(COLUMN) != 1:
            there = "names it more than once" if COLUMN in names else "does not"
            raise _unreadable(f"The first line names the columns, and one of them is {COLUMN}; this one {there}.")
        place = names.index(COLUMN)
        for row in reader:
            if row:
                yield _Line(reader.line_num, row[place] if place < len(row) else "")
    except csv.Error as error:
        raise _unreadable(f"Line {reader.line_num} is no CSV: {error}.") from None


def _ndjson_lines(text: str) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Named | str)
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError):  # a ValidationError is one
            yield _Line(number, None)
        else:
            yield _Line(number, found if isinstance(found, str) else found.user_id)


def _checked(lines: Iterator[_Line]) -> list[str]:
    found, findings = dict[str, None](), list[Finding]()
    for line in lines:
        if (flaw := _flaw(line.user_id)) is None:
            found[str(line.user_id)] = None
        else:
            findings.append(Finding("", "invalid_row", f"Line {line.number}: {flaw}"))
            if len(findings) == _MAX_FINDINGS:
                break
    if findings:
        detail = f"{findings[0].detail} Nothing of the list was taken; mend it and send it again."
        raise InvalidInput(detail, code="invalid_row", findings=findings)
    if len(found) > MAX_USERS:
        raise _unreadable(f"A list has {MAX_USERS:,} users at most; this one has {len(found):,}. Send it in parts.")
    return list(found)


def _flaw(user_id: object) -> str | None:
    if not isinstance(user_id, str):
        return f'a line is an object with a text {COLUMN}, or that text: {{"{COLUMN}": "ana"}}.'
    if not user_id.strip():
        return f"{COLUMN} is empty."
    if len(user_id) > MAX_USER_LENGTH:
        return f"{COLUMN} has {MAX_USER_LENGTH} characters at most; this one has {len(user_id):,}."
    if user_id.isascii() and "\0" not in user_id:  # as nearly all are; to look closer takes a while
        return None
    return next((flaw.detail for flaw in unstorable(user_id)), None)


def _unreadable(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="invalid_list", findings=[Finding("", "invalid_list", detail)])
