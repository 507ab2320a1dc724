"""A docstring begins with a sentence that a stranger understands: with its subject or its verb, not in the middle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "segment_copilot"

EXEMPT = {
    "english",  # for good: it will be replaced
    "language/nodes",  # for good: its docstrings are shipped, as descriptions in the JSON Schema
    "access",
    "activations",
    "api",  # its resources; `api/http` is held to the rule
    "audiences",
    "copilot/tools/analytics",  # for good: a tool's docstring is what a model is told
    "demo/loading",
    "events",
}
"""Rooms, or modules, that are not rewritten yet. Take one out when it is."""

OPENINGS = frozenset(
    [
        "of",
        "it",
        "its",
        "they",
        "their",
        "this",
        "that",
        "these",
        "those",
        "what",
        "where",
        "which",
        "whose",
        "who",
        "whom",
        "when",
        "why",
        "how",
        "whether",
        "as",
        "such",
        "so",
        "for",
        "from",
        "in",
        "on",
        "by",
        "with",
        "without",
        "until",
        "between",
        "beyond",
    ]
)
"""Words that lean on something before them, or that ask and do not tell."""


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the docstring of a module and of everything public in it."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("_"):
            continue
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node.body[0].lineno, docstring


def begins_in_the_middle(docstring: str) -> bool:
    first, *others = docstring.replace(":", " ").replace(",", " ").split()
    return first.lower() in OPENINGS or [first.lower(), *others[:1]] == ["the", "same"]


def places(path: Path) -> set[str]:
    """Return every name under which *path* could be exempt: its rooms, and itself."""
    inside = path.relative_to(SOURCE).with_suffix("")
    if inside.parts[:2] == ("api", "http"):
        return {"api/http"}
    return {str(inside), *map(str, inside.parents)}


def checked() -> Iterator[Path]:
    yield from (path for path in SOURCE.rglob("*.py") if not places(path) & EXEMPT)
    yield from (ROOT / "evals").rglob("*.py")


def test_docstrings_begin_with_a_subject_or_a_verb():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {docstring.splitlines()[0]}"
        for path in sorted(checked())
        for line, docstring in docstrings(path.read_text())
        if begins_in_the_middle(docstring)
    ]

    assert wrong == []


def test_every_exemption_is_of_something_that_exists():
    assert [name for name in EXEMPT if not (SOURCE / name).is_dir() and not (SOURCE / f"{name}.py").is_file()] == []


@pytest.mark.parametrize(
    ("docstring", "middle"),
    [
        ("What the store keeps.", True),
        ("The same, for a list.", True),
        ("Of \u201cspent over 300\u201d: the amount.", True),
        ("Return what the store keeps.", False),
        ("The store keeps the rows.", False),
        ("Holds the rows of a query.", False),
    ],
)
def test_a_beginning_is_told_from_a_middle(docstring: str, middle: bool):  # noqa: FBT001
    assert begins_in_the_middle(docstring) is middle
