"""Seals a file of sentences before anybody measures on it: its SHA-256 stands in SEALED.md, which is committed first."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from evals.client import HarnessError
from evals.corpus.linting import lint_text

SEALED: Final = Path(__file__).parent / "SEALED.md"


def seal(path: Path) -> str:
    """Write the file's hash down, and return it. Raises HarnessError when a line of it is wrong, or it is sealed already."""
    content = path.read_bytes()
    examples, faults = lint_text(content.decode(), path.stem)
    if faults:
        raise HarnessError(f"{path.name}, line {faults[0].line}: {faults[0].sentence} Mend it before it is sealed.")
    known = SEALED.read_text("utf-8")
    if f"| {path.name} " in known:
        raise HarnessError(f"{path.name} is sealed already: give another set another name.")
    found = _hash(content)
    SEALED.write_text(f"{known}| {path.name} | {len(examples)} | {found} |\n", "utf-8")
    return found


def check(path: Path) -> str:
    """Return the file's hash. Raises HarnessError when it was not sealed as it is now."""
    found = _hash(path.read_bytes())
    known = SEALED.read_text("utf-8")
    if found not in known:
        told = "was changed since it was sealed" if f"| {path.name} " in known else "was never sealed"
        raise HarnessError(f"{path.name} {told}: its hash is not in {SEALED.name}.")
    return found


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
