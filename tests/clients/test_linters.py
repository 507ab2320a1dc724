"""Two linters find nothing in the document, but for the trailing slashes that SegOps' SDKs need."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.clients]

COMMITTED = Path(__file__).parents[2] / "openapi" / "openapi.json"
SPECTRAL = ("spectral", "lint", "openapi.json", "--ruleset", "spectral.yaml", "--format", "json", "--quiet")
REDOCLY = ("redocly", "lint", "openapi.json", "--config", "redocly.yaml", "--format", "json")


def lint(folder: Path, program: str, *arguments: str) -> Any:
    shutil.copy(COMMITTED, folder)
    command = [str(folder / "node_modules" / ".bin" / program), *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return json.loads(ran.stdout)


def test_spectral_finds_nothing(client_packages):
    assert lint(client_packages, *SPECTRAL) == []


def test_redocly_finds_nothing(client_packages):
    assert lint(client_packages, *REDOCLY)["problems"] == []


def test_both_find_what_is_wrong(client_packages, tmp_path):
    """Otherwise they may find nothing because they read nothing."""
    document = json.loads(COMMITTED.read_text())
    document["paths"]["/api/segments/"]["get"].pop("responses")
    (tmp_path / "node_modules").symlink_to(client_packages / "node_modules")
    for name in ("spectral.yaml", "redocly.yaml"):
        shutil.copy(client_packages / name, tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(document))

    for command in (SPECTRAL, REDOCLY):
        found = lint(tmp_path, *("broken.json" if part == "openapi.json" else part for part in command))
        assert found not in ([], {"problems": []})
