"""Runs the calls of a turn: reads side by side, then drafts and displays in order. Every call has a result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct

from segment_copilot.access.scopes import missing
from segment_copilot.copilot.guards.bounds import bound, first_findings, fits_as_arguments
from segment_copilot.copilot.models import ToolCall, ToolResult, ToolResults
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.run_events import Retry, ToolError
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools import Tool
from segment_copilot.copilot.tools.context import EarlierResult, Memory, ToolContext
from segment_copilot.copilot.tools.signature import decode_arguments
from segment_copilot.errors import (
    Finding,
    InvalidInput,
    NotFound,
    QueryTimeout,
    QueryTooExpensive,
    SegmentCopilotError,
    Unavailable,
)
from segment_copilot.language.catalog import nearest
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import TOOL_CALLS, TOOL_SECONDS

log = structlog.get_logger()

MAX_PARALLEL: Final = 6
_MAX_MESSAGE: Final = 500
_MAX_NAME: Final = 128
_TIMES_RUN_AGAIN: Final = 2  # the second equal call repeats the first result; the third ends the calling

_REPEATED = "You called this with the same arguments before; this is the same result. Go on with it."


class _Outcome(Struct, frozen=True):
    """Holds what a call gave: a document, or an error."""

    document: Mapping[str, Any]
    error: ToolError | None = None
    truncated: bool = False


class Calls:
    """Runs the tool calls of one run, counts them, remembers what each gave, and says when calling must end."""

    def __init__(
        self,
        tools: Sequence[Tool],
        *,
        transcript: Transcript,
        memory: Memory,
        surroundings: Callable[[str], ToolContext],
        most: int,
        withheld: Mapping[str, str] = {},
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._transcript = transcript
        self._memory = memory
        self._surroundings = surroundings
        self._most = most
        self._withheld = withheld
        self._answers: dict[bytes, _Outcome] = {}
        self._seen: dict[bytes, int] = {}
        self._over: set[str] = set()  # ids of calls past the limit
        self._parallel = asyncio.Semaphore(MAX_PARALLEL)
        self.used = 0
        self.exhausted: run_events.Limit | None = None

    def start(self, call_id: str, name: str) -> run_events.ToolStart:
        """Return the event for a call that the model begins to write; unknown names too get one."""
        tool = self._tools.get(name)
        return run_events.ToolStart(
            tool_call_id=call_id,
            name=name[:_MAX_NAME],
            kind=tool.kind if tool else "data",
            title=tool.title if tool else "Calling an unknown tool",
        )

    def arguments(self, call: ToolCall) -> run_events.ToolArgs:
        """Return the event for a call's complete arguments, checked."""
        if call.malformed is not None:
            finding = Finding("", "malformed_arguments", "The arguments are not a JSON object.")
            return run_events.ToolArgs(call.id, valid=False, errors=(finding,))
        shown: dict[str, Any] = {"args": call.arguments}
        if not fits_as_arguments(call.arguments):
            shown = {"truncated": True}  # their deltas have told them
        try:
            self._decode(call)
        except SegmentCopilotError as error:
            return run_events.ToolArgs(call.id, valid=False, errors=first_findings(error.findings) or UNSET, **shown)
        return run_events.ToolArgs(call.id, valid=True, **shown)

    async def run(self, calls: Sequence[ToolCall]) -> ToolResults:
        """Return results in the order of *calls*; events go out as they finish. Raises Unavailable when a store is gone."""
        answers: dict[str, _Outcome] = {}
        reads, others, repeats = self._sort(calls)
        try:
            async with asyncio.TaskGroup() as group:
                for call in reads:
                    group.create_task(self._run_into(call, answers))
        except ExceptionGroup as several:  # a call raises nothing but Unavailable: the rest became its result
            raise _first(several) from several
        for call in [*others, *repeats]:
            await self._run_into(call, answers)
        return ToolResults(tuple(_result(call, answers[call.id]) for call in calls))

    def refuse(self, calls: Sequence[ToolCall]) -> None:
        """Give each of *calls* a result that says it was not run."""
        for call in calls:
            self._report(call, _failure("tool_call_limit", "No more calls in this run.", "never"), started=None)

    def _sort(self, calls: Sequence[ToolCall]) -> tuple[list[ToolCall], list[ToolCall], list[ToolCall]]:
        """Return the calls to run at once, those to run one by one, and those that repeat one of the same turn."""
        reads: list[ToolCall] = []
        others: list[ToolCall] = []
        repeats: list[ToolCall] = []
        for call in calls:
            key = _fingerprint(call)
            self._seen[key] = times = self._seen.get(key, 0) + 1
            self.used += 1
            if self.used > self._most:
                self._over.add(call.id)
            if times > 1 and key not in self._answers:
                repeats.append(call)
            elif (tool := self._tools.get(call.name)) is None or tool.kind == "data":
                reads.append(call)
            else:
                others.append(call)
        return reads, others, repeats

    async def _run_into(self, call: ToolCall, answers: dict[str, _Outcome]) -> None:
        async with self._parallel:
            answers[call.id] = await self._run_one(call)

    async def _run_one(self, call: ToolCall) -> _Outcome:
        started = time.monotonic()
        key = _fingerprint(call)
        if refused := self._refusal(call, key):
            self._report(call, refused, started=started)
            return refused
        if (known := self._answers.get(key)) is not None:
            known = _Outcome({**known.document, "note": _REPEATED}, known.error, known.truncated)
            self._report(call, known, started=started, cached=True)
            return known
        context = self._surroundings(call.id)
        try:
            answer = await self._execute(call, context)
        except Unavailable as error:
            log.warning("copilot.tool", tool=call.name, outcome="unavailable", code=error.code)
            self._report(call, _failure("tool_backend_unavailable", _GONE, "once"), started=started)
            raise
        if answer.error is None:
            self._memory.results[call.id] = EarlierResult(call.name, answer.document)
        if answer.error is None or answer.error.retry != "once":
            self._answers[key] = answer
        self._report(call, answer, started=started, effects=context.effects)
        return answer

    def _refusal(self, call: ToolCall, key: bytes) -> _Outcome | None:
        if self._seen[key] > _TIMES_RUN_AGAIN:
            self.exhausted = self.exhausted or "repeated_calls"
            return _failure("repeated_call", "You made this same call before. Answer with what you have.", "never")
        if call.id in self._over:
            self.exhausted = self.exhausted or "max_tool_calls"
            return _failure("tool_call_limit", "No more calls in this run. Answer with what you have.", "never")
        return None

    async def _execute(self, call: ToolCall, context: ToolContext) -> _Outcome:
        try:
            tool, arguments = self._decode(call)
            with tracing.gen_ai(
                "execute_tool",
                tool.name,
                kind="INTERNAL",
                gen_ai__tool__name=tool.name,
                gen_ai__tool__type="function",
                gen_ai__tool__call__id=call.id,
                gen_ai__tool__call__arguments=_text(call.arguments) if tracing.keeps_content() else None,
            ) as span:
                async with asyncio.timeout(tool.timeout_seconds):
                    found = await tool.run(context, **arguments)
                if tracing.keeps_content():
                    span.set_attribute("gen_ai.tool.call.result", _text(msgspec.to_builtins(found)))
        except Unavailable:
            raise
        except SegmentCopilotError as error:
            return _explain(error)
        except TimeoutError:
            return _failure(
                "tool_timeout", "The call took too long. Ask for less: a shorter range, fewer conditions.", "once"
            )
        except Exception:
            log.exception("copilot.tool_failed", tool=call.name)
            return _failure(
                "internal", "The call failed for a reason of our own; it is logged. Go on without it.", "never"
            )
        document, truncated = bound({**msgspec.to_builtins(found), "source": tool.source})
        return _Outcome(document, truncated=truncated)

    def _decode(self, call: ToolCall) -> tuple[Tool, Mapping[str, Any]]:
        tool = self._tools.get(call.name)
        if tool is None and (scope := self._withheld.get(call.name)):
            raise missing(scope)
        if tool is None:
            names = ", ".join(self._tools)
            finding = Finding("", "unknown_tool", "There is no such tool.", nearest(call.name, self._tools))
            raise NotFound(
                f"There is no tool named {call.name[:64]!r}. The tools: {names}.",
                code="unknown_tool",
                findings=[finding],
            )
        if call.malformed is not None:
            raise InvalidInput("The arguments are not a JSON object. Write them again.", code="malformed_arguments")
        return tool, decode_arguments(call.arguments, tool.arguments)

    def _report(
        self,
        call: ToolCall,
        answer: _Outcome,
        *,
        started: float | None,
        cached: bool = False,
        effects: Sequence[run_events.Event] = (),
    ) -> None:
        tool = self._tools.get(call.name)
        duration_ms = round((time.monotonic() - started) * 1000) if started is not None else 0
        result = run_events.ToolResult(
            tool_call_id=call.id,
            ok=answer.error is None,
            summary=answer.error.message if answer.error else _summary(answer.document),
            truncated=answer.truncated,
            duration_ms=duration_ms,
            cached=cached,
            source=tool.source if tool else "none",
            data=UNSET if answer.error else Raw(msgspec.json.encode(answer.document)),
            error=answer.error or UNSET,
        )
        name = tool.name if tool else "unknown"
        outcome = answer.error.code if answer.error else "cached" if cached else "ok"
        TOOL_CALLS.labels(name, outcome).inc()
        TOOL_SECONDS.labels(name).observe(duration_ms / 1000)
        log.info("copilot.tool", tool=call.name, ok=result.ok, duration_ms=duration_ms, cached=cached)
        self._transcript.tool_result(result, effects)


def _text(document: object) -> str:
    return msgspec.json.encode(document).decode()


_GONE: Final = "A store does not answer."


def _explain(error: SegmentCopilotError) -> _Outcome:
    """Return a failure we foresaw, as the model may act on it."""
    match error:
        case QueryTimeout():
            retry: Retry = "once"
        case InvalidInput() | NotFound() | QueryTooExpensive():
            retry = "never" if error.code == "too_many_repairs" else "adjust"
        case _:
            retry = "never"
    return _failure(error.code, error.detail, retry, error.findings)


def _failure(code: str, message: str, retry: Retry, findings: Sequence[Finding] = ()) -> _Outcome:
    error = ToolError(code, message[:_MAX_MESSAGE], retry, first_findings(findings) or UNSET)
    return _Outcome({"error": msgspec.to_builtins(error)}, error)


def _result(call: ToolCall, answer: _Outcome) -> ToolResult:
    document, _ = bound(answer.document)
    content = msgspec.json.encode(document).decode()
    return ToolResult(call.id, call.name, content, is_error=answer.error is not None)


def _fingerprint(call: ToolCall) -> bytes:
    return msgspec.json.encode([call.name, call.malformed, call.arguments], order="deterministic")


def _first(several: ExceptionGroup[Exception]) -> Exception:
    found = several.exceptions[0]
    return _first(cast("ExceptionGroup[Exception]", found)) if isinstance(found, ExceptionGroup) else found


def _summary(document: Mapping[str, Any]) -> str:
    """Return one short line for a person."""
    match document:
        case {"draft_id": _, "name": name, "count": int(count), "universe": int(universe)}:
            return f"“{name}”: {count:,} of {universe:,} users"
        case {"matched_users": int(count), "universe": int(universe)}:
            return f"{count:,} of {universe:,} users"
        case {"name": name, "member_count": int(count)}:
            return f"{name}: {count:,} members"
        case {"total": int(total)} | {"total_distinct": int(total)}:
            return f"{total:,} in all"
        case {"event_type": str(name)} | {"name": str(name)}:
            return name
        case _:
            return "Done"
