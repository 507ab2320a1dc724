"""Remembers which files were imported into which service, so that a newer version of one is not added by mistake."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from segment_copilot.errors import Conflict
from segment_copilot.importing.survey import are_mostly_the_same


class Entry(Struct, frozen=True, kw_only=True):
    """One import that was finished: of the file *name* with this content, for the *generation*-th time."""

    at: datetime
    service: str
    name: str
    digest: str
    generation: int
    rows: int
    sample: tuple[int, ...] = ()


class Journal:
    """Reads and writes the imports of one service and key, in a file of lines that all services share."""

    def __init__(self, path: Path, *, url: str, key: str) -> None:
        self._path = path
        self._service = f"{url.rstrip('/')} {hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def choose_generation(self, name: str, *, digest: str, sample: tuple[int, ...], again: bool) -> int:
        """Return which time this content is imported: of the same number, its events have the same ids.

        It is that of the import before, so that nothing is added, and with *again* the next one.
        Raises Conflict where another version of the file was imported: one of the same name, or mostly the same rows.
        """
        entries = self._entries()
        same = [entry.generation for entry in entries if entry.digest == digest]
        if same:
            return max(same) + again
        versions = [entry for entry in entries if entry.name == name or are_mostly_the_same(entry.sample, sample)]
        if again:
            return 0 if versions else 1  # what was imported by another machine is not known here
        if sample and versions:
            raise Conflict(_refusal(name, versions[-1]), code="another_version")
        return 0

    def add(self, name: str, *, digest: str, generation: int, rows: int, sample: tuple[int, ...]) -> None:
        """Write down a finished import. Where that cannot be done the import is done all the same."""
        entry = Entry(
            at=datetime.now(UTC),
            service=self._service,
            name=name,
            digest=digest,
            generation=generation,
            rows=rows,
            sample=sample,
        )
        try:
            self._path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:  # noqa: PTH123  # mode at birth
                file.write(msgspec.json.encode(entry) + b"\n")
        except OSError:
            return

    def _entries(self) -> list[Entry]:
        """Return the imports into this service, oldest first; a line that is damaged is none."""
        try:
            lines = self._path.read_bytes().splitlines()
        except OSError:
            return []
        found: list[Entry] = []
        for line in lines:
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if entry.service == self._service:
                found.append(entry)
        return found


def _refusal(name: str, before: Entry) -> str:
    what = "a file of this name" if before.name == name else f"{before.name}, with mostly the same rows,"
    return (
        f"On {before.at:%Y-%m-%d} {what} was imported, with other content, and its events would count twice. "
        "Name the column of the events' ids with --id, or say --again if these are new events."
    )
