"""`import FILE` sends a CSV, NDJSON or JSON file to a running service, by its public batch endpoint.

It is a client: it never touches a store. The way of a row: `files` (opened, decoded) → `records` (taken apart, by column)
→ `rows` (made events, as a `layout` says, with `times` and `values`) → `sending`, or `rejects`; `importer` leads it.
"""

from segment_copilot.importing.files import check_file
from segment_copilot.importing.importer import ImportReport, guess_preset, import_file, read_rows
from segment_copilot.importing.layout import Layout, make_layout, missing_columns, presets
from segment_copilot.importing.records import BadRow
from segment_copilot.importing.rows import Row
from segment_copilot.importing.times import NAMED_FORMATS

__all__ = [
    "NAMED_FORMATS",
    "BadRow",
    "ImportReport",
    "Layout",
    "Row",
    "check_file",
    "guess_preset",
    "import_file",
    "make_layout",
    "missing_columns",
    "presets",
    "read_rows",
]
