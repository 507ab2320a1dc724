"""What a deployment watches: the queries of dashboard, alerts and runbooks, and what our processes export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks"
PREFIX = "segment_copilot_"
COLLECTED = {"db_client_connection_count": ("pool", "state"), "db_client_connection_max": ("pool",),
             "db_client_connection_pending_requests": ("pool",), "build": ("process", "version")}  # fmt: skip
"""Labels of what no object of the library holds, or holds only in its values."""


def rules() -> list[dict[str, Any]]:
    """Every alert rule."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard that draws something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language in a page."""
    return re.findall(rf"^```{language}\n(.*?)\n```$", page.read_text(), re.DOTALL | re.MULTILINE)


def queries() -> Iterator[tuple[str, str]]:
    """Every query of PromQL, with where it stands."""
    yield from ((f"alert {rule['alert']}", rule["expr"]) for rule in rules())
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"].replace("$__rate_interval", "5m")
    for page in sorted(RUNBOOKS.glob("*.md")):
        yield from ((f"runbook {page.stem}", text) for text in blocks(page, "promql"))


def selected(text: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that a query names, with the labels that it is asked by or grouped by."""
    yield from _selected(promql_parser.parse(text), frozenset())


def _selected(node: Any, around: frozenset[str]) -> Iterator[tuple[str, set[str]]]:
    match node:
        case promql_parser.VectorSelector():
            assert node.name is not None, "a query names its metric"
            yield node.name, {one.name for one in node.matchers.matchers} | around
        case promql_parser.MatrixSelector():
            yield from _selected(node.vector_selector, around)
        case promql_parser.AggregateExpr():
            labels = frozenset(node.modifier.labels) if node.modifier else frozenset()
            yield from _selected(node.expr, around | labels)
        case promql_parser.BinaryExpr():
            yield from _selected(node.lhs, around)
            yield from _selected(node.rhs, around)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selected(argument, around)
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            yield from _selected(node.expr, around)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return
        case _:
            raise AssertionError(node)


def families() -> list[Metric]:
    """What this process exports of our own."""
    return sorted((one for one in REGISTRY.collect() if one.name.startswith(PREFIX)), key=lambda one: one.name)


def labels_of(family: Metric) -> tuple[str, ...]:
    """The labels that a metric was declared with."""
    if (known := COLLECTED.get(family.name.removeprefix(PREFIX))) is not None:
        return known
    collector: Any = REGISTRY._names_to_collectors[family.name]
    return collector._labelnames


def series(family: Metric) -> set[str]:
    """The names that its samples have."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}
    return {family.name + end for end in ends.get(family.type, ("",))}


def table() -> str:
    """The table of `docs/operations/metrics.md`, of the registry."""
    lines = ["| metric | type | labels | what it is |", "|---|---|---|---|"]
    for one in families():
        name = one.name + {"counter": "_total", "info": "_info"}.get(one.type, "")
        labels = ", ".join(f"`{label}`" for label in labels_of(one))
        lines.append(f"| `{name}` | {one.type} | {labels} | {one.documentation} |")
    return "\n".join(lines)
