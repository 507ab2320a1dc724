"""Every row of docs/operations/owasp.md names tests, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations" / "owasp.md").read_text()
ROWS = {line.split()[1]: line for line in PAGE.splitlines() if re.match(r"\| (API|LLM|ASI)\d", line)}


@cache
def defined_in(path: str) -> frozenset[str]:
    """The names of a file's tests; none where there is no such file."""
    file = ROOT / "tests" / path
    tree = ast.parse(file.read_text()) if file.is_file() else ast.Module([], [])
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def test_the_three_lists_are_whole():
    assert list(ROWS) == [
        *(f"API{number}" for number in range(1, 11)),
        *(f"LLM{number:02}" for number in range(1, 11)),
        *(f"ASI{number:02}" for number in range(1, 11)),
    ]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_tests_that_exist(row: str):
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", ROWS[row])

    assert named, f"{row} names no test"
    assert [f"{path}::{name}" for path, name in named if name not in defined_in(path)] == []
