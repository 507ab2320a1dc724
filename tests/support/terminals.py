"""Our command in a pseudo-terminal, as a person has it in front of them."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator, Mapping

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x01\x02]")
_PATIENCE = 60


class Terminal:
    """What was written to the terminal, and keys to press."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int) -> None:
        self.process = process
        self.shown = ""
        self._written = ""
        self._keyboard = keyboard
        self._read_to = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def type(self, keys: str) -> None:
        """Press *keys*; Enter is a carriage return."""
        os.write(self._keyboard, keys.encode())

    def interrupt(self, told: str) -> str:
        """Press Ctrl-C, and return what was shown up to *told*.

        It is pressed again while nothing happens: CPython's `input` does not see a signal that comes between its prompt
        and its wait for a key.
        """
        until = time.monotonic() + _PATIENCE
        while self.shown.find(told, self._read_to) < 0 and time.monotonic() < until:
            self.type("\x03")
            self._read(1.0)
        return self.wait_for(told)

    def wait_for(self, text: str) -> str:
        """Return what was shown since the last call, up to *text* and with it."""
        until = time.monotonic() + _PATIENCE
        while (found := self.shown.find(text, self._read_to)) < 0:
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"{text!r} was not shown:\n{self.shown}")
        start, self._read_to = self._read_to, found + len(text)
        return self.shown[start : self._read_to]

    def wait(self) -> int:
        """Return the exit code, after all that was shown until then."""
        until = time.monotonic() + _PATIENCE
        while self._read(until - time.monotonic()):
            pass
        return self.process.wait(timeout=_PATIENCE)

    def _read(self, seconds: float) -> bool:
        """Take in what is written next; False when nothing more comes."""
        if not select.select([self._keyboard], [], [], max(seconds, 0))[0]:
            return False
        try:
            written = os.read(self._keyboard, 65_536)
        except OSError:  # Linux: the other end is closed
            written = b""
        self._written += self._decoder.decode(written)  # a colour may come in two pieces
        self.shown = _COLOURS.sub("", self._written).replace("\r\n", "\n")
        return bool(written)


@contextlib.contextmanager
def run_in_terminal(*arguments: str, columns: int = 80, environment: Mapping[str, str] = {}) -> Generator[Terminal]:
    """Run our command with *arguments* in a terminal of its own, and end it afterwards."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    not_here = ("DATABASE_", "CLICKHOUSE_", "COLUMNS", "LINES")  # the terminal tells its size; pytest sets the last two
    kept = {name: value for name, value in os.environ.items() if not name.startswith(not_here)}
    process = subprocess.Popen(
        [sys.executable, "-m", "segment_copilot", *arguments],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env={**kept, "TERM": "xterm", **environment},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # so that Ctrl-C is a signal
    )
    os.close(screen)
    try:
        yield Terminal(process, keyboard)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
