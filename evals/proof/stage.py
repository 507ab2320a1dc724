"""Sets the stage for agents: the tests' strict Messages server, in front of the real service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from evals.cases import Case
from evals.definitions import SegmentIds
from evals.proof.agents import Agent, Scene, results_of
from evals.truth import Truth
from tests.support.messages_server import (  # the tests' own: stricter than the real API, and written once
    Exchange,
    MessagesServer,
    answer,
    text,
    tool_use,
)

MODEL: Final = "scripted"


class Stage(MessagesServer):
    """Answers every request as *agent* does for *case*."""

    def __init__(self, truths: Mapping[str, Truth], segments: Mapping[str, SegmentIds]) -> None:
        super().__init__()
        self.agent: Agent | None = None
        self.case: Case | None = None
        self._truths = truths
        self._segments = segments

    async def _answer(self, exchange: Exchange) -> None:
        self.script = [self._play]
        await super()._answer(exchange)

    async def _play(self, exchange: Exchange) -> None:
        assert self.agent is not None  # noqa: S101  # set before anybody asks
        assert self.case is not None  # noqa: S101
        turn, results = results_of(exchange.body)
        scene = Scene(self.case, self._truths[self.case.tenant], self._segments[self.case.tenant], turn, results)
        reply = self.agent(scene)
        blocks: list[Any] = [text(reply.text)] if reply.text else []
        for place, call in enumerate(reply.calls):
            blocks.append(tool_use(f"toolu_{turn}_{place}", call.name, json.dumps(call.arguments)))
        await answer(*blocks, stop_reason="tool_use" if reply.calls else "end_turn")(exchange)


@asynccontextmanager
async def open_stage(truths: Mapping[str, Truth], segments: Mapping[str, SegmentIds]) -> AsyncGenerator[Stage]:
    """Open a stage on a free port of the loopback."""
    stage = Stage(truths, segments)
    listening = await asyncio.start_server(stage.serve, "127.0.0.1", 0)
    stage.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield stage
