"""Defines which definitions select the same people, whatever the data: one form of all that do.

It compares who is meant, and not how that is written; it never looks at data, and does no I/O.
"""

from segment_copilot.language.equivalence.form import Form, form_of

__all__ = ["Form", "form_of"]
