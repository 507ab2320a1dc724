"""Every schemas method of SegOps' own admin SDK and command line, unmodified, against the running service."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from segops_admin import SegOpsAdmin, SegOpsApiError

pytestmark = pytest.mark.engines

EVENTS = [
    {"user_id": "ana", "event_type": "order_placed", "payload": {"total": 12.5, "currency": "EUR"}},
    {"user_id": "bob", "event_type": "order_placed", "payload": {"total": 30, "currency": "EUR", "coupon": "TEN"}},
    {"user_id": "bob", "event_type": "cart_add", "payload": {"at": "2026-06-15T12:00:00Z"}},
]


@pytest.fixture
def admin(url: str, key: str) -> SegOpsAdmin:
    return SegOpsAdmin(key, base_url=f"{url}/api")


def command(url: str, key: str, *words: str) -> Any:
    """What `segops-admin` prints; it must succeed."""
    program = [sys.executable, "-c", "import sys; from segops_admin._cli import main; sys.exit(main())", *words]
    environment = {"SEGOPS_API_KEY": key, "SEGOPS_API_URL": f"{url}/api", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)


async def test_the_admin_sdk_declares_infers_and_validates(url: str, key: str, admin: SegOpsAdmin, tmp_path: Path):
    schemas = admin.schemas
    inferred = await asyncio.to_thread(schemas.infer, EVENTS)
    created = [await asyncio.to_thread(schemas.create, schema) for schema in inferred["schemas"]]
    cart, order = created
    read = await asyncio.to_thread(schemas.get, order["id"])
    page = await asyncio.to_thread(lambda: schemas.list({"page_size": 1}))
    every = await asyncio.to_thread(lambda: list(schemas.iterate({"page_size": 1})))
    patched = await asyncio.to_thread(schemas.update, order["id"], {"description": "Paid", "strict": True})
    replaced = await asyncio.to_thread(lambda: schemas.update(order["id"], patched, method="PUT"))
    valid = await asyncio.to_thread(schemas.validate, "order_placed", {"total": 1, "currency": "EUR"})
    invalid = await asyncio.to_thread(schemas.validate, "order_placed", {"total": "1"})
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"total": "1"}))
    listed = await asyncio.to_thread(command, url, key, "schemas", "list")
    validated = await asyncio.to_thread(command, url, key, "schemas", "validate", "order_placed", str(payload))
    deleted = await asyncio.to_thread(schemas.delete, cart["id"])

    assert inferred["errors"] == []
    assert [(one["event_type"], one["events"]) for one in inferred["schemas"]] == [("cart_add", 1), ("order_placed", 2)]
    assert [(one["name"], one["type"], one["required"]) for one in order["properties"]] == [
        ("coupon", "string", False),
        ("currency", "string", True),
        ("total", "number", True),
    ]
    assert [(one["name"], one["type"]) for one in cart["properties"]] == [("at", "datetime")]
    assert read == order
    assert (page["count"], page["previous"], [one["event_type"] for one in page["results"]]) == (2, None, ["cart_add"])
    assert page["next"]
    assert [one["id"] for one in every] == [cart["id"], order["id"]]
    assert (patched["description"], patched["strict"], patched["properties"]) == ("Paid", True, order["properties"])
    assert replaced | {"updated_at": ""} == patched | {"updated_at": ""}
    assert (valid["valid"], valid["errors"]) == (True, [])
    assert [(one["pointer"], one["code"]) for one in invalid["errors"]] == [
        ("/payload/currency", "missing_property"),
        ("/payload/total", "wrong_type"),
    ]
    assert [one["id"] for one in listed["results"]] == [cart["id"], order["id"]]
    assert validated == invalid
    assert deleted is None
    with pytest.raises(SegOpsApiError) as missing:
        await asyncio.to_thread(schemas.get, cart["id"])
    assert (missing.value.status, missing.value.body["detail"]) == (404, f"There is no event schema {cart['id']}.")
    with pytest.raises(SegOpsApiError) as taken:
        await asyncio.to_thread(schemas.create, {"event_type": "order_placed"})
    assert (taken.value.status, taken.value.body["schema_id"]) == (409, order["id"])
