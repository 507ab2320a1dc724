"""Writes JUnit XML: a test suite per category, a test per case."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from evals.results import CaseResult, Report

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """Return the document; a failed case says which graders failed, an error what the harness could not do."""
    totals = report.totals
    root = ET.Element("testsuites", name=f"evals ({report.run.model})")
    _count(root, totals.cases, totals.failed, totals.errors, report.run.seconds)
    for category in sorted({case.category for case in report.cases}):
        cases = [case for case in report.cases if case.category == category]
        suite = ET.SubElement(root, "testsuite", name=category, timestamp=report.run.started_at.rstrip("Z"))
        errors = sum(bool(case.error) for case in cases)
        failed = sum(not case.passed for case in cases) - errors
        _count(suite, len(cases), failed, errors, sum(case.duration_ms for case in cases) / 1000)
        for case in cases:
            _case(suite, case)
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _count(element: ET.Element, tests: int, failures: int, errors: int, seconds: float) -> None:
    element.set("tests", str(tests))
    element.set("failures", str(failures))
    element.set("errors", str(errors))
    element.set("time", f"{seconds:.3f}")


def _case(suite: ET.Element, case: CaseResult) -> None:
    test = ET.SubElement(
        suite, "testcase", classname=f"evals.{case.category}", name=case.id, time=f"{case.duration_ms / 1000:.3f}"
    )
    if case.error:
        ET.SubElement(test, "error", message=_clean(case.error))
    elif not case.passed:
        failed = {name: one.detail for name, one in case.graders.items() if not one.passed}
        failure = ET.SubElement(test, "failure", message=", ".join(failed) or "another trial failed")
        failure.text = _clean("\n".join(f"{name}: {detail}" for name, detail in failed.items()))
    if case.transcript is not None:
        out = ET.SubElement(test, "system-out")
        out.text = _clean(f"{case.case.question}\n\n{case.transcript.text}")


def _clean(text: str) -> str:
    """Take out the characters that XML cannot hold."""
    return _FORBIDDEN.sub("�", text)
