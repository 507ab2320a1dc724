"""Shows the proof on a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from evals.graders.registry import GRADERS
from evals.proof.proving import AgentProof, Proof


def show_proof(proof: Proof, console: Console) -> None:
    """Show agents × graders, mutants by rule, and what is not proved."""
    table = Table(
        title="Cases each agent passes, and how often each grader passed it", title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("grader")
    for one in proof.agents:
        table.add_column(one.agent, justify="right")
    table.add_row("[bold]cases passed[/]", *(f"[bold]{len(one.passed)}/{one.cases}[/]" for one in proof.agents))
    for name in GRADERS:
        table.add_row(name, *(_cell(one, name) for one in proof.agents))
    console.print(table)
    mutants = Table(title="Mutants of the gold definitions", title_justify="left", box=box.SIMPLE_HEAD)
    mutants.add_column("rule")
    mutants.add_column("killed", justify="right")
    for rule, tally in proof.mutants.by_rule.items():
        mutants.add_row(rule, f"{tally.passed}/{tally.spoke}")
    console.print(mutants)
    console.print(
        f"[bold]{proof.mutants.killed} of {proof.mutants.made} mutants killed ({proof.mutants.rate:.2%})[/]; "
        f"the believable datasets alone kill {proof.mutants.killed_by_believable}"
    )
    for case, rule, mutant in proof.mutants.survivors:
        console.print(f"[dim]survives: {case}, {rule}: {mutant}[/]", soft_wrap=True, markup=True)
    for fault in proof.faults():
        console.print(f"[bold red]✗[/] {fault}")
    if not proof.faults():
        console.print("[green]✓[/] the graders tell right from wrong")


def _cell(proof: AgentProof, grader: str) -> str:
    tally = proof.graders.get(grader)
    return f"{tally.passed}/{tally.spoke}" if tally else "–"


def proof_markdown(proof: Proof) -> str:
    """Write the proof as Markdown, for the README."""
    return "\n".join(_lines(proof)) + "\n"


def _lines(proof: Proof) -> Iterator[str]:
    yield "| | " + " | ".join(one.agent for one in proof.agents) + " |"
    yield "|---|" + "---:|" * len(proof.agents)
    yield "| **cases passed** | " + " | ".join(f"**{len(one.passed)}/{one.cases}**" for one in proof.agents) + " |"
    for name in GRADERS:
        yield f"| {name} | " + " | ".join(_cell(one, name) for one in proof.agents) + " |"
    yield ""
    yield (
        f"{proof.mutants.killed} of {proof.mutants.made} mutants killed ({proof.mutants.rate:.2%}); the believable "
        f"datasets alone kill {proof.mutants.killed_by_believable} ({proof.mutants.killed_by_believable / max(proof.mutants.made, 1):.1%})."
    )
    yield ""
    yield "| rule | killed |"
    yield "|---|---:|"
    for rule, tally in proof.mutants.by_rule.items():
        yield f"| {rule} | {tally.passed}/{tally.spoke} |"
