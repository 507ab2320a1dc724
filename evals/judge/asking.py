"""Runs the `judge` command: judges a report, or the constructed set; makes that set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from anthropic import AsyncAnthropic
from msgspec import structs

from evals.cases import Case
from evals.definitions import with_ids
from evals.fixtures.rows import Dataset
from evals.judge.calibration import LABELS, Constructed, agreement, as_lines, construct, orderings, read_set, shuffled
from evals.judge.judging import Judged, Verdict, judge, judgeable, judged_of, summary
from evals.proof.agents import oracle
from evals.proof.mutants import mutants
from evals.proof.stage import MODEL as STAGED
from evals.proof.stage import open_stage
from evals.results import Report
from evals.running import ask, grading_of
from evals.service import Loaded, Service, serving
from evals.truth import Truth
from segment_copilot.settings import Settings

AT_ONCE = 4


@asynccontextmanager
async def open_judge(settings: Settings) -> AsyncGenerator[AsyncAnthropic]:
    """Open a client for the judge, with the key and the base URL of the settings."""
    async with AsyncAnthropic(
        api_key=settings.anthropic_api_key, base_url=settings.anthropic_base_url or None, max_retries=2
    ) as client:
        yield client


async def verdicts_of(client: AsyncAnthropic, answers: Sequence[Judged], *, model: str) -> list[Verdict]:
    """Return one verdict an answer; a few are asked for at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(answer: Judged) -> Verdict:
        async with room:
            return await judge(client, answer, model=model)

    return list(await asyncio.gather(*(one(answer) for answer in answers)))


async def judge_report(client: AsyncAnthropic, report: Report, *, model: str, labels: Path = LABELS) -> Report:
    """Return the report with a verdict at each case and a summary; no gate looks at either."""
    verdicts = await verdicts_of(client, judgeable(report.cases), model=model)
    by_id = {verdict.id: verdict for verdict in verdicts}
    cases = tuple(
        structs.replace(case, judge=_shown(by_id[case.id])) if case.id in by_id else case for case in report.cases
    )
    people = agreement({}, labels)  # labels are of the constructed set, which this is not
    return structs.replace(report, cases=cases, judge=summary(verdicts, model=model, agreement=people))


def _shown(verdict: Verdict) -> dict[str, object]:
    found: dict[str, object] = {"scores": verdict.scores, "samples": [dict(one.scores) for one in verdict.samples]}
    if verdict.capped:
        found["capped"] = verdict.capped
    if verdict.disagreement:
        found["disagreement"] = verdict.disagreement
    if not verdict.scores:
        found["without a verdict"] = [one.status for one in verdict.samples]
    return found


async def calibrate(
    client: AsyncAnthropic, *, model: str, made: Sequence[Constructed] | None = None, labels: Path = LABELS
) -> list[str]:
    """Return how often the known orders hold, and the agreement with people; lines to print."""
    answers = shuffled(read_set() if made is None else made)
    ids = [structs.replace(one.answer, id=one.id) for one in answers]
    verdicts = {verdict.id: verdict for verdict in await verdicts_of(client, ids, model=model)}
    return [*as_lines(orderings(answers, verdicts)), agreement(verdicts, labels)]


async def make_set(loaded: Loaded, cases: Sequence[Case], datasets: Sequence[Dataset]) -> list[Constructed]:
    """Return the oracle's answers to *cases*, and what rules make of them."""
    made: list[Constructed] = []
    async with serving(loaded) as plain:
        truths = grading_of(plain, datasets).truths
        segments = {tenant: plain.workspace(tenant).segments for tenant in truths}
    async with open_stage(truths, segments) as stage:
        settings = {"copilot_model": "claude", "anthropic_api_key": "scripted", "anthropic_base_url": stage.url}
        async with serving(loaded, claude_model=STAGED, **settings) as service:
            grading = grading_of(service, datasets)
            stage.agent = oracle
            for case in cases:
                stage.case = case
                trial = await ask(case, grading)
                gold = _steady(judged_of(case, trial.transcript, trial.grades))
                words, count = await _mutant(case, service, truths[case.tenant])
                made += construct(gold, words, count)
    return made


def _steady(answer: Judged) -> Judged:
    """Take out what differs from run to run, so that the set is the same when it is made again."""
    calls = tuple(
        {**call, "arguments": {key: value for key, value in call["arguments"].items() if key != "draft_id"}}
        for call in answer.calls
    )
    plain = tuple(
        {
            **call,
            "result": {key: value for key, value in call["result"].items() if key not in {"draft_id", "component_id"}},
        }
        for call in calls
    )
    shown = tuple(
        {**one, "preview": {key: value for key, value in one["preview"].items() if key != "duration_ms"}}
        if "preview" in one
        else one
        for one in answer.shown
    )
    return structs.replace(answer, calls=plain, shown=shown)


async def _mutant(case: Case, service: Service, truth: Truth) -> tuple[str, int]:
    """Return how the service describes and counts a definition one step from the gold that has other members."""
    space = service.workspace(case.tenant)
    gold = case.expect.gold[0].definition
    right = await space.preview(with_ids(gold, space.segments))
    for _rule, mutant in mutants(gold, truth):
        found = await space.preview(with_ids(mutant, space.segments))
        if found.valid and len(found.members) != len(right.members) and found.words != right.words:
            return found.words, len(found.members)
    raise AssertionError(case.id)  # every gold has such a mutant: the proof shows it
