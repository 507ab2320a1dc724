"""Whether spans are made, by the standard variables, and where they go."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from segment_copilot.telemetry import tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_the_standard_variables_decide(environ: dict[str, str], *, asked: bool):
    assert tracing.is_asked(environ) is asked


def test_an_exporter_that_nobody_offers_is_named():
    with pytest.raises(tracing.Missing, match="the exporter zipkin_v9 "):
        tracing.configure_tracing("api", environ={"OTEL_TRACES_EXPORTER": "zipkin_v9"})
    assert not tracing.is_on()


def test_who_asks_for_none_loads_nothing_of_it():
    program = (
        "import sys; from segment_copilot.telemetry import tracing; tracing.configure_tracing('api', environ={});"
        "assert tracing.request('GET', [], scheme='http') is tracing.NO_SPAN;"
        "assert tracing.statement('SELECT') is tracing.query('preview', 'a', 'b') is tracing.NO_SPAN;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.fixture
def received() -> Generator[tuple[str, list[bytes]]]:
    """A receiver of OTLP on a loopback port, and the bodies that came."""
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                bodies.append(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_spans_arrive_at_a_receiver_of_otlp(received: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch):
    url, bodies = received
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    tracing.configure_tracing("worker")
    try:
        with tracing.request("GET", [(b"traceparent", PARENT.encode())], scheme="http") as span, tracing.step("inner"):
            span.update_name("GET /api/x")
    finally:
        tracing.stop_tracing()

    sent = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    (resource,) = [one.resource_spans[0].resource for one in sent]
    spans = {one.name: one for one in sent[0].resource_spans[0].scope_spans[0].spans}
    named = {one.key: one.value.string_value for one in resource.attributes}
    assert named["service.name"] == "segment-copilot-worker"
    assert named["deployment.environment.name"] == "test"
    assert spans["GET /api/x"].trace_id.hex() == spans["inner"].trace_id.hex() == PARENT.split("-")[1]
    assert spans["GET /api/x"].parent_span_id.hex() == PARENT.split("-")[2]
    assert spans["inner"].parent_span_id == spans["GET /api/x"].span_id
    assert sent[0].resource_spans[0].scope_spans[0].schema_url == "https://opentelemetry.io/schemas/1.44.0"
    assert not tracing.is_on()
