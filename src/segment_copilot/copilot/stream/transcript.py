"""A transcript knows what a run has said and what is still open: every event passes it, so every start gets its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from segment_copilot.copilot.guards.bounds import pieces
from segment_copilot.copilot.guards.links import LinkFilter, remove_links
from segment_copilot.copilot.stream import run_events

Emit = Callable[[run_events.Event], None]


class Transcript:
    """Writes the events of a run in an order that every protocol can carry. It never waits: see `outbox`."""

    def __init__(self, emit: Emit, *, reasoning: bool) -> None:
        self.emit = emit
        self._reasoning = reasoning  # whether the client asked for it
        self._open: tuple[Literal["text", "reasoning"], str] | None = None
        self._links = LinkFilter()
        self._pending: dict[str, bool] = {}  # open calls: whether their arguments are complete
        self._of_turn: list[str] = []
        self._said: dict[str, str] = {}  # the texts that count, by id
        self._ever: list[str] = []  # and those that do not
        self._ids = 0

    @property
    def final_text(self) -> str:
        """Return all texts that still count, without the white space around them."""
        return "\n\n".join(stripped for text in self._said.values() if (stripped := text.strip()))

    def begin_turn(self) -> None:
        """Forget what belonged to the turn before."""
        self._of_turn = []

    def text(self, delta: str) -> None:
        """Add a piece of a text for the person."""
        if delta:
            self._enter("text")
            self._say(self._links.feed(delta))

    def whole_text(self, text: str) -> None:
        """Add a text of our own."""
        self.close_text()
        self._enter("text")
        self._say(remove_links(text))
        self.close_text()

    def reasoning(self, delta: str) -> None:
        """Add a piece of the model's reasoning; dropped unless the client asked for it."""
        if self._reasoning and delta:
            self._enter("reasoning")
            self._think(self._links.feed(delta))

    def tool_start(self, event: run_events.ToolStart) -> None:
        """Begin a call; once per call."""
        if event.tool_call_id in self._pending:
            return
        self.close_text()
        self._pending[event.tool_call_id] = False
        self._of_turn.append(event.tool_call_id)
        self.emit(event)

    def tool_args_delta(self, call_id: str, delta: str) -> None:
        """Add a piece of a call's arguments."""
        if delta and self._pending.get(call_id) is False:
            for piece in pieces(delta):
                self.emit(run_events.ToolArgsDelta(call_id, piece))

    def tool_args(self, event: run_events.ToolArgs) -> None:
        """Complete a call's arguments; once per call."""
        if self._pending.get(event.tool_call_id) is False:
            self._pending[event.tool_call_id] = True
            self.emit(event)

    def tool_result(self, event: run_events.ToolResult, effects: Sequence[run_events.Event] = ()) -> None:
        """End a call with its result, then what it has drawn or drafted."""
        del self._pending[event.tool_call_id]
        self.emit(event)
        for effect in effects:
            self.emit(effect)

    def close_text(self) -> None:
        """End the open text or reasoning."""
        if self._open is None:
            return
        kind, open_id = self._open
        show = self._say if kind == "text" else self._think
        show(self._links.flush())
        self._open = None
        self.emit(run_events.TextEnd(open_id) if kind == "text" else run_events.ReasoningEnd(open_id))

    def close_all(self) -> None:
        """End everything that is open; calls that will not run get a result that says so."""
        self.close_text()
        for call_id, complete in list(self._pending.items()):
            if not complete:
                self.emit(run_events.ToolArgs(call_id, valid=False))
            error = run_events.ToolError("interrupted", "The run or the turn ended before this call did.", "never")
            self.tool_result(
                run_events.ToolResult(
                    tool_call_id=call_id,
                    ok=False,
                    summary=error.message,
                    truncated=False,
                    duration_ms=0,
                    cached=False,
                    source="none",
                    error=error,
                )
            )

    def reset(self, *, turn: int, reason: str) -> bool:
        """Take back what this turn has said; return whether it had said anything."""
        self.close_all()
        self.emit(run_events.TurnReset(turn, reason, tuple(self._of_turn)))
        for discarded in self._of_turn:
            self._said.pop(discarded, None)
        return bool(self._of_turn)

    @property
    def written_text(self) -> str:
        """Return all texts, those that were taken back too: some clients keep them."""
        return "".join(self._ever)

    @property
    def _kind(self) -> str | None:
        return self._open[0] if self._open else None

    @property
    def _id(self) -> str:
        return self._open[1] if self._open else ""

    def _enter(self, kind: Literal["text", "reasoning"]) -> None:
        if self._kind == kind:
            return
        self.close_text()
        self._ids += 1
        self._open = (kind, f"{kind}_{self._ids}")
        self._of_turn.append(self._id)
        self.emit(run_events.TextStart(self._id) if kind == "text" else run_events.ReasoningStart(self._id))

    def _think(self, text: str) -> None:
        for piece in pieces(text):
            self.emit(run_events.ReasoningDelta(self._id, piece))

    def _say(self, text: str) -> None:
        if text:
            self._said[self._id] = self._said.get(self._id, "") + text
            self._ever.append(text)
            for piece in pieces(text):
                self.emit(run_events.TextDelta(self._id, piece))
