"""The connectors `csv` and `parquet` write who entered and left as files, into a directory or an S3-compatible store.

A file is there whole or not at all: in a directory it is renamed when it is complete, to a store it is put by one request.
Its name is the batch's, so that one that is sent again takes the place of the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import uuid4

from msgspec import Meta

from segment_copilot.activations.connectors.answers import judge
from segment_copilot.activations.connectors.aws_signature import sign
from segment_copilot.activations.connectors.configs import Config, Secret, Url
from segment_copilot.activations.connectors.contract import Batch, Outcome, Refused, TryLater
from segment_copilot.activations.outgoing import Answer, Outgoing
from segment_copilot.audiences.member_files import Row, member_file

_TIMEOUT: Final = timedelta(seconds=120)
_FOLDERS: Final = r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$"
_CHECKED: Final = ".segment-copilot-check"


class FileConfig(Config, frozen=True, kw_only=True):
    """Says where files go: *directory* below the one that the service has for the tenant, or *url*, an S3-compatible bucket.

    *mode* `changes`: a file of who entered and left; `snapshot`: of all members, each time.
    """

    directory: Annotated[str, Meta(max_length=200, pattern=_FOLDERS)] | None = None
    url: Url | None = None
    access_key_id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    secret_access_key: Secret | None = None
    region: Annotated[str, Meta(min_length=1, max_length=50, pattern=r"^[a-z0-9-]+$")] = "us-east-1"
    mode: Literal["changes", "snapshot"] = "changes"
    traits: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=20)] = ()

    def wrong(self) -> tuple[str, str] | None:
        """Say what does not go together."""
        if (self.directory is None) == (self.url is None):
            return "directory", "Give either a directory or the url of a bucket"
        if self.url is not None and (self.access_key_id is None or self.secret_access_key is None):
            return "access_key_id", "A bucket needs access_key_id and secret_access_key"
        return None


class Files:
    """Writes files of one format, into directories below *root* or to buckets."""

    config = FileConfig
    batch_size = 100_000

    def __init__(self, form: Literal["csv", "parquet"], root: str) -> None:
        self._form: Literal["csv", "parquet"] = form
        self._root = root
        self.name = form
        kind = "CSV" if form == "csv" else "Parquet"
        self.summary = f"Writes {kind} files of who entered and left, or of all members, to a directory or a bucket."

    def traits(self, config: FileConfig) -> tuple[str, ...]:
        """Return those of the config."""
        return config.traits

    def is_full(self, config: FileConfig) -> bool:
        """Return whether the files are snapshots."""
        return config.mode == "snapshot"

    async def check(self, config: FileConfig, outgoing: Outgoing) -> None:
        """Write an empty file and remove it."""
        if config.url is not None:
            judge(await _request("PUT", config, _CHECKED, b"", outgoing), "The bucket", config)
            judge(await _request("DELETE", config, _CHECKED, b"", outgoing), "The bucket", config)
            return
        await self._in_thread(lambda: self._try(Path(self._checked_root())))

    async def send(self, batch: Batch, config: FileConfig, outgoing: Outgoing) -> Outcome:
        """Write a batch as one file."""
        data = await asyncio.to_thread(self._encode, batch, config)
        name = f"segment-{batch.segment_id}-{batch.key}.{self._form}"
        if config.url is not None:
            judge(await _request("PUT", config, name, data, outgoing), "The bucket", config)
        else:
            folder = Path(self._checked_root(), batch.tenant_slug, config.directory or "")
            await self._in_thread(lambda: self._write(folder, name, data))
        return Outcome()

    def _encode(self, batch: Batch, config: FileConfig) -> bytes:
        columns = ["user_id", "sent_at", "change", *(f"traits.{path}" for path in config.traits)]
        with member_file(self._form, computed_at=batch.sent_at, columns=columns) as file:
            rows = list(_rows(batch, config))
            return file.write(rows) + file.end() if rows else file.end()

    def _checked_root(self) -> str:
        if not self._root:
            detail = "This service has no directory for files: set FILES_DIRECTORY, or send to the url of a bucket."
            raise Refused(detail)
        return self._root

    async def _in_thread(self, work: Any) -> None:
        try:
            await asyncio.to_thread(work)
        except OSError as error:
            raise TryLater(f"The directory cannot be written: {error.strerror}.") from error

    def _try(self, folder: Path) -> None:
        self._write(folder, _CHECKED, b"")
        (folder / _CHECKED).unlink(missing_ok=True)

    def _write(self, folder: Path, name: str, data: bytes) -> None:
        root = Path(self._root).resolve()
        if not folder.resolve().is_relative_to(root):  # a symbolic link may lead elsewhere
            raise Refused("The directory leads out of the one that this service may write to.")
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{name}.{uuid4().hex}"
        try:
            with half.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            half.replace(folder / name)
        finally:
            half.unlink(missing_ok=True)


def _rows(batch: Batch, config: FileConfig) -> Iterator[Row]:
    word = "member" if config.mode == "snapshot" else "entered"
    # Of a snapshot, who left is whoever is not in it.
    groups = [(word, batch.entered)] + [("left", batch.left)] * (config.mode == "changes")
    for change, recipients in groups:
        for one in recipients:
            yield one.user_id, (change, *(one.traits.get(path) for path in config.traits))


async def _request(method: str, config: FileConfig, name: str, body: bytes, outgoing: Outgoing) -> Answer:
    """Send one signed request about an object of the bucket."""
    address = f"{(config.url or '').rstrip('/')}/{quote(name)}"
    headers = sign(method, address, body, config.access_key_id or "", config.secret_access_key or "", config.region)
    return await outgoing.request(method, address, headers=headers, body=body, timeout=_TIMEOUT)
