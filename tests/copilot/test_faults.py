"""Every way the model can fail, through the whole service: real sockets, the real SDK, a server that fails on purpose.

After each test nothing may be left: no task, no connection, no stream upstream, no query; and nothing that was said by an
exception or stands in a setting may have reached the client.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from anthropic import AsyncAnthropic
from msgspec import Struct, structs

from segment_copilot.access.keys import Keys
from segment_copilot.access.tenants import Tenants
from segment_copilot.api.http import sse
from segment_copilot.app import create_app
from segment_copilot.copilot.models.claude.model import Claude, Patience
from segment_copilot.copilot.runs.breaker import Breaker
from segment_copilot.copilot.runs.failures import failure_of
from segment_copilot.errors import Unavailable
from segment_copilot.settings import Settings
from tests.support import copilot_invariants
from tests.support.copilot_runs import payload
from tests.support.http_server import served
from tests.support.messages_cache import PromptCache
from tests.support.messages_server import (
    Answer,
    MessagesServer,
    after,
    answer,
    answer_in_single_bytes,
    broken_off,
    clean_end,
    cut,
    cut_inside_a_chunk,
    delta_of_nothing,
    error_event,
    flood,
    garbage,
    hidden_thinking,
    no_http,
    only_pings,
    page,
    pings_before_the_head,
    refusal,
    run_messages_server,
    stall,
    text,
    thinking,
    tool_use,
    unknown_block,
    unknown_event,
)
from tests.support.proxies import eventually
from tests.support.slow_events import slow_events

SECRET = "hunter2 at postgres://admin:hunter2@10.0.0.7/prod"  # what an upstream says; nobody else may
KEY = "sk-ant-very-secret"
STREAM, AG_UI, AI_SDK, GENERATE = (f"/api/copilot/{name}/" for name in ("stream", "ag-ui", "ai-sdk", "generate"))
SAID = {"role": "user", "content": "How are sales?"}
BODIES: dict[str, Any] = {
    STREAM: {"messages": [SAID]},
    AG_UI: {
        "threadId": "t1", "runId": "r1", "messages": [{"id": "m1", **SAID}], "tools": [], "context": [], "state": {},
        "forwardedProps": {},
    },
    AI_SDK: {
        "id": "c1", "trigger": "submit-message",
        "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "How are sales?"}]}],
    },
    GENERATE: {"description": "How are sales?"},
}  # fmt: skip


class Service(Struct, frozen=True):
    """The whole service, over a model that fails on purpose."""

    url: str
    app: Any
    key: str
    upstream: MessagesServer
    secrets: tuple[str, ...]
    patient: Claude  # the same model, where half a second of silence is no fault
    hasty: Claude  # the one that the settings made

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, headers={"Authorization": f"ApiKey {self.key}"}, timeout=30)

    def lose_patience(self) -> None:
        """Silence is a fault soon."""
        self.app.state.copilot = structs.replace(self.app.state.copilot, model=self.hasty)

    def change(self, **settings: Any) -> None:
        """Other settings for the runs that follow."""
        copilot = self.app.state.copilot
        self.app.state.copilot = structs.replace(copilot, settings=structs.replace(copilot.settings, **settings))


@pytest.fixture(scope="module")
async def running(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Service]:
    """The service, as its settings make it: impatient."""
    async with run_messages_server() as upstream:
        settings = Settings(
            database_url=module_database_url,
            clickhouse_url=module_clickhouse_url,
            copilot_model="claude",
            anthropic_api_key=KEY,
            anthropic_base_url=upstream.url,
            claude_first_seconds=0.5,
            claude_idle_seconds=0.5,
            copilot_heartbeat_seconds=0.1,
        )
        app = create_app(settings)
        async with (
            served(app) as url,
            AsyncAnthropic(api_key=KEY, base_url=upstream.url, max_retries=0) as anthropic,
        ):
            postgres = app.state.resources.postgres
            tenant = await Tenants(postgres).create("acme")
            key = (await Keys(postgres).create(tenant))[1]
            secrets = (KEY, key, module_database_url, module_clickhouse_url, upstream.url)
            patient = Claude(anthropic, name="claude-sonnet-5-5", effort="low")
            yield Service(url, app, key, upstream, secrets, patient, app.state.copilot.model)


@pytest.fixture
async def service(running: Service) -> AsyncGenerator[Service]:
    """The service as new; after the test nothing may be left of it."""
    before = running.app.state.copilot
    running.app.state.copilot = structs.replace(before, model=running.patient, breaker=Breaker())
    upstream = running.upstream
    upstream.exchanges.clear()
    upstream.script.clear()
    upstream.cache = PromptCache()
    tasks = {task for task in asyncio.all_tasks() if not task.done()}
    yield running
    running.app.state.copilot = before
    running.app.state.draining.clear()
    await nothing_left(running, tasks)


async def nothing_left(service: Service, tasks: set[asyncio.Task[Any]]) -> None:
    """No task, no connection on either side, no query."""
    ports = {service.port, urlsplit(service.upstream.url).port}
    process = psutil.Process()
    left: list[Any] = []

    async def all_gone() -> bool:
        connections = [one for one in process.net_connections("tcp") if one.status != psutil.CONN_LISTEN]
        left[:] = [
            *(asyncio.all_tasks() - tasks - {asyncio.current_task()}),
            *(one for one in connections if ports & {one.laddr.port, getattr(one.raddr, "port", None)}),
            *["upstream"] * service.upstream.open,
            *["query"] * await queries(service),
        ]
        return not left

    try:
        await eventually(all_gone)
    except TimeoutError:
        pytest.fail(f"left behind: {left}")


async def queries(service: Service) -> int:
    """How many queries ClickHouse is running for this service."""
    sql = "SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query NOT LIKE '%system.processes%'"
    return (await service.app.state.resources.clickhouse.fetch(sql, purpose="catalog")).rows[0][0]


async def said(service: Service, path: str = STREAM, body: Any = None) -> bytes:
    """Every byte of one answer; none may tell what is nobody's business."""
    async with asyncio.timeout(30), service.client() as client:
        response = await client.post(path, json=body or BODIES[path])
    whole = response.content
    for secret in (*service.secrets, "hunter2", "Traceback", "anthropic", "httpx", "Exception", "Error("):
        assert secret.encode() not in whole
    return whole


async def told(service: Service) -> list[dict[str, Any]]:
    """The events of a run in our own protocol; every invariant holds."""
    whole = await said(service)
    blocks = [block + b"\n\n" for block in whole.split(b"\n\n")[:-1]]
    frames = [payload(block) for block in blocks if not block.startswith(b":")]
    copilot_invariants.check(frames)
    return frames


def of(frames: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] == name]


def call(call_id: str, name: str, **arguments: Any) -> Any:
    return tool_use(call_id, name, json.dumps(arguments))


_NUMBERS = itertools.count()


def call_anew(name: str, *pieces: str) -> Any:
    """A call whose id is another one each time, as the API's are."""

    def build(index: int, signature: str) -> Any:
        return tool_use(f"toolu_new_{next(_NUMBERS)}", name, *pieces)(index, signature)

    return build


HALF = text("Half ", "an answer")

PASSING: dict[str, tuple[Answer, str, int]] = {
    # A fault that may pass: what it is, the code when it does not pass, and how often the turn is asked.
    "529": (refusal(529, "overloaded_error", SECRET, retry_after="0"), "upstream_overloaded", 3),
    "503 of a proxy": (refusal(503, "", SECRET, retry_after="0"), "upstream_overloaded", 3),
    "429": (refusal(429, "rate_limit_error", SECRET, retry_after="0"), "upstream_rate_limited", 3),
    "500": (refusal(500, "api_error", SECRET, retry_after="0"), "upstream_disconnected", 3),
    "504": (refusal(504, "timeout_error", SECRET, retry_after="0"), "upstream_timeout", 3),
    "408": (refusal(408, "timeout_error", SECRET, retry_after="0"), "upstream_timeout", 3),
    "error event before text": (broken_off(then=error_event("overloaded_error", SECRET), keep=2), "upstream_overloaded", 3),
    "error event after text": (broken_off(HALF, then=error_event("overloaded_error", SECRET)), "upstream_overloaded", 2),
    "error event of a limit": (broken_off(HALF, then=error_event("rate_limit_error", SECRET)), "upstream_rate_limited", 2),
    "error event inside a call": (
        broken_off(call_anew("list_segments", '{"limit": 5}'), then=error_event("api_error", SECRET)), "upstream_disconnected", 2
    ),
    "cut before the head": (cut, "upstream_disconnected", 3),
    "cut between events": (broken_off(HALF, then=cut), "upstream_disconnected", 2),
    "cut inside a chunk": (broken_off(HALF, then=cut_inside_a_chunk), "upstream_disconnected", 2),
    "cut inside a call": (broken_off(call_anew("list_segments", "{}"), then=cut, keep=-3), "upstream_disconnected", 2),
    "clean end without message_stop": (broken_off(HALF, then=clean_end, keep=-1), "upstream_disconnected", 2),
    "clean end inside a text": (broken_off(HALF, then=clean_end, keep=-3), "upstream_disconnected", 2),
    "no HTTP": (no_http, "upstream_disconnected", 3),
    "a page of a proxy": (page, "upstream_disconnected", 3),
    "no head": (stall, "upstream_timeout", 3),
    "no first delta": (broken_off(then=stall, keep=2), "upstream_timeout", 3),
    "a stall": (broken_off(HALF, then=stall), "upstream_timeout", 2),
    "only pings": (pings_before_the_head, "upstream_timeout", 3),
    "only pings after text": (broken_off(HALF, then=only_pings), "upstream_timeout", 2),
    "an event that is no JSON": (broken_off(HALF, then=garbage), "model_output_invalid", 2),
    "a delta of nothing": (broken_off(HALF, then=delta_of_nothing), "model_output_invalid", 2),
}  # fmt: skip

SILENCES = {"no head", "no first delta", "a stall", "only pings", "only pings after text"}

LASTING: dict[str, tuple[Answer, str]] = {
    "400": (refusal(400, "invalid_request_error", SECRET), "upstream_bad_request"),
    "400 too long": (refusal(400, "invalid_request_error", "prompt is too long: hunter2"), "context_too_long"),
    "401": (refusal(401, "authentication_error", SECRET), "upstream_auth"),
    "402": (refusal(402, "billing_error", SECRET), "upstream_spend_limit"),
    "403": (refusal(403, "permission_error", SECRET), "upstream_auth"),
    "404": (refusal(404, "not_found_error", SECRET), "upstream_bad_request"),
    "413": (refusal(413, "request_too_large", SECRET), "context_too_long"),
    "429 spend limit": (
        refusal(429, "rate_limit_error", SECRET, details={"error_code": "enforced_spend_limit_reached"}),
        "upstream_spend_limit",
    ),
}


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_that_passes_leaves_a_whole_answer(service: Service, name: str):
    fault, code, _ = PASSING[name]
    if name in SILENCES:
        service.lose_patience()
    service.upstream.answers(fault, answer(text("All well.")))

    frames = await told(service)

    (reset,) = of(frames, "turn.reset")
    assert reset["reason"] == code
    counting = [frame for frame in of(frames, "text.delta") if frame["id"] not in reset["discard"]]
    assert "".join(frame["delta"] for frame in counting) == "All well."
    assert frames[-1]["outcome"] == "completed"
    assert service.upstream.bodies[0] == service.upstream.bodies[1]


@pytest.mark.parametrize("name", PASSING)
async def test_a_fault_that_stays_ends_with_its_code(service: Service, name: str):
    fault, code, attempts = PASSING[name]
    if name in SILENCES:
        service.lose_patience()
    service.upstream.answers(*[fault] * attempts)

    frames = await told(service)

    assert (frames[-1]["type"], frames[-1]["code"], frames[-1]["retryable"]) == ("run.error", code, True)
    assert len(service.upstream.exchanges) == attempts
    assert [frame["attempt"] for frame in of(frames, "turn.started")] == list(range(1, attempts + 1))


@pytest.mark.parametrize("name", LASTING)
async def test_a_fault_that_cannot_pass_is_not_tried_again(service: Service, name: str):
    fault, code = LASTING[name]
    service.upstream.answers(fault)

    frames = await told(service)

    assert (frames[-1]["code"], frames[-1]["retryable"]) == (code, False)
    assert frames[-1]["upstream_request_id"] == "req_test"
    assert len(service.upstream.exchanges) == 1


@pytest.mark.parametrize("name", ["529", "error event after text", "cut inside a chunk", "a stall", "401"])
async def test_the_other_protocols_end_as_theirs_do(service: Service, name: str):
    known = {**PASSING, **{key: (*value, 1) for key, value in LASTING.items()}}
    fault, code, attempts = known[name]
    if name in SILENCES:
        service.lose_patience()
    service.upstream.answers(*[fault] * attempts * 2)

    ag_ui = await said(service, AG_UI)
    ai_sdk = await said(service, AI_SDK)

    last = json.loads(ag_ui.split(b"\n\n")[-2].rpartition(b"data: ")[2])
    assert (last["type"], last["code"]) == ("RUN_ERROR", code)
    *_, error, finish, done, rest = ai_sdk.split(b"\n\n")
    assert b'"type":"error"' in error
    assert b'"type":"finish"' in finish
    assert (done, rest) == (b"data: [DONE]", b"")


@pytest.mark.parametrize(("name", "status"), [("529", 503), ("cut between events", 503), ("400", 503), ("413", 400)])
async def test_one_answer_that_failed_is_a_problem(service: Service, name: str, status: int):
    known = {**PASSING, **{key: (*value, 1) for key, value in LASTING.items()}}
    fault, code, attempts = known[name]
    service.upstream.answers(*[fault] * attempts)

    problem = json.loads(await said(service, GENERATE))

    assert (problem["status"], problem["code"]) == (status, code)


async def test_a_server_that_asks_for_an_hour_gets_none(service: Service):
    service.change(copilot_deadline_seconds=5)
    service.upstream.answers(refusal(429, "rate_limit_error", SECRET, retry_after="3600"))

    frames = await told(service)

    assert (frames[-1]["code"], frames[-1]["retry_after_ms"]) == ("upstream_rate_limited", 3_600_000)


def test_no_wait_is_longer_than_eight_seconds():
    asked = failure_of(Unavailable("", code="upstream_rate_limited", context={"retry_after_ms": 3_600_000}))
    plain = failure_of(Unavailable("", code="upstream_overloaded"))

    assert asked.wait_seconds(1) == 8
    assert [plain.wait_seconds(attempt) for attempt in (1, 2, 9)] == [0.5, 1, 8]


async def test_nobody_listening(service: Service):
    async with AsyncAnthropic(api_key=KEY, base_url="http://127.0.0.1:1", max_retries=0) as nobody:
        claude = Claude(nobody, name="claude-sonnet-5-5", effort="low", patience=Patience(connect=1))
        service.app.state.copilot = structs.replace(service.app.state.copilot, model=claude)

        frames = await told(service)

    assert frames[-1]["code"] == "upstream_disconnected"
    assert len(of(frames, "turn.started")) == 3


async def test_a_first_byte_that_is_slow_is_waited_for(service: Service):
    """Comments fill the silence; the answer comes once one was seen."""
    gate = asyncio.Event()
    service.upstream.answers(after(gate, answer(text("At last."))))

    async with (
        asyncio.timeout(10),
        service.client() as client,
        client.stream("POST", STREAM, json=BODIES[STREAM]) as response,
    ):
        whole = b""
        async for chunk in response.aiter_raw():
            whole += chunk
            if b": hb\n" in whole:
                gate.set()

    assert b"At last." in whole


async def test_what_is_cut_by_the_token_limit_is_asked_again_with_more_room(service: Service):
    service.upstream.answers(
        answer(tool_use("toolu_1", "list_segments", '{"limit": 5, "or'), stop_reason="max_tokens"),
        answer(text("Short.")),
    )

    frames = await told(service)

    assert of(frames, "tool.result")[0]["error"]["code"] == "interrupted"
    assert [body["max_tokens"] for body in service.upstream.bodies] == [8000, 16000]


async def test_a_call_that_is_cut_twice_ends_with_that_limit(service: Service):
    cut_call = answer(call_anew("list_segments", '{"limit": 5, "or'), stop_reason="max_tokens")
    service.upstream.answers(cut_call, cut_call)

    frames = await told(service)

    assert (frames[-1]["outcome"], frames[-1]["limit"]) == ("limit", "max_tokens")
    assert [result["ok"] for result in of(frames, "tool.result")] == [False, False]


async def test_arguments_that_are_no_json_are_shown_to_the_model(service: Service):
    service.upstream.answers(
        answer(tool_use("toolu_1", "list_segments", '{"limit": nope}'), stop_reason="tool_use"),
        answer(call("toolu_2", "list_segments", limit=5), stop_reason="tool_use"),
        answer(text("There are none.")),
    )

    frames = await told(service)

    assert [result["ok"] for result in of(frames, "tool.result")] == [False, True]
    assert frames[-1]["outcome"] == "completed"


async def test_a_refusal_is_told_in_our_words(service: Service):
    details = {"category": "cyber", "explanation": SECRET}
    service.upstream.answers(answer(stop_reason="refusal", stop_details=details))

    frames = await told(service)

    assert frames[-1]["outcome"] == "refused"
    assert of(frames, "text.delta")


async def test_what_nobody_knows_yet_is_passed_over(service: Service):
    strange = broken_off(text("Known "), hidden_thinking, unknown_block, text("words."), then=_strange_end, keep=-2)
    service.upstream.answers(strange)

    frames = await told(service)

    assert "".join(frame["delta"] for frame in of(frames, "text.delta")) == "Known words."
    assert frames[-1]["outcome"] == "completed"


async def _strange_end(exchange: Any) -> None:
    await unknown_event(exchange)
    delta = {"stop_reason": "end_turn", "stop_sequence": None, "mood": "fine"}
    await exchange.event("message_delta", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 25}})
    await exchange.event("message_stop", {"type": "message_stop"})
    await exchange.end()


async def test_a_stop_reason_that_nobody_knows_is_a_broken_turn(service: Service):
    service.upstream.answers(answer(HALF, stop_reason="moonrise"), answer(text("Whole.")))

    frames = await told(service)

    assert of(frames, "turn.reset")[0]["reason"] == "upstream_disconnected"
    assert frames[-1]["outcome"] == "completed"


async def test_single_bytes_make_the_same_answer(service: Service):
    """Every byte is a chunk of its own, so each character of more than one is split."""
    service.upstream.answers(answer_in_single_bytes(text("Größe in €, ", "日本語 🙂")))

    frames = await told(service)

    assert [frame["delta"] for frame in of(frames, "text.delta")] == ["Größe in €, ", "日本語 🙂"]


@pytest.mark.parametrize("count", [2, 3])
async def test_calls_side_by_side_each_have_a_result(service: Service, count: int):
    names = ["list_segments", "list_event_schemas", "list_activations"][:count]
    service.upstream.answers(
        answer(thinking("Look."), *[call(f"toolu_{name}", name) for name in names], stop_reason="tool_use"),
        answer(text("Nothing yet.")),
    )

    frames = await told(service)

    results = service.upstream.bodies[1]["messages"][-1]["content"]
    assert [block["tool_use_id"] for block in results if block["type"] == "tool_result"] == [
        f"toolu_{name}" for name in names
    ]
    assert all(result["ok"] for result in of(frames, "tool.result"))


async def test_very_large_arguments_are_an_error_and_not_a_hang(service: Service):
    """A megabyte in pieces of 256 bytes; the SDK's own reading of it is quadratic."""
    document = json.dumps({"query": "x" * 2**20})
    pieces = [document[start : start + 256] for start in range(0, len(document), 256)]
    service.upstream.answers(
        answer(tool_use("toolu_1", "list_segments", *pieces), stop_reason="tool_use"), answer(text("Too much."))
    )

    frames = await told(service)

    assert of(frames, "tool.result")[0]["error"]["code"] == "invalid_arguments"
    assert frames[-1]["outcome"] == "completed"


# The breaker


async def test_while_the_model_is_away_requests_are_refused_at_once(service: Service):
    copilot = structs.replace(service.app.state.copilot, breaker=Breaker(failures=3, seconds=3600))
    service.app.state.copilot = copilot
    service.upstream.answers(*[PASSING["529"][0]] * 3)
    await told(service)

    async with service.client() as client:
        for path, body in BODIES.items():
            refused = await client.post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "upstream_unavailable")
            assert 3500 < int(refused.headers["retry-after"]) <= 3600

    assert len(service.upstream.exchanges) == 3


# Clients that leave, or do not read


@asynccontextmanager
async def asked(service: Service) -> AsyncGenerator[AsyncIterator[bytes]]:
    """A stream that is left at the end of the block."""
    async with (
        asyncio.timeout(20),
        service.client() as client,
        client.stream("POST", STREAM, json=BODIES[STREAM]) as response,
    ):
        yield response.aiter_raw()


async def seen(chunks: AsyncIterator[bytes], what: bytes) -> None:
    """Read until *what* has come."""
    whole = b""
    async for chunk in chunks:
        whole += chunk
        if what in whole:
            return
    pytest.fail(f"the stream ended: {whole!r}")


async def requested(service: Service, count: int) -> None:
    """Wait until the model was asked so often."""

    async def there() -> bool:
        return len(service.upstream.exchanges) == count

    await eventually(there)


async def left_upstream(service: Service) -> None:
    """The last request's connection is closed within a second."""
    async with asyncio.timeout(1):
        await service.upstream.exchanges[-1].closed.wait()


async def test_leaving_before_the_first_word_closes_the_upstream(service: Service):
    service.upstream.answers(stall)

    async with asked(service):
        await requested(service, 1)

    await left_upstream(service)


async def test_leaving_in_the_middle_of_a_text_closes_the_upstream(service: Service):
    service.upstream.answers(broken_off(HALF, then=stall))

    async with asked(service) as chunks:
        await seen(chunks, b"Half ")

    await left_upstream(service)


async def test_leaving_in_the_middle_of_a_call_closes_the_upstream(service: Service):
    service.upstream.answers(broken_off(call("toolu_1", "list_segments"), then=stall, keep=-3))

    async with asked(service) as chunks:
        await seen(chunks, b"tool.start")

    await left_upstream(service)


async def test_leaving_between_two_turns_closes_the_upstream(service: Service):
    service.upstream.answers(answer(call("toolu_1", "list_segments"), stop_reason="tool_use"), stall)

    async with asked(service) as chunks:
        await seen(chunks, b"tool.result")
        await requested(service, 2)

    await left_upstream(service)


async def test_leaving_while_a_failed_turn_waits_asks_no_more(service: Service):
    """Nothing of the run is left afterwards, so nothing can ask."""
    service.upstream.answers(refusal(529, "overloaded_error", SECRET, retry_after="8"))

    async with asked(service) as chunks:
        await seen(chunks, b"turn.reset")

    assert len(service.upstream.exchanges) == 1


async def test_many_leave_at_once(service: Service):
    """In every protocol, some before the first word and some after it."""
    service.upstream.answers(*[broken_off(HALF, then=stall), stall] * 20)
    paths = [STREAM, AG_UI, AI_SDK, GENERATE] * 10

    async with service.client() as client:
        asking = [asyncio.create_task(client.post(path, json=BODIES[path])) for path in paths]
        await requested(service, len(paths))
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)

    async with asyncio.timeout(2):
        for exchange in service.upstream.exchanges:
            await exchange.closed.wait()


async def test_leaving_during_a_query_kills_it(service: Service):
    looks = call("toolu_1", "query_top_events", **{"from": "2026-01-01", "to": "2027-01-01"})
    service.upstream.answers(answer(looks, stop_reason="tool_use"))

    async with slow_events(service.app.state.resources, service.key) as looking:
        async with asked(service) as chunks:
            await seen(chunks, b"tool.args")

            async def begun() -> bool:
                return await looking() == 1

            await eventually(begun)

        async def gone() -> bool:
            return await looking() == 0

        await eventually(gone, seconds=2)


async def test_leaving_while_a_row_is_locked_ends_the_wait(service: Service):
    """PostgreSQL is told as well: nobody waits for the lock any more while it is still held."""
    postgres = service.app.state.resources.postgres
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    gate = asyncio.Event()
    service.upstream.answers(after(gate, answer(call("toolu_1", "list_segments"), stop_reason="tool_use")))

    async def waiting() -> bool:
        return await postgres.fetchval(sql) == 1

    async def nobody() -> bool:
        return await postgres.fetchval(sql) == 0

    async with postgres.transaction() as transaction:
        async with asked(service):
            await requested(service, 1)
            await transaction.execute("LOCK TABLE segments IN ACCESS EXCLUSIVE MODE")
            gate.set()
            await eventually(waiting)
        await eventually(nobody, seconds=2)


async def test_a_reader_that_does_not_read_stops_the_model(service: Service, monkeypatch: pytest.MonkeyPatch):
    """Of 256 MiB the model can write only what fits into the sockets on the way; then the reader is given up."""
    monkeypatch.setattr(sse, "SEND_SECONDS", 0.5)
    service.upstream.answers(flood(256 * 2**20))
    body = json.dumps(BODIES[STREAM]).encode()
    head = (
        f"POST {STREAM} HTTP/1.1\r\nhost: test\r\nauthorization: ApiKey {service.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", service.port)) as silent:
        silent.sendall(head.encode() + body)
        await requested(service, 1)
        async with asyncio.timeout(15):
            await service.upstream.exchanges[0].closed.wait()

    assert service.upstream.exchanges[0].sent < 64 * 2**20


# A process that stops


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_that_is_told_to_stop_ends_its_streams_first(service: Service, number: signal.Signals):
    """A real process and a real signal, with one stream open and one answer waited for."""
    service.upstream.answers(broken_off(HALF, then=stall), stall)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = service.app.state.resources.settings
    environment = os.environ | {
        "DATABASE_URL": settings.database_url, "CLICKHOUSE_URL": settings.clickhouse_url, "PORT": str(port),
        "COPILOT_MODEL": "claude", "ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": service.upstream.url,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "segment_copilot", "serve", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with (
            asyncio.timeout(60),
            httpx2.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"ApiKey {service.key}"}
            ) as client,
        ):
            await eventually(lambda: _answers(client), seconds=30)
            async with client.stream("POST", STREAM, json=BODIES[STREAM]) as response:
                chunks = response.aiter_raw()
                await seen(chunks, b"Half ")
                waiting = asyncio.create_task(client.post(GENERATE, json=BODIES[GENERATE], timeout=30))
                await requested(service, 2)
                process.send_signal(number)
                rest = b"".join([chunk async for chunk in chunks])
            assert (await waiting).json()["code"] == "server_draining"
            code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    assert rest.rstrip().split(b"\n\n")[-1].splitlines()[1:2] == [b"event: run.error"]
    assert b'"code":"server_draining"' in rest
    assert code in {0, -signal.SIGTERM}  # uvicorn raises the signal again once all is closed


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx2.TransportError:
        return False
