"""Reports a run to every reader: a terminal, a machine, a CI server, a pull request, a colleague."""

from __future__ import annotations

from pathlib import Path

import msgspec

from evals.reporting.junit import junit
from evals.reporting.markdown import markdown
from evals.reporting.page import page
from evals.results import Report

FILES = ("report.json", "junit.xml", "report.md", "report.html")


def write_reports(report: Report, folder: Path) -> None:
    """Write all files of a run into *folder*, made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    (folder / "junit.xml").write_bytes(junit(report))
    (folder / "report.md").write_text(markdown(report), "utf-8")
    (folder / "report.html").write_text(page(report), "utf-8")
