"""What an installation consists of is known, by the lock file, and asked about in CI."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UV = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".uv" / "bin" / "uv")


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `make sbom` writes."""
    subprocess.run(["make", "-s", f"UV={UV}", "sbom"], cwd=ROOT, check=True, capture_output=True)
    written = ROOT / "sbom.json"
    kept = tmp_path_factory.mktemp("sbom") / written.name
    shutil.move(written, kept)
    return json.loads(kept.read_text())


def test_the_bill_names_every_package_with_its_version_and_digest(bill: dict[str, Any]):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0].lower().replace("_", "-") for one in wanted}
    found = {one["name"]: one for one in bill["components"]}

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert names - {project["name"]} <= found.keys()
    for component in found.values():
        assert component["purl"].startswith(f"pkg:pypi/{component['name']}@{component['version']}")
        digests = [
            digest["alg"] for reference in component["externalReferences"] for digest in reference.get("hashes", ())
        ]
        assert "SHA-256" in digests, component["name"]


def test_no_development_package_is_in_the_bill(bill: dict[str, Any]):
    assert {"pytest", "ruff", "pyright", "hypothesis"}.isdisjoint(one["name"] for one in bill["components"])


def test_ci_writes_the_bill_and_asks_for_advisories():
    run = (ROOT / ".ci" / "run").read_text()

    assert "make sbom" in run
    assert "make audit" in run
    assert "AUDIT: required" in (ROOT / "deploy" / "ci" / "github.yml").read_text()


@pytest.mark.parametrize(
    ("answer", "audit", "code"), [(0, "", 0), (1, "", 2), (2, "", 0), (2, "required", 2), (1, "required", 2)]
)
def test_an_audit_that_nobody_answers_is_said_and_one_that_finds_something_fails(
    tmp_path: Path, answer: int, audit: str, code: int
):
    """By a program in uv's place that ends as uv does: 1 for a finding, 2 where the service does not answer."""
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\nexit {answer}\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", f"UV={program}", f"AUDIT={audit}", "audit"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == code
    assert ("NOT RUN" in done.stdout) is (answer == 2 and not audit)
