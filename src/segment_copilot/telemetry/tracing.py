"""Spans of OpenTelemetry, where the standard variables OTEL_* ask for them; otherwise nothing is loaded and nothing is done.

What a span may hold: ids, routes, purposes, counts, codes. Never a path, a statement's values, a user's id; what people
asked the copilot, and what it answered, only where the setting COPILOT_TRACE_CONTENT says so. How spans hang together is in
docs/operations/tracing.md.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import wraps
from importlib.metadata import entry_points, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from msgspec import Struct

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
GEN_AI_SCHEMA: Final = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
"""The conventions of GenAI moved to a repository of their own, and their names still change: pinned, docs/decisions/0040."""

_SCOPE: Final = "segment_copilot"
_SUMMARY: Final = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+([a-z_][a-z_0-9.]*)")
_TRACEPARENT: Final = b"traceparent"


class Missing(Exception):
    """Spans are asked for, and what makes them is not installed."""


class Span(Protocol):
    """A span takes these: the part of OpenTelemetry's own interface that is used."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute."""
        ...

    def update_name(self, name: str) -> None:
        """Give it another name."""
        ...

    def fail(self, error_type: str) -> None:
        """Say that what it tells of failed, and how."""
        ...


class _NoSpan:
    """Takes everything and does nothing; as a block, too."""

    __slots__ = ()

    def set_attribute(self, key: str, value: Any) -> None: ...

    def update_name(self, name: str) -> None: ...

    def fail(self, error_type: str) -> None: ...

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None: ...


NO_SPAN: Final = _NoSpan()


class _Span(AbstractContextManager[Span]):
    """A span that is current for as long as its block lasts. An exception on its way out is its failure, by class or code."""

    __slots__ = ("_span", "_use")

    def __init__(
        self, tracer: Tracer, name: str, kind: str, attributes: Mapping[str, Any], context: Any = None
    ) -> None:
        from opentelemetry import trace  # noqa: PLC0415  # loaded by who configured it

        kinds = trace.SpanKind
        self._span = tracer.start_span(
            name, context, kinds[kind], {k: v for k, v in attributes.items() if v is not None}
        )
        self._use = trace.use_span(self._span, end_on_exit=True, record_exception=False, set_status_on_exception=False)

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)

    def update_name(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, error_type: str) -> None:
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def ids(self) -> dict[str, str]:
        """Return the ids of trace and span as lines of the log have them."""
        context = self._span.get_span_context()
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def __enter__(self) -> Self:
        self._use.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(str(getattr(error, "code", "")) or type(error).__name__)
        self._use.__exit__(None, None, None)


class _Tracers:
    """Holds what makes spans; nothing while tracing is off."""

    def __init__(self, provider: TracerProvider, *, content: bool) -> None:
        self.provider = provider
        self.content = content
        self.ours = provider.get_tracer(_SCOPE, version("segment-copilot"), SCHEMA)
        self.gen_ai = provider.get_tracer(f"{_SCOPE}.copilot", version("segment-copilot"), GEN_AI_SCHEMA)


_tracers: _Tracers | None = None


def is_on() -> bool:
    """Return whether spans are made."""
    return _tracers is not None


def keeps_content() -> bool:
    """Return whether spans of the copilot hold what was asked and answered."""
    return _tracers is not None and _tracers.content


# Switching on and off


def is_asked(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether the standard variables ask for spans: an endpoint of OTLP, or an exporter by name."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporters:
        return exporters != "none"
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def configure_tracing(process: str, *, content: bool = False, environ: Mapping[str, str] = os.environ) -> None:
    """Send spans of this *process* (`api`, `worker`) where the variables OTEL_* say; do nothing where they say nothing.

    Raises:
        Missing: They ask for spans, and the extra `otel`, or the exporter that they name, is not installed.
    """
    if not is_asked(environ):
        return
    try:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # nothing is loaded for who does not ask
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise Missing(
            "OTEL_* asks for traces, which need the extra: pip install 'segment-copilot[otel]' (or set OTEL_TRACES_EXPORTER=none)."
        ) from error
    # What the environment says of the service (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) comes before this.
    ours = {"service.name": f"segment-copilot-{process}", "service.version": version("segment-copilot")}
    provider = TracerProvider(
        resource=Resource(ours).merge(Resource.create()) if _names_service(environ) else Resource.create(ours)
    )
    for name in (environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), environ)))
    trace_with(provider, content=content)


def _names_service(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("OTEL_SERVICE_NAME")) or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    """Return the exporter that some package offers under *name*, as the SDK's own start would find it."""
    if name == "otlp":
        protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    for found in entry_points(group="opentelemetry_traces_exporter", name=name):
        with suppress(ImportError):
            return found.load()()
    raise Missing(
        f"No installed package offers the exporter {name} that OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_PROTOCOL asks for."
    )


def trace_with(provider: TracerProvider, *, content: bool = False) -> None:
    """Make spans with *provider* from now on; *content* lets those of the copilot hold what was said."""
    global _tracers  # noqa: PLW0603  # one of a process, as structlog's configuration is
    _tracers = _Tracers(provider, content=content)


def stop_tracing() -> None:
    """Send what was not sent yet, and make no more spans."""
    global _tracers
    tracers, _tracers = _tracers, None
    if tracers is not None:
        tracers.provider.shutdown()


# Spans


def _is_within() -> bool:
    """Return whether a span is being recorded: what has no beginning that anybody looks at is not told of."""
    from opentelemetry import trace  # noqa: PLC0415

    return trace.get_current_span().is_recording()


def request(method: str, headers: Iterable[tuple[bytes, bytes]], *, scheme: str) -> AbstractContextManager[Span]:
    """Return the span of a request, which goes on the caller's trace where its head has a `traceparent`."""
    if (tracers := _tracers) is None:
        return NO_SPAN
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carried = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name in {_TRACEPARENT, b"tracestate"}
    }
    context = TraceContextTextMapPropagator().extract(carried)
    return _Span(tracers.ours, method, "SERVER", {"http.request.method": method, "url.scheme": scheme}, context)


def job(queue: str, ids: Sequence[int], *, tenant_id: int | None) -> AbstractContextManager[Span]:
    """Return the span of work on rows of a queue."""
    if (tracers := _tracers) is None:
        return NO_SPAN
    attributes = {
        "messaging.system": "postgresql",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": queue,
        "messaging.message.id": str(ids[0]) if len(ids) == 1 else None,
        "messaging.batch.message_count": len(ids) if len(ids) > 1 else None,
        "segment_copilot.tenant.id": tenant_id,
    }
    return _Span(tracers.ours, f"process {queue}", "CONSUMER", attributes)


def query(purpose: str, query_id: str, database: str) -> AbstractContextManager[Span]:
    """Return the span of a question to ClickHouse, whose log knows it by *query_id*."""
    if (tracers := _tracers) is None or not _is_within():
        return NO_SPAN
    attributes = {
        "db.system.name": "clickhouse",
        "db.namespace": database,
        "db.query.summary": purpose,
        "db.clickhouse.query_id": query_id,
    }
    return _Span(tracers.ours, f"clickhouse {purpose}", "CLIENT", attributes)


def statement(sql: str) -> AbstractContextManager[Span]:
    """Return the span of a statement of PostgreSQL, named for what it does to which table."""
    if (tracers := _tracers) is None or not _is_within():
        return NO_SPAN
    operation = sql.lstrip().partition(" ")[0].strip().upper()[:16]
    table = found[1] if (found := _SUMMARY.search(sql)) else None
    summary = f"{operation} {table}" if table else operation
    attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
        "db.collection.name": table,
        "db.query.summary": summary,
    }
    return _Span(tracers.ours, summary, "CLIENT", attributes)


def step(name: str) -> AbstractContextManager[Span]:
    """Return the span of one of our own steps inside of another, such as a use case."""
    if (tracers := _tracers) is None or not _is_within():
        return NO_SPAN
    return _Span(tracers.ours, name, "INTERNAL", {"code.function.name": name})


def gen_ai(operation: str, name: str, *, kind: str, **attributes: Any) -> AbstractContextManager[Span]:
    """Return a span of the conventions of GenAI: `invoke_agent`, `chat` or `execute_tool`, of *name*.

    *attributes* are spelled with `__` for a dot: `gen_ai__request__model`.
    """
    if (tracers := _tracers) is None or not _is_within():
        return NO_SPAN
    found = {"gen_ai.operation.name": operation} | {key.replace("__", "."): value for key, value in attributes.items()}
    return _Span(tracers.gen_ai, f"{operation} {name}", kind, found)


def traceparent() -> str | None:
    """Return the W3C trace context of the span that is current, for a store that takes it; None while there is none."""
    if _tracers is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def log_ids(span: object) -> dict[str, str]:
    """Return `trace_id` and `span_id` for the lines that are written inside of *span*; nothing while tracing is off."""
    return span.ids() if isinstance(span, _Span) else {}


def instrument(use_cases: Mapping[str, object]) -> None:
    """Give every public coroutine method of these objects a span of its own, named `name.method`; nothing while off."""
    if _tracers is None:
        return
    for name, one in use_cases.items():
        kind = type(one)
        methods = {
            method: _spanned(function, f"{name}.{method}")
            for method, function in inspect.getmembers(kind, inspect.iscoroutinefunction)
            if not method.startswith("_")
        }
        if methods and not isinstance(one, Struct):  # whose class is its layout
            one.__class__ = type(kind.__name__, (kind,), methods)


def _spanned(function: Callable[..., Coroutine[Any, Any, Any]], name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
    @wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with step(name):
            return await function(*args, **kwargs)

    return call
