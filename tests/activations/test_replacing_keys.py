"""The page of security says how the key of secrets is replaced: its commands, run one after another beside deliveries."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from segment_copilot.activations.activations import Activations
from segment_copilot.activations.connectors import connectors
from segment_copilot.activations.secrets import Secrets
from tests.support.sending import KEYS, Sending

pytestmark = pytest.mark.engines

PAGE = Path(__file__).parents[2] / "docs" / "operations" / "security.md"


def blocks() -> list[str]:
    """The commands of the page's section, in their order."""
    section = PAGE.read_text().split("### Replacing the key of secrets\n")[1].split("\n### ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


class Shell:
    """One shell for all blocks, as the reader's: what one sets is there for the next."""

    def __init__(self, directory: Path) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._process = subprocess.Popen(
            ["/bin/sh", "-e"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=directory,
            text=True,
            env={"PATH": path},
        )

    def run(self, block: str) -> str:
        """Return what a block prints; AssertionError where a command of it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{block}\necho ended\n")
        self._process.stdin.flush()
        lines = list[str]()
        for line in self._process.stdout:
            if line == "ended\n":
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"This ended in an error:\n{block}")

    def close(self) -> None:
        """End the shell."""
        self._process.communicate(timeout=60)


async def test_the_key_of_secrets_is_replaced_by_the_commands_of_the_page(
    sending: Sending, tmp_path: Path, module_database_url: str, module_clickhouse_url: str
):
    old = KEYS[0]
    environment = tmp_path / "environment"
    stores = f"DATABASE_URL={module_database_url}\nCLICKHOUSE_URL={module_clickhouse_url}\n"
    environment.write_text(f"{stores}SECRETS_KEYS={old}\n")

    def started() -> Activations:
        """What a process has that starts now."""
        keys = environment.read_text().rsplit("SECRETS_KEYS=", 1)[1].strip().split(",")
        own = sending.resources
        return Activations(own.postgres, Secrets(keys), connectors(), own.outgoing, own.discovery)

    async def is_opened_by(process: Activations) -> bool:
        return (await process.check(sending.tenant, activation.id)).ok

    await sending.publish("ab")
    activation = await sending.activate()
    before, shell = started(), Shell(tmp_path)
    behind, in_front, check, alone = blocks()
    try:
        shell.run(behind)
        both = started()
        assert await both.reseal() is False
        assert await is_opened_by(before)  # one that was not started again yet

        shell.run(in_front)
        newest = started()
        assert await newest.reseal() is False
        assert await is_opened_by(both)
        assert "secrets" in shell.run(check)

        shell.run(alone)
        assert await is_opened_by(started())
        assert old not in environment.read_text()
    finally:
        shell.close()
