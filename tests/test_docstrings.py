"""A docstring begins with a sentence that a stranger understands: with its subject or its verb, not in the middle."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from segment_copilot.copilot.tools import TOOLS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "segment_copilot"

EXEMPT = {
    "language/nodes",  # for good: its docstrings are shipped, as descriptions in the JSON Schema
}
"""Rooms, or modules, that are not rewritten yet. Take one out when it is."""

PUBLISHED = frozenset(
    [
        "How an answer travels. A stream cannot be taken up again, but a thread can, with the last *checkpoint*.",
        "How an audience comes about. *sql* finds its members; *conditions* are all of them, each counted by itself.",
        "How many events are stored and cannot be queried yet, and how many can.",
        "How many members a segment had on each of the last days, as its computations found.",
        "How many users one condition matches by itself.",
        "How to count a stored segment.",
        "How to explain a stored segment. Its `last_computed_at` as *as_of* is the instant of its members.",
        "It asks a question and waits for the answer; it writes nothing, so there is nothing to approve.",
        "It is stored.",
        "Its tools; a frontend's own are not called.",
        "What the copilot answered. *draft* is absent when it made none: *text* then says why.",
        "What the copilot can do here: its model, tools, components and limits.",
        "What the person thought of an answer.",
        "What the token is for, and for whom.",
        "What this service's copilot can do. *components* holds the JSON Schema of each one's props.",
        "What to change; what is left out stays.",
        "When the members are to be true.",
        "Where a tenant's events are. With *pending* 0 everything acknowledged can be queried, but for *failed*.",
        "Which agent this is.",
        "Who would be in a segment; nothing is saved. *sample_user_ids* are the first by id.",
        "Why a user is in the audience or not. A user whom nobody has seen at that instant is not in the universe.",
        "Why nobody is left: the conditions to look at first, and a sentence. Without any user there is no condition.",
        "Why the event at *index* was skipped; *pointer* is RFC 6901 into the request body.",
    ]
)
"""Beginnings that are descriptions in the published documents, or what a model reads of a tool. Add none."""

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


def described(document: Any) -> Iterator[str]:
    """Yield every text that *document* has for a person: descriptions, and summaries of operations."""
    match document:
        case dict():
            for key, value in cast("dict[str, Any]", document).items():
                if key in {"description", "summary"} and isinstance(value, str):
                    yield value
                else:
                    yield from described(value)
        case list():
            for item in cast("list[Any]", document):
                yield from described(item)
        case _:
            pass


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
        if begins_in_the_middle(docstring) and docstring.splitlines()[0] not in PUBLISHED
    ]

    assert wrong == []


def test_what_counts_as_published_is_published():
    descriptions = {
        *described(json.loads((ROOT / "openapi" / "openapi.json").read_text())),
        *(tool.specification.description for tool in TOOLS.values()),
    }
    beginnings = {description.splitlines()[0] for description in descriptions if description}

    assert sorted(PUBLISHED - beginnings) == []


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
