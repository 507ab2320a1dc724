"""Alert rules, dashboard and runbooks: each query is one, of metrics that there are, and each alert has its page."""

from __future__ import annotations

import re

import pytest
import yaml

import segment_copilot.app  # noqa: F401  # whose modules make every metric
from tests.support.observed import (
    ALERTS,
    RUNBOOKS,
    blocks,
    families,
    labels_of,
    panels,
    queries,
    rules,
    selected,
    series,
    table,
)

ROOT = ALERTS.parents[2]
OF_PROMETHEUS = {"le"}
QUERIES = list(queries())


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """Name of a series → its labels."""
    return {name: set(labels_of(family)) | OF_PROMETHEUS for family in families() for name in series(family)}


@pytest.mark.parametrize(
    ("where", "text"), QUERIES, ids=[f"{where} {number}" for number, (where, _) in enumerate(QUERIES)]
)
def test_a_query_names_metrics_and_labels_that_there_are(where: str, text: str, known: dict[str, set[str]]):
    found = list(selected(text))

    assert found
    for name, labels in found:
        assert name in known, f"{where}: no metric is called {name}"
        assert labels <= known[name], f"{where}: {name} has no {labels - known[name]}"


def test_a_metric_that_is_none_would_be_seen(known: dict[str, set[str]]):
    assert [
        (name in known, labels) for name, labels in selected('sum by (tenant) (rate(nothing_total{a="b"}[5m])) > 1')
    ] == [(False, {"tenant", "a"})]


def test_rules_are_as_prometheus_reads_them():
    document = yaml.safe_load(ALERTS.read_text())

    assert set(document) == {"groups"}
    assert [set(group) for group in document["groups"]] == [{"name", "rules"}]
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"[A-Z][A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_a_summary_names_labels_that_its_query_keeps():
    for rule in rules():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = {label for _, labels in selected(rule["expr"]) for label in labels}
        assert named <= kept, rule["alert"]


def test_each_alert_has_its_runbook_and_each_runbook_its_alert():
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"index"}
    urls = {rule["annotations"]["runbook_url"]: rule for rule in rules()}

    assert {url.rsplit("/", 1)[1] for url in urls} == {f"{page}.html" for page in pages}
    for url, rule in urls.items():
        assert url.startswith("https://segment-copilot.example/docs/operations/runbooks/")
        text = (RUNBOOKS / f"{url.rsplit('/', 1)[1].removesuffix('.html')}.md").read_text()
        assert text.startswith(f"# {rule['alert']}\n")
        assert f"holds for {rule['for']} ({rule['labels']['severity']})" in text
        assert rule["expr"] in blocks(RUNBOOKS / f"{url.rsplit('/', 1)[1].removesuffix('.html')}.md", "promql")
        assert f"]({url.rsplit('/', 1)[1].removesuffix('.html')}.md)" in (RUNBOOKS / "index.md").read_text()


def test_every_runbook_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text()

    assert set(re.findall(r"operations/runbooks/([\w-]+)\.md", text)) == {page.stem for page in RUNBOOKS.glob("*.md")}


def test_the_chart_has_the_same_rules():
    assert (ROOT / "deploy" / "chart" / "files" / "alerts.yml").read_text() == ALERTS.read_text()


def test_panels_do_not_lie_on_one_another():
    assert len({panel["id"] for panel in panels()}) == len(panels())
    taken = [
        (x, y)
        for panel in panels()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))


def test_every_metric_is_drawn_or_watched():
    named = {name for _, text in QUERIES for name, _ in selected(text)}

    assert {family.name for family in families() if not named & series(family)} == {
        "segment_copilot_gen_ai_execute_tool_duration_seconds"
    }


def test_no_label_has_a_value_for_each_tenant():
    labels = {label for family in families() for label in labels_of(family)}

    assert labels == {
        "method", "route", "status", "db_system_name", "purpose", "error_type", "pool", "state", "queue", "outcome", "step",
        "kind", "model", "stop_reason", "type", "tool", "code", "process", "version",
    }  # fmt: skip


def test_the_page_lists_what_is_exported():
    assert table() in (ROOT / "docs" / "operations" / "metrics.md").read_text()
