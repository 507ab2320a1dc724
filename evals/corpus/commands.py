"""`python -m evals corpus`: lint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from evals.corpus.examples import FOLDER
from evals.corpus.linting import lint_text
from evals.corpus.training import train
from evals.gates import Exit

app = typer.Typer(no_args_is_help=True, help="Sentences and what they mean.")

Files = Annotated[list[Path] | None, typer.Argument(help="Files of examples; all of the corpus when left out")]


@app.command("lint")
def lint_command(files: Files = None) -> None:
    """Read the files, and say of each wrong line what is wrong with it."""
    paths = files or sorted(FOLDER.rglob("*.txt"))
    wrong, kinds = 0, Counter[str]()
    for path in paths:
        examples, faults = lint_text(path.read_text("utf-8"), path.stem)
        kinds.update(example.kind for example in examples)
        wrong += len(faults)
        for fault in faults:
            typer.echo(f"{path}:{fault.line}: {fault.sentence}")
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    typer.echo(f"{kinds.total()} examples ({told}), {wrong} faults")
    raise typer.Exit(Exit.GATE if wrong else Exit.OK)


@app.command("train")
def train_command(files: Files = None, *, write: bool = False, folds: int = 5) -> None:
    """Learn the weights of the model without a key from the examples; `--write` keeps them."""
    for line in train(files or sorted(FOLDER.rglob("*.txt")), count=folds, keep=write):
        typer.echo(line)
