"""Workers that are forked from a process that has imported everything: back within milliseconds, however busy the machine is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from segment_copilot.commands.serving import work
from segment_copilot.errors import SegmentCopilotError
from segment_copilot.settings import read_settings
from tests.chaos.service import Process, Spawned

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.chaos.forked"])


class Forked(Process):
    """A worker as `segment-copilot worker` runs it, in a process of its own."""

    def _spawn(self, command: list[str], environment: dict[str, str]) -> Spawned:  # noqa: ARG002
        process = _CONTEXT.Process(target=_work, args=(environment, str(self.log)), daemon=True)
        process.start()
        return _Spawned(process)


class _Spawned:
    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode


def _work(environment: dict[str, str], log: str) -> None:
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        work(read_settings(environment))
    except SegmentCopilotError as error:  # a sentence, as the command line says it
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
