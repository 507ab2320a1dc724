"""What the offline model costs and how large it is: `python benchmarks/english.py`.

CPU of this process for one audience read, by the length of the sentence, over the sentences of the corpus whose length is
near; memory before and after; and the lines, functions and ifs of the room beside those of the house.
"""

from __future__ import annotations

import ast
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import segment_copilot
from evals.corpus.examples import Example, read
from evals.corpus.tenants import segment_ids, tenant
from segment_copilot.english import read_audience

HOUSE = Path(segment_copilot.__file__).parent
CORPUS = Path(__file__).parents[1] / "evals" / "corpus" / "examples"
LENGTHS = ((10, 30), (60, 100), (240, 360))
"""Characters, from and to: sentences of about 20, 80 and 300."""
MOST = 300
FILLED = "users who ordered at least 3 times in the last 30 days and live in Germany but have not opened an email in 2 weeks, "


def sentences() -> list[Example]:
    """Return the audiences of the corpus."""
    found: list[Example] = []
    for path in sorted(CORPUS.glob("*.txt")):
        examples, _ = read(path.read_text("utf-8"), segments=segment_ids(), name=path.stem)
        found += [one for one in examples if one.kind == "audience"]
    return found


def cpu(work: Callable[[], object]) -> float:
    """Return the milliseconds of CPU that some work takes."""
    start = time.process_time()
    work()
    return 1_000 * (time.process_time() - start)


def asked(example: Example, text: str = "") -> Callable[[], object]:
    """Return the reading of an example, or of another text in its tenant."""
    whose = tenant(example.tenant)
    return lambda: read_audience(text or example.text, whose.catalog, whose.as_of, whose.catalog.timezone)


def row(name: str, told: Sequence[float]) -> str:
    """Return a line of the table."""
    p99 = statistics.quantiles(told, n=100)[98] if len(told) > 1 else told[0]
    return f"| {name} | {len(told)} | {statistics.median(told):.1f} | {p99:.1f} | {max(told):.1f} |"


def costs() -> Iterator[str]:
    """Yield the table of what reading costs."""
    examples = sentences()
    for one in {example.tenant: example for example in examples}.values():
        asked(one)()  # a catalog is read once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield "| characters | sentences | p50 ms | p99 ms | most ms |"
    yield "|---|---:|---:|---:|---:|"
    for low, high in LENGTHS:
        near = [one for one in examples if low <= len(one.text) <= high]
        yield row(f"{low}–{high}", [cpu(asked(one)) for one in near[:: max(1, len(near) // MOST)]])
    some = examples[0]
    yield row("2,000 of sentences", [cpu(asked(some, (FILLED * 20)[:2_000])) for _ in range(5)])
    yield row("2,000 of one word", [cpu(asked(some, ("ordered or " * 200)[:2_000])) for _ in range(5)])
    yield row("20,000, refused", [cpu(asked(some, "ordered or " * 1_800)) for _ in range(5)])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield f"\nMemory: {before / 1024:.0f} MiB with all catalogs read, at most {after / 1024:.0f} MiB while reading."


def size(folder: Path) -> tuple[int, int, int]:
    """Return the lines, functions and ifs of a room's modules."""
    lines = functions = ifs = 0
    for path in folder.rglob("*.py"):
        text = path.read_text("utf-8")
        lines += len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            ifs += isinstance(node, ast.If | ast.IfExp)
    return lines, functions, ifs


def sizes() -> Iterator[str]:
    """Yield the table of the room's size."""
    yield "\n| | lines | functions | ifs | share of the house |"
    yield "|---|---:|---:|---:|---:|"
    whole = size(HOUSE)
    room = HOUSE / "english"
    for folder in (room, *sorted(one for one in room.iterdir() if one.is_dir() and any(one.glob("*.py")))):
        lines, functions, ifs = size(folder)
        yield f"| {folder.relative_to(HOUSE)} | {lines:,} | {functions:,} | {ifs:,} | {lines / whole[0]:.0%} |"


if __name__ == "__main__":
    for line in (*costs(), *sizes()):
        print(line)
