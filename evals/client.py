"""The harness is a client: JSON and server-sent events over HTTP, nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx2
import msgspec
from msgspec import Struct

from evals.cases import Case
from evals.definitions import SegmentIds, complement, with_ids
from evals.fixtures.rows import AS_OF

SAMPLE: Final = 1000
"""The most user ids a preview shows."""


class HarnessError(Exception):
    """The evaluation itself could not go on: no service, no key, no fixtures. Exit code 2."""


class Frame(Struct, frozen=True):
    """One server-sent event as it came: the id line, the name, the decoded data, and when (seconds since the request)."""

    id: str
    name: str
    data: dict[str, Any]
    at: float


class Stream(Struct, frozen=True):
    """A whole answer: status, frames, what was wrong with the framing, and how long it took in seconds."""

    status: int
    frames: tuple[Frame, ...]
    faults: tuple[str, ...]
    seconds: float
    problem: Mapping[str, Any] = {}


class Preview(Struct, frozen=True):
    """Says whom a definition matches: every id, and the size of the universe. *findings* when it was refused."""

    members: frozenset[str] = frozenset()
    universe: int = 0
    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    words: str = ""
    tier: str = ""

    @property
    def valid(self) -> bool:
        """True when the service took the definition."""
        return not self.findings


class Workspace:
    """One dataset in a running service: asks its copilot and its compiler. Answers about definitions are remembered."""

    def __init__(self, client: httpx2.AsyncClient, *, slug: str, segments: SegmentIds) -> None:
        self._client = client
        self.slug = slug
        self.segments = segments
        self._previews: dict[bytes, Preview] = {}

    async def ask(self, case: Case) -> Stream:
        """Return one run of the copilot. Raises HarnessError when there is no service to ask."""
        body = {"messages": [msgspec.to_builtins(turn) for turn in case.messages], "context": self._context(case)}
        return await self.stream("/api/copilot/stream/", body)

    def _context(self, case: Case) -> dict[str, Any]:
        found: dict[str, Any] = {"as_of": AS_OF.isoformat()}
        if case.context.segment is not None:
            found["segment_id"] = self.segments.id_of(case.context.segment)
        if case.context.draft is not None:
            found["draft"] = {
                **case.context.draft,
                "definition": with_ids(case.context.draft["definition"], self.segments),
            }
        if case.context.timezone is not None:
            found["timezone"] = case.context.timezone
        return found

    async def stream(self, path: str, body: Mapping[str, Any]) -> Stream:
        """POST *body* and read the stream to its end."""
        began = time.monotonic()
        reader = _Reader(began)
        try:
            async with self._client.stream("POST", path, json=body) as response:
                if not response.is_success:
                    content = await response.aread()
                    return Stream(response.status_code, (), (), time.monotonic() - began, _problem(content))
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    reader.faults.append("the content type is not text/event-stream")
                async for chunk in response.aiter_bytes():
                    reader.feed(chunk)
        except httpx2.ConnectError as error:
            raise HarnessError(f"No service answers: {error}") from error
        except httpx2.HTTPError as error:
            reader.faults.append(f"the stream broke: {type(error).__name__}")
        reader.end()
        return Stream(200, tuple(reader.frames), tuple(reader.faults), time.monotonic() - began)

    async def preview(self, definition: Mapping[str, Any]) -> Preview:
        """Return the members of a definition with this workspace's ids, all of them."""
        key = msgspec.json.encode(definition, order="deterministic")
        if key not in self._previews:
            self._previews[key] = await self._preview(definition)
        return self._previews[key]

    async def _preview(self, definition: Mapping[str, Any]) -> Preview:
        answer = await self._post_preview(definition)
        if "matched_users" not in answer:
            return Preview(findings=_findings(answer))
        sample: list[str] = answer["sample_user_ids"]
        if answer["matched_users"] > SAMPLE:  # a preview shows a thousand: ask for everybody, and for everybody else
            everybody = await self._everybody()
            others = await self._post_preview(complement(definition))
            if others["matched_users"] > SAMPLE:
                raise HarnessError(f"{self.slug} has more users than this harness can compare.")
            sample = sorted(everybody - set(others["sample_user_ids"]))
        return Preview(
            members=frozenset(sample),
            universe=answer["universe"],
            warnings=tuple(warning["code"] for warning in answer["warnings"]),
            words=answer["words"],
            tier=answer["tier"],
        )

    async def _everybody(self) -> frozenset[str]:
        """Return the universe, in shares that each fit into one preview."""
        found = set[str]()
        for start in range(0, 100, 20):
            part = {"type": "sample", "salt": "everybody", "from": start, "to": start + 20}
            answer = await self._post_preview({"logic": "AND", "conditions": [part]})
            found.update(answer["sample_user_ids"])
            if answer["matched_users"] > SAMPLE:
                raise HarnessError(f"{self.slug} has more users than this harness can compare.")
        return frozenset(found)

    async def _post_preview(self, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"definition": definition, "as_of": AS_OF.isoformat(), "limit": SAMPLE}
        try:
            response = await self._client.post("/api/segments/preview/", json=body)
        except httpx2.HTTPError as error:
            raise HarnessError(f"A preview in {self.slug} failed: {type(error).__name__} {error}") from error
        if response.status_code not in {200, 400}:
            asked = msgspec.json.encode(definition).decode()
            raise HarnessError(
                f"A preview in {self.slug} answered {response.status_code} to {asked}: {response.text[:200]}"
            )
        return response.json()


class _Reader:
    """Reads bytes as frames, strictly: LF only, `id`, `event` and one `data` line each, comments and `retry` between."""

    def __init__(self, began: float) -> None:
        self.frames: list[Frame] = []
        self.faults: list[str] = []
        self._rest = b""
        self._began = began

    def feed(self, chunk: bytes) -> None:
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        for block in blocks:
            self._block(block)

    def end(self) -> None:
        if self._rest.strip():
            self.faults.append("the stream ended inside an event")

    def _block(self, block: bytes) -> None:
        if b"\r" in block:
            self.faults.append("a carriage return in the framing")
        lines = block.decode("utf-8", "replace").split("\n")
        fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(":"))
        if "data" not in fields:  # a comment keeps the connection alive
            return
        if sum(line.startswith("data:") for line in lines) != 1 or not {"id", "event"} <= fields.keys():
            self.faults.append(f"a frame without one id, event and data line: {lines[0][:60]}")
        try:
            data = msgspec.json.decode(fields["data"], type=dict[str, Any])
        except msgspec.DecodeError:
            self.faults.append("data that is not a JSON object")
            return
        at = round(time.monotonic() - self._began, 4)
        self.frames.append(Frame(fields.get("id", ""), fields.get("event", ""), data, at))


def _problem(content: bytes) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        return {"detail": content[:300].decode("utf-8", "replace")}


def _findings(problem: Mapping[str, Any]) -> tuple[str, ...]:
    found = problem.get("errors") or [
        {"pointer": "", "code": problem.get("code", "?"), "detail": problem.get("detail", "")}
    ]
    return tuple(f"{one['pointer']} {one['code']}: {one['detail']}" for one in found)


async def pages(client: httpx2.AsyncClient, path: str) -> AsyncIterator[dict[str, Any]]:
    """Yield every result of a paged listing."""
    where: str | None = path
    while where:
        response = await client.get(where)
        if not response.is_success:
            raise HarnessError(f"GET {path} answered {response.status_code}: {response.text[:300]}")
        page = response.json()
        for result in page["results"]:
            yield result
        where = page["next"]
