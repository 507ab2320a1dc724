"""Do with the generated Python client what a caller does: create, preview, compute, page, export. Print it as JSON.

Run beside the package `generated`. Arguments: the service's address, a key.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any


def module(name: str) -> Any:
    """A module of the generated package, which is there only while the test runs."""
    return importlib.import_module(f"generated.{name}".rstrip("."))


def call(operation: str, *path: Any, **arguments: Any) -> Any:
    """What an operation answers; a problem ends the program with its words."""
    (tag,) = (file.parent.name for file in Path("generated", "api").glob(f"*/{operation}.py"))
    answer = module(f"api.{tag}.{operation}").sync(*path, client=CLIENT, **arguments)
    if answer is None or type(answer).__name__ == "Problem":
        sys.exit(f"{operation}: {answer}")
    return answer


def until(operation: str, *path: Any, end: set[str], **arguments: Any) -> Any:
    """Ask until the status is one of *end*."""
    while True:
        answer = call(operation, *path, **arguments)
        if answer.status in end:
            return answer


def members_of(segment_id: int) -> list[str]:
    """Every member, a page of one at a time."""
    found: list[str] = []
    page = call("list_members", segment_id, limit=1)
    while True:
        found += [member.user_id for member in page.results]
        if page.next_cursor is None:
            return found
        page = call("list_members", segment_id, limit=1, cursor=page.next_cursor)


URL, KEY = sys.argv[1:]
MODELS = module("models")
CLIENT = module("").AuthenticatedClient(base_url=URL, token=KEY, prefix="ApiKey")
DEFINITION = MODELS.Definition.from_dict(
    {
        "logic": "AND",
        "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "gte", "value": 1}],
    }
)

preview = call("preview_segment", body=MODELS.PreviewRequest(definition=DEFINITION))
segment = call("create_segment", body=MODELS.SegmentCreate(name="From Python", definition=DEFINITION))
call("compute_segment", segment.id)
computed = until("get_segment", segment.id, end={"computed"})
members = members_of(segment.id)
job = call("export_segment", segment.id, body=MODELS.ExportRequest.from_dict({"format": "ndjson"}))
exported = until("get_segment_export", segment.id, export_id=job.export_id, end={"complete", "failed"})
print(  # noqa: T201
    json.dumps(
        {
            "matched": preview.matched_users,
            "name": segment.name,
            "member_count": computed.member_count,
            "members": members,
            "exported": exported.status,
        }
    )
)
