"""Who may import whom. The tree is the architecture; this table is its other half."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "segment_copilot"

GROUND = {"errors", "documents", "mistakes", "lists", "settings", "telemetry"}
PURE = {"language", "compiler"}
USE_CASES = {"access", "events", "people", "audiences", "activations"}

SENTENCES = 2

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "documents": {"errors"},
    "mistakes": {"documents"},
    "lists": {"errors"},
    "settings": {"errors", "mistakes"},
    "telemetry": set(),
    "language": {"errors", "documents", "mistakes"},
    "compiler": {"errors", "documents", "language"},
    "english": {"errors", "documents", "language"},
    "stores": GROUND,
    "access": GROUND | PURE | {"stores"},
    "events": GROUND | PURE | {"stores", "access"},
    "people": GROUND | PURE | {"stores", "access", "events"},
    "audiences": GROUND | PURE | {"stores", "access", "events", "people"},
    "activations": GROUND | PURE | {"stores", "access", "events", "people", "audiences"},
    "copilot": GROUND | PURE | USE_CASES | {"english"},
    "api": GROUND | PURE | USE_CASES | {"copilot"},
    "resources": GROUND | USE_CASES | {"stores"},
    "worker": GROUND | USE_CASES | {"resources"},
    "demo": GROUND | PURE | USE_CASES | {"stores", "resources"},
    "importing": {"errors", "documents", "mistakes", "language", "events"},
    "embedded": {"errors", "documents"},
    "doctor": GROUND | {"stores", "activations", "language"},
}
"""Room → the rooms it may import. `app`, `commands` and `__main__` know everything."""

FEEDBACK = {("copilot/feedback.py", "stores"), ("resources.py", "copilot")}
"""Feedback is the one use case in a room of another kind: who imports what, all the same."""

INSIDE_COPILOT: dict[str, set[str]] = {
    "guards": set(),
    "stream": {"guards"},
    "models": {"guards", "stream"},
    "conversation": {"guards", "stream", "models"},
    "tools": {"guards", "stream", "models", "conversation"},
    "runs": {"guards", "stream", "models", "conversation", "tools"},
    "feedback": set(),
}
"""Room of `copilot/` → its sisters that it may import."""

THIRD_PARTY = {
    "asyncpg": {"stores"},
    "asynch": {"stores"},
    "anthropic": {"copilot"},
    "litestar": {"api", "app"},
    "chdb": {"embedded"},
    "mcp": {"api"},
    "mcp_types": {"api"},
    "pydantic": {"api"},
    "opentelemetry": {"telemetry"},
}
"""Package → the only rooms that import it."""


FRONTS = {"segment_copilot", "segment_copilot.copilot", "segment_copilot.api"}
"""Packages whose parts are imported by name: `from segment_copilot import errors`."""


def imports(package: Path = SOURCE) -> Iterator[tuple[str, str, str]]:
    """Room, file, imported module, for every import in *package*."""
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        room = relative.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((room, str(relative), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                if node.module in FRONTS:
                    yield from ((room, str(relative), f"{node.module}.{alias.name}") for alias in node.names)
                else:
                    yield room, str(relative), node.module


def test_arrows_point_one_way():
    wrong = [
        f"{file} imports {module}"
        for room, file, module in imports()
        if module.startswith("segment_copilot.") and room in ALLOWED
        for target in [module.split(".")[1]]
        if target != room and target not in ALLOWED[room] and (file, target) not in FEEDBACK
    ]

    assert wrong == []


def test_arrows_inside_the_copilot_point_one_way():
    front = "segment_copilot.copilot."
    wrong = [
        f"copilot/{file} imports {module}"
        for room, file, module in imports(SOURCE / "copilot")
        if module.startswith(front) and room in INSIDE_COPILOT
        for target in [module.removeprefix(front).split(".")[0]]
        if target != room and target not in INSIDE_COPILOT[room]
    ]

    assert wrong == []


def test_no_resource_knows_another():
    """What two of them need is in `api/http/`, which knows none. A resource may be a folder: it knows its own files."""
    front = "segment_copilot.api."
    wrong = [
        f"api/{file} imports {module}"
        for resource, file, module in imports(SOURCE / "api")
        if module.startswith(front)
        and module.split(".")[2] not in ({"http"} if resource == "http" else {"http", resource})
    ]

    assert wrong == []


def rooms(package: Path) -> set[str]:
    return {path.name.removesuffix(".py") for path in package.iterdir() if not path.name.startswith("__")}


def test_every_room_is_in_its_table():
    assert rooms(SOURCE) == ALLOWED.keys() | {"app", "commands"}
    assert rooms(SOURCE / "copilot") == INSIDE_COPILOT.keys()


def test_every_room_says_what_it_is():
    """In the docstring of its `__init__`: what it is, and what it never does."""
    silent = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("__init__.py")
        if len(re.split(r"\.\s", ast.get_docstring(ast.parse(path.read_text())) or "")) < SENTENCES
    ]

    assert silent == []


def test_each_driver_and_framework_is_known_in_one_place():
    wrong = [
        f"{file} imports {module}"
        for room, file, module in imports()
        if (package := module.split(".")[0]) in THIRD_PARTY and room not in THIRD_PARTY[package]
    ]

    assert wrong == []


@pytest.mark.parametrize(
    "module",
    [
        "segment_copilot.compiler",
        "segment_copilot.language",
        "segment_copilot.language.describe",
        "segment_copilot.english.reading",  # the front door: it imports the rest
    ],
)
def test_the_compiler_brings_no_io_along(module):
    """In a fresh interpreter, importing it loads no driver, no framework, no event loop."""
    forbidden = ["asyncpg", "asynch", "litestar", "anthropic", "httpx2", "uvicorn", "structlog", "asyncio"]
    program = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_no_file_passes_500_lines():
    long = {
        str(path.relative_to(SOURCE)): lines
        for path in SOURCE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }

    assert long == {}
