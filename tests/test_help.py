"""What `--help` lists is whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from segment_copilot.__main__ import cli

LIMIT = 62
"""So many characters click shows beside a command on 80 columns, and cuts what is longer."""


def lines(command: TyperGroup, path: str = "segment-copilot") -> Iterator[tuple[str, str]]:
    """Every command with the line that its group lists it by."""
    for name, each in command.commands.items():
        yield f"{path} {name}", each.get_short_help_str(LIMIT)
        if isinstance(each, TyperGroup):
            yield from lines(each, f"{path} {name}")


COMMANDS = dict(lines(get_command(cli)))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_listed_by_a_whole_sentence(command):
    assert not COMMANDS[command].endswith("...")
