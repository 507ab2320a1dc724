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
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
WATCHERS = (
    "tests/audiences/test_segments.py",
    "tests/language/test_regressions.py",
    "tests/language/test_semantics.py",
    "tests/language/test_identity.py",
    "tests/language/test_planning.py",
    "tests/language/test_moves.py",
)
"""The tests that are asked, in this order; the first failure is enough."""

FAILED = 1  # pytest's exit code for failed tests; others are errors of the run itself


def run_tests(source: Path) -> subprocess.CompletedProcess[str]:
    """The watchers against the package in *source*, stopped at the first failure."""
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *WATCHERS]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def verdict(patch: Path | None) -> str | None:
    """None when all is well, else what is wrong. Without a patch the tests must pass."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        if patch:
            command = ["git", "apply", "--unsafe-paths", f"--directory={folder}", str(patch)]
            applied = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if applied.returncode:
                return f"does not apply: {applied.stderr.strip()}"
        ran = run_tests(Path(folder) / "src")
    if patch is None:
        return None if ran.returncode == 0 else f"fails without any bug:\n{ran.stdout[-3000:]}"
    if ran.returncode != FAILED:
        return f"was not noticed (pytest exit code {ran.returncode})\n{ran.stdout[-1000:]}"
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    sys.stdout.write(f"caught by {found[1] if found else '?'}\n")
    return None


def main(names: list[str]) -> int:
    """Run all patches, or those named."""
    patches = [None, *(path for path in sorted(HERE.glob("*.patch")) if not names or path.stem in names)]
    wrong = 0 if len(patches) > 1 else 1  # no bug was planted: nothing was shown
    for patch in patches:
        sys.stdout.write(f"{patch.stem if patch else 'no bug'}: ")
        sys.stdout.flush()
        if problem := verdict(patch):
            wrong += 1
            sys.stdout.write(f"{problem}\n")
        elif patch is None:
            sys.stdout.write("passes\n")
    sys.stdout.write(f"{len(patches) - wrong} passed, {wrong} failed\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
