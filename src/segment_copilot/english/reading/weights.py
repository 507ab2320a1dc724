"""Says what each feature of a reading is worth: learned from the corpus, and kept in one file that people can read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

NULL: Final = "null"
"""What it is worth that a sentence means nothing that can be said."""


@cache
def learned() -> Mapping[str, float]:
    """Return the weights that were learned."""
    text = (resources.files("segment_copilot.english.reading") / "weights.toml").read_text(encoding="utf-8")
    return {str(name): float(value) for name, value in tomllib.loads(text).items()}
