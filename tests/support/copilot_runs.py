"""A small shop on real stores, models that follow a script, and a way to run the copilot to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import Struct, structs

from segment_copilot.access.tenants import Tenant
from segment_copilot.app import build_copilot
from segment_copilot.copilot import models
from segment_copilot.copilot.conversation.request import CopilotRequest
from segment_copilot.copilot.models import AssistantMessage, ModelEvent, ModelRequest, ToolCall, TurnEnded
from segment_copilot.copilot.runs.run import Copilot, prepare_run
from segment_copilot.copilot.stream.encoders.native import NativeEncoder
from segment_copilot.copilot.stream.run_events import Event
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.events import Event as StoredEvent
from segment_copilot.events import observe_names, write_block
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from tests.support import copilot_encodings, copilot_invariants
from tests.support.resources import NOW

DAY = timedelta(days=1)
TOKENS = Usage(100, 10, 60, 20)

BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "window_days": 7}]}
NOBODY = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order_placed"},
        {"type": "user_property", "property": "country", "operator": "eq", "value": "XX"},
    ],
}

HISTORY = [
    ("ana", "order_placed", 2 * DAY, {"total": 90, "tags": ["gift", "sale"], "ship": {"city": "Madrid"}}),
    ("ana", "order_placed", 1 * DAY, {"total": 10.5, "tags": ["sale"]}),
    ("ben", "order_placed", 3 * DAY, {"total": "90", "ship": {"city": "Rome"}}),
    ("ben", "wishlist_add", 90 * DAY, {}),
    ("cai", "page_viewed", 30 * DAY, {"path": "/pricing"}),
    ("dot", "page_viewed", timedelta(hours=1), {"path": "/"}),
    ("dot", "page_viewed", -timedelta(hours=1), {"path": "/tomorrow"}),
    ("ana", "context_identified", 50 * DAY, {"country": "ES", "address": {"zip": "28001"}}),
    ("ben", "context_identified", 50 * DAY, {"country": "ES"}),
    ("ben", "context_identified", 5 * DAY, {"country": None}),
    ("dot", "context_identified", 5 * DAY, {"country": "FR"}),
]


class Shop(Struct, frozen=True):
    """A tenant with a history and two segments, and another tenant with secrets of its own."""

    resources: Resources
    tenant: Tenant
    other: Tenant
    buyers: int
    lapsed: int
    foreign: int


@pytest.fixture(scope="module")
async def shop(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Shop]:
    """Read by every test of a module, changed by none."""
    async with open_resources(
        Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url)
    ) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        tenant = await resources.tenants.create("acme", timezone="Europe/Madrid")
        other = await resources.tenants.create("rival")
        await _remember(resources, tenant, HISTORY)
        await _remember(resources, other, [("zed", "secret_event", DAY, {"codename": "manhattan"})])
        buyers = await _segment(resources, tenant, "Buyers", BUYERS)
        lapsed = await _segment(
            resources,
            tenant,
            "Lapsed",
            {
                "logic": "AND",
                "conditions": [{"type": "recency", "event_type": "page_viewed", "operator": "gt", "window_days": 7}],
                "exclude": {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": buyers}]},
            },
        )
        foreign = await _segment(
            resources, other, "Foreign", {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "*"}]}
        )
        await resources.computations.request(tenant, buyers, as_of=NOW)
        while await resources.computations.run_next():
            pass
        resources.discovery.forget(tenant)
        yield Shop(resources, tenant, other, buyers, lapsed, foreign)


async def _remember(resources: Resources, tenant: Tenant, happened: Sequence[Any]) -> None:
    events = [
        StoredEvent(
            tenant_id=tenant.id,
            event_id=str(index),
            user_id=user_id,
            event_type=event_type,
            occurred_at=NOW - before,
            payload=msgspec.json.encode(payload).decode(),
        )
        for index, (user_id, event_type, before, payload) in enumerate(happened)
    ]
    await write_block(resources.clickhouse, events, token=str(tenant.id))
    await observe_names(resources.postgres, events)


async def _segment(resources: Resources, tenant: Tenant, name: str, definition: Any) -> int:
    saved = await resources.segments.create(tenant, name=name, definition=definition)
    return saved.segment.id


Step = Any
"""What a turn of a script does: events to pass on, an exception to raise, or a function of the request."""


class Script:
    """A model that follows a script, a turn at a time, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, *turns: Step) -> None:
        self._turns = list(turns)
        self.requests: list[ModelRequest] = []
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        self.requests.append(request)
        turn = self._turns.pop(0)
        try:
            async for event in _play(turn, request):
                yield event
        finally:
            self.closed += 1


async def _play(turn: Step, request: ModelRequest) -> AsyncGenerator[Any]:
    steps = turn(request) if callable(turn) else turn
    for step in steps if isinstance(steps, list) else [steps]:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, asyncio.Event):  # here the model is silent until somebody sets it
            await step.wait()
        else:
            yield step


def says(text: str) -> list[ModelEvent]:
    """A turn that answers and ends."""
    return [models.TextDelta(text), TurnEnded("end_turn", AssistantMessage(text), TOKENS)]


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "", prefix: str = "call") -> Callable[[ModelRequest], Any]:
    """A turn that calls tools; ids are numbered through the run."""

    def turn(request: ModelRequest) -> list[ModelEvent]:
        begun = len(request.messages)
        made = [
            ToolCall(f"{prefix}_{begun}_{index}", name, arguments) for index, (name, arguments) in enumerate(wanted)
        ]
        events: list[ModelEvent] = [models.TextDelta(text)] if text else []
        for call in made:
            written = msgspec.json.encode(call.arguments).decode()
            events += [
                models.ToolCallStarted(call.id, call.name),
                models.ToolArgumentsDelta(call.id, written[:3]),
                models.ToolArgumentsDelta(call.id, written[3:]),
                call,
            ]
        return [*events, TurnEnded("tool_use", AssistantMessage(text, tuple(made)), TOKENS)]

    return turn


def wired(resources: Resources, model: Any, **settings: Any) -> Copilot:
    """*resources* with a model and other settings."""
    return build_copilot(structs.replace(resources, settings=structs.replace(resources.settings, **settings)), model)


def asking(text: str = "How are sales?", **more: Any) -> CopilotRequest:
    """A request with one message, at NOW."""
    context = {"as_of": NOW, **more.pop("context", {})}
    body = {"messages": [{"role": "user", "content": text}], "context": context, **more}
    return msgspec.convert(msgspec.to_builtins(body), CopilotRequest)


class Told(Struct, frozen=True):
    """What a run said."""

    events: list[Event]
    frames: list[dict[str, Any]]

    def of(self, name: str) -> list[dict[str, Any]]:
        """The payloads of the events of that name."""
        return [frame for frame in self.frames if frame["type"] == name]

    def one(self, name: str) -> dict[str, Any]:
        (found,) = self.of(name)
        return found

    @property
    def names(self) -> list[str]:
        return [frame["type"] for frame in self.frames]

    @property
    def text(self) -> str:
        return "".join(frame["delta"] for frame in self.of("text.delta"))

    def result(self, number: int = -1) -> dict[str, Any]:
        """The document of a tool result."""
        return self.of("tool.result")[number]["data"]


def heard(request: ModelRequest) -> list[models.Message]:
    """The conversation that a model got, without the block on the workspace."""
    return [
        structs.replace(message, workspace="") if isinstance(message, models.UserMessage) else message
        for message in request.messages
    ]


Ask = Callable[..., Awaitable[Told]]


async def run_to_end(copilot: Copilot, tenant: Tenant, asked: CopilotRequest) -> Told:
    """Every event of a run; every invariant is checked on it, and on what the other two protocols make of it."""
    run = await prepare_run(copilot, tenant, asked)
    encoder = NativeEncoder(run.id)
    events: list[Event] = []
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(60), run.drive():
        while batch := await run.events.take():
            events += batch
            frames += [payload(encoder.frame(event)) for event in batch]
    copilot_invariants.check(frames)
    copilot_encodings.check(events, frames)
    return Told(events, frames)


def payload(frame: bytes) -> dict[str, Any]:
    """The JSON of one frame, whose name and id must agree with it."""
    identifier, name, data = frame.decode().removesuffix("\n\n").split("\n")
    found = msgspec.json.decode(data.removeprefix("data: "))
    assert identifier == f"id: {found['run_id']}-{found['seq']}"
    return {"type": name.removeprefix("event: "), **found}


@pytest.fixture
def ask(shop: Shop) -> Ask:
    """Run the copilot over the shop with a model of the test's own."""

    async def run(
        model: Any, asked: CopilotRequest | None = None, *, tenant: Tenant | None = None, **settings: Any
    ) -> Told:
        return await run_to_end(wired(shop.resources, model, **settings), tenant or shop.tenant, asked or asking())

    return run
