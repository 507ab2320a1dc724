"""The example questions over the demo shop, by the offline model and the whole loop: tools, components, drafts, members."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.copilot.models.offline import OfflineModel
from segment_copilot.demo import load_demo
from segment_copilot.resources import Resources, open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.migrations import migrate
from tests.support.copilot_runs import Told, asking, run_to_end, wired

ENDS = datetime(2026, 6, 10, 15, 30, tzinfo=UTC)

QUESTIONS = [
    ("Show me my top 5 events by volume this week", "query_top_events", "EventVolumeChart"),
    ("How many users are in the High LTV segment?", "get_segment_detail", "MetricCard"),
    ("What's the membership trend for Churn Risk over the last 30 days?", "query_segment_membership_trend", "EventVolumeChart"),
    ("Which segments are the largest?", "list_segments", "SegmentTable"),
    ("Show me the conditions for the VIP Buyers segment", "get_segment_detail", None),
    ("What connectors are active?", "list_activations", None),
    ("List my event schemas", "list_event_schemas", None),
    ("What events have been ingested today?", "list_recent_events", "MetricCard"),
]  # fmt: skip

AUDIENCES = [
    "Create a segment for users who purchased in the last 7 days but never added to a wishlist",
    "Users who placed more than 3 orders in the last 90 days",
    "Customers who spent over $500 total and haven't visited in 30 days",
    "Users in the US who started a trial but never purchased",
    "Anyone who viewed the /pricing page at least once and hasn't converted",
    "High-value customers: total revenue over $1000, at least 5 orders, last order within 60 days",
    "Cart abandoners: added to cart but never placed an order in the last 14 days",
]


class Demo(Struct, frozen=True):
    """The demo tenant, small."""

    resources: Resources
    tenant: Tenant

    async def ask(self, *said: str) -> Told:
        messages: list[dict[str, str]] = []
        for text in said[:-1]:
            messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "…"}]
        messages.append({"role": "user", "content": said[-1]})
        request = asking(messages=messages, context={"as_of": ENDS})
        return await run_to_end(wired(self.resources, OfflineModel()), self.tenant, request)


@pytest.fixture(scope="module")
async def demo(module_database_url: str, module_clickhouse_url: str) -> AsyncGenerator[Demo]:
    async with open_resources(
        Settings(database_url=module_database_url, clickhouse_url=module_clickhouse_url)
    ) as resources:
        await migrate(resources.postgres, resources.clickhouse)
        yield Demo(resources, await load_demo(resources, ends_at=ENDS, users=1_500, history_days=2))


@pytest.mark.parametrize(("question", "tool", "component"), QUESTIONS)
async def test_a_question_is_answered_by_its_tool_and_drawn(demo: Demo, question, tool, component):
    told = await demo.ask(question)

    assert told.frames[0]["model"] == "offline"
    assert told.of("tool.start")[0]["name"] == tool
    assert [result["ok"] for result in told.of("tool.result")] == [True] * len(told.of("tool.result"))
    assert [shown["name"] for shown in told.of("component")] == ([component] if component else [])
    assert told.frames[-1]["outcome"] == "completed"


@pytest.mark.parametrize("sentence", AUDIENCES)
async def test_a_draft_holds_exactly_those_who_become_members(demo: Demo, sentence):
    told = await demo.ask(sentence)
    if asked := told.of("clarification"):  # "haven't visited" may be of those who ever did
        told = await demo.ask(sentence, asked[0]["options"][0]["value"])

    assert [start["name"] for start in told.of("tool.start")] == ["propose_segment", "display_create_segment_cta"]
    draft, button = told.one("segment.draft"), told.one("component")
    assert button["props"]["draft_id"] == draft["draft_id"]
    body = button["props"]["save"]["body"]
    saved = await demo.resources.segments.create(
        demo.tenant, name=body["name"], definition=body["definition"], segment_type=body["segment_type"]
    )
    as_of = msgspec.convert(draft["preview"]["as_of"], datetime)
    await demo.resources.computations.request(demo.tenant, saved.segment.id, as_of=as_of)
    while await demo.resources.computations.run_next():
        pass
    members = await demo.resources.members.page(demo.tenant, saved.segment.id, limit=2_000)
    assert draft["preview"]["count"] == members.count == len(members.members) > 0
