"""What a sentence to a client may not hold."""

from __future__ import annotations

import re

_PYTHON = re.compile(
    r"`|\b(?:int|str|float|bool|dict|tuple|NoneType|None|True|False|enum|array|Expected|expected|got|Invalid|regex"
    r"|raw|ISO8601|RFC3339|recursion|deserializing|codec|utf-8|char \d+|msgspec)\b"
)
_QUOTED = re.compile("\".*?\"|'.*?'|…")


def python_words(sentence: str) -> list[str]:
    """Words of *sentence* that a person who never saw Python would not use; what was sent stands in quotes."""
    return _PYTHON.findall(_QUOTED.sub("", sentence))
