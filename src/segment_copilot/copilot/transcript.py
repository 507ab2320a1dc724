"""What a run has said and what is still open: every event passes here, so every start gets its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from segment_copilot.copilot import events
from segment_copilot.copilot.links import LinkFilter

Emit = Callable[[events.Event], Awaitable[None]]


class Transcript:
    """Writes the events of a run in an order that every protocol can carry."""

    def __init__(self, emit: Emit, *, reasoning: bool) -> None:
        self.emit = emit
        self._reasoning = reasoning  # whether the client asked for it
        self._open: tuple[Literal["text", "reasoning"], str] | None = None
        self._links = LinkFilter()
        self._pending: dict[str, bool] = {}  # open calls: whether their arguments are complete
        self._of_turn: list[str] = []
        self._said: set[str] = set()  # texts that hold more than white space
        self._ids = 0

    @property
    def said_text(self) -> bool:
        """Whether a text that still counts was said."""
        return bool(self._said)

    def begin_turn(self) -> None:
        """Forget what belonged to the turn before."""
        self._of_turn = []

    async def text(self, delta: str) -> None:
        """A piece of a text for the person."""
        if delta:
            await self._enter("text")
            await self._say(self._links.feed(delta))

    async def whole_text(self, text: str) -> None:
        """A text of our own."""
        await self.close_text()
        await self._enter("text")
        await self._say(text)
        await self.close_text()

    async def reasoning(self, delta: str) -> None:
        """A piece of the model's reasoning; dropped unless the client asked for it."""
        if self._reasoning and delta:
            await self._enter("reasoning")
            await self.emit(events.ReasoningDelta(self._id, delta))

    async def tool_start(self, event: events.ToolStart) -> None:
        """A call begins; once per call."""
        if event.tool_call_id in self._pending:
            return
        await self.close_text()
        self._pending[event.tool_call_id] = False
        self._of_turn.append(event.tool_call_id)
        await self.emit(event)

    async def tool_args_delta(self, call_id: str, delta: str) -> None:
        """A piece of a call's arguments."""
        if delta and self._pending.get(call_id) is False:
            await self.emit(events.ToolArgsDelta(call_id, delta))

    async def tool_args(self, event: events.ToolArgs) -> None:
        """A call's arguments are complete; once per call."""
        if self._pending.get(event.tool_call_id) is False:
            self._pending[event.tool_call_id] = True
            await self.emit(event)

    async def tool_result(self, event: events.ToolResult, effects: Sequence[events.Event] = ()) -> None:
        """A call's result, then what it has drawn or drafted."""
        del self._pending[event.tool_call_id]
        await self.emit(event)
        for effect in effects:
            await self.emit(effect)

    async def close_text(self) -> None:
        """End the open text or reasoning."""
        if self._open is None:
            return
        kind, open_id = self._open
        if kind == "text":
            await self._say(self._links.flush())
        self._open = None
        await self.emit(events.TextEnd(open_id) if kind == "text" else events.ReasoningEnd(open_id))

    async def close_all(self) -> None:
        """End everything that is open; calls that will not run get a result that says so."""
        await self.close_text()
        for call_id, complete in list(self._pending.items()):
            if not complete:
                await self.emit(events.ToolArgs(call_id, valid=False))
            error = events.ToolError("interrupted", "The run or the turn ended before this call did.", "never")
            await self.tool_result(
                events.ToolResult(
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

    async def reset(self, *, turn: int, reason: str) -> None:
        """Take back what this turn has said."""
        await self.close_all()
        await self.emit(events.TurnReset(turn, reason, tuple(self._of_turn)))
        self._said -= set(self._of_turn)

    @property
    def _kind(self) -> str | None:
        return self._open[0] if self._open else None

    @property
    def _id(self) -> str:
        return self._open[1] if self._open else ""

    async def _enter(self, kind: Literal["text", "reasoning"]) -> None:
        if self._kind == kind:
            return
        await self.close_text()
        self._ids += 1
        self._open = (kind, f"{kind}_{self._ids}")
        self._of_turn.append(self._id)
        await self.emit(events.TextStart(self._id) if kind == "text" else events.ReasoningStart(self._id))

    async def _say(self, text: str) -> None:
        if text:
            if not text.isspace():
                self._said.add(self._id)
            await self.emit(events.TextDelta(self._id, text))
