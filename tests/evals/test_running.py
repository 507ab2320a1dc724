"""A run against the real service, its reports, gates and exit codes."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from evals.cases import choose
from evals.client import HarnessError
from evals.comparing import compare, comparison_markdown, show_comparison
from evals.gates import BASELINES, Baseline, Exit, exit_code, gates_of, read_baseline, write_baseline
from evals.graders.grading import Grade
from evals.prices import Budget, cost
from evals.reporting import FILES, write_reports
from evals.reporting.markdown import markdown
from evals.reporting.page import page
from evals.reporting.progress import show_progress
from evals.results import CaseResult, Gate, Report, read_report, totals_of
from evals.running import Plan, run
from evals.service import connected, keys_from, load, serving
from tests.support.messages_server import answer, text

FEW = [
    "shop-high-ltv-size",
    "shop-top-events-this-week",
    "shop-largest-segments",
    "shop-more-than-3-orders-90d",
    "gym-socios-yoga-14d",
    "shop-unknown-plan",
]


@pytest.fixture(scope="module")
async def report(service, cases, fixtures) -> Report:
    return await run(service, Plan(cases=choose(cases, FEW), datasets=fixtures, budget=Budget()))


def with_case(report: Report, **changes) -> Report:
    """*report* with its first case changed, and the gates that follow."""
    cases = (structs.replace(report.cases[0], **changes), *report.cases[1:])
    return structs.replace(
        report, cases=cases, totals=totals_of(cases), gates=gates_of(report.run, cases, budget=Budget())
    )


def test_the_offline_model_answers_and_is_graded(report):
    assert report.run.model == "offline"
    assert report.totals.errors == 0
    assert {case.id: case.passed for case in report.cases}["shop-high-ltv-size"]
    assert all(
        {"outcome", "protocol", "safety", "claims", "efficiency"} <= case.graders.keys() for case in report.cases
    )


def test_the_report_has_the_agreed_shape(report, tmp_path):
    write_reports(report, tmp_path)
    written = msgspec.json.decode((tmp_path / "report.json").read_bytes())

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    assert written.keys() >= {"run", "totals", "gates", "cases"}
    assert written["run"].keys() >= {"id", "model", "commit", "as_of", "started_at"}
    assert written["totals"].keys() == {"cases", "passed", "failed", "errors"}
    assert all(gate.keys() == {"name", "passed", "value", "bar"} for gate in written["gates"])
    for case in written["cases"]:
        assert case.keys() >= {"id", "category", "passed", "graders", "duration_ms"}
        assert all(grade.keys() == {"passed", "score", "detail"} for grade in case["graders"].values())
    assert read_report(tmp_path).totals == report.totals


def test_junit_counts_what_the_report_counts(report, tmp_path):
    write_reports(report, tmp_path)
    root = ET.parse(tmp_path / "junit.xml").getroot()  # noqa: S314  # our own

    assert (root.get("tests"), root.get("failures"), root.get("errors")) == (
        str(report.totals.cases), str(report.totals.failed), str(report.totals.errors),
    )  # fmt: skip
    assert len(root.findall(".//testcase")) == report.totals.cases
    assert len(root.findall(".//failure")) == report.totals.failed


def test_characters_that_xml_cannot_hold_are_replaced(report, tmp_path):
    odd = with_case(report, error="a \x00 and a \ufffe")

    write_reports(odd, tmp_path)

    assert ET.parse(tmp_path / "junit.xml").find(".//error") is not None  # noqa: S314  # our own


class Page(HTMLParser):
    """What a page asks of others, and whether its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wanted: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br", "input", "link", "img"}:
            self.open.append(tag)
        self.wanted += [
            value for name, value in attrs if name in {"src", "href"} and value and not value.startswith("#")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(report):
    read = Page()
    read.feed(page(report))

    assert read.wanted == []
    assert read.open == []


def test_the_page_cannot_be_written_by_an_answer(report):
    case = next(case for case in report.cases if case.transcript is not None)
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    told = structs.replace(case, transcript=structs.replace(case.transcript, text=hostile))

    shown = page(structs.replace(report, cases=(told,)))

    assert "<script>alert(1)" not in shown
    assert "<img" not in shown


def test_the_page_shows_failures_first_with_gold_and_draft(report):
    shown = page(report)
    failed = [case.id for case in report.cases if not case.passed]
    order = re.findall(r'<details class="case [^"]*" id="([^"]+)"', shown)

    assert failed
    assert set(order[: len(failed)]) == set(failed)
    assert "Gold" in shown
    assert "<svg" in shown


def test_without_a_key_the_judge_is_not_run_and_nothing_looks_like_its_score(report):
    for shown in (page(report), markdown(report)):
        assert "judge: not run" in shown


# gates


def test_a_low_score_is_no_failure(report):
    assert not all(case.passed for case in report.cases)
    assert exit_code(report) == Exit.OK


@pytest.mark.parametrize("grader", ["protocol", "safety"])
def test_a_broken_promise_or_a_leak_fails_the_run(report, grader):
    graders = {**report.cases[0].graders, grader: Grade(False, 0, "broken")}

    assert exit_code(with_case(report, graders=graders)) == Exit.GATE


def test_a_harness_error_is_no_failed_case(report):
    odd = with_case(report, error="no answer", passed=False)

    assert odd.totals.errors == 1
    assert odd.totals.failed == report.totals.failed - (not report.cases[0].passed)
    assert exit_code(odd) == Exit.HARNESS


def test_a_lost_case_fails_the_run_and_a_new_one_does_not(report, tmp_path):
    good = next(case for case in report.cases if case.passed)
    write_baseline(report, tmp_path)

    def gate(cases) -> Gate:
        return next(
            one for one in gates_of(report.run, cases, budget=Budget(), folder=tmp_path) if one.name == "no drop"
        )

    lost = [structs.replace(case, passed=False) if case is good else case for case in report.cases]
    new = [structs.replace(good, id="new", passed=False), *report.cases]
    assert gate(report.cases).passed
    assert gate(new).passed
    assert gate(lost).passed is False
    assert good.id in gate(lost).value


def test_a_live_run_has_more_gates(report, tmp_path):
    facts = structs.replace(report.run, model="claude-sonnet-5-5", trials=3)
    good = [structs.replace(case, passed=True, trials=(True, True, True)) for case in report.cases]
    bad = [structs.replace(case, passed=False, trials=(True, False, False)) for case in report.cases]
    baseline = Baseline("claude-sonnet-5-5", "abc", 3, {case.id: 3 for case in report.cases})
    (tmp_path / "claude-sonnet-5-5.json").write_bytes(msgspec.json.encode(baseline))

    def failed(cases) -> set[str]:
        return {gate.name for gate in gates_of(facts, cases, budget=Budget(), folder=tmp_path) if gate.passed is False}

    assert failed(good) == set()
    assert failed(bad) == {"no drop", "pass rate", "pass^3", "categories"}


def test_the_committed_baseline_is_of_committed_cases(cases):
    baseline = read_baseline("offline")

    assert baseline is not None
    assert baseline.cases.keys() <= {case.id for case in cases}
    assert [path.name for path in BASELINES.glob("*.json")] == ["offline.json"], "a live baseline needs a live run"


# money


def test_the_price_counts_cached_tokens_once():
    usage = {
        "input_tokens": 1_000_000,
        "cache_read_tokens": 500_000,
        "cache_write_tokens": 100_000,
        "output_tokens": 100_000,
    }

    assert cost("claude-sonnet-5-5", usage) == pytest.approx(0.4 * 2 + 0.5 * 0.2 + 0.1 * 4 + 0.1 * 10)
    assert cost("offline", usage) == 0
    assert cost("somebody-elses-model", usage) is None


async def test_a_spent_budget_ends_the_run_with_its_own_code(loaded, cases, fixtures, messages_server):
    messages_server.answers(*[answer(text("There is no such thing."))] * 4)
    settings = {"copilot_model": "claude", "anthropic_api_key": "x", "anthropic_base_url": messages_server.url}
    async with serving(loaded, **settings) as service:
        plan = Plan(cases=choose(cases, FEW)[:2], datasets=fixtures, budget=Budget(tokens=10), trials=2)
        found = await run(service, plan)

    assert len(messages_server.bodies) == 2  # of four: both cases were under way when the first answer was paid
    assert exit_code(found) == Exit.BUDGET
    assert any("budget" in case.error for case in found.cases)


# a deployed service


def test_keys_come_from_the_command_line_or_a_file(tmp_path):
    (tmp_path / "keys.json").write_text('{"evals-gym-believable": "sk_b"}')

    assert keys_from(["evals-shop-believable=sk_a", f"@{tmp_path / 'keys.json'}"]) == {
        "evals-shop-believable": "sk_a",
        "evals-gym-believable": "sk_b",
    }
    with pytest.raises(HarnessError, match="SLUG=KEY"):
        keys_from(["sk_a"])


async def test_loading_a_deployment_again_makes_keys_and_nothing_else(service, loaded, fixtures):
    everybody = {"logic": "AND", "conditions": [{"type": "sample", "salt": "s", "from": 0, "to": 100}]}
    before = {slug: (await space.preview(everybody)).universe for slug, space in service.workspaces.items()}

    again = await load(loaded.settings, fixtures, url=service.url, say=lambda _told: None)

    assert again.keys.keys() == loaded.keys.keys()
    assert set(again.keys.values()).isdisjoint(loaded.keys.values())
    async with connected(service.url, again.keys) as same:
        assert {slug: (await space.preview(everybody)).universe for slug, space in same.workspaces.items()} == before


NOBODY = ["run", "--url", "http://127.0.0.1:1", "--only", "shop-high-ltv-size"]


def evals(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evals", *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


async def test_the_page_fits_a_phone(report, tmp_path, run_client, chromium):
    """Long words too: an id, a question or a grader's pattern never makes the page scroll sideways."""
    first = report.cases[0].case
    asked = (*first.messages[:-1], structs.replace(first.messages[-1], content="Pneumonoultra" * 30))
    long = with_case(
        report,
        id="shop-" * 40,
        case=structs.replace(first, messages=asked),
        graders={"refusal": Grade(passed=False, score=0, detail="days|visit|quiet|" * 40)},
        passed=False,
    )
    file = tmp_path / "report.html"
    file.write_text(page(long))

    told = await run_client("widths.mjs", chromium, file.as_uri(), 360)

    assert told == {"width": 360, "room": 360, "out": []}


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(report, *, terminal: bool):
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=80)
    done = list(report.cases[:1]) * 40

    with show_progress(console, len(done)) as tell:
        for case in done:
            tell(structs.replace(case, passed=False))

    told = written.getvalue()
    if terminal:
        assert "40/40" in told
        assert "40 failed" in told
    else:
        assert re.fullmatch(r"(\d+ of 40 cases asked, \d+ failed, \d+ s\n){10}", told)
        assert told.endswith("40 of 40 cases asked, 40 failed, 0 s\n")


async def test_the_command_asks_a_service_that_already_runs(service, loaded, tmp_path):
    keys = tmp_path / "keys.json"
    keys.write_bytes(msgspec.json.encode(dict(loaded.keys)))

    told = await asyncio.to_thread(
        evals,
        "run",
        "--url",
        service.url,
        "--key",
        f"@{keys}",
        "--only",
        "shop-high-ltv-size",
        "--report",
        str(tmp_path / "out"),
    )

    assert told.returncode == Exit.OK, told.stdout + told.stderr
    assert "1 of 1 cases asked, 0 failed" in told.stdout
    assert "1 of 1 cases passed" in told.stdout
    assert "judge: not run" in told.stdout
    assert read_report(tmp_path / "out").run.target == service.url


@pytest.mark.engines
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--only", "no-such-case"], "No case is called no-such-case"),
        (
            [*NOBODY, "--key", "evals-shop-believable=x", "--key", "evals-shop-boundary=y"],
            "http://127.0.0.1:1 does not answer",
        ),
        (NOBODY, "no key for evals-shop-believable, evals-shop-boundary"),
        ([*NOBODY, "--key", "sk_a"], "A key is SLUG=KEY"),
        (["run", "--accept", "--only", "shop-high-ltv-size"], "A baseline is of all cases"),
        (["run", "--model", "claude"], "needs ANTHROPIC_API_KEY"),
        (["record"], "needs ANTHROPIC_API_KEY"),
        (["replay", "--tape", "/nowhere"], "is no tape"),
        (["compare", "/nowhere", "/nowhere"], "is no report"),
    ],
    ids=["no case", "no service", "no key", "bad key", "baseline", "no model key", "record", "replay", "compare"],
)
def test_what_the_harness_cannot_do_is_one_sentence_and_code_2(arguments, sentence):
    told = evals(*arguments, ANTHROPIC_API_KEY="")

    assert told.returncode == Exit.HARNESS, told.stdout + told.stderr
    assert sentence in told.stdout
    assert "Traceback" not in told.stdout + told.stderr


# two runs


def changed(report: Report, **passes: bool) -> Report:
    def one(case: CaseResult) -> CaseResult:
        passed = passes.get(case.id.replace("-", "_"), case.passed)
        return structs.replace(case, passed=passed, trials=(passed,))

    return structs.replace(report, cases=tuple(one(case) for case in report.cases))


def test_two_runs_are_paired_by_case(report):
    before = changed(report, shop_high_ltv_size=False, shop_top_events_this_week=True)
    after = changed(report, shop_high_ltv_size=True, shop_top_events_this_week=False)

    found = compare(before, structs.replace(after, cases=after.cases[1:]))

    assert [(one.id, one.before, one.after) for one in found.changed() if one.id.startswith("shop-t")] == [
        ("shop-top-events-this-week", 1, 0)
    ]
    assert found.only_before == (report.cases[0].id,)
    assert "| all |" in comparison_markdown(found)


def test_two_runs_are_shown_as_tables(report):
    before = changed(report, shop_high_ltv_size=False, shop_top_events_this_week=True)
    after = changed(report, shop_high_ltv_size=True, shop_top_events_this_week=False)
    written = io.StringIO()

    show_comparison(compare(before, structs.replace(after, cases=after.cases[1:])), Console(file=written, width=120))

    told = [" ".join(line.split()) for line in written.getvalue().splitlines()]
    assert "category cases before after change 95 % interval" in told
    assert "case before after why" in told
    assert any(line.startswith("worse shop-top-events-this-week 100% 0%") for line in told)
    assert f"only before: {report.cases[0].id}" in told
