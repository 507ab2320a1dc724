"""`import FILE` sends a CSV or NDJSON file to a running service, by its public batch endpoint.

It is a client: it never touches a store.
"""

from segment_copilot.importing.reading import BadRow, Columns, Row, read_rows
from segment_copilot.importing.sending import ImportReport, import_file

__all__ = ["BadRow", "Columns", "ImportReport", "Row", "import_file", "read_rows"]
