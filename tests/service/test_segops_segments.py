"""The segments methods of SegOps' own admin SDK that read and write segments, unmodified, against the running service."""

from __future__ import annotations

import asyncio

import pytest
from segops_admin import SegOpsAdmin, SegOpsApiError

pytestmark = pytest.mark.engines

BOUGHT = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}
TWICE = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed", "value": 2}]}


async def test_the_admin_sdk_saves_a_draft_completes_it_lists_it_and_reads_its_versions(url: str, key: str):
    """As SegOps documents it: created without a definition, which a PATCH sets later."""
    segments = SegOpsAdmin(key, base_url=f"{url}/api").segments
    body = {"name": "Documented", "tenant": 1, "segment_type": "rule", "description": "To be defined"}
    draft = await asyncio.to_thread(segments.create, body)
    with pytest.raises(SegOpsApiError) as refused:
        await asyncio.to_thread(segments.recompute, draft["id"])
    patched = await asyncio.to_thread(segments.update, draft["id"], {"definition": BOUGHT})
    replaced = await asyncio.to_thread(
        lambda: segments.update(draft["id"], patched | {"definition": TWICE}, method="PUT")
    )
    versions = await asyncio.to_thread(segments.versions, draft["id"])
    page = await asyncio.to_thread(lambda: segments.list({"is_active": True, "search": "documented", "page_size": 1}))
    every = await asyncio.to_thread(
        lambda: list(segments.iterate({"search": "documented", "order": "-id", "page_size": 1}))
    )
    read = await asyncio.to_thread(segments.get, draft["id"])
    gone = await asyncio.to_thread(segments.delete, draft["id"])
    with pytest.raises(SegOpsApiError) as missing:
        await asyncio.to_thread(segments.get, draft["id"])

    assert (draft["definition"], draft["status"]) == (None, "draft")
    assert (refused.value.status, refused.value.body["code"]) == (409, "segment_without_definition")
    assert (patched["version"], replaced["version"], read["version"]) == (1, 2, 2)
    assert [one["version"] for one in versions["results"]] == [2, 1]
    assert [one["id"] for one in page["results"]] == [one["id"] for one in every] == [draft["id"]]
    assert (gone, missing.value.status) == (None, 404)
