"""SegOps' own public SDKs, unmodified: the real clients that prove the wire contract."""

from __future__ import annotations

import asyncio
from urllib.request import urlopen

import pytest
from segops import SegOpsClient, UserContext
from segops_admin import SegOpsAdmin, SegOpsApiError

pytestmark = pytest.mark.engines

BUYERS = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}],
}


@pytest.fixture
def admin(url: str, key: str) -> SegOpsAdmin:
    return SegOpsAdmin(key, base_url=f"{url}/api")


def send(url: str, key: str, *, batch: bool) -> list[BaseException]:
    """What an application does: identify a user, track an order, shut down."""
    errors: list[BaseException] = []
    client = SegOpsClient(url, key, get_user=lambda: UserContext(user_id="ana"), batch=batch, on_error=errors.append)
    client.identify(user_id="ana", traits={"country": "ES"})
    client.track(user_id="ana", event_type="order_placed", payload={"total": 12.5})
    client.shutdown()
    return errors


@pytest.mark.parametrize("batch", [True, False])
async def test_the_ingestion_sdk_delivers_events(client, url, key, batch):
    before = (await client.get("/api/ingestion/status/")).json()["forwarded"]

    errors = await asyncio.to_thread(send, url, key, batch=batch)

    assert errors == []
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["forwarded"] < before + 2:
            pass


async def test_the_admin_sdk_manages_segments(client, url, key, admin):
    await asyncio.to_thread(send, url, key, batch=True)
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass

    segment = await asyncio.to_thread(admin.segments.create, {"name": "Buyers", "definition": BUYERS})
    preview = await asyncio.to_thread(admin.segments.preview, BUYERS)
    queued = await asyncio.to_thread(admin.segments.recompute, segment["id"])
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(admin.segments.get, segment["id"]))["status"] != "computed":
            pass
    members = await asyncio.to_thread(admin.segments.members, segment["id"])
    membership = await asyncio.to_thread(admin.segments.membership, "ana")
    listed = await asyncio.to_thread(lambda: list(admin.segments.iterate()))
    renamed = await asyncio.to_thread(admin.segments.update, segment["id"], {"name": "Customers"})
    deleted = await asyncio.to_thread(admin.segments.delete, segment["id"])

    assert preview["sample_user_ids"] == ["ana"]
    assert queued["status"] == "queued"
    assert [member["user_id"] for member in members["results"]] == ["ana"]
    assert [found["segment_id"] for found in membership["segments"]] == [segment["id"]]
    assert [found["id"] for found in listed] == [segment["id"]]
    assert renamed["name"] == "Customers"
    assert deleted is None
    with pytest.raises(SegOpsApiError) as missing:
        await asyncio.to_thread(admin.segments.get, segment["id"])
    assert missing.value.status == 404
    assert "detail" in missing.value.body


async def test_the_admin_sdk_explains_a_user(client, admin):
    user_id = "ana/ñ %2F"
    events = [{"user_id": user_id, "event_type": "order_placed", "payload": {"total": 5}}]
    await client.post("/api/ingestion/track/batch/", json={"events": events})
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass

    segment = await asyncio.to_thread(admin.segments.create, {"name": "Explained", "definition": BUYERS})
    explained = await asyncio.to_thread(admin.users.explain, user_id, segment["id"])

    assert [
        (each["index"], each["type"], each["label"], each["actual_value"], each["threshold"], each["matches"])
        for each in explained
    ] == [(0, "event_count", "who placed an order", 1, 1, True)]
    with pytest.raises(SegOpsApiError) as unseen:
        await asyncio.to_thread(admin.users.explain, "nobody", segment["id"])
    assert unseen.value.status == 404


async def test_the_admin_sdk_exports_members(client, admin):
    """It asks, waits by the documented route, and the address that it is given opens without a key."""
    await client.post(
        "/api/ingestion/track/", json={"user_id": "exported", "event_type": "order_placed", "payload": {}}
    )
    async with asyncio.timeout(30):
        while (await client.get("/api/ingestion/status/")).json()["pending"]:
            pass
    segment = await asyncio.to_thread(admin.segments.create, {"name": "Exported", "definition": BUYERS})
    await asyncio.to_thread(admin.segments.recompute, segment["id"])
    async with asyncio.timeout(30):
        while (await asyncio.to_thread(admin.segments.get, segment["id"]))["status"] != "computed":
            pass

    asked = await asyncio.to_thread(admin.segments.export, segment["id"])
    async with asyncio.timeout(30):
        path = f"/api/segments/{segment['id']}/export/"
        while (done := (await client.get(path, params={"export_id": asked["export_id"]})).json())[
            "status"
        ] == "pending":
            pass
    lines = (await asyncio.to_thread(lambda: urlopen(done["download_url"]).read())).decode().splitlines()  # noqa: S310

    assert (asked["id"], asked["status"], done["status"]) == (asked["export_id"], "pending", "complete")
    assert lines[0] == "user_id,computed_at"
    assert "exported" in {line.partition(",")[0] for line in lines}
