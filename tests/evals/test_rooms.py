"""What the evaluation may know of the service: it starts it and speaks to it; it judges by what comes back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

EVALS = Path(__file__).parents[2] / "evals"

ALLOWED = {
    "service.py": {
        "commands.serving",
        "embedded",
        "errors",
        "telemetry.logs",
        "resources",
        "events.schemas",
        "settings",
        "access",
    },
    "commands.py": {"errors", "settings"},
    "corpus": {
        "copilot.models",
        "copilot.models.offline",
        "english.times.dates",
        "english.reading.anchors",
        "english.reading.audience",
        "english.reading.chart",
        "english.reading.meanings",
        "english.reading.same",
        "english.reading.weights",
        "errors",
        "language",
        "language.canonical",
        "language.catalog",
        "language.equivalence",
        "language.nodes",
        "language.operators",
        "language.value_types",
    },
    "judge": {"settings"},
    "fixtures": {
        "demo.schemas",
        "demo.segments",
        "demo.shop",
        "events.schemas",
        "events.shapes",
        "language.catalog",
        "language.nodes",
        "language.operators",
        "language.paths",
    },
    "lint.py": {"copilot.conversation.prompt", "copilot.tools"},
    "graders": {"copilot.conversation.prompt"},
}
"""Room of evals → modules of the service it may import. No compiler, no store: graders ask over HTTP.
The corpus writes definitions down and lets the readers of English read, so it knows the language; no store either."""


def imports() -> Iterator[tuple[str, str, str]]:
    """Room, file and module of every import of the service or of the tests."""
    for path in sorted(EVALS.rglob("*.py")):
        relative = path.relative_to(EVALS)
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ImportFrom(module="segment_copilot", names=names):
                    yield from ((relative.parts[0], str(relative), name.name) for name in names)
                case ast.ImportFrom(module=str(module)) if module.startswith("segment_copilot."):
                    yield relative.parts[0], str(relative), module.removeprefix("segment_copilot.")
                case _:
                    pass


def test_graders_know_the_service_only_from_outside():
    wrong = [f"{file} imports {module}" for room, file, module in imports() if module not in ALLOWED.get(room, set())]

    assert wrong == []


def test_only_the_stage_borrows_from_the_tests():
    borrowing = [str(path.relative_to(EVALS)) for path in EVALS.rglob("*.py") if "messages_server" in path.read_text()]

    assert borrowing == ["proof/stage.py"]


def test_no_file_passes_500_lines():
    assert {path.name for path in EVALS.rglob("*.py") if len(path.read_text().splitlines()) > 500} == set()
