"""Opens a file and finds out how it is written: gzip, encoding, whether it is CSV or JSON."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from segment_copilot.errors import InvalidInput
from segment_copilot.importing.layout import check_encoding

Kind = Literal["CSV", "NDJSON", "JSON array", "JSON object"]
OpenFile = io.BufferedReader | gzip.GzipFile

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHOWN: Final = {"utf-8-sig": "UTF-8", "utf-8": "UTF-8", "utf-16": "UTF-16", "cp1252": "Windows-1252"}
_START: Final = 4096


class FileFacts(Struct, frozen=True, kw_only=True):
    """Holds what a first reading of a file tells: the SHA-256 of its (unzipped) content, its lines, how it is written."""

    digest: str
    lines: int
    kind: Kind
    encoding: str

    @property
    def shown_encoding(self) -> str:
        """Return the encoding as people call it."""
        return _SHOWN.get(self.encoding, self.encoding)

    @property
    def unit(self) -> str:
        """Return what a row is counted in."""
        return "item" if self.kind in {"JSON array", "JSON object"} else "line"


@contextmanager
def open_file(path: Path) -> Generator[OpenFile]:
    """Open *path*, unzipped if it is gzip; what cannot be read is an InvalidInput."""
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] != _GZIP:
                yield file
                return
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield unzipped
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} is not a whole gzip file: {error}.", code="unreadable_file") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.", code="unreadable_file") from error


def check_file(path: Path) -> None:
    """Refuse a file that is not there or cannot be opened, before anything is asked about its columns."""
    with open_file(path):
        pass


@contextmanager
def open_text(path: Path, facts: FileFacts, *, newline: str) -> Generator[io.TextIOWrapper]:
    """Open *path* as text. Bytes that are none in its encoding come as half surrogates: their row alone is wrong."""
    errors = "surrogatepass" if facts.encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    try:
        with open_file(path) as file:
            text = io.TextIOWrapper(file, encoding=facts.encoding, errors=errors, newline=newline)
            try:
                yield text
            finally:
                text.detach()  # `open_file` closes the file
    except UnicodeDecodeError as error:
        detail = f"{path} is not {facts.shown_encoding} ({error.reason}). Name its encoding with --encoding."
        raise InvalidInput(detail, code="wrong_encoding") from None


def look_at(path: Path, *, encoding: str = "") -> FileFacts:
    """Read *path* once; *encoding* is what its owner says it is.

    A byte-order mark says the encoding, zeros at every second place are UTF-16. Otherwise it is UTF-8, and Windows-1252
    where most lines beyond ASCII are no UTF-8: a damaged line in an UTF-8 file does not make it another's.
    Raises InvalidInput for what is no text, or empty.
    """
    with open_file(path) as file:
        start = file.read(_START)
    if not start.strip():
        raise InvalidInput(f"{path} is empty.", code="unreadable_file")
    if start.startswith((_ZIP, _OLD_EXCEL)):
        detail = f"{path} is an Excel workbook or a ZIP file. Save it as CSV, or unzip it."
        raise InvalidInput(detail, code="unreadable_file")
    known = check_encoding(encoding) if encoding else _from_start(start)
    if b"\0" in start and not known.startswith(("utf-16", "utf-32")):
        raise InvalidInput(f"{path} is no text. Name a CSV or NDJSON file.", code="unreadable_file")
    if known == "utf-8" and encoding:
        known = "utf-8-sig"  # a mark is no part of the first column's name
    digest, lines, whole, broken = hashlib.sha256(), 0, 0, 0
    with open_file(path) as file:
        for line in file:
            digest.update(line)
            lines += 1
            if not known and not line.isascii():
                is_whole = _is_utf8(line)
                whole, broken = whole + is_whole, broken + (not is_whole)
    found = known or ("cp1252" if broken > whole else "utf-8")
    return FileFacts(digest=digest.hexdigest(), lines=lines, kind=_kind(start, found), encoding=found)


def _from_start(start: bytes) -> str:
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > len(start) // 4 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > len(start) // 4 and not odd else ""


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _kind(start: bytes, encoding: str) -> Kind:
    text = start.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    return "NDJSON" if text.startswith("{") else "JSON array" if text.startswith("[") else "CSV"
