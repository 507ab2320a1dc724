"""Raw sockets against the server: what a connection may hold before there is a request, and for how long."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from segment_copilot.api.http.connections import MAX_HEAD_BYTES, BoundedHttp
from segment_copilot.api.http.requests import ApiRequest

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def connection(server) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_to(server, *pieces: bytes) -> bytes:
    """All that comes back until the server closes."""
    async with connection(server) as (reader, writer), asyncio.timeout(20):
        for piece in pieces:
            writer.write(piece)
        return await reader.read()


def problem_in(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/problem+json" in lines
    assert b"connection: close" in lines
    assert b"x-content-type-options: nosniff" in lines
    problem = json.loads(body)
    assert answer.startswith(b"HTTP/1.1 %d " % problem["status"])
    assert b"x-request-id: " + problem["request_id"].encode() in lines
    return problem


@pytest.fixture
def hurried(monkeypatch):
    """Little time, so that the test need not wait for ten seconds."""
    monkeypatch.setattr(BoundedHttp, "head_seconds", 0.3)
    monkeypatch.setattr(ApiRequest, "body_seconds", 0.3)


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"x" * MAX_HEAD_BYTES,
        GET + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"x" * MAX_HEAD_BYTES,
        GET + b"A: b\r\n" * (MAX_HEAD_BYTES // 6),
        GET + b"A: b\r\n" * (MAX_HEAD_BYTES // 6) + b"\r\n",
        b"GET /" + b"x" * MAX_HEAD_BYTES,
        b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * MAX_HEAD_BYTES,
    ],
    ids=["value", "whole value", "name", "many", "many, whole", "path", "whole path", "blank lines"],
)
async def test_a_head_beyond_its_limit_is_431(server, head):
    problem = problem_in(await answer_to(server, head))
    assert (problem["status"], problem["code"]) == (431, "head_too_large")


async def test_a_head_just_below_its_limit_is_taken(server):
    head = GET + b"Connection: close\r\nX: "
    whole = head + b"x" * (MAX_HEAD_BYTES - len(head) - 4) + b"\r\n\r\n"
    assert (await answer_to(server, whole)).startswith(b"HTTP/1.1 200 ")
    pieces = [whole[start : start + 1000] for start in range(0, len(whole), 1000)]
    assert (await answer_to(server, *pieces)).startswith(b"HTTP/1.1 200 ")


async def test_a_header_of_300_mib_is_not_kept(server):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with connection(server) as (reader, writer), asyncio.timeout(60):
        writer.write(GET + b"X: ")
        sent = 0
        try:
            while sent < 300 * 2**20:
                writer.write(b"x" * 2**20)
                await writer.drain()
                sent += 2**20
        except ConnectionError:
            pass
        answer = await reader.read() if not reader.exception() else b""
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 50, f"{grown} MiB"
    assert not answer or problem_in(answer)["code"] == "head_too_large"


async def test_fifty_slow_heads_are_answered_and_closed(server, client, hurried):
    async def drip() -> bytes:
        async with connection(server) as (reader, writer), asyncio.timeout(20):
            writer.write(GET)
            answer = asyncio.create_task(reader.read())
            while not answer.done():  # a byte now and then keeps no connection open
                if not writer.is_closing():
                    writer.write(b"X")
                await asyncio.wait([answer], timeout=0.05)
            return answer.result()

    dripping = asyncio.gather(*(drip() for _ in range(50)))
    assert (await client.get("/health/live")).status_code == 200
    for answer in await dripping:
        assert (problem_in(answer)["status"], problem_in(answer)["code"]) == (408, "request_timeout")


async def test_idle_connections_are_closed_in_silence(server, hurried):
    assert await asyncio.gather(*(answer_to(server) for _ in range(20))) == [b""] * 20


async def test_a_connection_that_idles_after_an_answer_is_closed_and_a_new_head_is_timed(server, hurried):
    once = await answer_to(server, GET + b"\r\n")
    assert once.count(b"HTTP/1.1 200 ") == 1
    assert once.endswith(b'{"status":"ok"}')

    then = await answer_to(server, GET + b"\r\n", GET)
    assert then.count(b"HTTP/1.1 ") == 2
    assert problem_in(then[then.rindex(b"HTTP/1.1 ") :])["code"] == "request_timeout"


async def test_the_rest_of_a_body_that_nobody_wants_has_the_same_time(server, hurried):
    """A refused upload that never ends holds its connection no longer than a head may."""
    early = await answer_to(server, b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"x")
    assert early.startswith(b"HTTP/1.1 404 ")


CHUNKED = b"POST /api/segments/preview/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n", b"1;x="], ids=["trailer", "trailers", "extension"])
async def test_what_comes_beside_a_body_is_bounded_too(server, hurried, endless):
    more = b"A: b\r\n" * MAX_HEAD_BYTES if endless == b"0\r\n" else b"x" * MAX_HEAD_BYTES * 6
    key = b"Authorization: ApiKey " + server.key.encode() + b"\r\n\r\n"
    answer = await answer_to(server, CHUNKED + key + endless, more)
    assert b"connection: close" in answer.lower()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))


async def test_a_trailer_is_no_header(server):
    """A key that comes behind the body opens nothing."""
    trailed = CHUNKED + b"Connection: close\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: ApiKey " + server.key.encode()
    assert (await answer_to(server, trailed + b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"],
)
async def test_what_is_no_http_is_a_problem(server, sent):
    problem = problem_in(await answer_to(server, sent))
    assert (problem["status"], problem["code"]) == (400, "malformed_request")


async def test_an_answer_under_way_is_not_broken_by_what_follows_it(server):
    """Requests are sent one behind the other; the second is too large, and its refusal may not stand inside the first."""
    answer = await answer_to(
        server, GET.replace(b"live", b"ready") + b"\r\n" + GET + b"X: " + b"x" * 2 * MAX_HEAD_BYTES + b"\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'{"status":"ok"}' in answer


async def test_requests_sent_one_behind_the_other_are_all_answered(server):
    last = GET + b"Connection: close\r\n\r\n"
    answer = await answer_to(server, (GET + b"\r\n") * 20 + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 21
