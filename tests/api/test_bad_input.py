"""Bad input of every kind on every route: a 4xx problem that says where, and never a 500.

The routes are read from the OpenAPI document, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from segment_copilot.api.http import problems
from segment_copilot.api.http.requests import ApiRequest
from tests.openapi.document import document

OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]


def on(operations: list[tuple[str, str, dict[str, Any]]]):
    """Run a test for each of *operations*."""
    names = [operation["operationId"] for _, _, operation in operations]
    return pytest.mark.parametrize(("method", "path", "operation"), operations, ids=names)


on_each = on(OPERATIONS)
on_each_with_a_body = on(
    [each for each in OPERATIONS if "application/json" in each[2].get("requestBody", {}).get("content", {})]
)
ID = re.compile(r"{(?:segment|schema)_id}")
on_each_with_an_id = on([each for each in OPERATIONS if ID.search(each[1])])
on_each_with_a_key = on([each for each in OPERATIONS if each[2].get("security") != []])

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
JSON = {"Content-Type": "application/json"}
DEFINITION = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}

GROUPS = 2_000
NESTED = b'{"definition": ' + b'{"type": "group", "logic": "AND", "conditions": [' * GROUPS + b"]}" * GROUPS + b"}"

BAD_BODIES = {
    "not JSON": b"{definition",
    "half a document": b'{"definition": {',
    "two documents": b"{} {}",
    "invalid UTF-8": b'{"name": "\xff\xfe", "user_id": "\xc3"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NaN": b'{"name": NaN}',
    "a list": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "2,000 nested groups": NESTED,
    "100,000 brackets": b"[" * 100_000,
    "an unknown field": b'{"no_such_field": 1}',
    "unknown field names that hold slashes": b'{"a/b~c": 1}',
}


@pytest.fixture(scope="module")
def has_worker() -> bool:
    return False


def assert_problem(answer, *statuses: int) -> dict:
    """The one shape of a failure; the problem."""
    assert answer.status_code in (statuses or range(400, 500)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id", "code", "errors"} <= problem.keys()
    assert problem["type"] == f"/problems/{problem['code']}"
    assert f"\n### {problem['code']}\n" in DOCUMENTED
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    for error in problem["errors"]:
        assert error["pointer"] == "" or error["pointer"].startswith("/")
        assert f"`{error['code']}`" in DOCUMENTED or f"\n### {error['code']}\n" in DOCUMENTED
        assert error["detail"]
    return problem


def address(path: str, id_: object = 1) -> str:
    """A path with *id_* for its segment or event schema, and with 1 for the other numbers."""
    return re.sub(r"\{(?!user_id)\w+\}", "1", ID.sub(lambda _: str(id_), path))


@pytest.mark.parametrize("kind", BAD_BODIES)
@on_each_with_a_body
async def test_a_bad_body_is_a_4xx_problem_that_says_where(client, method, path, operation, kind):
    answer = await client.request(method, address(path), content=BAD_BODIES[kind], headers=JSON)

    problem = assert_problem(answer, 400, 413)
    assert problem["errors"] or answer.status_code == 413


@on_each_with_a_body
async def test_a_body_that_is_not_declared_as_json_is_415(client, method, path, operation):
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}, {"Content-Type": "]["}):
        assert_problem(await client.request(method, address(path), content=b"{}", headers=headers), 415)
    latin = {"Content-Type": "application/json; charset=latin-1"}
    assert_problem(await client.request(method, address(path), content=b"{}", headers=latin), 415)


@on_each_with_a_body
async def test_a_body_that_is_too_large_is_413_whether_or_not_its_length_is_told(client, method, path, operation):
    async def chunks():
        for _ in range(17):
            yield b" " * 2**20

    assert_problem(await client.request(method, address(path), content=b" " * 17 * 2**20, headers=JSON), 413)
    assert_problem(await client.request(method, address(path), content=chunks(), headers=JSON), 413)


@on_each_with_a_body
async def test_no_body_is_400_where_one_is_needed(client, method, path, operation):
    if operation["requestBody"]["required"]:
        assert_problem(await client.request(method, address(path), content=b""), 400)
        assert_problem(await client.request(method, address(path), content=b"", headers=JSON), 400)


async def test_a_route_without_a_body_passes_over_none(client):
    """An empty one says nothing: some clients always send it."""
    without = [
        (method.upper(), address(path))
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
        if method in {"post", "put", "patch"} and "requestBody" not in operation
    ]
    assert ("POST", address("/api/segments/{segment_id}/refresh/pause/")) in without
    for method, path in without:
        refused = await client.request(method, path, json={"as_of": "2026-01-01T00:00:00Z"})
        assert assert_problem(refused, 400)["code"] == "unexpected_body"
        form = await client.request(method, path, data={"as_of": "2026"})
        assert assert_problem(form, 400)["code"] == "unexpected_body"
    path = address("/api/segments/{segment_id}/refresh/pause/").replace("/1/", "/987654321/")
    for nothing in (b"", b"{}", b" null\n"):
        answer = await client.post(path, content=nothing, headers={"Content-Type": "application/json"})
        assert assert_problem(answer, 404)["code"] == "segment_not_found"


async def test_a_body_that_may_be_left_out_is_never_null(client):
    """The document has no null there: clients that are generated from it send an object, or nothing."""
    made = (await client.post("/api/segments/", json={"name": "Null", "definition": DEFINITION})).json()
    path = f"/api/segments/{made['id']}/compute/"
    refused = await client.post(path, content=b"null", headers={"Content-Type": "application/json"})

    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (400, "wrong_type")
    assert (await client.post(path)).status_code == 202


@on_each
async def test_an_unknown_repeated_or_unreadable_query_parameter_is_400(client, method, path, operation):
    for query in ("no_such=1", "%ff=1", "page=%ff", "page=\x00".replace("\x00", "%00"), "a=1&a=2", "=1"):
        problem = assert_problem(await client.request(method, f"{address(path)}?{query}"), 400)
        assert "%ff" in query or problem["errors"][0].get("parameter", "") in query


GREETING = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
"""For the one route that takes a body and a query: the AI SDK's."""


@on_each
async def test_a_bad_value_of_a_known_query_parameter_is_400(client, method, path, operation):
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        if parameter["in"] != "query":
            continue
        bad = (
            ["0x1", "9" * 30, "1.5", "-1", "NaN", "١", "null", "1.0", "1e2", "", " 1", "+1", "1_0"]
            if schema.get("type") == "integer"
            else ["x" * 5000]
        )
        if "enum" in schema:
            bad = ["no_such_choice", "ID"]
        for value in bad:
            # A body that is right: what is wrong with a body is told first.
            body = {"json": GREETING} if "requestBody" in operation else {}
            answer = await client.request(method, address(path), params={parameter["name"]: value}, **body)
            problem = assert_problem(answer, 400)
            assert problem["errors"][0]["parameter"] == parameter["name"]


@on_each_with_an_id
async def test_an_id_that_is_nobodys_is_404(client, method, path, operation):
    sent = request_of(operation)
    for id_ in (987654321, 0, -1, 2**63, 10**30, "٤", "4_2", "04", "abc", "%00", "1%2F2", "1;2", "1'--", "%ff"):
        assert_problem(await client.request(method, address(path, id_), **sent), 404)


@on_each_with_an_id
async def test_another_tenants_id_is_answered_exactly_as_one_that_is_nobodys(server, client, method, path, operation):
    async with server.client(server.other_key) as other:
        collection, record = SECRETS["schemas" if "{schema_id}" in path else "segments"]
        record = {
            key: f"Secret of {operation['operationId']}" if value == "Secret" else value
            for key, value in record.items()
        }
        made = (await other.post(collection, json=record)).json()
        theirs, sent = made["id"], request_of(operation)

        answers = [await client.request(method, address(path, each), **sent) for each in (theirs, 987654321)]

        problems = [assert_problem(answer, 404) for answer in answers]
        for problem, id_ in zip(problems, (theirs, 987654321), strict=True):
            del problem["request_id"]
            problem["instance"] = problem["instance"].replace(str(id_), "ID")
            problem["detail"] = problem["detail"].replace(str(id_), "ID")
        assert problems[0] == problems[1]
        kept = (await other.get(f"{collection}{theirs}/")).json()
        assert {**kept, **record, "definition": ...} == {**kept, "definition": ...}


SECRETS: dict[str, tuple[str, dict[str, Any]]] = {
    "segments": ("/api/segments/", {"name": "Secret", "description": "Theirs", "definition": DEFINITION}),
    "schemas": ("/api/schemas/", {"event_type": "Secret", "description": "Theirs"}),
}
"""What another tenant has, to be found by nobody else."""


def request_of(operation: dict[str, Any]) -> dict[str, Any]:
    """What a client sends, beside the address, that nothing but the id is wrong with."""
    query = {
        each["name"]: each["example"]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and each.get("required")
    }
    content = operation.get("requestBody", {}).get("content", {})
    if "text/csv" in content:
        return {"params": query, "content": b"user_id\nmine\n", "headers": {"Content-Type": "text/csv"}}
    needed = content["application/json"].get("example") if operation.get("requestBody", {}).get("required") else None
    return {"params": query, "json": BODIES_OF.get(operation["operationId"], needed)}


BODIES_OF = {
    "update_schema": {"description": "Mine now"},
    "replace_schema": {"event_type": "mine_now"},
    "update_segment": {"name": "Mine now"},
    "replace_segment": {"name": "Mine now", "definition": DEFINITION},
}


@pytest.mark.parametrize("where", ["/api/segments/preview/", "/api/segments/"])
async def test_another_tenants_segment_cannot_be_named_in_a_definition(server, client, where):
    async with server.client(server.other_key) as other:
        theirs = (await other.post("/api/segments/", json={"name": "Secret", "definition": DEFINITION})).json()["id"]
    answers = []
    for segment_id in (theirs, 987654321, 2**62, 2**64, 10**40):
        naming = {"logic": "AND", "conditions": [{"type": "segment_membership", "segment_id": segment_id}]}
        body = {"definition": naming} | ({"name": "x"} if where == "/api/segments/" else {})
        problem = assert_problem(await client.post(where, json=body), 400)
        answers.append([(error["code"], error["pointer"]) for error in problem["errors"]])
    assert answers[0] == answers[1] == [("unknown_segment", "/definition/conditions/0/segment_id")]


@on_each_with_a_key
async def test_a_missing_malformed_or_unknown_key_is_refused(server, method, path, operation):
    async with server.client() as client:
        del client.headers["Authorization"]
        for header in ("", "ApiKey", "Basic c2s6", "ApiKey mk_x", "ApiKey sk_nope", "Bearer sk_nope", f"ApiKey {server.key[:-1]}", f"ApiKey {server.key}x", "ApiKey sk_\xff"):  # fmt: skip
            headers = {"Authorization": header.encode("latin-1")} if header else {}
            answer = await client.request(method, address(path), headers=headers)
            assert_problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("ApiKey")
        public = await client.request(method, address(path), headers={"Authorization": "ApiKey pk_live_1"})
        assert_problem(public, 401)


MISTAKES = [
    ({"definition": DEFINITION, "limit": 10**30}, "/limit"),
    ({"definition": DEFINITION, "limit": -1}, "/limit"),
    ({"definition": DEFINITION, "limit": 1001}, "/limit"),
    ({"definition": DEFINITION, "limit": 1.5}, "/limit"),
    ({"definition": DEFINITION, "limit": True}, "/limit"),
    ({"definition": DEFINITION, "limit": "10"}, "/limit"),
    ({"definition": DEFINITION, "breakdown": 1}, "/breakdown"),
    ({"definition": DEFINITION, "as_of": "yesterday"}, "/as_of"),
    ({"definition": DEFINITION, "as_of": "2026-01-01T00:00:00"}, "/as_of"),
    ({"definition": DEFINITION, "as_of": "0001-01-01T00:00:00+14:00"}, "/as_of"),
    ({"definition": DEFINITION, "as_of": "9999-12-31T23:59:59-14:00"}, "/as_of"),
    ({"definition": DEFINITION, "as_of": "1900-01-01T00:00:00+05:00"}, "/as_of"),
    ({"definition": DEFINITION, "as_of": 5}, "/as_of"),
    ({"definition": None}, "/definition"),
    ({"definition": "x"}, "/definition"),
    ({"definition": []}, "/definition"),
    ({"definition": {}}, "/definition"),
    ({"limit": 1}, "/definition"),
    ({"definition": DEFINITION, "limt": 1}, "/limt"),
    ({"definition": {"logic": "AND", "conditions": []}}, "/definition/conditions"),
    ({"definition": {"logic": "XOR", "conditions": DEFINITION["conditions"]}}, "/definition/logic"),
    ({"definition": DEFINITION | {"timezone": "Mars/Base"}}, "/definition/timezone"),
    ({"definition": DEFINITION | {"exclude": {"logic": "AND", "conditions": []}}}, "/definition/exclude/conditions"),
    ({"definition": DEFINITION | {"surprise": 1}}, "/definition/surprise"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer"), MISTAKES, ids=[f"{n} {row[1]}" for n, row in enumerate(MISTAKES)])
async def test_the_pointer_leads_to_the_mistake(client, body, pointer):
    problem = assert_problem(await client.post("/api/segments/preview/", json=body), 400)

    assert pointer in [error["pointer"] for error in problem["errors"]]


HUGE = [10**18, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, 1e300, -1e300, 10**5000]
NUMERIC = [
    {"type": "event_count", "event_type": "x", "value": ...},
    {"type": "event_count", "event_type": "x", "operator": "between", "value": 0, "value2": ...},
    {"type": "event_count", "event_type": "x", "window_days": ...},
    {"type": "recency", "event_type": "x", "operator": "gt", "window_days": ...},
    {"type": "monetary", "event_type": "x", "property": "p", "metric": "sum", "operator": "gt", "value": ...},
    {"type": "monetary", "event_type": "x", "property": "p", "metric": "max", "operator": "lt", "value": ...},
    {"type": "user_property", "property": "p", "operator": "eq", "value": ...},
    {"type": "user_property", "property": "p", "operator": "in", "value": [...]},
    {"type": "user_property", "property": "p", "operator": "eq", "value": ..., "value_type": "string"},
    {"type": "event_property", "event_type": "x", "property": "p", "operator": "gte", "value": ...},
    {"type": "event_sequence", "events": ["a", "b"], "window_days": ...},
    {"type": "segment_membership", "segment_id": ...},
]


@pytest.mark.parametrize("number", HUGE, ids=[f"{number:.3g}" if abs(number) < 10**300 else f"{len(str(number)) if abs(number) < 10**4000 else 5001} digits" for number in HUGE])  # fmt: skip
async def test_a_number_of_any_size_in_a_definition_is_counted_or_refused_with_its_place(client, number):
    text = f"1{'0' * 5000}" if number == HUGE[-1] else json.dumps(number)
    for condition in NUMERIC:
        body = json.dumps({"definition": {"logic": "AND", "conditions": [condition]}}, default=lambda _: "?")
        body = body.replace('"?"', text)

        answer = await client.post("/api/segments/preview/", content=body, headers=JSON)

        if answer.status_code != 200:
            problem = assert_problem(answer, 400)
            assert problem["errors"][0]["pointer"].startswith("/definition/conditions/0/")


TEXTS = [
    "'; DROP TABLE events; --",
    "\\",
    "\\'",
    "%",
    "{p0:String}",
    "%(p0)s",
    "\u2028",
    "\U0001f600",
    "a" * 1024,
    "\x01\x7f",
    "'\"`",
]


async def test_any_text_in_a_definition_is_only_text(client):
    for text in TEXTS:
        conditions = [
            {"type": "event_count", "event_type": text, "where": [{"property": "p", "operator": "eq", "value": text}]},
            {"type": "user_property", "property": "p", "operator": "contains", "value": text},
            {"type": "event_property", "event_type": "x", "property": "p", "operator": "in", "value": [text]},
        ]
        answer = await client.post(
            "/api/segments/preview/", json={"definition": {"logic": "OR", "conditions": conditions}}
        )
        if answer.status_code != 200:
            assert_problem(answer, 400)
        else:
            assert answer.json()["matched_users"] == 0


async def test_nul_half_surrogates_and_repeated_keys_are_refused_with_their_place(client):
    def body(condition: str) -> bytes:
        return b'{"definition": {"logic": "AND", "conditions": [%s]}}' % condition.encode()

    for condition, code, pointer in (
        (r'{"type": "event_count", "event_type": "a\u0000"}', "nul_character", "/event_type"),
        (r'{"type": "event_count", "event_type": "\ud800"}', "lone_surrogate", "/event_type"),
        (r'{"type": "event_count", "event\u0000": "a"}', "nul_character", "/event\\u0000"),
        ('{"type": "event_count", "type": "recency"}', "duplicate_key", "/type"),
        ('{"type": "event_count", "where": [{"a": 1, "a": 1}]}', "duplicate_key", "/where/0/a"),
    ):
        problem = assert_problem(
            await client.post("/api/segments/preview/", content=body(condition), headers=JSON), 400
        )
        assert (problem["code"], problem["errors"][0]["pointer"]) == (code, f"/definition/conditions/0{pointer}")


async def test_a_place_too_deep_is_pointed_at_by_its_keys_and_not_by_how_they_are_written(client):
    body = rb'{"a\"/\u00e9": %s}' % (b"[" * 64 + b"]" * 64)

    problem = assert_problem(await client.post("/api/segments/preview/", content=body, headers=JSON), 400)

    assert problem["code"] == "too_deep"
    assert problem["errors"][0]["pointer"] == '/a"~1é' + "/0" * 63


async def test_nested_groups_are_pointed_at_where_they_go_too_deep(client):
    problem = assert_problem(await client.post("/api/segments/preview/", content=NESTED, headers=JSON), 400)

    assert problem["code"] == "too_deep"
    assert problem["errors"][0]["pointer"].startswith("/definition/conditions/0/conditions/0/conditions/0")


async def test_a_body_that_never_ends_is_408(server, monkeypatch):
    monkeypatch.setattr(ApiRequest, "body_seconds", 0.2)
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/segments/preview/ HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {server.key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b'{"definition"')

    async with asyncio.timeout(10):
        answer = await reader.read()  # the server closes the connection, or this would not end

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_leaves_amid_its_body_is_no_error_of_ours(server, client):
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/segments/preview/ HTTP/1.1\r\nHost: x\r\nAuthorization: ApiKey {server.key}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b"{")
    writer.close()
    await writer.wait_closed()

    assert (await client.get("/health/live")).status_code == 200


async def test_mixed_ways_of_paging_and_foreign_cursors_are_400(client):
    for path, queries in {
        "/api/segments/": ["page=1&limit=2", "page_size=2&offset=0"],
        "/api/segments/1/members/": ["page=1&cursor=x", "cursor=x&offset=1"],
    }.items():
        for query in queries:
            assert assert_problem(await client.get(f"{path}?{query}"), 400)["code"] == "conflicting_parameters"
    segment = (await client.post("/api/segments/", json={"name": "C", "definition": DEFINITION})).json()["id"]
    for cursor in ("x", "é", "W10", "WyJ4IiwieCJd", "%00", "a" * 2000):
        answer = await client.get(f"/api/segments/{segment}/members/?cursor={cursor}")
        assert assert_problem(answer, 400)["errors"][0]["parameter"] == "cursor"


async def test_a_path_that_is_no_route_is_404_and_a_method_it_lacks_405(client):
    for path in (
        "/api",
        "/api/",
        "/api/nope/",
        "/api/segments/1/nope",
        "/%ff",
        "/%00",
        "/api/segments/../../x",
        "/docs/../x",
    ):
        assert_problem(await client.get(path), 404)
    for method, path, allowed in (
        ("DELETE", "/api/segments/", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/api/segments/preview", {"OPTIONS", "POST"}),
        ("HEAD", "/api/segments/preview/", {"OPTIONS", "POST"}),
        ("TRACE", "/api/segments/1/", {"GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"}),
        ("PROPFIND", "/health/live", {"GET", "HEAD", "OPTIONS"}),
        ("DELETE", "/api/segments/1/members/", {"GET", "HEAD", "OPTIONS"}),
    ):
        answer = await client.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed
        if method != "HEAD":
            assert_problem(answer, 405)


async def test_an_unknown_word_under_a_collection_is_404_whatever_the_method(client):
    for path in ("/api/segments/nope", "/api/segments/0", "/api/segments/01", f"/api/segments/{2**63}", "/api/nope"):
        for form in (path, f"{path}/", f"{path}/members/", f"{path}/compute", f"{path}/nope/"):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
                assert_problem(await client.request(method, form, json={}), 404)


async def test_options_tells_all_methods_of_every_path(client):
    for path, methods in document()["paths"].items():
        here = {name.upper() for name in methods}
        for form in (address(path).replace("{user_id}", "ana"), address(path).rstrip("/").replace("{user_id}", "ana")):
            answer = await client.options(form)
            assert answer.status_code == 204
            expected = here | {"OPTIONS"} | ({"HEAD"} if "GET" in here else set())
            assert set(answer.headers["allow"].split(", ")) == expected
            refused = await client.request("TRACE", form)
            assert (refused.status_code, refused.headers["allow"]) == (405, answer.headers["allow"])
            assert refused.json()["detail"] == f"This path takes {answer.headers['allow']}."


def test_every_error_class_and_refusal_has_a_heading_and_a_title():
    codes = {error.code for error in problems.STATUS} | set(problems.HTTP_CODES.values()) | {"invalid_definition"}
    for code in codes:
        assert f"\n### {code}\n" in DOCUMENTED
        assert code in problems.TITLES
