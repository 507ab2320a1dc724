"""Who may import whom. The tree is the architecture; this table is its other half."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "segment_copilot"

LANGUAGE = {"errors", "settings", "catalog", "conditions", "describe"}
STORES = {"literals", "postgres", "clickhouse", "migrations"}
USE_CASES = {
    "tenants", "signing", "sessions", "discovery", "previews", "explanations", "segments", "membership", "events", "schemas", "activations", "analytics", "feedback",
}  # fmt: skip

ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "logs": set(),
    "catalog": set(),
    "conditions": {"catalog", "errors"},
    "describe": {"conditions", "catalog"},
    "compiler": {"conditions", "catalog", "errors"},
    "literals": set(),
    "postgres": {"errors"},
    "clickhouse": {"errors", "literals"},
    "migrations": {"errors", "literals", "postgres", "clickhouse"},
    **dict.fromkeys(USE_CASES, LANGUAGE | STORES | USE_CASES | {"compiler"}),
    "resources": STORES | USE_CASES | {"settings", "errors"},
    "copilot": LANGUAGE | STORES | USE_CASES | {"compiler", "resources"},
    "demo": LANGUAGE | STORES | USE_CASES | {"resources"},
    "importing": {"errors", "events", "catalog"},
    "embedded": {"errors"},
    "api": LANGUAGE | STORES | USE_CASES | {"compiler", "resources", "copilot", "logs"},
    "worker": LANGUAGE | STORES | USE_CASES | {"resources", "logs"},
}
"""Room → the rooms it may import. `app`, `commands` and `__main__` know everything."""

THIRD_PARTY = {
    "asyncpg": {"postgres"},
    "asynch": {"clickhouse"},
    "anthropic": {"copilot"},
    "litestar": {"api", "app"},
    "chdb": {"embedded"},
}
"""Package → the only rooms that import it."""


def imports() -> Iterator[tuple[str, str, str]]:
    """Room, file, imported module, for every import in the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        room = relative.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((room, str(relative), alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                if node.module == "segment_copilot":
                    yield from ((room, str(relative), f"segment_copilot.{alias.name}") for alias in node.names)
                else:
                    yield room, str(relative), node.module


def test_arrows_point_one_way():
    wrong = [
        f"{file} imports {module}"
        for room, file, module in imports()
        if module.startswith("segment_copilot.") and room in ALLOWED
        for target in [module.split(".")[1]]
        if target != room and target not in ALLOWED[room]
    ]

    assert wrong == []


def test_every_room_is_in_the_table():
    rooms = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if not path.name.startswith("__")}

    assert rooms == ALLOWED.keys() | {"app", "commands"}


def test_each_driver_and_framework_is_known_in_one_place():
    wrong = [
        f"{file} imports {module}"
        for room, file, module in imports()
        if (package := module.split(".")[0]) in THIRD_PARTY and room not in THIRD_PARTY[package]
    ]

    assert wrong == []


@pytest.mark.parametrize(
    "module", ["segment_copilot.compiler", "segment_copilot.conditions", "segment_copilot.describe"]
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
