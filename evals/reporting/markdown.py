"""Writes a run as Markdown, for a pull request or a job's summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.reporting.summary import (
    Rate,
    by_category,
    by_feature,
    by_grader,
    by_tenant,
    failures_first,
    judged,
    overall,
    percent,
)
from evals.results import Report

_MARKS = {True: "✅", False: "❌", None: "–"}


def markdown(report: Report) -> str:
    """Return the whole document."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    run, whole = report.run, overall(report)
    low, high = whole.rate.interval
    yield f"# Evaluation of `{run.model}`"
    yield ""
    yield (
        f"**{whole.rate.passed} of {whole.rate.total} cases passed** ({percent(whole.rate.share)}, 95 % interval "
        f"{percent(low)} to {percent(high)}). Commit `{run.commit or 'unknown'}`, as of {run.as_of}, {run.trials} "
        f"trial{'s' if run.trials > 1 else ''} a case, {run.seconds:.0f} s, run `{run.id}`."
    )
    if run.origin != "live":
        yield f"\nThe answers came from {run.origin}, not from a live model."
    if whole.pass_hat and whole.pass_at:
        yield f"\npass^{whole.pass_hat[0]} {percent(whole.pass_hat[1])}, pass@{whole.pass_at[0]} {percent(whole.pass_at[1])}."
    if whole.likeness is not None:
        yield f"\nMean Jaccard of members to gold: {whole.likeness:.2f}. Latency p50 {whole.p50_ms:.0f} ms, p95 {whole.p95_ms:.0f} ms."
    yield ""
    yield "| gate | | measured | bar |"
    yield "|---|---|---|---|"
    for gate in report.gates:
        yield f"| {gate.name} | {_MARKS[gate.passed]} | {_cell(gate.value)} | {gate.bar} |"
    yield ""
    yield judged(report)
    for title, found in (
        ("category", by_category(report)),
        ("needs", by_feature(report)),
        ("tenant, language", by_tenant(report)),
        ("grader", by_grader(report)),
    ):
        yield ""
        yield from rate_table(title, found)
    failed = [case for case in failures_first(report) if not case.passed]
    if failed:
        yield ""
        yield "| failed | asked | why |"
        yield "|---|---|---|"
    for case in failed:
        why = case.error or "; ".join(
            f"**{name}** {one.detail}" for name, one in case.graders.items() if not one.passed
        )
        yield f"| `{case.id}` | {_cell(case.case.question)} | {_cell(why)} |"


def rate_table(title: str, found: Sequence[Rate]) -> Iterator[str]:
    """Yield a table of rates with their intervals."""
    yield f"| {title} | passed | rate | 95 % interval |"
    yield "|---|---:|---:|---|"
    for rate in found:
        low, high = rate.interval
        yield f"| {rate.name} | {rate.passed}/{rate.total} | {percent(rate.share)} | {percent(low)} – {percent(high)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("![", "!\\[")
