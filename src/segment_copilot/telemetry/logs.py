"""structlog, configured once, by the entry point. Every other module does `log = structlog.get_logger()`."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from types import TracebackType
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

QUIET = ("asynch", "asyncio", "anthropic", "httpx2", "httpcore2", "mcp")
"""Libraries that log values (asynch: whole statements) or every request below WARNING."""

_SECRETS = re.compile(
    r"\b((?:sk|pk|mk)[_-]|whsec_)[A-Za-z0-9_+/=-]{6,}"  # keys, of ours and of models; what webhooks are signed with
    r"|(://[^:/@\s]*:)[^@/\s]+(?=@)"  # passwords in addresses
    r"|\b(eyJ)[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"  # tokens of sessions, links and logins
)

_ESCAPE = r"\u001b["
_COLOUR = re.compile(r"\\u001b\[[0-9;:]*m")

_MARKS = ("sk_", "pk_", "mk_", "sk-", "pk-", "mk-", "://", "whsec_", "eyJ")


def configure_logging(
    *, level: str = "info", form: Literal["json", "console"] = "json", stream: TextIO | None = None
) -> None:
    """Write our events and those of every library as one kind of line to *stream* (standard error)."""
    target = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(form, target)
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=True,
    )
    _route_libraries(target, number, [*shared, structlog.stdlib.ExtraAdder(), _drop_colours], renderers)


def log_uncaught() -> None:
    """Write what nobody caught as one more line of the log, wherever it was raised; call it after `configure_logging`."""
    log = structlog.get_logger()

    def write(failure: BaseException | None, *, where: str) -> None:
        log.critical("process.uncaught", where=where, exc_info=failure)

    def hook(kind: type[BaseException], failure: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, failure, trace)
        else:
            write(failure, where="process")

    sys.excepthook = hook
    threading.excepthook = lambda failed: write(failed.exc_value, where=failed.thread.name if failed.thread else "")
    sys.unraisablehook = lambda failed: write(failed.exc_value, where=repr(failed.object))


def _renderers(form: Literal["json", "console"], stream: TextIO) -> list[Processor]:
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=_takes_colours(stream), exception_formatter=structlog.dev.plain_traceback
        )
        return [renderer, _redact]
    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # locals hold people's data
    return [structlog.processors.ExceptionRenderer(frames), structlog.processors.JSONRenderer(_encode), _redact]


def _route_libraries(stream: TextIO, level: int, shared: list[Processor], renderers: list[Processor]) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = name != "uvicorn.access"  # `http.request` says it once


def _drop_colours(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take out what uvicorn adds for terminals: the message again, with escape codes."""
    event.pop("color_message", None)
    return event


def _takes_colours(stream: TextIO) -> bool:
    """Say whether a person reads *stream* on a terminal; NO_COLOR and FORCE_COLOR decide it for good."""
    return not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or stream.isatty())


def _encode(event: EventDict, **_: Any) -> str:
    """Write *event* as JSON, without the colours that libraries put into their messages for terminals."""
    line = msgspec.json.encode(event, enc_hook=repr).decode()
    return _COLOUR.sub("", line) if _ESCAPE in line else line


def _redact(_logger: WrappedLogger, _method: str, line: Any) -> str:
    """Take keys, tokens and the passwords of store addresses out of a line, wherever they stand."""
    if not any(mark in line for mark in _MARKS):  # nearly every line: searching for text is 50 times faster
        return line
    return _SECRETS.sub(lambda found: f"{found[1] or found[2] or found[3]}***", line)
