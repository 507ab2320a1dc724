"""What is wrong with a request is told all at once, in sentences, on every route that the OpenAPI document has."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.openapi.document import document
from tests.support.sentences import python_words

OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
]
JSON = {"Content-Type": "application/json"}
GREETING = {"messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
UNREADABLE = [b"", b"{definition", b"{} {}", b'{"name": "\xff"}', b'{"name": NaN}', b"[" * 100_000, b"[]", b'"x"', b"1"]


def on(operations: list[tuple[str, str, dict[str, Any]]]):
    """Run a test for each of *operations*."""
    names = [operation["operationId"] for _, _, operation in operations]
    return pytest.mark.parametrize(("method", "path", "operation"), operations, ids=names)


on_each = on(OPERATIONS)
on_each_with_a_body = on(
    [each for each in OPERATIONS if "application/json" in each[2].get("requestBody", {}).get("content", {})]
)


TOGETHER = {
    "limit": -3,
    "as_of": "1800-01-01T00:00:00Z",
    "breakdown": None,
    "definition": {"logic": "XOR", "conditions": [{"type": "recency", "event_type": 5}, {"type": "sample"}], "x": 1},
    "limt": 1,
}


async def test_mistakes_of_a_body_and_of_the_definition_in_it_are_told_together(client):
    problem = (await client.post("/api/segments/preview/", json=TOGETHER)).json()

    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
        ("/limt", "unknown_field"),
        ("/limit", "out_of_range"),
        ("/breakdown", "wrong_type"),
        ("/as_of", "out_of_range"),
        ("/definition/x", "unknown_field"),
        ("/definition/logic", "wrong_logic"),
        ("/definition/conditions/0/event_type", "wrong_type"),
        ("/definition/conditions/0", "missing_field"),
        ("/definition/conditions/0", "missing_field"),
        ("/definition/conditions/1", "missing_field"),
        ("/definition/conditions/1", "missing_field"),
        ("/definition/conditions/1", "missing_field"),
    ]
    assert "limit must be a whole number from 0 to 1,000; it is -3." in problem["detail"]


async def test_a_whole_number_is_one_however_json_writes_it(client):
    condition = {"type": "event_count", "event_type": "x", "value": 1.0, "window_days": 7.0}
    definition = {"logic": "AND", "conditions": [condition]}
    for limit in (b"10", b"10.0", b"1e1"):
        body = b'{"definition": %s, "limit": %s}' % (json.dumps(definition).encode(), limit)
        answer = await client.post("/api/segments/preview/", content=body, headers=JSON)
        assert answer.status_code == 200, answer.text
    refused = await client.post("/api/segments/preview/", json={"definition": definition, "limit": 1.5})
    assert refused.status_code == 400


COMPONENTS = document()["components"]["schemas"]
NUMBER = re.compile(r"\{(?!user_id)\w+\}")
WRONG = [None, True, -3, 1.5, 10**30, "", "-name", "x" * 200_000, [], [[]], {}, {"surprise": 1}]


def spoiled(schema: dict[str, Any], value: Any, *, variant: int = 0, depth: int = 0) -> Any:
    """A body in which every field, at every depth, has *value*; *variant* chooses where there are several forms."""
    if "$ref" in schema:
        return spoiled(COMPONENTS[schema["$ref"].rsplit("/", 1)[-1]], value, variant=variant, depth=depth)
    if forms := schema.get("anyOf") or schema.get("oneOf") if "properties" not in schema else None:
        return spoiled(forms[variant % len(forms)], value, variant=variant, depth=depth)
    if depth < 6 and "properties" in schema:
        fields = schema["properties"].items()
        return {
            name: field["enum"][0] if name == "type" and len(field.get("enum", ())) == 1 else spoiled(field, value, variant=variant, depth=depth + 1)
            for name, field in fields
        }  # fmt: skip
    if depth < 6 and "items" in schema:
        return [spoiled(schema["items"], value, variant=variant, depth=depth + 1)]
    return value


@on_each_with_a_body
async def test_no_sentence_about_a_body_is_python(client, method, path, operation):
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    bodies = [spoiled(schema, value, variant=variant) for value in WRONG for variant in range(3)]
    bodies += [spoiled(schema, "x", variant=variant) for variant in range(12)]
    contents = [json.dumps(body).encode() for body in bodies]
    for content in {*contents, *UNREADABLE, b'{"name": 1e999}', b"1" * 5000}:
        answer = await client.request(method, NUMBER.sub("1", path), content=content, headers=JSON)

        details = [answer.json()["detail"]] if answer.status_code >= 400 else []
        details += [error["detail"] for error in answer.json().get("errors", ())] if details else []
        assert answer.status_code < 500
        assert not [detail for detail in details if python_words(detail)], content[:300]


@on_each
async def test_no_sentence_about_a_parameter_is_python(client, method, path, operation):
    for parameter in operation.get("parameters", ()):
        for value in ("null", "1.0", "-3", "9" * 30, "", "-name", "x" * 5000):
            name, place = parameter["name"], parameter["in"]
            if place == "path":
                continue
            sent = {"params": {name: value}} if place == "query" else {"headers": {name: value}}
            body = {"json": GREETING} if "requestBody" in operation else {}
            answer = await client.request(method, NUMBER.sub("1", path), **body, **sent)

            for detail in [] if answer.status_code < 400 else [each["detail"] for each in [answer.json(), *answer.json()["errors"]]]:  # fmt: skip
                assert not python_words(detail.replace("If-None-Match", "")), detail
