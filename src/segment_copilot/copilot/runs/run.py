"""One run: ask the model, run its tools, ask again, within limits; say everything as typed events.

One task drives a run and puts its events into an outbox; whoever prepared the run takes them. The first event is always
`run.started`, the last `run.finished` or `run.error`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import anyio
import msgspec
import structlog
from msgspec import UNSET, Struct, field
from uuid_utils import uuid7

from segment_copilot.access.tenants import Tenant
from segment_copilot.copilot import models
from segment_copilot.copilot.conversation import request
from segment_copilot.copilot.conversation.checkpoint import Secret, Signer
from segment_copilot.copilot.conversation.prompt import PROMPT, PROMPT_VERSION
from segment_copilot.copilot.conversation.request import CopilotRequest
from segment_copilot.copilot.guards.claims import claims_write
from segment_copilot.copilot.models import AssistantMessage, Model, ModelRequest, TurnEnded
from segment_copilot.copilot.runs import closing
from segment_copilot.copilot.runs.beginning import Beginning, begin
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.runs.failures import Failure, failure, failure_of
from segment_copilot.copilot.runs.meter import Meter, Turn
from segment_copilot.copilot.runs.places import Place, Places
from segment_copilot.copilot.runs.prices import Price, price_of
from segment_copilot.copilot.stream import events
from segment_copilot.copilot.stream.components import Draft
from segment_copilot.copilot.stream.encoders.native import PROTOCOL
from segment_copilot.copilot.stream.outbox import Outbox
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools import TOOLS_VERSION
from segment_copilot.copilot.tools.context import Memory, ToolContext, View, shown
from segment_copilot.copilot.tools.display import button
from segment_copilot.errors import Unavailable
from segment_copilot.resources import Resources

log = structlog.get_logger()

MAX_TOKENS: Final = 8_000
_CLOSE_SECONDS: Final = 5.0
_ATTEMPTS: Final = 3
_CUT: Final = "The model's answer ended before it was complete."
_COMPACTED: Final = "The conversation grew too long: results of its earlier look-ups were left out."
_CLAIMED: Final = "The text says that something was saved. Nothing was."
_TOO_LONG: Final = "The conversation is too long for the model."


class Copilot(Struct, frozen=True):
    """What every run of a process shares: the use cases that tools call, and the model that calls them."""

    resources: Resources
    model: Model
    breaker: Breaker = field(default_factory=Breaker)
    secret: Secret = field(default_factory=Secret)
    places: Places = field(default_factory=Places)

    @property
    def price(self) -> Price | None:
        """What the model's tokens cost, where that is known."""
        return price_of(self.model.name, self.resources.settings.claude_price)


async def prepare_run(
    copilot: Copilot,
    tenant: Tenant,
    asked: CopilotRequest,
    *,
    user: str | None = None,
    warnings: Sequence[events.Warned] = (),
) -> Run:
    """A run that may begin; it says *warnings* first. Raises what can be refused before anything is said.

    *user* is whom the caller's session was opened for.

    Raises:
        InvalidInput: The request says something that types cannot refuse.
        Conflict: It answers a question that is not open.
        TooManyRequests: The tenant has as many runs as it may.
        Unavailable: The process has, the tenant's catalog cannot be read, or the model did not answer lately.
    """
    request.check(asked, model=copilot.model.name)
    catalog = await copilot.resources.discovery.catalog(tenant)
    copilot.breaker.check()
    signer = await copilot.secret.signer(copilot.resources)
    beginning = await begin(
        copilot.resources,
        tenant,
        asked,
        model=copilot.model.name,
        catalog=catalog,
        signer=signer,
        user=user,
        warnings=warnings,
    )
    settings = copilot.resources.settings
    place = copilot.places.take(
        tenant.id, most=settings.copilot_max_streams, most_of_tenant=settings.copilot_max_tenant_streams
    )
    return Run(copilot, tenant, beginning, signer=signer, place=place)


def limits_of(copilot: Copilot, *, asked_turns: int | None = None) -> events.Limits:
    """What a run may use; a client may ask for fewer turns, not for more."""
    settings = copilot.resources.settings
    return events.Limits(
        max_turns=min(asked_turns or settings.copilot_max_turns, settings.copilot_max_turns),
        max_tool_calls=settings.copilot_max_tool_calls,
        deadline_ms=settings.copilot_deadline_seconds * 1000,
        max_cost_usd=UNSET if copilot.price is None else settings.copilot_max_cost_usd,
    )


class Run:
    """A question on its way to an answer. Inside `driven`, take *events* until there are none."""

    def __init__(self, copilot: Copilot, tenant: Tenant, beginning: Beginning, *, signer: Signer, place: Place) -> None:
        asked = beginning.asked
        self.id = f"run_{uuid7().hex}"
        self.model = copilot.model.name
        self.events = Outbox()
        self._copilot = copilot
        self._tenant = tenant
        self._asked = asked
        self._from = beginning
        self._signer = signer
        self._place = place
        weakref.finalize(self, place.leave)  # of a run that nobody drove
        self._limits = limits_of(copilot, asked_turns=asked.options.max_turns)
        self._tools = beginning.tools
        self._memory = Memory(self.id, earlier={draft.draft_id: draft for draft in beginning.thread.drafts})
        self._transcript = Transcript(self.events.put, reasoning=asked.options.reasoning == "summary")
        self._calls = Calls(
            self._tools,
            transcript=self._transcript,
            memory=self._memory,
            surroundings=self._surroundings,
            most=self._limits.max_tool_calls,
        )
        self._thread = beginning.thread
        self._thread_id = beginning.thread.id or f"thread_{uuid7().hex}"
        self._meter = Meter(copilot.price)
        self._turns = 0
        self._open_turn: Turn | None = None
        self._started = time.monotonic()
        self._clock: asyncio.Timeout | None = None
        self._stopped: events.ErrorCode | None = None

    @asynccontextmanager
    async def driven(self, *, draining: asyncio.Event | None = None) -> AsyncGenerator[None]:
        """The run goes on inside the block. Leaving it ends the run: the model's connection and queries are closed.

        Once *draining* is set, the run ends itself.
        """
        tasks = {asyncio.create_task(self._drive(), name=f"copilot {self.id}")}
        if draining is not None:
            tasks.add(asyncio.create_task(self._stop_when(draining)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            # Litestar cancels level-wise when a client leaves: an unshielded await would end here at once.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await asyncio.wait(tasks)
            self._place.leave()

    def stop(self, code: events.ErrorCode) -> None:
        """End the run soon with `run.error` *code*."""
        self._stopped = self._stopped or code
        if self._clock is not None:
            self._clock.reschedule(asyncio.get_running_loop().time())

    async def _stop_when(self, draining: asyncio.Event) -> None:
        await draining.wait()
        self.stop("server_draining")

    async def _drive(self) -> None:
        """The whole run; what goes wrong becomes its last event."""
        with structlog.contextvars.bound_contextvars(run_id=self.id, tenant_id=self._tenant.id):
            self.events.put(self._run_started())
            try:
                terminal = await self._until_the_end()
            except asyncio.CancelledError:
                if self._open_turn is not None:
                    self._meter.add(self._open_turn.usage)
                self._note("cancelled")
                raise
            self.events.put(terminal)
            self.events.close()
            self._note(terminal.outcome if isinstance(terminal, events.RunFinished) else terminal.code)

    def _note(self, outcome: str) -> None:
        """Write down how the run ended and what it used."""
        used = msgspec.to_builtins(self._meter.total)
        log.info(
            "copilot.run",
            outcome=outcome,
            model=self.model,
            turns=self._turns,
            tool_calls=self._calls.used,
            duration_ms=self._elapsed_ms(),
            **used,
        )

    async def _until_the_end(self) -> events.Terminal:
        try:
            return await self._within_deadline()
        except TimeoutError:
            code = self._stopped or "deadline_exceeded"
        except Unavailable as error:
            return self._failed(failure_of(error))
        except Exception:
            log.exception("copilot.run_failed")
            code = "internal"
        return self._failed(failure(code))

    async def _within_deadline(self) -> events.Terminal:
        seconds = 0 if self._stopped else self._limits.deadline_ms / 1000
        try:
            async with asyncio.timeout(seconds) as self._clock:
                return await self._converse()
        finally:
            self._clock = None

    async def _converse(self) -> events.RunFinished:
        for warning in self._from.warnings:
            self.events.put(warning)
        self._from.look_around()
        while True:
            self._turns += 1
            allowed = self._turns < self._limits.max_turns and self._calls.exhausted is None
            ended = await self._turn(allowed=allowed)
            if self._memory.question is not None:
                return self._finish("input_required")
            match ended.stop_reason:
                case "tool_use" | "pause_turn" if allowed and self._meter.exceeds(
                    self._copilot.resources.settings.copilot_max_cost_usd
                ):
                    return self._finish("limit", "max_cost")
                case "tool_use" if ended.message.tool_calls and allowed:
                    self._checkpoint(unfinished=True)
                case "pause_turn" if allowed:
                    continue
                case "refusal":
                    return self._finish("refused")
                case "max_tokens":
                    return self._finish("limit", "max_tokens")
                case _ if not allowed:
                    return self._finish("limit", self._calls.exhausted or "max_turns")
                case _:
                    return self._finish("completed")

    async def _turn(self, *, allowed: bool) -> TurnEnded:
        """One answer of the model with its tools; asked again when it fails, but once only after it has said something."""
        max_tokens = MAX_TOKENS
        spoken = False
        if not allowed:
            self._thread.end_calls()
        for attempt in range(1, _ATTEMPTS + 1):
            turn = self._open_turn = Turn(self._turns)
            self._transcript.begin_turn()
            self.events.put(events.TurnStarted(self._turns, attempt))
            try:
                ended = await self._ask(self._request(allowed=allowed, max_tokens=max_tokens), turn)
                if ended.stop_reason == "context_too_long":
                    raise Unavailable(_TOO_LONG, code="context_too_long")  # noqa: TRY301 — as when it is refused
            except Unavailable as error:
                failed = failure_of(error)
                wait = self._wait_seconds(failed, attempt, spoken=spoken)
                if wait is None:
                    raise
                spoken = self._take_back(turn, failed.code)
                await asyncio.sleep(wait)
                continue
            cut = ended.stop_reason == "max_tokens" and ended.message.tool_calls
            if cut and max_tokens == MAX_TOKENS and attempt < _ATTEMPTS:
                # A call was cut: its arguments look complete and are not. Ask again with more room.
                self._take_back(turn, "max_tokens", stop_reason="max_tokens")
                max_tokens *= 2
                continue
            await self._conclude(ended, turn, allowed=allowed)
            return ended
        raise AssertionError  # the last attempt returns or raises

    def _wait_seconds(self, failed: Failure, attempt: int, *, spoken: bool) -> float | None:
        """How long to wait before the turn is asked again; None when it is not."""
        if attempt == _ATTEMPTS:
            return None
        if failed.code == "context_too_long":
            if not self._thread.compact():
                return None
            self.events.put(events.Warned("history_compacted", _COMPACTED))
            return 0
        wait = failed.wait_seconds(attempt) * random.uniform(1, 1.25)  # noqa: S311 — spread, no secret
        return None if spoken or not failed.retryable or wait >= self._seconds_left() else wait

    def _take_back(self, turn: Turn, reason: str, *, stop_reason: str = "failed") -> bool:
        """Whether anything had been said."""
        spoken = self._transcript.reset(turn=self._turns, reason=reason)
        self._finish_turn(turn, stop_reason=stop_reason)
        return spoken

    async def _ask(self, asked: ModelRequest, turn: Turn) -> TurnEnded:
        with self._copilot.breaker.watching():
            return await self._listen(asked, turn)

    async def _listen(self, asked: ModelRequest, turn: Turn) -> TurnEnded:
        async with aclosing(self._copilot.model.stream(asked)) as stream:
            async for event in stream:
                turn.heard(event)
                await self.events.room()
                if isinstance(event, TurnEnded):
                    if event.stop_reason == "truncated":
                        raise Unavailable(_CUT, code="upstream_disconnected")
                    return event
                self._pass_on(event)
        raise Unavailable(_CUT, code="upstream_disconnected")

    def _pass_on(self, event: models.ModelEvent) -> None:
        match event:
            case models.TextDelta(delta):
                self._transcript.text(delta)
            case models.ReasoningDelta(delta):
                self._transcript.reasoning(delta)
            case models.ToolCallStarted(call_id, name):
                self._transcript.tool_start(self._calls.start(call_id, name))
            case models.ToolArgumentsDelta(call_id, delta):
                self._transcript.tool_args_delta(call_id, delta)
            case models.ToolCall():
                self._announce(event)
            case models.TokensCounted() | TurnEnded():
                pass  # not for the client

    def _announce(self, call: models.ToolCall) -> None:
        self._transcript.tool_start(self._calls.start(call.id, call.name))
        self._transcript.tool_args(self._calls.arguments(call))

    async def _conclude(self, ended: TurnEnded, turn: Turn, *, allowed: bool) -> None:
        """Run the turn's calls and remember what was said."""
        self._transcript.close_text()
        calls = ended.message.tool_calls
        runs = ended.stop_reason == "tool_use" and allowed
        # A call without its result would make the conversation one that nobody takes.
        message = ended.message if runs or not calls else AssistantMessage(ended.message.text)
        if message.text or message.raw or message.tool_calls:
            self._thread.messages.append(message)
        if ended.stop_reason == "tool_use" and calls:
            for call in calls:
                self._announce(call)
            if allowed:
                self._thread.messages.append(await self._calls.run(calls))
            else:
                self._calls.refuse(calls)
        self._transcript.close_all()
        self._finish_turn(turn, stop_reason=ended.stop_reason, ended=ended)

    def _finish_turn(self, turn: Turn, *, stop_reason: str, ended: TurnEnded | None = None) -> None:
        self._open_turn = None
        usage = self._meter.add(turn.usage)
        self.events.put(turn.finished(stop_reason, usage, ended.upstream_request_id if ended else None))
        self.events.put(events.UsageTotal(**msgspec.structs.asdict(self._meter.total)))

    def _finish(self, outcome: events.Outcome, limit: events.Limit | None = None) -> events.RunFinished:
        drafts = list(self._memory.drafts.values())
        own = self._own_words(outcome, limit)
        if own:
            self._transcript.whole_text(own)
        if drafts and not self._memory.offered and self._from.draws("CreateSegmentCTA"):
            latest = drafts[-1]
            component_id = self._memory.new_id("component")
            self.events.put(shown(button(latest), component_id=component_id, tool_call_id=UNSET))
        whole = outcome != "refused" and limit != "max_tokens"
        if self._memory.question is not None:
            own = ""  # the call asks it
        self._thread.close([self._transcript.said, self._transcript.ever_said], own=own, whole=whole)
        self._checkpoint()
        return events.RunFinished(
            outcome=outcome,
            usage=self._meter.total,
            turns=self._turns,
            tool_calls=self._calls.used,
            duration_ms=self._elapsed_ms(),
            limit=limit or UNSET,
        )

    def _own_words(self, outcome: events.Outcome, limit: events.Limit | None) -> str:
        """What the model left unsaid; empty when nothing."""
        said, question = self._transcript.said, self._memory.question
        if question is not None:  # in a history only texts count: the next run must find it there
            return "" if question.question in said else question.question
        drafts = list(self._memory.drafts.values())
        if not said or outcome == "refused":
            return closing.text(outcome, limit, drafts)
        own = [self._unsaid_count(said, drafts)]
        if claims_write(said):
            self.events.put(events.Warned("claims_write", _CLAIMED))
            own.append(closing.NOTHING_SAVED)
        return " ".join(text for text in own if text)

    def _unsaid_count(self, said: str, drafts: Sequence[Draft]) -> str:
        if drafts:
            found = drafts[-1].preview
            return closing.unsaid_count(said, f"The draft “{drafts[-1].name}”", found.count, found.universe)
        counted = self._memory.latest("preview_segment")
        if counted is None:
            return ""
        return closing.unsaid_count(said, "The last count", counted["matched_users"], counted["universe"])

    def _checkpoint(self, *, unfinished: bool = False) -> None:
        token = self._signer.seal(
            self._from.checkpoint(
                self._tenant.id,
                self._thread_id,
                drafts=tuple(self._memory.drafts.values()),
                question=self._memory.question,
                unfinished=unfinished,
            )
        )
        if token is not None:
            self.events.put(events.Checkpointed(token))

    def _failed(self, failed: Failure) -> events.RunError:
        self._transcript.close_all()
        if self._open_turn is not None:
            self._finish_turn(self._open_turn, stop_reason="failed")
        return failed.terminal(self._meter.total)

    def _request(self, *, allowed: bool, max_tokens: int) -> ModelRequest:
        return ModelRequest(
            system=PROMPT,
            messages=tuple(self._thread.messages),
            tools=tuple(tool.specification for tool in self._tools),
            catalog=self._from.catalog,
            as_of=self._from.as_of,
            timezone=self._from.timezone,
            tools_allowed=allowed,
            max_tokens=max_tokens,
            view=self._from.view,
            effort=self._asked.options.effort,
            user=f"tenant {self._tenant.id} {self._from.user or ''}".rstrip(),
        )

    def _surroundings(self, call_id: str) -> ToolContext:
        return ToolContext(
            resources=self._copilot.resources,
            tenant=self._tenant,
            catalog=self._from.catalog,
            as_of=self._from.as_of,
            timezone=self._from.timezone,
            timezone_asked=self._asked.context.timezone is not None,
            memory=self._memory,
            tool_call_id=call_id,
            view=View(self._asked.context.draft, self._asked.context.segment_id),
        )

    def _run_started(self) -> events.RunStarted:
        return events.RunStarted(
            thread_id=self._thread_id,
            protocol=PROTOCOL,
            model=self.model,
            limits=self._limits,
            as_of=self._from.as_of,
            timezone=self._from.timezone,
            prompt_version=PROMPT_VERSION,
            tools_version=TOOLS_VERSION,
        )

    def _seconds_left(self) -> float:
        """Until the run's deadline."""
        deadline = self._clock.when() if self._clock is not None else None
        return math.inf if deadline is None else deadline - asyncio.get_running_loop().time()

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)
