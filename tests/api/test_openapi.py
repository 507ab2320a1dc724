"""The committed document is the one this code serves, and says what msgspec checks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from segment_copilot.app import ROUTES, create_app
from segment_copilot.settings import Settings
from tests.openapi.document import document

COMMITTED = Path(__file__).parents[2] / "openapi" / "openapi.json"
DOCUMENT = document()
FOREIGN = {"AgUiRequest", "AiSdkRequest"}
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [operation for methods in DOCUMENT["paths"].values() for operation in methods.values()]


def nodes(value: Any):
    """Every object inside *value*."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from nodes(item)


def test_the_committed_document_is_current():
    """Write it anew with: segment-copilot openapi > openapi/openapi.json."""
    assert json.loads(COMMITTED.read_text()) == DOCUMENT


async def test_the_server_serves_the_same_document(client):
    for path in ("/schema", "/openapi.json"):
        assert (await client.get(path)).json() == DOCUMENT


def test_every_route_under_api_is_described():
    described = {path.rstrip("/") for path in DOCUMENT["paths"]}
    served = {route.path_format for route in create_app(Settings()).routes if route.path_format.startswith("/api/")}
    assert served <= described
    assert ROUTES


def test_every_reference_leads_somewhere():
    for node in nodes(DOCUMENT):
        if "$ref" in node:
            target = DOCUMENT
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]


def test_every_operation_says_what_it_is():
    names = [operation["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    for operation in OPERATIONS:
        assert operation["summary"]
        assert operation["description"]
        assert not operation["summary"].endswith("\n")
        assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
        assert "Raises:" not in operation["description"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] == "path" or parameter["description"]


def test_every_path_parameter_of_a_path_is_declared():
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


def test_every_failure_is_a_problem():
    for operation in OPERATIONS:
        failures = {status for status in operation["responses"] if status >= "400"}
        assert {"400", "500"} <= failures
        for status in failures:
            assert operation["responses"][status] == {"$ref": f"#/components/responses/Problem{status}"}
    for response in DOCUMENT["components"]["responses"].values():
        assert response["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def test_conditions_are_told_apart_by_their_type_and_are_closed():
    condition = SCHEMAS["Condition"]
    mapping = condition["discriminator"]["mapping"]

    assert condition["discriminator"]["propertyName"] == "type"
    assert {"event_count", "recency", "monetary", "event_property", "user_property", "event_sequence"} <= mapping.keys()
    for type_, reference in mapping.items():
        schema = SCHEMAS[reference.rpartition("/")[2]]
        assert schema["properties"]["type"]["enum"] == [type_]
        assert schema["additionalProperties"] is False
    assert SCHEMAS["Group"]["properties"]["conditions"]["items"] == {"$ref": "#/components/schemas/Condition"}
    assert SCHEMAS["Definition"]["additionalProperties"] is False


def test_bodies_are_closed_and_take_definitions_by_reference():
    """Those of other protocols are not ours to close: their clients send members of their own."""
    for operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for node in nodes(content["schema"]):
                if "$ref" in node and (name := node["$ref"].rpartition("/")[2]) not in FOREIGN:
                    assert SCHEMAS[name]["additionalProperties"] is False
    reference = {"$ref": "#/components/schemas/Definition"}
    assert SCHEMAS["PreviewRequest"]["properties"]["definition"] == reference
    for name in ("SegmentCreate", "SegmentPatch", "SegmentPut", "Segment", "WrittenSegment"):
        assert SCHEMAS[name]["properties"]["definition"] == {"anyOf": [reference, {"type": "null"}]}


def test_only_probes_and_the_protocol_need_no_key():
    public = {operation["operationId"] for operation in OPERATIONS if operation.get("security") == []}
    assert public == {"live", "ready", "get_protocol"}
    assert DOCUMENT["security"] == [{"apiKey": []}, {"bearer": []}]


async def test_the_docs_page_loads_nothing_from_elsewhere(client):
    page = await client.get("/docs/api")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"(https?:)?//\w", page.text)
    for source in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
        asset = await client.get(source)
        assert asset.status_code == 200
        assert len(asset.content) > 50
    start = (await client.get("/docs/api/start.js")).text
    assert "/schema" in start
    assert "http" not in start
    assert (await client.get("/docs/api/oauth2-redirect.html")).status_code == 404
