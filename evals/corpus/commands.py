"""`python -m evals corpus`: lint, train, score, curve, seal, open."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from evals.corpus.examples import FOLDER, Example, load, read
from evals.corpus.linting import lint_text
from evals.corpus.playing import open_model
from evals.corpus.scoring import listing, score, summary
from evals.corpus.sealing import SEALED, check, seal
from evals.corpus.tenants import segment_ids
from evals.corpus.training import curve, sample, train
from evals.gates import Exit
from segment_copilot.english.reading.weights import learned

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


@app.command("score")
def score_command(
    files: Files = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write every sentence that went wrong, and what came of it")
    ] = None,
) -> None:
    """Ask the model every sentence, and print what came of it as Markdown."""
    examples = list[Example]()
    for path in files or sorted(FOLDER.rglob("*.txt")):  # a sealed file stays as it is: what cannot be read is left out
        read_from, faults = read(path.read_text("utf-8"), segments=segment_ids(), name=path.stem)
        examples += read_from
        for fault in faults:
            typer.echo(f"{path}:{fault.line}: left out: {fault.sentence}", err=True)
    title = ", ".join(path.stem for path in files or ()) or "the whole corpus"
    with typer.progressbar(length=len(examples), label="offline", file=sys.stderr) as bar:
        found = score(open_model(), examples, done=partial(bar.update, 1))
    typer.echo(summary(found, title))
    if out is not None:
        out.write_text(listing(found))


@app.command("train")
def train_command(files: Files = None, *, write: bool = False, folds: int = 5, jobs: int = 1) -> None:
    """Learn the weights of the model without a key from the examples, in several processes; `--write` keeps them."""
    for line in train(files or sorted(FOLDER.rglob("*.txt")), count=folds, keep=write, jobs=jobs):
        typer.echo(line)


@app.command("seal")
def seal_command(file: Annotated[Path, typer.Argument(help="Sentences that nobody has measured on")]) -> None:
    """Write the hash of a file into SEALED.md; commit it before the file is asked."""
    typer.echo(f"{seal(file)}  {file.name}: sealed in {SEALED.name}; commit that first")


@app.command("open")
def open_command(file: Annotated[Path, typer.Argument(help="A file that was sealed")]) -> None:
    """Say whether a file is the one that was sealed."""
    typer.echo(f"{check(file)}  {file.name}: as it was sealed")


@app.command("curve")
def curve_command(files: Files = None) -> None:
    """Print what the weights as they are make of the audiences at each threshold; for sets that were not learned from."""
    examples = [one for one in load(tuple(files or ())) if one.kind in {"audience", "refuse"}]
    samples = [sample(one, learned()) for one in examples]
    for line in curve([(one, learned()) for one in samples]):
        typer.echo(line)
