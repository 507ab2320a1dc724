"""The command line. Exit codes: 0 ran and gates hold, 1 a gate failed, 2 the harness failed, 3 the budget is spent."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import typer
from msgspec import structs
from rich.console import Console

from evals.cases import BadCase, Case, choose, load_cases
from evals.client import HarnessError
from evals.comparing import compare, comparison_markdown, show_comparison
from evals.corpus.commands import app as corpus
from evals.fixtures import TENANTS, believable, datasets
from evals.fixtures.catalogs import catalog_markdown
from evals.gates import Exit, exit_code, write_baseline
from evals.lint import lint, lint_data, write_schema
from evals.prices import Budget
from evals.proof.proving import prove
from evals.proof.tables import proof_markdown, show_proof
from evals.reporting import write_reports
from evals.reporting.progress import show_progress
from evals.reporting.terminal import show_report
from evals.results import Gate, Report, read_report
from evals.running import Plan, run
from evals.service import Loaded, Service, connected, embedded_engines, keys_from, load, model_settings, serving
from evals.tapes import LIVE_HOST, Recorder, Replayer, listening
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import read_settings

T = TypeVar("T")

REPORTS: Final = Path("evals/reports/latest")
PROOF: Final = REPORTS.with_name("proof")
RECORDED: Final = REPORTS.with_name("recorded")
REPLAYED: Final = REPORTS.with_name("replayed")
TAPE: Final = Path("evals/tapes/latest")
Only = Annotated[list[str] | None, typer.Option("--only", help="By id (or its beginning), category, tenant or feature")]
Folder = Annotated[Path, typer.Option("--report", help="Where the reports go")]

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Evaluate the copilot.", pretty_exceptions_enable=False
)
app.add_typer(corpus, name="corpus")
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def main() -> None:
    """Run the command line; what the harness cannot do ends with one sentence and code 2."""
    try:
        app()
    except (HarnessError, BadCase, SegmentCopilotError) as error:
        _fail(error)
    except BaseExceptionGroup as group:
        known, other = group.split((HarnessError, SegmentCopilotError))
        if other is not None or known is None:
            raise
        _fail(_first(known))


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _fail(error: BaseException) -> None:
    console.print("[bold red]The evaluation could not go on.[/]", end=" ")
    console.out(getattr(error, "detail", str(error)), highlight=False)
    raise SystemExit(Exit.HARNESS) from error


def say(told: str) -> None:
    """Print progress, one line each."""
    console.print(f"[dim]{told}[/]")


def on_embedded(cases: Sequence[Case], work: Callable[[Loaded], Awaitable[T]]) -> T:
    """Run *work* on engines that hold the fixtures of *cases*."""

    async def loaded() -> T:
        return await work(await load(settings, datasets(cases), say=say))

    with embedded_engines() as settings:
        return asyncio.run(loaded())


@app.command("run")
def run_command(
    only: Only = None,
    model: Annotated[
        Literal["offline", "claude"], typer.Option(help="Which model the started service runs")
    ] = "offline",
    report: Folder = REPORTS,
    trials: Annotated[int, typer.Option(min=1, help="How often each case is asked")] = 1,
    url: Annotated[str, typer.Option(help="A service that already runs; none is started")] = "",
    key: Annotated[
        list[str] | None, typer.Option(help="SLUG=KEY of each workspace, or @FILE that `load` wrote")
    ] = None,
    max_usd: Annotated[float | None, typer.Option(help="Stop when this much is spent")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Stop when so many tokens are used")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Write the result as the baseline of its model")] = False,
) -> None:
    """Ask every case, grade the answers, write the reports."""
    if accept and only:
        raise HarnessError("A baseline is of all cases: leave --only away.")
    cases = load_cases()
    plan = Plan(
        cases=chosen(cases, only),
        datasets=datasets(cases),
        trials=trials,
        budget=Budget(usd=max_usd, tokens=max_tokens),
        target=url or "embedded",
    )

    async def deployed() -> Report:
        keys = keys_from(key or ())
        wanted = {case.tenant for case in plan.cases}
        if missing := [one.slug for one in plan.datasets if one.tenant in wanted and one.slug not in keys]:
            raise HarnessError(f"There is no key for {', '.join(missing)}; `python -m evals load` makes them.")
        async with connected(url.rstrip("/"), keys) as service:
            return await run_shown(service, plan)

    settings = {} if url else model_settings(model)  # before any engine starts

    async def started(loaded: Loaded) -> Report:
        async with serving(loaded, **settings) as service:
            return await run_shown(service, plan)

    finish(asyncio.run(deployed()) if url else on_embedded(cases, started), report, accept=accept)


async def run_shown(service: Service, plan: Plan) -> Report:
    """Run the plan, and show how far it is."""
    with show_progress(console, len(plan.cases)) as done:
        return await run(service, plan, done=done)


def chosen(cases: Sequence[Case], only: Sequence[str] | None) -> tuple[Case, ...]:
    """Return the cases to run. Raises HarnessError when there is none."""
    found = choose(cases, only or ())
    if not found:
        raise HarnessError(f"No case is called {', '.join(only or ())}.")
    return found


def finish(found: Report, folder: Path, *, accept: bool = False) -> None:
    """Write the reports, show the table, and end with the exit code."""
    write_reports(found, folder)
    show_report(found, console)
    console.print(f"[dim]reports: {folder}/report.html, report.json, report.md, junit.xml[/]")
    if accept:
        console.print(f"[dim]baseline: {write_baseline(found).name}[/]")
    raise SystemExit(exit_code(found))


@app.command("lint")
def lint_command(
    data: Annotated[bool, typer.Option("--data", help="Also measure the gold definitions on running fixtures")] = False,
    schema: Annotated[bool, typer.Option("--write-schema", help="Write the cases' JSON Schema first")] = False,
) -> None:
    """Read the cases and say what is wrong with them."""
    cases = load_cases()
    if schema:
        write_schema()
    faults = list(lint(cases))

    async def measured(loaded: Loaded) -> list[str]:
        async with serving(loaded) as service:
            return await lint_data(cases, service)

    if data:
        faults += on_embedded(cases, measured)
    for fault in faults:
        console.out(fault, highlight=False)
    console.print(f"{len(cases)} cases, {len(faults)} faults")
    raise SystemExit(Exit.GATE if faults else Exit.OK)


@app.command("load")
def load_command(
    url: Annotated[str, typer.Option(help="The service that runs on these stores")],
    out: Annotated[Path, typer.Option(help="File for the keys, readable by its owner only")] = Path("evals-keys.json"),
) -> None:
    """Put the fixtures into a deployed service: DATABASE_URL and CLICKHOUSE_URL are its stores. Then: run --url --key @FILE."""
    cases = load_cases()
    loaded = asyncio.run(load(read_settings(os.environ), datasets(cases), url=url.rstrip("/"), say=say))
    out.touch(mode=0o600)
    out.write_bytes(msgspec.json.encode(dict(loaded.keys)))
    console.print(f"keys of {len(loaded.keys)} workspaces: {out}")


@app.command("catalog")
def catalog_command(tenant: Annotated[str, typer.Argument(help="A tenant of the fixtures")]) -> None:
    """Write the catalog of a tenant as a page for whoever writes sentences, who need not see the cases or the code."""
    if tenant not in TENANTS:
        raise HarnessError(f"There is no tenant {tenant}: {', '.join(TENANTS)}.")
    console.out(catalog_markdown(believable(tenant)), highlight=False, end="")


@app.command("compare")
def compare_command(
    before: Annotated[Path, typer.Argument(help="A report.json, or its folder")],
    after: Annotated[Path, typer.Argument(help="Another")],
    out: Annotated[Path | None, typer.Option(help="Also write it as Markdown")] = None,
) -> None:
    """Show two runs side by side."""
    found = compare(read_report(before), read_report(after))
    show_comparison(found, console)
    if out is not None:
        out.write_text(comparison_markdown(found), "utf-8")


@app.command("prove")
def prove_command(only: Only = None, report: Folder = PROOF) -> None:
    """Show that the graders tell right from wrong: agents that must pass or fail, and mutants of every gold definition."""
    cases = load_cases()
    wanted, found = chosen(cases, only), datasets(cases)
    proof = on_embedded(cases, lambda loaded: prove(loaded, wanted, found, say=say))
    report.mkdir(parents=True, exist_ok=True)
    (report / "proof.json").write_bytes(msgspec.json.format(msgspec.json.encode(proof)) + b"\n")
    (report / "proof.md").write_text(proof_markdown(proof), "utf-8")
    show_proof(proof, console)
    raise SystemExit(Exit.GATE if proof.faults() else Exit.OK)


Tape = Annotated[Path, typer.Option("--tape", help="Folder of the tape")]


@app.command("record")
def record_command(only: Only = None, tape: Tape = TAPE, report: Folder = RECORDED) -> None:
    """Run against the model that the environment names, and keep every answer's bytes."""
    cases = load_cases()
    settings = model_settings("claude")
    upstream = settings["anthropic_base_url"] or f"https://{LIVE_HOST}"

    async def recorded(loaded: Loaded) -> Report:
        recorder = Recorder(upstream, tape)
        async with listening(recorder) as url, serving(loaded, **{**settings, "anthropic_base_url": url}) as service:
            plan = Plan(cases=chosen(cases, only), datasets=datasets(cases), budget=Budget(), origin=recorder.origin)
            found = await run_shown(service, plan)
        say(f"{recorder.recorded} answers on the tape, origin: {recorder.origin}")
        return found

    finish(on_embedded(cases, recorded), report)


@app.command("replay")
def replay_command(only: Only = None, tape: Tape = TAPE, report: Folder = REPLAYED) -> None:
    """Run with the answers of a tape. A request that is not on it fails the run."""
    cases = load_cases()
    replayer = Replayer(tape)

    async def replayed(loaded: Loaded) -> Report:
        settings = {"copilot_model": "claude", "anthropic_api_key": "replayed", "claude_model": replayer.model}
        async with listening(replayer) as url, serving(loaded, anthropic_base_url=url, **settings) as service:
            origin = f"a tape ({', '.join(sorted(replayer.origins))})"
            plan = Plan(cases=chosen(cases, only), datasets=datasets(cases), budget=Budget(), origin=origin)
            found = await run_shown(service, plan)
        gate = Gate("tape", replayer.stale == 0, f"{replayer.stale} requests are not on the tape", "0")
        return structs.replace(found, gates=(*found.gates, gate))

    finish(on_embedded(cases, replayed), report)


@app.command("judge")
def judge_command(
    report: Annotated[Path, typer.Argument(help="The folder of the run to judge")] = REPORTS,
    model: Annotated[str, typer.Option(help="Which model judges")] = "claude-opus-5-5",
    calibration: Annotated[
        bool, typer.Option("--calibrate", help="Judge the constructed set instead: are known orders kept?")
    ] = False,
    construct: Annotated[
        bool, typer.Option("--construct", help="Make the constructed set again; asks no judge")
    ] = False,
) -> None:
    """Let a model judge the answers of a run. Needs ANTHROPIC_API_KEY; without one it says so, and nothing is a score."""
    from evals.judge.asking import calibrate, judge_report, make_set, open_judge  # noqa: PLC0415  # the SDK takes seconds
    from evals.judge.calibration import LABELS, NO_LABELS, SET, write_set  # noqa: PLC0415

    if construct:
        cases = load_cases()
        family = [case for case in cases if case.expect.gold and case.category == "audience" and case.language == "en"][
            ::4
        ]
        made = on_embedded(cases, lambda loaded: make_set(loaded, family, datasets(cases)))
        write_set(made)
        console.print(f"{len(made)} answers, each labelled constructed: {SET.name}")
        raise SystemExit(Exit.OK)
    settings = read_settings(os.environ)
    if not settings.anthropic_api_key:
        console.print("judge: not run (no ANTHROPIC_API_KEY)")
        if not LABELS.exists():
            console.print(NO_LABELS)
        raise SystemExit(Exit.OK)

    async def judged() -> None:
        async with open_judge(settings) as client:
            if calibration:
                for line in await calibrate(client, model=model):
                    console.print(line)
            else:
                found = await judge_report(client, read_report(report), model=model)
                write_reports(found, report)
                show_report(found, console)

    asyncio.run(judged())
