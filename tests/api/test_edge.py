"""What is the same for every request, whether a route was found or not."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import httpx2
import pytest
import structlog
from litestar import get
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from prometheus_client.parser import text_string_to_metric_families

from segment_copilot.api.http.routes import Route
from segment_copilot.app import create_app
from segment_copilot.copilot import models
from segment_copilot.settings import Settings
from tests.support.copilot_runs import Script, says
from tests.support.proxies import eventually

SECURITY = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@get("/broken", opt=Route(public=True).opt, include_in_schema=False)
async def broken() -> str:
    """Fail as only a mistake of ours can."""
    raise RuntimeError("the password is hunter2")


@get("/ids/{identifier:str}/events", opt=Route(public=True).opt, include_in_schema=False)
async def echo(identifier: FromPath[str]) -> list[str]:
    """What a handler gets to see of a path."""
    return [identifier]


@pytest.fixture(scope="module", autouse=True)
def more_routes(server):
    """Two routes that only this module's server has."""
    server.app.register(broken)
    server.app.register(echo)


async def test_every_answer_has_a_request_id_and_security_headers(client):
    for method, path in (
        ("GET", "/health/live"),
        ("GET", "/api/segments/"),
        ("GET", "/nope"),
        ("DELETE", "/health/live"),
        ("POST", "/api/segments/preview/"),
        ("GET", "/broken"),
        ("OPTIONS", "/api/segments/"),
        ("HEAD", "/api/segments/"),
    ):
        answer = await client.request(method, path)
        assert len(answer.headers["x-request-id"]) == 36
        assert {name: answer.headers[name] for name in SECURITY} == SECURITY
        assert "strict-transport-security" not in answer.headers  # it came by http://


async def test_a_browser_that_came_over_tls_is_kept_there(client):
    """The proxy says so: it is trusted, because it is on this machine."""
    for path in ("/health/live", "/api/segments/", "/nope", "/broken"):
        answer = await client.get(path, headers={"X-Forwarded-Proto": "https"})
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_sound_request_id_is_taken_over_and_any_other_replaced(client):
    sound = await client.get("/nope", headers={"X-Request-Id": "my-request_0001"})
    assert sound.headers["x-request-id"] == sound.json()["request_id"] == "my-request_0001"

    for unsound in ("short", "x" * 65, "has space", "new\tline", "é" * 9):
        answer = await client.get("/nope", headers={"X-Request-Id": unsound.encode()})
        assert answer.headers["x-request-id"] != unsound
        assert len(answer.headers["x-request-id"]) == 36


async def test_paths_answer_with_and_without_their_slash_and_never_redirect(client):
    for path in ("/health/live", "/api/segments", "/api/ingestion/status", "/schema", "/docs/api"):
        for form in (path, f"{path}/"):
            assert (await client.get(form, follow_redirects=False)).status_code == 200


async def test_head_answers_as_get_without_the_body(client):
    got = await client.get("/api/segments/")
    head = await client.head("/api/segments/")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await client.head("/nope")).status_code == 404


async def test_a_quoted_slash_or_percent_sign_stays_part_of_its_segment(client):
    for identifier, quoted in {
        "a/b": "a%2Fb",
        "a%2Fb": "a%252Fb",
        "ana@example.com": "ana%40example.com",
        "two words": "two%20words",
        "naïve": "na%C3%AFve",
        "100%": "100%25",
    }.items():
        answer = await client.get(f"/ids/{quoted}/events/")
        assert answer.json() == [identifier]
    for refused in ("a%00b", "%ff", ""):
        assert (await client.get(f"/ids/{refused}/events")).status_code == 404


async def test_a_mistake_of_ours_is_a_500_that_tells_nothing_and_is_logged(client):
    with structlog.testing.capture_logs() as lines:
        answer = await client.get("/broken")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "internal_error"
    assert "hunter2" not in answer.text
    logged = [line for line in lines if line["event"] == "http.unexpected_error"]
    assert [line["error"] for line in logged] == ["RuntimeError"]
    assert logged[0]["exc_info"]


async def test_each_request_is_one_line_without_values(server, client):
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await client.get("/api/segments/membership/?user_id=ana@example.com", headers={"X-Request-Id": "request-1"})
        await client.get("/nope/ana@example.com")
        await client.post("/api/segments/preview/", json={"definition": {"secret": "ana@example.com"}})

    requests = [line for line in lines if line["event"] == "http.request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("GET", "/api/segments/membership", 200),
        ("GET", "unmatched", 404),
        ("POST", "/api/segments/preview", 400),
    ]
    assert requests[0]["request_id"] == "request-1"
    assert requests[0]["tenant_id"] == 1
    assert requests[0]["duration_ms"] > 0
    assert "ana@example" not in json.dumps(lines, default=repr)
    assert server.key not in json.dumps(lines, default=repr)


async def test_a_probe_is_no_news_in_the_log(client):
    with structlog.testing.capture_logs() as lines:
        for path in ("/health/live", "/health/ready", "/metrics", "/docs/api"):
            await client.get(path)

    levels = {line["route"]: line["log_level"] for line in lines if line["event"] == "http.request"}
    assert levels == {"/health/live": "debug", "/health/ready": "debug", "/metrics": "debug", "/docs/api": "info"}


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_a_probe_is_no_news_whatever_its_method(client, method: str):
    with structlog.testing.capture_logs() as lines:
        for path in ("/health/live", "/metrics", "/docs/api"):
            await client.request(method, path)

    levels = [(line["route"], line["log_level"]) for line in lines if line["event"] == "http.request"]
    assert levels == [("/health/live", "debug"), ("/metrics", "debug"), ("/docs/api", "info")]


async def counted(client: httpx2.AsyncClient) -> dict[tuple[str, ...], float]:
    """What `/metrics` says: the value of each name with its labels' values."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/api/segment/", "/api/segments/"),
        ("/api/segments/5/member", "/api/segments/5/members/"),
        ("/segments/5", "/api/segments/5/"),
        ("/api/Catalog", "/api/catalog/"),
        ("/heath/live", "/health/live/"),
    ],
)
async def test_a_path_that_no_route_has_is_told_the_one_that_is_near(client, path: str, near: str):
    answer = await client.get(path)

    assert answer.status_code == 404
    assert answer.json()["detail"] == f"No route has this path. Did you mean {near}?"


@pytest.mark.parametrize(
    "path", ["/wp-admin/setup.php", "/api/segments/%00", f"/api/segment{'s' * 200}/", "/api/segments/0/"]
)
async def test_a_path_that_is_near_none_is_told_none(client, path: str):
    answer = await client.get(path)

    assert answer.json()["detail"] == "No route has this path."


async def test_requests_are_counted_by_route_and_never_by_path(client):
    await client.get("/api/segments/123456/")
    await client.get("/nope/123456")

    names = set(await counted(client))

    requests = "segment_copilot_http_requests_total"
    assert not {(requests, "GET", "/api/segments/{segment_id}", "404"), (requests, "GET", "unmatched", "404")} - names
    assert not {name for name in names if any("123456" in label for label in name)}


async def test_a_stream_is_counted_while_it_is_open(client, use):
    name = ("segment_copilot_http_open_streams",)
    go_on = asyncio.Event()
    use(Script([models.TextDelta("First."), go_on, *says(" Last.")]))
    question = {"messages": [{"role": "user", "content": "How are sales?"}]}
    before = (await counted(client))[name]
    async with asyncio.timeout(20), client.stream("POST", "/api/copilot/stream/", json=question) as response:
        lines = response.aiter_lines()
        await anext(lines)
        assert (await counted(client))[name] == before + 1
        go_on.set()
        _ = [line async for line in lines]

    async def is_closed() -> bool:
        return (await counted(client))[name] == before

    await eventually(is_closed)  # its reader has the whole answer a moment before it is closed here


async def test_metrics_count_the_events_that_were_set_aside(server, client):
    postgres = server.resources.postgres
    name = ("segment_copilot_events_failed",)
    assert (await counted(client))[name] == 0
    await postgres.execute("INSERT INTO blocks (status, event_count) VALUES ('failed', 1)")

    async def is_counted() -> bool:
        return (await counted(client))[name] == 1

    try:
        await eventually(is_counted)  # while PostgreSQL is silent for a second the last count is told
    finally:
        await postgres.execute("DELETE FROM blocks WHERE status = 'failed'")


def in_process(settings: Settings) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(cast("Any", create_app(settings)))
    return httpx2.AsyncClient(transport=transport, base_url="http://api")


@pytest.mark.parametrize(
    ("asked", "parameters"),
    [
        ({"Origin": "https://evil.example"}, ["Origin"]),
        ({"Access-Control-Request-Method": "TRACE"}, ["Access-Control-Request-Method"]),
        ({"Access-Control-Request-Headers": "authorization, x-other"}, ["Access-Control-Request-Headers"]),
        ({"Origin": "null", "Access-Control-Request-Method": "X"}, ["Origin", "Access-Control-Request-Method"]),
    ],
)
async def test_a_refused_preflight_is_a_problem(asked, parameters):
    sound = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with in_process(Settings(cors_origins=("https://shop.example",))) as client:
        assert (await client.options("/api/segments/", headers=sound)).status_code == 204
        answer = await client.options("/api/segments/", headers=sound | asked)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["code"] == "preflight_refused"
    assert [error["parameter"] for error in answer.json()["errors"]] == parameters
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_where_no_origin_may_call_every_preflight_is_refused(client):
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}

    answer = await client.options("/api/segments/", headers=asked)

    assert answer.status_code == 400
    assert answer.json()["code"] == "preflight_refused"
    assert (await client.options("/api/segments/", headers={"Origin": "https://shop.example"})).status_code == 204


async def test_a_content_type_names_its_charset_once(client):
    for path in ("/metrics", "/docs/api", "/docs/api/start.js", "/docs/api/swagger-ui.css", "/schema", "/health/live"):
        kind = (await client.get(path)).headers.get_list("content-type")
        assert len(kind) == 1
        assert kind[0].count("charset") == kind[0].startswith("text/")


async def test_only_origins_of_the_setting_may_call_from_a_browser(module_database_url, module_clickhouse_url):
    stores = {"database_url": module_database_url, "clickhouse_url": module_clickhouse_url}
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}

    async def allowed(settings: Settings, origin: str) -> list[str | None]:
        async with in_process(settings) as client:
            preflight = await client.options("/api/segments/", headers={"Origin": origin, **ask})
            simple = await client.get("/nope", headers={"Origin": origin})
        return [answer.headers.get("access-control-allow-origin") for answer in (preflight, simple)]

    assert await allowed(Settings(**stores), "https://shop.example") == [None, None]
    shop = Settings(**stores, cors_origins=("https://shop.example",))
    assert await allowed(shop, "https://shop.example") == ["https://shop.example"] * 2
    assert await allowed(shop, "https://evil.example") == [None, None]


async def test_a_process_that_is_being_stopped_is_alive_but_not_ready(server, client):
    draining: asyncio.Event = server.app.state.draining
    assert (await client.get("/health/ready")).json() == {"status": "ok"}

    draining.set()
    try:
        answer = await client.get("/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "server_draining")
        assert int(answer.headers["retry-after"]) > 0
        assert (await client.get("/health/live")).status_code == 200
    finally:
        draining.clear()


async def test_a_key_is_refused_within_seconds_of_its_revocation(server):
    tenant = await server.resources.tenants.get("first")
    key, text = await server.resources.keys.create(tenant)
    async with server.client(text) as client:
        assert (await client.get("/api/segments/")).status_code == 200
        await server.resources.keys.revoke(tenant, key.id)
        async with asyncio.timeout(10):
            while (await client.get("/api/segments/")).status_code != 401:  # noqa: ASYNC110  # nothing to be woken by
                await asyncio.sleep(0.1)


def test_no_handler_waits_for_a_task_group():
    """What a handler asks for is provided one after the other, see `app.dependencies`."""
    app = create_app(Settings())
    at_once = {
        f"{method} {route.path}": sorted(dependency.key for dependency in batch)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, arguments) in route.route_handler_map.items()
        for batch in arguments.dependency_batches
        if len(batch) > 1
    }

    assert at_once == {}
