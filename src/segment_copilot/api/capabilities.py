"""Capabilities over HTTP tell what the copilot can do, in the shape of AG-UI's AgentCapabilities and ours."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from msgspec import Struct

from segment_copilot.copilot import tools
from segment_copilot.copilot.conversation.prompt import PROMPT_VERSION
from segment_copilot.copilot.runs.run import Copilot, limits_of
from segment_copilot.copilot.stream.components import Component
from segment_copilot.copilot.stream.encoders.ag_ui import AG_UI
from segment_copilot.copilot.stream.encoders.ai_sdk import AI_SDK
from segment_copilot.copilot.stream.protocol import PROTOCOL
from segment_copilot.copilot.stream.run_events import Limits


class Identity(Struct, frozen=True):
    """Which agent this is."""

    name: str
    type: str
    description: str
    version: str


class Transport(Struct, frozen=True, rename="camel"):
    """How an answer travels. A stream cannot be taken up again, but a thread can, with the last *checkpoint*."""

    streaming: bool = True
    websocket: bool = False
    http_binary: bool = False
    push_notifications: bool = False
    resumable: bool = False
    checkpoint: bool = True


class ToolCapability(Struct, frozen=True):
    """A tool the copilot has. *parameters* is JSON Schema; *metadata* has its `kind` and `title`, and what it draws."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    metadata: Mapping[str, str]


class ToolCapabilities(Struct, frozen=True, rename="camel"):
    """Its tools; a frontend's own are not called."""

    items: tuple[ToolCapability, ...]
    supported: bool = True
    parallel_calls: bool = True
    client_provided: bool = False


class StateCapabilities(Struct, frozen=True, rename="camel"):
    """AG-UI's state carries the checkpoint; no conversation is kept here."""

    snapshots: bool = True
    deltas: bool = True
    memory: bool = False
    persistent_state: bool = False


class ReasoningCapabilities(Struct, frozen=True):
    """Summaries of the model's reasoning, when asked for."""

    supported: bool
    streaming: bool
    encrypted: bool = False


class ExecutionCapabilities(Struct, frozen=True, rename="camel"):
    """*max_iterations* requests to the model in at most *max_execution_time* milliseconds."""

    max_iterations: int
    max_execution_time: int
    code_execution: bool = False


class HumanInTheLoop(Struct, frozen=True, rename="camel"):
    """It asks a question and waits for the answer; it writes nothing, so there is nothing to approve."""

    supported: bool = True
    approvals: bool = False
    interrupts: bool = True
    feedback: bool = True


class Capabilities(Struct, frozen=True, rename={"multi_agent": "multiAgent", "human_in_the_loop": "humanInTheLoop"}):
    """What this service's copilot can do. *components* holds the JSON Schema of each one's props."""

    identity: Identity
    transport: Transport
    tools: ToolCapabilities
    state: StateCapabilities
    multi_agent: Mapping[str, bool]
    reasoning: ReasoningCapabilities
    execution: ExecutionCapabilities
    human_in_the_loop: HumanInTheLoop
    protocols: tuple[str, ...]
    model: str
    limits: Limits
    prompt_version: str
    tools_version: str
    components: Mapping[str, Any]


class CapabilitiesController(Controller):
    """Tells what the copilot can do."""

    path = "/api/copilot/capabilities"
    tags = ("copilot",)

    @get(response_description="For this service as it runs now.")
    async def get_capabilities(self, copilot: NamedDependency[Copilot]) -> Capabilities:
        """What the copilot can do here: its model, tools, components and limits."""
        return capabilities_of(copilot)


def capabilities_of(copilot: Copilot) -> Capabilities:
    """Return the capabilities of this service as it runs now."""
    limits = limits_of(copilot)
    reasons = not copilot.model.name.startswith("offline")
    return Capabilities(
        identity=_IDENTITY,
        transport=Transport(),
        tools=_TOOLS,
        state=StateCapabilities(),
        multi_agent={"supported": False},
        reasoning=ReasoningCapabilities(supported=reasons, streaming=reasons),
        execution=ExecutionCapabilities(max_iterations=limits.max_turns, max_execution_time=limits.deadline_ms),
        human_in_the_loop=HumanInTheLoop(),
        protocols=(PROTOCOL, AG_UI, AI_SDK),
        model=copilot.model.name,
        limits=limits,
        prompt_version=PROMPT_VERSION,
        tools_version=tools.TOOLS_VERSION,
        components=_COMPONENTS,
    )


def _tool(tool: tools.Tool) -> ToolCapability:
    metadata = {"kind": tool.kind, "title": tool.title}
    if tool.component is not None:
        metadata["component"] = tool.component
    return ToolCapability(tool.name, tool.specification.description, tool.specification.input_schema, metadata)


def _component_schemas() -> Mapping[str, Any]:
    _, found = msgspec.json.schema_components([Component], ref_template="#/components/{name}")
    return found


_IDENTITY: Final = Identity(
    name="segment-copilot",
    type="segment-copilot",
    description="Answers questions about a workspace's users, events and segments, and drafts segments. It never saves.",
    version=version("segment-copilot"),
)
_TOOLS: Final = ToolCapabilities(tuple(_tool(tool) for tool in tools.TOOLS.values()))
_COMPONENTS: Final = _component_schemas()
