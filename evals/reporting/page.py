"""Writes a run as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from evals.reporting.drawing import bars, case_map, rate_plot
from evals.reporting.summary import (
    by_category,
    by_feature,
    by_grader,
    by_tenant,
    failures_first,
    judged,
    overall,
    percent,
)
from evals.results import CaseResult, Report

_TEMPLATES: Final = Path(__file__).parent


def page(report: Report) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "json": _json, "number": _number}
    whole = overall(report)
    return environment.get_template("page.html.j2").render(
        run=report.run,
        totals=report.totals,
        gates=report.gates,
        whole=whole,
        interval=whole.rate.interval,
        plots={
            "categories": rate_plot(by_category(report), title="Pass rate by category"),
            "needs": rate_plot(by_feature(report), title="Pass rate by what a definition needs"),
            "tenants": rate_plot(by_tenant(report), title="Pass rate by tenant and language"),
            "graders": rate_plot(by_grader(report), title="Pass rate by grader"),
            "cases": case_map(report.cases),
        },
        judged=judged(report),
        cases=[_shown(case) for case in failures_first(report)],
    )


def _shown(case: CaseResult) -> dict[str, Any]:
    """Return a case with its components drawn and its definitions side by side."""
    made = case.transcript
    draft = made.draft if made else None
    charts = [bars(one.props) if one.name == "EventVolumeChart" else None for one in made.components] if made else []
    return {
        "result": case,
        "draft": draft,
        "components": list(zip(made.components, charts, strict=True)) if made else [],
        "failed": [name for name, one in case.graders.items() if not one.passed],
    }


def _json(value: Any) -> str:
    """Write JSON indented as people read it; short things stay on their line."""
    return _written(msgspec.to_builtins(value), 0)


def _written(value: Any, depth: int) -> str:
    flat = msgspec.json.encode(value).decode()
    if len(flat) <= 76 or not isinstance(value, dict | list):
        return (
            flat
            if not isinstance(value, dict | list)
            else flat.replace('":', '": ').replace(',"', ', "').replace(",{", ", {")
        )
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(value, dict):
        inner = [
            f"{pad}{msgspec.json.encode(key).decode()}: {_written(child, depth + 1)}" for key, child in value.items()
        ]
        return "{\n" + ",\n".join(inner) + f"\n{end}}}"
    return "[\n" + ",\n".join(f"{pad}{_written(child, depth + 1)}" for child in value) + f"\n{end}]"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
