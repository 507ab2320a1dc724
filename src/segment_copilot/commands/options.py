"""Holds the options that many commands share, and finds the service that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from segment_copilot.commands.answers import check_key, check_url
from segment_copilot.commands.runtime import read_runtime
from segment_copilot.commands.shell import data_dir_arguments
from segment_copilot.embedded import default_data_dir

DataDir = Annotated[
    Path | None,
    typer.Option(envvar="DATA_DIR", help="Where `dev` keeps its data; default: the platform's user data directory"),
]
Url = Annotated[
    str | None, typer.Option(envvar="SEGMENT_COPILOT_URL", help="The service; default: the one that `dev` runs")
]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="SEGMENT_COPILOT_KEY", help="A secret key (sk_…); default: that of the `dev` service"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first")]


class Service(Struct, frozen=True):
    """Says where the service is, and with which key to speak to it."""

    url: str
    key: str


def find_service(url: str | None, key: str | None, data_dir: Path | None) -> Service:
    """Return the service of *url* and *key*; what is not given is that of the one that `dev` runs on *data_dir*.

    Raises:
        InvalidInput: The address or the key cannot be one.
        NotFound: No service runs there.
    """
    if url is not None:
        check_url(url)
    if key is not None:
        check_key(key)
    if url and key:
        return Service(url.rstrip("/"), key)
    runtime = read_runtime(data_dir or default_data_dir())
    return Service((url or runtime.url).rstrip("/"), key or runtime.api_key)


def service_arguments(url: str | None, key: str | None, data_dir: Path | None) -> tuple[str, ...]:
    """Return what names the same service to another command; a key is left to be filled in, and the environment out."""
    named = list[str]()
    if url is not None and url != os.environ.get("SEGMENT_COPILOT_URL"):
        named += ["--url", url]
    if key is not None and key != os.environ.get("SEGMENT_COPILOT_KEY"):
        named += ["--key", "sk_…"]
    return (*named, *data_dir_arguments(data_dir))
