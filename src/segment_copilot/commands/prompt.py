"""Reads what a person types at the chat's prompt, with line editing, completion of commands, and a history that stays."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import typer
from platformdirs import user_state_path
from rich.console import Console
from rich.markup import escape

from segment_copilot.errors import InvalidInput

PROMPT: Final = "[bold cyan]›[/] "
_PLAIN: Final = "› "
_COLOURED: Final = "\001\x1b[1;36m\002›\001\x1b[0m\002 "  # what stands between \1 and \2 takes no room on the line
_LINES: Final = 1_000


def open_prompt(console: Console, *, commands: Sequence[str]) -> Callable[[], str]:
    """Return what reads a line: from a person at the terminal, or from standard input as it comes.

    Raises:
        EOFError: There is nothing more to read.
    """
    if not (console.is_terminal and sys.stdin.isatty()):
        return lambda: _read_piped(console)
    if not _edit_lines(commands):
        return lambda: console.input(PROMPT)
    prompt = _PLAIN if console.no_color or console.color_system is None else _COLOURED
    return lambda: input(prompt)


def _read_piped(console: Console) -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    console.print(f"{PROMPT}{escape(line.strip())}")
    return line


def confirm(question: str) -> None:
    """Ask a person; anything but yes ends the command. Raises InvalidInput where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} Give --yes to do it: there is no terminal to ask on.", code="not_confirmed")
    typer.confirm(question, abort=True)


def history_path() -> Path:
    """Return the file of what was asked before, in the user's own state directory."""
    return user_state_path("segment-copilot") / "ask_history"


def _edit_lines(commands: Sequence[str]) -> bool:
    """Let readline edit the lines of `input`; False where Python has no readline (Windows: its console edits)."""
    try:
        import readline  # noqa: PLC0415  # not everywhere
    except ImportError:
        return False

    def complete(text: str, state: int) -> str | None:
        found = [name for name in commands if name.startswith(text)] if readline.get_begidx() == 0 else []
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    readline.set_history_length(_LINES)
    path = history_path()
    with contextlib.suppress(OSError):  # no history, or none that can be read or kept: asking goes on without
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT, 0o600))  # only for its owner: questions tell of people
        readline.read_history_file(path)
        atexit.register(_keep, readline.write_history_file, path)
    return True


def _keep(write: Callable[[Path], None], path: Path) -> None:
    with contextlib.suppress(OSError):
        write(path)
