"""A story that calls every operation once, in an order that a newcomer could follow; its answers are the document's examples.

A new tenant, so that ids begin at 1. To add an operation, add its `Step`: a test fails while one is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct, field


class Step(Struct, frozen=True):
    """One call of an operation. A *body* that is text goes out as it is, with its media type in *headers*."""

    operation: str
    body: Any = None
    path: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    may_refuse: bool = False
    """A worker may have been quicker: then the example stays what it was."""
    until: Callable[[Any], bool] | None = None
    """Asked again until its answer is so: what a worker does takes a moment."""


BUYERS: Final = {
    "logic": "AND",
    "conditions": [
        {"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 2, "window_days": 90},
        {"type": "user_property", "property": "country", "operator": "eq", "value": "ES"},
    ],
}
LAPSED: Final = {
    "logic": "AND",
    "conditions": [{"type": "recency", "event_type": "order_placed", "operator": "gt", "window_days": 30}],
}
ORDER: Final = {"user_id": "ana", "event_type": "order_placed", "payload": {"total": 59.9, "coupon": "SPRING"}}
EVENTS: Final = [
    {"user_id": "ana", "event_type": "context_identified", "payload": {"country": "ES", "plan": "pro"}},
    {"user_id": "ben", "event_type": "context_identified", "payload": {"country": "FR", "plan": "free"}},
    ORDER,
    {"user_id": "ben", "event_type": "order_placed", "payload": {"total": 20}},
    {"user_id": "ben", "event_type": "page_viewed", "payload": {"path": "/pricing"}},
    {"user_id": "cleo", "event_type": "order_placed", "payload": {"total": "much"}},
]
QUESTION: Final = "Users who placed an order in the last 7 days"
ASKED: Final = {"messages": [{"role": "user", "content": QUESTION}]}
SEGMENT: Final = {"segment_id": 1}

KEY: Final = {"key_id": 2}
EXPORT: Final = {"export_id": 1}
SNAPSHOT: Final = {"snapshot_id": 1}
WEBHOOK: Final = {"webhook_id": 1}
WEBHOOK_DELIVERY: Final = WEBHOOK | {"webhook_delivery_id": 1}
ACTIVATION: Final = {"activation_id": 1}
DELIVERY: Final = {"delivery_id": 1}
SCHEMA: Final = {"schema_id": 1}
TOTAL: Final = [{"name": "total", "type": "number", "description": "With tax", "required": True}]

STORY: Final = (
    Step("live"),
    Step("ready"),
    # Event schemas
    Step("infer_schemas", {"events": [ORDER]}),
    Step("create_schema", {"event_type": "order_placed", "description": "A purchase was paid", "properties": TOTAL}),
    Step("list_schemas"),
    Step("get_schema", path=SCHEMA),
    Step("update_schema", {"description": "Somebody paid for a basket"}, SCHEMA),
    Step("replace_schema", {"event_type": "order_placed", "properties": TOTAL, "strict": False}, SCHEMA),
    Step("validate_payload", {"event_type": "order_placed", "payload": {"total": "much"}}),
    # Events
    Step("track_event", ORDER),
    Step("track_events", {"events": EVENTS}),
    Step("get_ingestion_status", until=lambda answer: answer["pending"] == 0),
    # What is in the data
    Step("list_violations", path=SCHEMA, until=lambda answer: answer["count"] == 1),
    Step("get_catalog"),
    Step("list_catalog_events"),
    Step("get_catalog_event", path={"event_type": "order_placed"}),
    Step("list_property_values", path={"event_type": "order_placed", "name": "coupon"}),
    Step("list_catalog_traits"),
    Step("get_catalog_trait", path={"name": "country"}),
    Step("list_trait_values", path={"name": "country"}),
    # Segments
    Step("preview_segment", {"definition": BUYERS, "limit": 10, "breakdown": True}),
    Step("explain_definition", {"definition": BUYERS}),
    Step("create_segment", {"name": "Spanish regulars", "description": "For the spring letter", "definition": BUYERS}),
    Step("list_segments"),
    Step("get_segment", path=SEGMENT),
    Step("update_segment", {"definition": LAPSED}, SEGMENT),
    Step("list_versions", path=SEGMENT),
    Step("get_version", path=SEGMENT | {"version": 2}),
    Step("compare_versions", path=SEGMENT | {"before": 1, "after": 2}),
    Step("restore_version", path=SEGMENT | {"version": 1}),
    Step("replace_segment", {"name": "Regulars in Spain", "definition": BUYERS, "is_active": True}, SEGMENT),
    Step("copy_segment", {"name": "Regulars, once more"}, SEGMENT),
    Step("get_dependencies", path=SEGMENT),
    Step("estimate_segment", {"limit": 10}, SEGMENT),
    Step("explain_segment", {"user_id": "ana"}, SEGMENT),
    Step("compute_segment", {"as_of": "2026-06-15T12:00:00Z"}, SEGMENT),
    Step("get_segment", path=SEGMENT, until=lambda answer: answer["member_count"] == 0),
    Step("compute_all_segments", {}),
    Step("get_segment", path=SEGMENT, until=lambda answer: answer["member_count"] == 1),
    Step("list_computations", path=SEGMENT),
    Step("get_computation", path={"computation_id": 1}),
    Step("compute_segment", {}, SEGMENT),
    Step("cancel_computation", path={"computation_id": 4}, may_refuse=True),
    Step("update_segment", {"refresh": {"mode": "interval", "every": "30d"}}, SEGMENT),
    Step("pause_refresh", path=SEGMENT),
    Step("resume_refresh", path=SEGMENT),
    Step("list_changes", path=SEGMENT),
    Step("list_members", path=SEGMENT),
    Step("list_memberships", query={"user_id": "ana"}),
    Step("look_up_memberships", {"user_ids": ["ana", "ben"]}),
    Step("explain_user", path={"user_id": "ana", "segment_id": 1}),
    # A static segment
    Step("create_segment", {"name": "Guests", "segment_type": "static"}),
    Step("upload_members", "user_id\nana\ncleo\nsomebody\n", {"segment_id": 3}, headers={"Content-Type": "text/csv"}),
    # Exports and snapshots
    Step("export_segment", {"format": "csv", "include": ["traits.country"]}, SEGMENT),
    Step(
        "get_segment_export", path=SEGMENT, query={"export_id": 1}, until=lambda answer: answer["status"] == "complete"
    ),
    Step("list_segment_exports", path=SEGMENT),
    Step("get_export", path=EXPORT),
    Step("download_export", path=EXPORT),
    Step("take_snapshot", {"name": "Before the spring letter"}, SEGMENT),
    Step("take_snapshot", {"name": "After the spring letter"}, {"segment_id": 2}),
    Step("get_snapshot", path=SNAPSHOT, until=lambda answer: answer["status"] == "complete"),
    Step("get_snapshot", path={"snapshot_id": 2}, until=lambda answer: answer["status"] == "complete"),
    Step("list_snapshots"),
    Step("list_snapshot_members", path=SNAPSHOT),
    Step("compare_snapshots", path=SNAPSHOT | {"other_id": 2}),
    Step("export_snapshot", {"format": "ndjson"}, SNAPSHOT),
    Step(
        "get_snapshot_export",
        path=SNAPSHOT,
        query={"export_id": 2},
        until=lambda answer: answer["status"] == "complete",
    ),
    Step("list_snapshot_exports", path=SNAPSHOT),
    # Webhooks
    Step("create_webhook", {"url": "https://hooks.example.com/segments", "description": "Mail room"}),
    Step("list_webhooks"),
    Step("get_webhook", path=WEBHOOK),
    Step("update_webhook", {"events": ["segment.recomputed", "segment.entered", "segment.left"]}, WEBHOOK),
    Step("rotate_webhook_secret", {}, WEBHOOK),
    Step("recover_webhook", {"since": "2026-04-25T14:32:00Z"}, WEBHOOK),
    Step("list_webhook_deliveries", path=WEBHOOK),
    Step("get_webhook_delivery", path=WEBHOOK_DELIVERY, until=lambda answer: answer["status"] == "done"),
    Step("replay_webhook_delivery", path=WEBHOOK_DELIVERY),
    Step("test_webhook", {"event": "segment.entered"}, WEBHOOK),
    Step("list_webhook_messages"),
    # Sending members on
    Step("list_connectors"),
    Step("create_activation", {"segment": 1, "connector_type": "csv", "config": {"directory": "spanish-regulars"}}),
    Step("list_activations"),
    Step("get_activation", path=ACTIVATION),
    Step("test_activation", path=ACTIVATION),
    Step("sync_activation", {"full": False}, ACTIVATION),
    Step("get_delivery", path=DELIVERY, until=lambda answer: answer["status"] == "done"),
    Step("list_deliveries", path=ACTIVATION),
    Step("list_rejected", path=DELIVERY),
    Step("get_activation_stats", path=ACTIVATION),
    Step("replay_delivery", path=DELIVERY),
    Step("get_delivery", path=DELIVERY, until=lambda answer: answer["status"] == "done"),
    Step("update_activation", {"status": "active"}, ACTIVATION),
    # Users, and all of it counted
    Step("search_users", query={"q": "an"}),
    Step("get_user", path={"user_id": "ana"}),
    Step("list_user_events", path={"user_id": "ana"}),
    Step("list_user_segments", path={"user_id": "ana"}),
    Step("try_event", {"user_id": "ben", "event_type": "order_placed", "payload": {"total": 59.9}}),
    Step("get_overview"),
    Step("list_segment_trends"),
    Step("list_overlaps"),
    Step("list_activation_health"),
    Step("get_monthly_usage"),
    Step("get_usage"),
    # People with several ids, and erasing one
    Step("link_anonymous_id", {"anonymous_id": "device-1", "user_id": "ana"}),
    Step("merge_users", {"from_user_id": "benjamin", "into_user_id": "ben"}),
    Step("get_identity", path={"user_id": "ana"}),
    # Keys
    Step("create_key", {"name": "Shop front", "kind": "public", "allowed_origins": ["https://shop.example"]}),
    Step("list_keys"),
    Step("get_key", path=KEY),
    Step("update_key", {"name": "Shop front, 2026"}, KEY),
    Step("rotate_key", {"grace_seconds": 3600}, KEY),
    Step("revoke_key", path=KEY),
    Step("list_audit_entries", query={"limit": 3}),
    Step("list_key_uses", query={"limit": 3}, until=lambda answer: answer["count"] > 0),
    # The copilot
    Step("open_session", {"scope": "copilot", "user_id": "ana"}),
    Step("get_capabilities"),
    Step("get_protocol"),
    Step("generate_segment", {"description": QUESTION}),
    Step("stream_copilot", ASKED),
    Step(
        "stream_ag_ui",
        {
            "threadId": "thread-1",
            "runId": "run-1",
            "messages": [{"role": "user", "content": QUESTION}],
            "tools": [],
            "state": {},
            "forwardedProps": {},
        },
    ),
    Step(
        "stream_ai_sdk",
        {
            "id": "thread-1",
            "messages": [{"role": "user", "parts": [{"type": "text", "text": QUESTION}]}],
        },
    ),
    Step("give_feedback", {"run_id": f"run_{'0' * 32}", "rating": "up"}),
    # What is deleted comes last
    Step("erase_user", path={"user_id": "cleo"}),
    Step("get_erasure", path={"erasure_id": 1}, until=lambda answer: answer["status"] == "done"),
    Step("delete_activation", path=ACTIVATION),
    Step("delete_export", path=EXPORT),
    Step("delete_snapshot", path=SNAPSHOT),
    Step("delete_webhook", path=WEBHOOK),
    Step("delete_schema", path=SCHEMA),
    Step("delete_segment", path=SEGMENT),
)
