"""Holds what both host processes share: the pipe that keeps them alive, and the one line they say to their parent."""

from __future__ import annotations

import os
import selectors
from pathlib import Path

import msgspec
from msgspec import Struct

from segment_copilot.errors import SegmentCopilotError


class Order(Struct, frozen=True, kw_only=True):
    """An order says what the parent asks for; it is the host's only argument."""

    directory: str
    port: int | None = None  # None: the last one, or a free one
    durable: bool = True
    cluster: tuple[int, ...] = ()  # ports of the shards that this server is one of


class Ready(Struct, frozen=True, tag="ready"):
    """The engine answers on *port*; *pid* is the engine's, for signals."""

    pid: int
    port: int
    version: str


class Failed(Struct, frozen=True, tag="failed"):
    """The engine did not start, and *detail* says why."""

    code: str
    detail: str


class Parent:
    """The host's two pipes: standard input, which closes when the parent ends, and standard output for one report."""

    def __init__(self, *, log: int) -> None:
        """Take the pipes away from 0 and 1 (an engine would read its input from there), and put *log* at 1."""
        self._alive = os.dup(0)
        self._report = os.dup(1)
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(log, 1)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._alive, selectors.EVENT_READ)

    def is_gone(self, *, within: float | None = None) -> bool:
        """Wait up to *within* seconds (None: for ever), and return whether the parent ended or asked for a stop."""
        return bool(self._selector.select(within))

    def tell(self, report: Ready | Failed) -> None:
        """Say the one line; a parent that is gone does not hear it, which `is_gone` will notice."""
        try:
            os.write(self._report, msgspec.json.encode(report) + b"\n")
        except BrokenPipeError:
            return
        finally:
            os.close(self._report)

    def tell_failure(self, error: SegmentCopilotError) -> None:
        """Say why there is no engine."""
        self.tell(Failed(code=error.code, detail=error.detail))


def read_order(argument: str) -> tuple[Order, Path]:
    """Return the order in *argument*, and its directory."""
    order = msgspec.json.decode(argument, type=Order)
    return order, Path(order.directory)
