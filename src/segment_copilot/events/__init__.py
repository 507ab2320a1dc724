"""Events are accepted durably in PostgreSQL, forwarded to ClickHouse in blocks that can be retried, readable at once.

Here too is what is known of them: schemas, the catalog, analytics. It knows no HTTP and no segment.

The way of an event: `Ingestion.accept` (validated, de-duplicated, stored; the client gets its 202) →
`Forwarding` in the worker (`write_block` to ClickHouse, then the names for the catalog), which also cleans up what is no
longer recent.
"""

from segment_copilot.events.failed_events import FailedEvent, FailedEvents
from segment_copilot.events.forwarding import Forwarding
from segment_copilot.events.identity_links import ANONYMOUS
from segment_copilot.events.ingestion import AcceptedEvents, Ingestion, IngestionStatus, SkippedEvent
from segment_copilot.events.names import ObservedNames, observe_names
from segment_copilot.events.recent import RecentEvent, RecentEvents, RecentPage
from segment_copilot.events.rows import Event, write_block
from segment_copilot.events.validation import EventRejected, ValidEvent, parse_instant, validate

__all__ = [
    "ANONYMOUS",
    "AcceptedEvents",
    "Event",
    "EventRejected",
    "FailedEvent",
    "FailedEvents",
    "Forwarding",
    "Ingestion",
    "IngestionStatus",
    "ObservedNames",
    "RecentEvent",
    "RecentEvents",
    "RecentPage",
    "SkippedEvent",
    "ValidEvent",
    "observe_names",
    "parse_instant",
    "validate",
    "write_block",
]
