"""Files of who entered and left: whole or not there, in the tenant's own directory or in a bucket."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from arro3.io import read_parquet

from segment_copilot.activations.activations import ActivationChanges
from segment_copilot.activations.connectors.files import Files
from tests.support.receiver import Reply
from tests.support.sending import Sending


async def writes(sending: Sending, connector_type: str, **config: Any) -> None:
    """Write files of the segment, from now on."""
    made = await sending.resources.activations.create(
        sending.tenant, sending.segment_id, connector_type=connector_type, config=config
    )
    await sending.resources.activations.update(
        sending.tenant, made.id, ActivationChanges(status="active", max_shrink_percent=100)
    )


def files(sending: Sending, folder: str) -> list[Path]:
    return sorted(
        Path(sending.resources.settings.files_directory, sending.tenant.slug, folder).iterdir(), key=os.path.getmtime
    )


def lead_out(sending: Sending, elsewhere: Path) -> None:
    own = Path(sending.resources.settings.files_directory, sending.tenant.slug)
    own.mkdir()
    (own / "out").symlink_to(elsewhere)


def rows(path: Path) -> list[tuple[str, ...]]:
    return [(row["user_id"], row["change"]) for row in csv.DictReader(io.StringIO(path.read_text()))]


async def test_each_sync_is_a_file_of_who_entered_and_who_left(sending: Sending):
    await sending.publish("ab")
    await sending.remember(sending.tenant, [("a", "context_identified", sending.at, {"email": "a@x.example"})])
    await writes(sending, "csv", directory="daily/buyers", traits=["email"])
    await sending.work()
    await sending.publish("bc")
    await sending.work()

    first, second = files(sending, "daily/buyers")

    assert rows(first) == [("a", "entered"), ("b", "entered")]
    assert "a@x.example" in first.read_text()
    assert rows(second) == [("c", "entered"), ("a", "left")]
    assert first.name.startswith(f"segment-{sending.segment_id}-delivery-")


async def test_a_snapshot_is_all_members_each_time_and_a_file_even_of_nobody(sending: Sending):
    await sending.publish("ab")
    await writes(sending, "csv", directory="all", mode="snapshot")
    await sending.work()
    await sending.publish("b")
    await sending.work()

    assert [rows(one) for one in files(sending, "all")] == [[("a", "member"), ("b", "member")], [("b", "member")]]


async def test_parquet_has_the_same_columns(sending: Sending):
    await sending.publish("ab")
    await writes(sending, "parquet", directory="table")
    await sending.work()

    (file,) = files(sending, "table")
    table = read_parquet(io.BytesIO(file.read_bytes())).read_all()
    assert table.column_names == ["user_id", "sent_at", "change"]
    assert table.column("user_id").to_pylist() == ["a", "b"]


async def test_a_file_that_could_not_be_finished_is_not_there(sending: Sending, monkeypatch: pytest.MonkeyPatch):
    await sending.publish("a")
    await writes(sending, "csv", directory="once")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        await sending.work()
    assert files(sending, "once") == []
    (told,) = await sending.resources.activations.list(sending.tenant)
    (waiting,) = await sending.deliveries(told)
    assert (waiting.status, waiting.error) == (
        "queued",
        "The directory cannot be written: No space left on device.",
    )
    await sending.resources.deliveries.request(sending.tenant, told.id)
    await sending.work()
    assert len(files(sending, "once")) == 1


async def test_a_link_out_of_the_directory_is_refused(sending: Sending, tmp_path: Path):
    await sending.publish("a")
    await writes(sending, "csv", directory="out")
    lead_out(sending, tmp_path)
    await sending.work()

    assert not any(os.scandir(tmp_path))
    (told,) = await sending.resources.activations.list(sending.tenant)
    assert (told.status, "leads out" in (told.last_error or "")) == ("error", True)


async def test_a_bucket_gets_signed_puts_and_says_why_it_takes_none(sending: Sending):
    await sending.publish("ab")
    sending.receiver.replies.append(Reply(503, {"retry-after": "1"}))
    await writes(
        sending,
        "csv",
        url=f"{sending.receiver.url}/bucket/prefix",
        access_key_id="AKIDEXAMPLE",
        secret_access_key="very secret",
    )
    await sending.work()
    (told,) = await sending.resources.activations.list(sending.tenant)
    await sending.resources.deliveries.request(sending.tenant, told.id)
    await sending.work()

    failed, put = sending.receiver.received
    assert put.method == "PUT"
    assert put.target.startswith(f"/bucket/prefix/segment-{sending.segment_id}-delivery-")
    assert b"\r\na," in put.body
    signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"
    assert put.headers["authorization"].startswith(signed)
    assert "/us-east-1/s3/aws4_request" in put.headers["authorization"]
    assert failed.headers["authorization"].startswith(signed)
    assert "very secret" not in json.dumps([dict(one.headers) for one in sending.receiver.received])
    sending.receiver.replies.append(Reply(403))
    check = await sending.resources.activations.check(sending.tenant, told.id)
    assert (check.ok, check.detail) == (False, "The bucket answered 403: it does not take these credentials.")


async def test_without_a_directory_the_service_says_which_setting_is_missing(sending: Sending):
    made = await sending.resources.activations.create(
        sending.tenant, sending.segment_id, connector_type="csv", config={"directory": "x"}
    )
    assert (await sending.resources.activations.check(sending.tenant, made.id)).ok

    connector = Files("csv", "")
    with pytest.raises(Exception, match="set FILES_DIRECTORY"):
        await connector.check(connector.config(directory="x"), sending.resources.outgoing)
