"""Run the proof: five agents through the real service, and the mutants of every gold through the compiler."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from evals.cases import Case
from evals.definitions import with_ids
from evals.fixtures.rows import Dataset
from evals.graders.grading import Grade, Grading
from evals.graders.registry import GRADERS
from evals.proof.agents import AGENTS, Agent, chatty
from evals.proof.mutants import mutants
from evals.proof.stage import MODEL, Stage, open_stage
from evals.running import ask, grading_of
from evals.service import Loaded, Service, serving
from evals.truth import Truth

ORACLE_BAR: Final = 0.99
KILL_BAR: Final = 0.98

RIGHT_GRADERS: Final[Mapping[str, frozenset[str]]] = {
    "null": frozenset({"outcome", "tools", "content", "refusal", "facts", "equivalence"}),
    "echo": frozenset({"outcome", "tools", "content", "refusal", "facts", "equivalence"}),
    "chatty": frozenset({"outcome", "tools", "numbers", "equivalence", "components"}),
    "overreaching": frozenset({"equivalence", "outcome", "tools", "subject"}),
}
"""Which graders have to see through an agent: each case it fails must be failed by one of these."""


class Tally(Struct, frozen=True):
    """Counts how often a grader passed, of how often it spoke."""

    passed: int
    spoke: int


class AgentProof(Struct, frozen=True):
    """Holds what the graders made of one agent. *passed*: cases; *blind*: failed, but by none of the right graders."""

    agent: str
    cases: int
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    blind: tuple[str, ...]
    graders: Mapping[str, Tally]


class MutantProof(Struct, frozen=True):
    """Counts how many mutants differ from their gold in some dataset, by rule, and those that do not."""

    made: int
    killed: int
    killed_by_believable: int  # what the believable dataset alone would have found
    by_rule: Mapping[str, Tally]
    survivors: tuple[tuple[str, str, dict[str, Any]], ...]  # case, rule, mutant

    @property
    def rate(self) -> float:
        """The share of the mutants that were killed."""
        return self.killed / self.made if self.made else 0.0


class Proof(Struct, frozen=True):
    """The whole proof."""

    agents: tuple[AgentProof, ...]
    mutants: MutantProof

    def faults(self) -> list[str]:
        """Return what the proof fails to prove."""
        found: list[str] = []
        for one in self.agents:
            if one.agent == "oracle":
                if len(one.passed) < ORACLE_BAR * one.cases:
                    found.append(f"the oracle fails {', '.join(one.failed[:6])}")
            else:
                found += [f"{one.agent} fails {case} by the wrong grader" for case in one.blind]
                if one.passed:
                    found.append(f"{one.agent} passes {', '.join(one.passed[:6])}")
        if self.mutants.rate < KILL_BAR:
            found.append(f"only {self.mutants.rate:.1%} of the mutants are killed")
        return found


async def prove(
    loaded: Loaded, cases: Sequence[Case], datasets: Sequence[Dataset], *, say: Callable[[str], None]
) -> Proof:
    """Play every agent on every case, and kill every mutant. About a minute."""
    async with serving(loaded) as plain:
        grading = grading_of(plain, datasets)
        segments = {tenant: plain.workspace(tenant).segments for tenant in grading.truths}
        say("killing mutants")
        killed = await kill(cases, plain, grading.truths)
    async with open_stage(grading.truths, segments) as stage:
        settings = {"copilot_model": "claude", "anthropic_api_key": "scripted", "anthropic_base_url": stage.url}
        async with serving(loaded, claude_model=MODEL, **settings) as service:
            grading = grading_of(service, datasets)
            proofs: list[AgentProof] = []
            texts: dict[str, str] = {}
            for name, agent in AGENTS.items():
                say(f"playing {name}")
                spoken = texts if name == "oracle" else None
                proofs.append(await _play(name, agent, cases, stage, grading, texts=spoken))
            say("playing chatty")
            acted = [case for case in cases if case.id in texts]
            proofs.append(await _play("chatty", chatty(texts), acted, stage, grading))
    return Proof(tuple(proofs), killed)


async def _play(
    name: str,
    agent: Agent,
    cases: Sequence[Case],
    stage: Stage,
    grading: Grading,
    *,
    texts: dict[str, str] | None = None,
) -> AgentProof:
    spoke: Counter[str] = Counter()
    good: Counter[str] = Counter()
    passed: list[str] = []
    failed: list[str] = []
    blind: list[str] = []
    stage.agent = agent
    for case in cases:  # one at a time: the stage plays one case
        stage.case = case
        trial = await ask(case, grading)
        if texts is not None and trial.transcript.tools:  # where words alone are right, saying them is no fault
            texts[case.id] = trial.transcript.text
        spoke.update(trial.grades.keys())
        good.update(grader for grader, grade in trial.grades.items() if grade.passed)
        if trial.passed:
            passed.append(case.id)
        else:
            failed.append(case.id)
            if not _seen(trial.grades, RIGHT_GRADERS.get(name, frozenset(GRADERS))):
                blind.append(case.id)
    tallies = {grader: Tally(good[grader], spoke[grader]) for grader in GRADERS if spoke[grader]}
    return AgentProof(name, len(cases), tuple(passed), tuple(failed), tuple(blind), tallies)


def _seen(grades: Mapping[str, Grade], right: frozenset[str]) -> bool:
    return any(not grade.passed for name, grade in grades.items() if name in right)


async def kill(cases: Sequence[Case], service: Service, truths: Mapping[str, Truth]) -> MutantProof:
    """Find the mutants that have the members of their gold in every dataset. One that does not compile does not count.

    A gold that several cases share is taken once.
    """
    golds = {
        (case.tenant, msgspec.json.encode(gold.definition, order="deterministic")): (case, gold.definition)
        for case in reversed(cases)
        for gold in case.expect.gold
    }
    work = [
        (case, rule, mutant, gold)
        for case, gold in reversed(golds.values())
        for rule, mutant in mutants(gold, truths[case.tenant])
    ]
    room = asyncio.Semaphore(4)

    async def one(case: Case, mutant: dict[str, Any], gold: Mapping[str, Any]) -> frozenset[str] | None:
        async with room:
            return await _differs(case, mutant, gold, service)

    found = await asyncio.gather(*(one(case, mutant, gold) for case, _rule, mutant, gold in work))
    made: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    survivors: list[tuple[str, str, dict[str, Any]]] = []
    believable = 0
    for (case, rule, mutant, _gold), differs in zip(work, found, strict=True):
        if differs is None:
            continue
        made[rule] += 1
        dead[rule] += bool(differs)
        believable += "believable" in differs
        if not differs:
            survivors.append((case.id, rule, mutant))
    by_rule = {rule: Tally(dead[rule], count) for rule, count in sorted(made.items())}
    return MutantProof(sum(made.values()), sum(dead.values()), believable, by_rule, tuple(survivors))


async def _differs(
    case: Case, mutant: dict[str, Any], gold: Mapping[str, Any], service: Service
) -> frozenset[str] | None:
    """Return the datasets in which the mutant has other members; None when it does not compile."""
    found = set[str]()
    for (tenant, name), space in service.workspaces.items():
        if tenant == case.tenant:
            preview = await space.preview(with_ids(mutant, space.segments))
            if not preview.valid:
                return None
            if preview.members != (await space.preview(with_ids(gold, space.segments))).members:
                found.add(name)
    return frozenset(found)
