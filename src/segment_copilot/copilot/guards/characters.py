"""Removes characters that nobody sees and that may mislead a reader, a terminal or a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_CONTROLS: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # of a terminal, but for tab and line feed
_DIRECTIONS: Final = r"\u061c\u202a-\u202e\u2066-\u2069"  # turn the order of what follows
_INVISIBLE: Final = r"\u00ad\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"
_TAGS: Final = r"\U000e0000-\U000e01ef"  # spell text that only a model reads
_MARKS: Final = r"\u200e\u200f"  # in a sentence they order two scripts; a name needs none

_IN_DATA: Final = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_INVISIBLE}{_TAGS}{_MARKS}]")
_IN_TEXT: Final = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_INVISIBLE}{_TAGS}]")


def replace_hidden(stored: str) -> str:
    """Return a stored text with a space for each hidden character."""
    return _IN_DATA.sub(" ", stored)


def remove_hidden(written: str) -> str:
    """Return a text for a person without hidden characters."""
    return written if written.isascii() and written.isprintable() else _IN_TEXT.sub("", written)


def escape_hidden(json: str) -> str:
    """Return JSON in which each hidden character is an escape: the same document, in characters that can be seen."""
    return _IN_DATA.sub(_escape, json)


def encode_for_envelope(document: Mapping[str, Any]) -> str:
    """Return JSON that cannot close the envelope it stands in, in characters that can be seen."""
    return escape_hidden(msgspec.json.encode(document).decode().replace("<", "\\u003c"))


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
