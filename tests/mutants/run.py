"""Plant each bug of this folder in a copy of the source; the tests must see it.

Exit 0: every patch still applies and makes a test fail. A patch that no longer applies is a failure, like a bug that
nobody notices: `python tests/mutants/run.py [NAME …]`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
WATCHERS = (
    "tests/audiences/test_segments.py",
    "tests/language/test_regressions.py",
    "tests/language/test_smallest_comparisons.py",
    "tests/language/test_smallest_items.py",
    "tests/language/test_date_windows.py",
    "tests/language/test_moves.py",
    "tests/language/test_semantics.py",
    "tests/language/test_identity.py",
    "tests/language/test_planning.py",
)
"""The tests that are asked, in this order; the first failure is enough."""

AT_ONCE = 2  # a run keeps one core busy

FAILED = 1  # pytest's exit code for failed tests; others are errors of the run itself


def run_tests(source: Path) -> subprocess.CompletedProcess[str]:
    """The watchers against the package in *source*, stopped at the first failure."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *WATCHERS]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


class Verdict(NamedTuple):
    """What became of a planted bug, or of none."""

    is_right: bool
    words: str


def verdict(patch: Path | None) -> Verdict:
    """Plant a bug, which some test must see; without one the tests must pass."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        if patch:
            command = ["git", "apply", "--unsafe-paths", f"--directory={folder}", str(patch)]
            applied = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if applied.returncode:
                return Verdict(is_right=False, words=f"does not apply: {applied.stderr.strip()}")
        ran = run_tests(Path(folder) / "src")
    if patch is None:
        words = "passes" if ran.returncode == 0 else f"fails without any bug:\n{ran.stdout[-3000:]}"
        return Verdict(ran.returncode == 0, words)
    if ran.returncode != FAILED:
        words = f"was not noticed (pytest exit code {ran.returncode})\n{ran.stdout[-1000:]}"
        return Verdict(is_right=False, words=words)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    return Verdict(is_right=True, words=f"caught by {found[1] if found else '?'}")


def main(names: list[str]) -> int:
    """Run all patches, or those named: two at a time, each with engines of its own. What was wrong stands at the end."""
    patches = [None, *(path for path in sorted(HERE.glob("*.patch")) if not names or path.stem in names)]
    wrong = [] if len(patches) > 1 else ["no bug was planted: nothing was shown\n"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(verdict, patch): patch for patch in patches}
        for ended in as_completed(running):
            patch, found = running[ended], ended.result()
            told = f"{patch.stem if patch else 'no bug'}: {found.words}\n"
            sys.stdout.write(told)
            sys.stdout.flush()
            if not found.is_right:
                wrong.append(told)
    sys.stdout.write(f"{len(patches) - len(wrong)} passed, {len(wrong)} failed\n{''.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
