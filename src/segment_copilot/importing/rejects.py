"""Writes the rows that were not imported to a file of their own, ready to be mended and imported alone."""

from __future__ import annotations

import csv
import filecmp
import io
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TextIO

from segment_copilot.importing.records import REJECT_LINE, REJECT_REASON, REJECT_ROW, Source, Table


class Rejects:
    """Collects rejected rows in `FILE.rejects.csv`: the columns of the file, before them the line and the reason.

    Rows of JSON stand in one column as they are. It is UTF-8 with a mark, which spreadsheets and `import` read alike.
    The file appears with the first row; where it cannot be written, *failure* says why and nothing else changes.
    """

    def __init__(self, path: Path, table: Table) -> None:
        self._target = path.with_name(f"{path.name}.rejects.csv")
        self._table = table
        self._file: TextIO | None = None
        self.failure = ""

    def add(self, reason: str, sources: tuple[Source, ...]) -> None:
        """Write the rows *sources*, each with *reason*."""
        try:
            if self._file is None and not self.failure:
                self._file = self._begin()
            if self._file is not None:
                for source in sources:
                    self._file.write(_writable(self._text([source.line, reason], source)))
        except OSError as error:
            self.failure = f"{self._target} cannot be written ({error.strerror or error})."

    def finish(self) -> Path | None:
        """Return the file, or None when nothing was rejected. A file of an earlier import is kept beside it."""
        if self._file is None or self.failure:
            return None
        try:
            self._file.close()
            unfinished = Path(self._file.name)
            for target in self._targets():
                if not target.exists() or filecmp.cmp(unfinished, target, shallow=False):
                    unfinished.replace(target)
                    return target
        except OSError as error:
            self.failure = f"{self._target} cannot be written ({error.strerror or error})."
        return None

    def _begin(self) -> TextIO:
        file = self._target.with_name(f".{self._target.name}.part").open(
            "w", encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        header = self._table.header or (REJECT_ROW,)
        meant = [name for name in header if name not in {REJECT_LINE, REJECT_REASON}]
        file.write(self._row([REJECT_LINE, REJECT_REASON, *meant]))
        return file

    def _targets(self) -> Iterator[Path]:
        yield self._target
        for number in count(2):
            yield self._target.with_name(f"{self._target.name.removesuffix('.csv')}.{number}.csv")

    def _text(self, told: Sequence[object], source: Source) -> str:
        skipped = sum(name in {REJECT_LINE, REJECT_REASON} for name in self._table.header[:2])
        if not isinstance(source.text, str):
            return self._row([*told, *source.text[skipped:]])
        if not self._table.header or REJECT_ROW in self._table.header:
            return self._row([*told, source.text])
        # What csv could not take apart stays as it was written.
        return self._row(told).rstrip("\r\n") + self._table.separator + source.text + "\r\n"

    def _row(self, cells: Sequence[object]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self._table.separator).writerow(cells)
        return text.getvalue()


def _writable(text: str) -> str:
    """Return *text* with what no file can hold, half of a surrogate pair, written out; foreign bytes stay what they are."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
