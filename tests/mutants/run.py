"""Plant each bug of this folder in a copy of the source; the tests must see it.

Exit 0: every patch still applies and makes a test fail. A patch that no longer applies is a failure, like a bug that
nobody notices: `python tests/mutants/run.py [NAME …]`. A patch may begin with `Seen by tests/…::test_…[…]`: that test is
asked first, and all the others only where it notices nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
WATCHERS = (
    "tests/audiences/test_segments.py",
    "tests/language/test_regressions.py",
    "tests/language/test_current_traits.py",
    "tests/language/test_smallest_comparisons.py",
    "tests/language/test_smallest_items.py",
    "tests/language/test_same.py",
    "tests/language/test_date_windows.py",
    "tests/language/test_moves.py",
    "tests/language/test_semantics.py",
    "tests/language/test_identity.py",
    "tests/language/test_planning.py",
    "tests/audiences/test_spread.py",
)
"""The tests that are asked, in this order; the first failure is enough."""

AT_ONCE = 2  # a run keeps one core busy

FAILED = 1  # pytest's exit code for failed tests; others are errors of the run itself
FIRST_FAILED = re.compile(r"^=+ failed tests =+\n(.+)$", re.MULTILINE)
"""The first of the names that tests/support/failures.py prints, which may hold spaces."""
SEEN_BY = re.compile(r"\ASeen by (.+)$", re.MULTILINE)
"""What a patch begins with, where it names the test that sees its bug."""


class Verdict(NamedTuple):
    """What became of a planted bug."""

    words: str
    caught_by: str = ""
    """The test that failed, without its parameters; empty for a bug that nobody noticed."""


def run_tests(tests: Iterable[str], patch: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run tests against a copy of the package with a bug in it, or with none, up to the first failure.

    Raises subprocess.CalledProcessError when the patch does not apply.
    """
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "src", Path(folder) / "src")  # with its bytecode: only what is patched is compiled
        if patch:
            apply = ["git", "apply", "--unsafe-paths", f"--directory={folder}", str(patch)]
            subprocess.run(apply, cwd=folder, capture_output=True, text=True, check=True)
        environment = os.environ | {"PYTHONPATH": str(Path(folder) / "src")}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def verdict(patch: Path) -> Verdict:
    """Plant a bug, which some test must see."""
    named = SEEN_BY.findall(patch.read_text())
    try:
        ran = run_tests(named or WATCHERS, patch)
        if named and ran.returncode != FAILED:
            ran = run_tests(WATCHERS, patch)
    except subprocess.CalledProcessError as error:
        return Verdict(f"does not apply: {error.stderr.strip()}")
    found = FIRST_FAILED.search(ran.stdout)
    if ran.returncode != FAILED or not found:
        return Verdict(f"was not noticed (pytest exit code {ran.returncode})\n{ran.stdout[-1000:]}")
    caught_by = found[1].partition("[")[0]
    is_named = not named or named[0] in (found[1], caught_by)
    late = "" if is_named else f", not by {named[0]}, which it names"
    return Verdict(f"caught by {found[1]}{late}", caught_by=caught_by)


def main(names: list[str]) -> int:
    """Plant all bugs, or those named, two at a time, each with engines of its own; what was wrong stands at the end.

    The tests that caught one are then asked without any: a test that fails anyway would show nothing.
    """
    patches = [path for path in sorted(HERE.glob("*.patch")) if not names or path.stem in names]
    wrong, caught_by = list[str](), set[str]()
    if not patches:
        wrong.append("No bug was planted: nothing was shown.")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(verdict, patch): patch for patch in patches}
        for ended in as_completed(running):
            found = ended.result()
            told = f"{running[ended].stem}: {found.words}"
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()
            caught_by |= {found.caught_by} - {""}
            if not found.caught_by:
                wrong.append(told)
    if caught_by and (ran := run_tests(sorted(caught_by))).returncode:
        wrong.append(f"A test that caught a bug fails without any:\n{ran.stdout[-3000:]}")
    sys.stdout.write("\n".join([f"{len(patches)} bugs planted; {len(wrong)} wrong", *wrong, ""]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
