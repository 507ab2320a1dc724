"""Encodes a run as `segment-copilot/1`: our own protocol over server-sent events, framed with LF only.

Each frame is `id: <run_id>-<seq>`, `event: <type>`, `data: <one line of JSON>`, and an empty line. Litestar's
`ServerSentEvent` writes CRLF, which strict clients do not split on, so the framing is ours.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

from segment_copilot.copilot.stream.run_events import Event, TurnFinished, TurnReset, TurnStarted

CONTENT_TYPE: Final = "text/event-stream"
OPENING: Final = b": connected\nretry: 3000\n\n"
"""First bytes of a stream, sent at once so that proxies open it."""
HEARTBEAT: Final = b": hb\n\n"
"""A comment for silences: no event, no sequence number."""


class NativeEncoder:
    """Makes the frames of one run. Adds `seq` (dense from 0), `run_id`, `ts` (ms) and, inside a turn, `turn`."""

    opening = OPENING
    heartbeat = HEARTBEAT

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._seq = 0
        self._turn = 0  # 0: between turns
        self._encode = msgspec.json.Encoder().encode

    def frame(self, event: Event) -> bytes:
        """Return *event* as one frame."""
        marks_turn = isinstance(event, TurnStarted | TurnReset | TurnFinished)  # these name their turn themselves
        common = f'{{"seq":{self._seq},"run_id":"{self._run_id}","ts":{time.time_ns() // 1_000_000},'
        if self._turn and not marks_turn:
            common += f'"turn":{self._turn},'
        head = f"id: {self._run_id}-{self._seq}\nevent: {type(event).__struct_config__.tag}\ndata: {common}"
        self._seq += 1
        if marks_turn:
            self._turn = 0 if isinstance(event, TurnFinished) else event.turn
        return head.encode() + self._encode(event)[1:] + b"\n\n"  # [1:]: the fields go on after the common ones
