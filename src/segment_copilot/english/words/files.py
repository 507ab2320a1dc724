"""Reads the files of words: lines of words, and tables. A newcomer adds a word by adding it to one of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

_FILES: Final = resources.files("segment_copilot.english") / "lexicon"


def lines(name: str) -> tuple[str, ...]:
    """Return the lines of a file that are no remarks."""
    text = (_FILES / name).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


@cache
def words(name: str) -> frozenset[str]:
    """Return the words of a file of words, as they are written."""
    return frozenset(word for line in lines(f"{name}.txt") for word in line.split())


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return a file of words by kind."""
    return tomllib.loads((_FILES / f"{name}.toml").read_text(encoding="utf-8"))
