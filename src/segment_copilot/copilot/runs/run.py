"""Leads a run through its life: turn after turn within limits, until it ends, everything said as typed events.

One task drives a run and puts its events into an outbox; whoever prepared the run takes them. The first event is always
`run.started`, the last `run.finished` or `run.error`. A turn is taken in `turns`; what is said last is in `ending`.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
import msgspec
import structlog
from msgspec import UNSET, Struct, field
from uuid_utils import uuid7

from segment_copilot.access.scopes import ROLES
from segment_copilot.access.tenants import Tenant
from segment_copilot.copilot.conversation.checkpoint import Secret, Signer
from segment_copilot.copilot.conversation.prompt import PROMPT_VERSION
from segment_copilot.copilot.conversation.request import CopilotRequest, check_request
from segment_copilot.copilot.models import Model
from segment_copilot.copilot.runs.beginning import Beginning, begin
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.calls import Calls
from segment_copilot.copilot.runs.deadline import Deadline
from segment_copilot.copilot.runs.ending import Checkpoints, Ending
from segment_copilot.copilot.runs.failures import failure, failure_of
from segment_copilot.copilot.runs.meter import Meter
from segment_copilot.copilot.runs.places import Place, Places
from segment_copilot.copilot.runs.prices import Price, price_of
from segment_copilot.copilot.runs.spans import run_span
from segment_copilot.copilot.runs.turns import Listener, Turns
from segment_copilot.copilot.stream import run_events
from segment_copilot.copilot.stream.outbox import Outbox
from segment_copilot.copilot.stream.protocol import PROTOCOL
from segment_copilot.copilot.stream.transcript import Transcript
from segment_copilot.copilot.tools import TOOLS_VERSION
from segment_copilot.copilot.tools.context import Memory, ToolContext, UseCases, View
from segment_copilot.errors import Unavailable
from segment_copilot.settings import Settings
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import RUN_SECONDS, RUNS

log = structlog.get_logger()

_OLDEST_CATALOG: Final = 1.0  # seconds: what was seen a moment ago is known to a run that begins
_CLOSE_SECONDS: Final = 5.0


class Copilot(Struct, frozen=True):
    """Holds what every run of a process shares: the use cases that tools call, and the model that calls them."""

    settings: Settings
    use_cases: UseCases
    secret: Secret
    model: Model
    breaker: Breaker = field(default_factory=Breaker)
    places: Places = field(default_factory=Places)

    @property
    def price(self) -> Price | None:
        """Return what the model's tokens cost, where that is known."""
        return price_of(self.model.name, self.settings.claude_price)


async def prepare_run(
    copilot: Copilot,
    tenant: Tenant,
    request: CopilotRequest,
    *,
    user: str | None = None,
    scopes: frozenset[str] = ROLES["owner"],
    warnings: Sequence[run_events.Warned] = (),
) -> Run:
    """Return a run that may begin; it says *warnings* first. Raises what can be refused before anything is said.

    *user* is whom the caller's session was opened for; *scopes* what their credential may do.

    Raises:
        InvalidInput: The request says something that types cannot refuse.
        Conflict: It answers a question that is not open.
        TooManyRequests: The tenant has as many runs as it may.
        Unavailable: The process has, the tenant's catalog cannot be read, or the model did not answer lately.
    """
    check_request(request, model=copilot.model.name)
    catalog = await copilot.use_cases.discovery.catalog(tenant, oldest=_OLDEST_CATALOG)
    copilot.breaker.check()
    signer = await copilot.secret.signer()
    beginning = await begin(
        copilot.use_cases.segments,
        tenant,
        request,
        model=copilot.model.name,
        catalog=catalog,
        signer=signer,
        user=user,
        scopes=scopes,
        warnings=warnings,
    )
    settings = copilot.settings
    place = copilot.places.take(
        tenant.id, most=settings.copilot_max_streams, most_of_tenant=settings.copilot_max_tenant_streams
    )
    return Run(copilot, tenant, beginning, signer=signer, place=place)


def limits_of(copilot: Copilot, *, requested_turns: int | None = None) -> run_events.Limits:
    """Return what a run may use; a client may ask for fewer turns, not for more."""
    settings = copilot.settings
    return run_events.Limits(
        max_turns=min(requested_turns or settings.copilot_max_turns, settings.copilot_max_turns),
        max_tool_calls=settings.copilot_max_tool_calls,
        deadline_ms=settings.copilot_deadline_seconds * 1000,
        max_cost_usd=UNSET if copilot.price is None else settings.copilot_max_cost_usd,
    )


class Run:
    """A run brings one question to its answer. Inside `drive`, take *events* until there are none."""

    def __init__(self, copilot: Copilot, tenant: Tenant, beginning: Beginning, *, signer: Signer, place: Place) -> None:
        self.id = f"run_{uuid7().hex}"
        self.model = copilot.model.name
        self.events = Outbox()
        self._tenant_id = tenant.id
        self._beginning = beginning
        self._place = place
        weakref.finalize(self, place.leave)  # of a run that nobody drove
        self._thread_id = beginning.thread.id or f"thread_{uuid7().hex}"
        self._limits = limits_of(copilot, requested_turns=beginning.request.options.max_turns)
        self._deadline = Deadline(self._limits.deadline_ms / 1000)
        self._meter = Meter(copilot.price, most_usd=copilot.settings.copilot_max_cost_usd, model=self.model)
        self._memory = Memory(self.id, earlier_drafts={draft.draft_id: draft for draft in beginning.thread.drafts})
        transcript = Transcript(self.events.put, reasoning=beginning.request.options.reasoning == "summary")
        self._calls = Calls(
            beginning.tools,
            withheld=beginning.withheld,
            transcript=transcript,
            memory=self._memory,
            surroundings=_surroundings(copilot.use_cases, tenant, beginning, self._memory),
            most=self._limits.max_tool_calls,
        )
        self._turns = Turns(
            Listener(
                copilot.model, breaker=copilot.breaker, transcript=transcript, calls=self._calls, outbox=self.events
            ),
            beginning.model_request(tenant.id),
            thread=beginning.thread,
            transcript=transcript,
            calls=self._calls,
            meter=self._meter,
            deadline=self._deadline,
        )
        self._checkpoints = Checkpoints(
            beginning,
            self._memory,
            signer=signer,
            tenant_id=tenant.id,
            thread_id=self._thread_id,
            emit=self.events.put,
        )
        self._ending = Ending(beginning, self._memory, transcript=transcript, checkpoints=self._checkpoints)

    @asynccontextmanager
    async def drive(self, *, draining: asyncio.Event | None = None) -> AsyncGenerator[None]:
        """Let the run go on inside the block. Leaving it ends the run: the model's connection and queries are closed.

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

    def stop(self, code: run_events.ErrorCode) -> None:
        """End the run soon with `run.error` *code*."""
        self._deadline.stop(code)

    async def _stop_when(self, draining: asyncio.Event) -> None:
        await draining.wait()
        self.stop("server_draining")

    async def _drive(self) -> None:
        """Take the run to its end; what goes wrong becomes its last event."""
        with (
            structlog.contextvars.bound_contextvars(run_id=self.id, tenant_id=self._tenant_id),
            run_span(self.model, thread_id=self._thread_id, tenant_id=self._tenant_id) as span,
        ):
            span.set_attribute("segment_copilot.run.id", self.id)
            self.events.put(self._first_event())
            try:
                last = await self._last_event()
            except asyncio.CancelledError:
                self._meter.end("cancelled")  # what it used counts; nobody is there to read it
                self._note("cancelled", span)
                raise
            self.events.put(last)
            self.events.close()
            if isinstance(last, run_events.RunFinished):
                self._note(last.outcome, span)
            else:
                span.fail(last.code)
                self._note(last.code, span)

    def _note(self, outcome: str, span: tracing.Span) -> None:
        """Write down how the run ended and what it used. docs/operations/logs.md lists the fields."""
        RUNS.labels(outcome).inc()
        RUN_SECONDS.observe(self._deadline.elapsed_ms() / 1000)
        span.set_attribute("segment_copilot.run.outcome", outcome)
        log.info(
            "copilot.run",
            outcome=outcome,
            model=self.model,
            turns=self._turns.count,
            tool_calls=self._calls.used,
            duration_ms=self._deadline.elapsed_ms(),
            **msgspec.to_builtins(self._meter.total),
        )

    async def _last_event(self) -> run_events.Terminal:
        try:
            async with self._deadline.running():
                return await self._converse()
        except TimeoutError:
            failed = failure(self._deadline.code)
        except Unavailable as error:
            failed = failure_of(error)
        except Exception:
            log.exception("copilot.run_failed")
            failed = failure("internal")
        self._turns.break_off()
        return failed.terminal(self._meter.total)

    async def _converse(self) -> run_events.RunFinished:
        """Take turns until one of them ends the run."""
        for warning in self._beginning.warnings:
            self.events.put(warning)
        self._beginning.add_workspace()
        while True:
            allowed = self._turns.count + 1 < self._limits.max_turns and self._calls.exhausted is None
            ended = await self._turns.take(allowed=allowed)
            if self._memory.question is not None:
                return self._finish("input_required")
            match ended.stop_reason:
                case "tool_use" | "pause_turn" if allowed and self._meter.exhausted:
                    return self._finish("limit", "max_cost")
                case "tool_use" if ended.message.tool_calls and allowed:
                    self._checkpoints.write(unfinished=True)
                case "pause_turn" if allowed:
                    continue
                case "refusal":
                    return self._finish("refused", unmapped=(self._beginning.refused_whole(),))
                case "declined":
                    return self._finish("refused", unmapped=ended.unmapped, declined=True)
                case "max_tokens":
                    return self._finish("limit", "max_tokens")
                case _ if not allowed:
                    return self._finish("limit", self._calls.exhausted or "max_turns")
                case _ if self._memory.undrafted and not self._memory.drafts:
                    return self._finish("refused", unmapped=self._memory.undrafted, declined=True)
                case _:
                    return self._finish("completed")

    def _finish(
        self,
        outcome: run_events.Outcome,
        limit: run_events.Limit | None = None,
        *,
        unmapped: tuple[run_events.Unmapped, ...] = (),
        declined: bool = False,
    ) -> run_events.RunFinished:
        self._ending.conclude(outcome, limit, declined=unmapped if declined else None)
        return run_events.RunFinished(
            outcome=outcome,
            usage=self._meter.total,
            turns=self._turns.count,
            tool_calls=self._calls.used,
            duration_ms=self._deadline.elapsed_ms(),
            limit=limit or UNSET,
            unmapped=unmapped or UNSET,
        )

    def _first_event(self) -> run_events.RunStarted:
        return run_events.RunStarted(
            thread_id=self._thread_id,
            protocol=PROTOCOL,
            model=self.model,
            limits=self._limits,
            as_of=self._beginning.as_of,
            timezone=self._beginning.timezone,
            prompt_version=PROMPT_VERSION,
            tools_version=TOOLS_VERSION,
        )


def _surroundings(
    use_cases: UseCases, tenant: Tenant, beginning: Beginning, memory: Memory
) -> Callable[[str], ToolContext]:
    """Return what makes the context of a call from the call's id."""
    question = beginning.request.context
    said = beginning.thread.said

    def surroundings(call_id: str) -> ToolContext:
        return ToolContext(
            use_cases=use_cases,
            tenant=tenant,
            catalog=beginning.catalog,
            as_of=beginning.as_of,
            timezone=beginning.timezone,
            timezone_asked=question.timezone is not None,
            memory=memory,
            tool_call_id=call_id,
            view=View(question.draft, question.segment_id),
            said=said,
            sees_users=beginning.sees_users,
        )

    return surroundings
