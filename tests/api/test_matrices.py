"""Who may do what, and whose data it is: every operation of the document, with every credential, and as another tenant.

A new operation is in both by itself. A new parameter of a path, and a body that the document has no example for, need a
row in the tables of `tests/support/isolation.py`; the tests say which.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx2
import pytest
import structlog
from litestar.routes import HTTPRoute
from msgspec import Struct

from segment_copilot.access.keys import NewKey
from segment_copilot.access.scopes import MCP, ROLES, SCOPES, SESSIONS
from segment_copilot.api.http.routes import route_of
from segment_copilot.api.http.scopes import scope_of
from segment_copilot.app import create_app
from segment_copilot.settings import Settings
from tests.openapi.document import document
from tests.support.isolation import CANARIES, NOWHERE, Belongings, belongings, request_of

DOCUMENT = document()


class Operation(Struct, frozen=True):
    """An operation of the document."""

    method: str
    path: str
    document: dict[str, Any]

    @property
    def names(self) -> list[str]:
        """The parameters of its path."""
        return re.findall(r"{(\w+)}", self.path)

    def at(self, values: dict[str, Any]) -> str:
        """Its path with *values* of its parameters."""
        return re.sub(r"{(\w+)}", lambda found: str(values[found[1]]), self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


OPERATIONS = [
    Operation(method.upper(), path, document)
    for path, methods in DOCUMENT["paths"].items()
    for method, document in methods.items()
]
NEED_KEYS = [each for each in OPERATIONS if each.document.get("security") != []]


# Scopes


def test_every_route_needs_a_scope_that_exists_or_no_credential():
    """Whether the document shows it or not."""
    for route in create_app(Settings()).routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    scope = scope_of(handler, route.path_format, method)
                    known = scope is None if route_of(handler).public else scope in SCOPES
                    assert known, (method, route.path_format, scope)


def test_the_document_says_which_scope_each_operation_needs():
    scopes = {str(each): each.document.get("x-scope") for each in OPERATIONS}

    assert [name for name, scope in scopes.items() if scope is None] == [
        str(each) for each in OPERATIONS if each.document.get("security") == []
    ]
    expected = {
        "GET /api/segments/": "segments:read",
        "POST /api/segments/": "segments:write",
        "DELETE /api/segments/{segment_id}/": "segments:write",
        "POST /api/segments/preview/": "segments:read",
        "POST /api/segments/{segment_id}/estimate/": "segments:read",
        "POST /api/segments/{segment_id}/compute/": "segments:write",
        "GET /api/segments/{segment_id}/members/": "members:read",
        "GET /api/segments/membership/": "members:read",
        "GET /api/explorer/users/{user_id}/segments/{segment_id}/explain/": "users:read",
        "POST /api/ingestion/track/batch/": "events:write",
        "GET /api/ingestion/status/": "events:read",
        "POST /api/copilot/stream/": "copilot:ask",
        "GET /api/copilot/capabilities/": "copilot:ask",
        "POST /api/auth/session/": "sessions:open",
        "GET /api/auth/api-keys/": "keys:manage",
        "DELETE /api/auth/api-keys/{key_id}/": "keys:manage",
    }
    assert expected.items() <= scopes.items()


@pytest.fixture(scope="module")
async def credentials(server) -> dict[str, tuple[str, frozenset[str]]]:
    """A credential of every kind, role and scope: how it is sent, and what it may do."""
    keys, tenant = server.resources.keys, await server.resources.tenants.get("first")
    wanted = {
        **{f"role {role}": (NewKey(role=role), scopes) for role, scopes in ROLES.items()},
        **{f"only {scope}": (NewKey(scopes=[scope]), frozenset({scope})) for scope in SCOPES},
        "all but one": (NewKey(scopes=[*(SCOPES.keys() - {"segments:read"})]), SCOPES.keys() - {"segments:read"}),
        "mcp": (NewKey(kind="mcp"), MCP["mcp:read"] | MCP["mcp:write"]),
        **{scope: (NewKey(kind="mcp", scopes=[scope]), scopes) for scope, scopes in MCP.items()},
        "public": (NewKey(kind="public"), frozenset({"sessions:open"})),
    }
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for name, (new, scopes) in wanted.items():
        found[name] = f"ApiKey {(await keys.issue(tenant, new)).text}", frozenset(scopes)
    for kind in ("secret", "public"):
        for scope in ("copilot", "track") if kind == "secret" else ("track",):
            opener = found["role owner" if kind == "secret" else "public"][0]
            async with httpx2.AsyncClient(base_url=server.url, headers={"Authorization": opener}) as client:
                body = {"scope": scope, "user_id": "ana"}
                token = (await client.post("/api/auth/session/", json=body)).json()["token"]
            found[f"session of a {kind} key to {scope}"] = f"Bearer {token}", SESSIONS[scope]
    return found


async def test_every_credential_may_do_exactly_what_its_scopes_say(server, credentials):
    """Requests without a body, of ids that nobody has: what is allowed is refused for that, and for nothing else."""
    wrong: list[str] = []
    with structlog.testing.capture_logs():
        for operation in NEED_KEYS:
            scope = operation.document["x-scope"]
            for name, (header, scopes) in credentials.items():
                status, body = await answer_of(server.app, operation.method, operation.at(NOWHERE), header)
                if (status == 403) is (scope in scopes) or status in {401, 500}:
                    wrong.append(f"{name}: {operation} {status}")
                elif status == 403:
                    problem = json.loads(body)
                    code = "public_key" if name == "public" else "missing_scope"
                    if (problem["code"], problem["scope"]) != (code, scope):
                        wrong.append(f"{name}: {operation} {problem['code']}")

    assert wrong == []


async def answer_of(app: Any, method: str, path: str, authorization: str) -> tuple[int, bytes]:
    """Status and body of a request that is handed to the application without a socket: there are thousands of them."""
    messages: list[Any] = []

    arrived = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if arrived.is_set():
            await asyncio.Event().wait()  # it stays until it is answered
        arrived.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", authorization.encode()), (b"content-length", b"0")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 1),
        "state": {},
    }
    await app.asgi_handler(scope | {"app": app, "litestar_app": app}, receive, send)
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages[1:])


async def test_without_a_credential_nothing_is_answered(server):
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        for operation in NEED_KEYS:
            answer = await client.request(operation.method, operation.at(NOWHERE))
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), str(operation)


# Tenants


@pytest.fixture(scope="module")
async def theirs(server) -> AsyncGenerator[Belongings]:
    """What the first tenant has."""
    async with server.client() as client:
        yield await belongings(client, DOCUMENT)


@pytest.fixture(scope="module")
async def intruder(server) -> AsyncGenerator[httpx2.AsyncClient]:
    """A client of the other tenant, with everything it may."""
    async with server.client(server.other_key) as client:
        yield client


def tell(answer: httpx2.Response, values: dict[str, Any]) -> str:
    """The answer, but for what it repeats of the request and what differs every time."""
    text = f"{answer.status_code} {answer.text}"
    for value in sorted(map(str, values.values()), key=len, reverse=True):
        text = text.replace(value, "…")
    return re.sub(
        r'"(request_id|instance|as_of|duration_ms|erasure_id|user_id_hash|[a-z]+_at)":("[^"]*"|[0-9.]+)', "", text
    )


def tried(theirs: Belongings) -> Iterator[tuple[Operation, dict[str, Any], dict[str, Any]]]:
    """Every operation with ids in its path, the ids of the first tenant, and ids that never were."""
    for operation in NEED_KEYS:
        if operation.names:
            unknown = [name for name in operation.names if name not in theirs.ids]
            assert not unknown, f"{operation}: give {unknown} a row in tests/support/isolation.py"
            yield operation, {name: theirs.ids[name] for name in operation.names}, NOWHERE


async def test_another_tenants_ids_answer_as_if_they_had_never_been(theirs, intruder):
    for operation, ids, never in tried(theirs):
        sent = request_of(operation.document, theirs)
        answer = await intruder.request(operation.method, operation.at(ids), **sent)
        unknown = await intruder.request(operation.method, operation.at(never), **sent)

        assert tell(answer, ids) == tell(unknown, never), str(operation)
        assert_none_of_theirs(operation, answer)
        if operation.names != ["user_id"]:
            assert answer.status_code == 404, f"{operation}: {answer.text}"


async def test_nothing_of_another_tenant_is_in_any_answer(theirs, intruder):
    """With its ids in bodies and queries, and its cursors; what is asked without an id answers of one's own."""
    for operation in NEED_KEYS:
        if operation.names:
            continue
        sent = request_of(operation.document, theirs)
        answer = await intruder.request(operation.method, operation.path, **sent)
        assert answer.status_code not in {401, 403, 500}, f"{operation}: {answer.text}"
        assert_none_of_theirs(operation, answer)
        for cursor in theirs.cursors:
            if any(each["name"] == "cursor" for each in operation.document.get("parameters", [])):
                answer = await intruder.request(
                    operation.method, operation.path, params={**sent["params"], "cursor": cursor}
                )
                assert_none_of_theirs(operation, answer)


def assert_none_of_theirs(operation: Operation, answer: httpx2.Response) -> None:
    found = [canary for canary in CANARIES if canary in answer.text]
    assert found == [], f"{operation}: {answer.text}"


async def test_the_first_tenants_things_are_as_they_were(theirs, server, intruder):
    """After everything that the other tenant tried."""
    for operation, ids, _ in tried(theirs):
        sent = request_of(operation.document, theirs)
        await intruder.request(operation.method, operation.at(ids), **sent)

    async with server.client() as client:
        assert await theirs.look(client) == theirs.seen
