"""Countries: codes, names and adjectives, so that "the US", "America" and "American" meet a stored `US` or `United States`."""

from __future__ import annotations

from typing import Final

from segment_copilot.english.words.files import lines, words

_ROWS: Final = tuple(line.split("|") for line in lines("countries.txt"))

ALIASES: Final = {name.lower(): row[0] for row in _ROWS for name in row}
"""Any spelling in lower case → ISO 3166-1 alpha-2 code."""

NAMES: Final = {row[0]: next(name for name in row[1:] if len(name) > len("USA") and "." not in name) for row in _ROWS}
"""ISO 3166-1 alpha-2 code → name."""

CODES_THAT_ARE_WORDS: Final = words("codes_that_are_words")
"""Codes that are also English words: read as a country only in capitals."""
