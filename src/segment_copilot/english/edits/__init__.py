"""CHANGES a draft or saved segment as a sentence says: the same parse, over (draft, sentence). Pure.

`read_edit(text, base, catalog, as_of, timezone)` returns `Edited` (a `Drafted`), `Asked`, `Refused`, or None where the
sentence changes nothing: then it is somebody else's to read.
"""

from segment_copilot.english.edits.outcome import Edited
from segment_copilot.english.edits.reading import added, read_edit

__all__ = ["Edited", "added", "read_edit"]
