"""The names of what failed, as the last thing that a run prints.

Pytest's own summary says why as well, on CI uncut: one failed comparison of two long texts fills a screen, and who reads
the end of a log learns that something failed, but not what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

WIDTH: Final = 160
"""More of a name is cut off: a test's parameters may be long texts too."""

MOST: Final = 20
"""So many names fit where one looks at the end of a log."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter):
    """Say the names after all other summaries."""
    result = yield
    if lines := lines_of(terminalreporter.stats):
        terminalreporter.section("failed tests", bold=True, red=True)
        for line in lines:
            terminalreporter.write_line(line)
    return result


def lines_of(stats: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return a line for each test that failed or could not be run, each once; how many are left out comes first."""
    names = list(dict.fromkeys(report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())))
    left_out = [f"{len(names)} failed; the last {MOST}:"] if len(names) > MOST else []
    return left_out + [name if len(name) <= WIDTH else f"{name[: WIDTH - 1]}…" for name in names[-MOST:]]
