"""Schemathesis makes up requests from the document and checks the answers against it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXTENT = {
    "dev": ("--phases=fuzzing", "--max-examples=10"),
    "full": ("--phases=examples,coverage,fuzzing", "--max-examples=100"),  # many minutes
}


@pytest.mark.timeout(3600)
async def test_made_up_requests_get_answers_that_the_document_announces(server, tmp_path):
    """With a fixed seed, so that the same code is asked the same questions."""
    arguments = [
        "run",
        f"{server.url}/schema",
        f"--header=Authorization:ApiKey {server.key}",
        f"--checks={CHECKS}",
        *EXTENT.get(os.environ.get("HYPOTHESIS_PROFILE", "dev"), EXTENT["dev"]),
        "--seed=1",
        "--generation-deterministic",
        "--no-color",
        "--warnings=off",
    ]
    running = await asyncio.create_subprocess_exec(
        str(PROGRAM), *arguments, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await running.communicate()

    assert running.returncode == 0, output.decode()
