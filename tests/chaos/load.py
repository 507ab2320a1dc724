"""Clients of the service, all the time: they send events, count, read members, compute, and make and delete segments."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2

PERSON_SECONDS = 10.0
PREVIEW_SECONDS = 30.0
_GIVE_UP_SECONDS = 60.0  # long past what is promised: a hang is to be seen
_PAUSE = 0.25
BATCH = 30
USERS = 400

BUYERS = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 2, "operator": "gte"}],
}
PROS = {"logic": "AND", "conditions": [{"type": "user_property", "property": "plan", "operator": "eq", "value": "pro"}]}
QUIET = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "page_viewed", "operator": "gte", "value": 1},
        {"type": "event_count", "event_type": "order_placed", "operator": "lt", "value": 4},
    ],
}
SEGMENTS: dict[str, dict[str, Any]] = {"Buyers": BUYERS, "Pros": PROS, "Quiet": QUIET}


class Load:
    """Steady clients, and what they were told. *promises* broken in an answer are kept as sentences."""

    def __init__(self, url: str, key: str, *, run: str, segments: dict[str, int], may_hang_up: bool) -> None:
        self._client = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"ApiKey {key}"}, timeout=_GIVE_UP_SECONDS
        )
        self._run = run
        self._segments = segments
        self._may_hang_up = may_hang_up
        self._dice = random.Random(run)  # noqa: S311  # a seed, not a secret
        self._next = 0
        self.acknowledged = set[int]()  # the number `n` of each event
        self.unanswered = set[int]()
        self.answers = Counter[str]()
        self.refusals = Counter[str]()
        """What was said with 503 and 504."""
        self.unread = 0
        """How often the list of segments, which is PostgreSQL's alone, was not answered."""
        self.slowest = 0.0
        self.slowest_preview = 0.0
        self.broken = list[str]()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Clients while the block runs; at its end they finish what they do, and no more."""
        stop = asyncio.Event()
        clients = (self._send_batches, self._send_batches, self._send_events, self._count, self._page, self._list,
                   self._compute, self._make_and_delete)  # fmt: skip
        async with self._client, asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(_repeat(client, stop))
            try:
                yield
            finally:
                stop.set()

    async def _ask(
        self, method: str, path: str, *, limit: float = PERSON_SECONDS, **arguments: Any
    ) -> httpx2.Response | None:
        """The answer, or None where the connection was refused or cut; whatever it was, it is written down."""
        started = time.monotonic()
        try:
            answer = await self._client.request(method, f"/api/{path}", **arguments)
            said = str(answer.status_code)
        except httpx2.TransportError as error:
            answer, said = None, "hang" if isinstance(error, httpx2.TimeoutException) else "cut"
        seconds = time.monotonic() - started
        self.answers[said] += 1
        if limit == PREVIEW_SECONDS:
            self.slowest_preview = max(self.slowest_preview, seconds)
        else:
            self.slowest = max(self.slowest, seconds)
        if seconds > limit:
            self.broken.append(f"{method} {path} took {seconds:.1f} s")
        if said == "cut" and not self._may_hang_up:
            self.broken.append(f"{method} {path} was cut")
        if answer is not None and answer.status_code >= httpx2.codes.BAD_REQUEST:
            if answer.status_code not in {410, 503, 504}:
                self.broken.append(f"{method} {path} answered {said}: {answer.text[:200]}")
            elif not answer.headers["content-type"].startswith("application/problem+json"):
                self.broken.append(f"{method} {path} answered {said} without a problem: {answer.text[:200]}")
            else:
                self.refusals[answer.json()["detail"]] += 1
        if (method, path) == ("GET", "segments/") and (answer is None or answer.status_code != httpx2.codes.OK):
            self.unread += 1
        return answer

    # Events

    def _events(self, count: int, *, with_ids: bool) -> tuple[list[int], list[dict[str, Any]]]:
        numbers = list(range(self._next, self._next + count))
        self._next += count
        return numbers, [self._event(n, with_id=with_ids) for n in numbers]

    def _event(self, n: int, *, with_id: bool) -> dict[str, Any]:
        event_type = self._dice.choices(("order_placed", "page_viewed", "context_identified"), (3, 6, 1))[0]
        payload: dict[str, Any] = {"n": n, "run": self._run}
        if event_type == "context_identified":
            payload |= {"plan": self._dice.choice(("pro", "free"))}
        event = {"user_id": f"user-{self._dice.randrange(USERS)}", "event_type": event_type, "payload": payload}
        return event | ({"event_id": f"{self._run}-{n}"} if with_id else {})

    async def _send_batches(self) -> None:
        """A batch with ids, or a key, is sent until it is acknowledged; one with neither only once."""
        way = self._dice.choice(("ids", "key", "neither"))
        numbers, events = self._events(BATCH, with_ids=way == "ids")
        headers = {"Idempotency-Key": uuid4().hex} if way == "key" else {}
        while True:
            answer = await self._ask("POST", "ingestion/track/batch/", json={"events": events}, headers=headers)
            if answer is not None and answer.status_code == httpx2.codes.ACCEPTED:
                if answer.json()["queued"] != BATCH:
                    self.broken.append(f"a batch of {BATCH} was acknowledged as {answer.text[:200]}")
                self.acknowledged.update(numbers)
                return
            if way == "neither":
                self.unanswered.update(numbers)
                return
            await asyncio.sleep(_PAUSE)

    async def _send_events(self) -> None:
        numbers, (event,) = self._events(1, with_ids=False)
        answer = await self._ask("POST", "ingestion/track/", json=event)
        accepted = answer is not None and answer.status_code == httpx2.codes.ACCEPTED
        (self.acknowledged if accepted else self.unanswered).update(numbers)

    # Questions

    async def _count(self) -> None:
        definition = self._dice.choice(list(SEGMENTS.values()))
        await self._ask("POST", "segments/preview/", json={"definition": definition}, limit=PREVIEW_SECONDS)

    async def _list(self) -> None:
        await self._ask("GET", "segments/")
        await self._ask("GET", "ingestion/status/")
        await self._ask("GET", "segments/membership/", params={"user_id": "user-7"})

    async def _page(self) -> None:
        """Read one published state to its end: no user twice, none left out, whatever is computed meanwhile."""
        path = f"segments/{self._dice.choice(list(self._segments.values()))}/members/"
        found: list[str] = []
        count, cursor = None, None
        while True:
            answer = await self._ask("GET", path, params={"limit": 30} | ({"cursor": cursor} if cursor else {}))
            if answer is None or answer.status_code != httpx2.codes.OK:
                return
            page = answer.json()
            found += [row["user_id"] for row in page["results"]]
            if count not in {None, page["count"]}:
                self.broken.append(f"{path} changed its count from {count} to {page['count']} under a cursor")
            count, cursor = page["count"], page["next_cursor"]
            if cursor is None:
                break
        if len(found) != count or found != sorted(set(found)):
            self.broken.append(f"{path} said {count} members and gave {len(found)}, {len(set(found))} of them distinct")

    # Segments

    async def _compute(self) -> None:
        await self._ask("POST", f"segments/{self._dice.choice(list(self._segments.values()))}/compute/")
        await asyncio.sleep(0.5)

    async def _make_and_delete(self) -> None:
        answer = await self._ask("POST", "segments/", json={"name": f"Passing {uuid4().hex}", "definition": BUYERS})
        if answer is None or answer.status_code != httpx2.codes.CREATED:
            return
        path = f"segments/{answer.json()['id']}/"
        await self._ask("POST", f"{path}compute/")
        await asyncio.sleep(self._dice.random())
        for _ in range(1000):
            answer = await self._ask_to_delete(path)
            if answer:
                return
            await asyncio.sleep(_PAUSE)

    async def _ask_to_delete(self, path: str) -> bool:
        """True when it is gone. Asked again after a lost answer, it may be gone already."""
        before = len(self.broken)
        answer = await self._ask("DELETE", path)
        if answer is not None and answer.status_code == httpx2.codes.NOT_FOUND:
            del self.broken[before:]
            return True
        return answer is not None and answer.status_code == httpx2.codes.NO_CONTENT


async def _repeat(client: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        await client()
        await asyncio.sleep(_PAUSE)
