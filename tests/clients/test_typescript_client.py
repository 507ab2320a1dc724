"""Our own client of TypeScript: generated, compiled, packed, installed as a package, and used against a service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.clients.test_generated import orders, run

pytestmark = [pytest.mark.engines, pytest.mark.clients]

__all__ = ["orders"]  # the fixture

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "clients" / "typescript"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")


async def test_the_client_is_built_installed_and_used(node, orders, url, key, tmp_path):
    built = tmp_path / "clients" / "typescript"
    shutil.copytree(SOURCES, built, ignore=shutil.ignore_patterns("node_modules", "dist", "schema.ts"))
    shutil.copytree(HERE.parents[1] / "openapi", tmp_path / "openapi")
    await run(*INSTALL, cwd=built)
    await run("npm", "pack", "--silent", "--pack-destination", tmp_path, cwd=built)
    (package,) = tmp_path.glob("*.tgz")
    await run("npm", "init", "--yes", cwd=tmp_path)
    await run("npm", "pkg", "set", "type=module", cwd=tmp_path)
    await run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", package, cwd=tmp_path)
    shutil.copy(HERE / "own.ts", tmp_path)
    shutil.copy(HERE / "own.tsconfig.json", tmp_path / "tsconfig.json")
    await run(built / "node_modules" / ".bin" / "tsc", cwd=tmp_path)

    told = json.loads(await run("node", "own.js", url, key, cwd=tmp_path))

    assert told == {
        "matched": 2,
        "member_count": 2,
        "members": ["ana", "ben"],
        "names": ["From our client"],
        "said": True,
        "words": "Users who placed an order in the last 7 days.",
        "left": 1,
        "refusals": ["400 invalid_definition /definition/conditions/0", "401 invalid_key", "401 invalid_key"],
    }


def test_the_client_is_small():
    source = (SOURCES / "src" / "index.ts").read_text()
    assert len(source.splitlines()) < 300
    assert json.loads((SOURCES / "package.json").read_text())["dependencies"].keys() == {"openapi-fetch"}
