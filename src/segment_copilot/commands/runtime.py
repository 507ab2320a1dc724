"""`runtime.json` tells other commands where the service is that `dev` runs."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from segment_copilot.embedded import is_in_use
from segment_copilot.errors import NotFound

NAME = "runtime.json"


class Runtime(Struct, frozen=True):
    """Says where the service is and how to speak to it. The file is readable by its owner only, for it holds keys."""

    url: str
    api_key: str
    public_key: str
    tenant: str
    database_url: str
    clickhouse_url: str
    pid: int


def write_runtime(data_dir: Path, runtime: Runtime) -> None:
    """Appears whole or not at all."""
    unfinished = data_dir / f".{NAME}.{os.getpid()}"
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123  # mode at birth
        file.write(msgspec.json.format(msgspec.json.encode(runtime)) + b"\n")
    unfinished.replace(data_dir / NAME)


def remove_runtime(data_dir: Path) -> None:
    """Remove the file: the service is going, or was killed before it could."""
    (data_dir / NAME).unlink(missing_ok=True)


def read_runtime(data_dir: Path) -> Runtime:
    """Return the running service of *data_dir*."""
    try:
        return msgspec.json.decode((data_dir / NAME).read_bytes(), type=Runtime)
    except FileNotFoundError:
        if is_in_use(data_dir):
            detail = f"The service on {data_dir} is starting or stopping. Ask again once `dev` says that it listens."
            raise NotFound(detail, code="no_service") from None
        detail = f"No service runs on {data_dir}. Start one with `segment-copilot dev`, or give --url and --key."
        raise NotFound(detail, code="no_service") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        detail = f"{data_dir / NAME} is damaged. Start `segment-copilot dev` again, or give --url and --key."
        raise NotFound(detail, code="no_service") from None
