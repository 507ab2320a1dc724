"""Reads the URL of a ClickHouse server: whom to connect to, and how."""

from __future__ import annotations

from typing import Any, Final

from asynch.proto.connection import Connection as Protocol
from asynch.proto.utils.dsn import DSNError, parse_dsn

from segment_copilot.errors import InvalidInput

CONNECT_SECONDS: Final = 5.0


def read_url(url: str) -> dict[str, Any]:
    """Return what the driver needs to know of a URL; raises InvalidInput as `open_clickhouse` does."""
    options = _options(url)
    try:
        Protocol(**options)
    except ImportError as error:
        raise InvalidInput("Compression of ClickHouse connections needs the package asynch[compression].") from error
    return options


def _options(url: str) -> dict[str, Any]:
    try:
        options = parse_dsn(url)
    except (DSNError, ValueError) as error:
        raise InvalidInput("The ClickHouse URL is not clickhouse://user:password@host:port/database.") from error
    settings = dict(options.pop("settings", {}))
    if options.get("compression"):
        # The server's default is zstd, which the driver cannot read on this Python.
        settings.setdefault("network_compression_method", "LZ4")
    # The deadline of a query is ours, so the driver needs none per read; a setting the server ignores is an error.
    defaults = {"connect_timeout": CONNECT_SECONDS, "sync_request_timeout": 2.0}
    return defaults | options | {"settings": settings, "send_receive_timeout": None, "settings_is_important": True}
