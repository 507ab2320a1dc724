"""Two checks for Schemathesis, which knows only statuses: what it takes for a fault is one unless the answer says why not.

`SCHEMATHESIS_HOOKS` names this module. Its checks stand for `positive_data_acceptance` and `negative_data_rejection`, and
are as strict but for three facts:

- Some rules no schema can say: they are about several fields at once, or about what is stored. A request that fits the
  schema may be refused for one of `BEYOND_A_SCHEMA`, in a problem whose every finding is such a one.
- A batch judges each event by itself, so that a wrong one is refused in an answer of 202.
- A body that is too large is refused (413) before anything else of it is looked at; Schemathesis does not count that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

BEYOND_A_SCHEMA: Final[Mapping[str, str]] = {
    # Several parameters or fields at once
    "conflicting_parameters": "a page is asked for in one way",
    "invalid_history": "who spoke last, unless a question is answered or a checkpoint goes on",
    "invalid_answer": "a question that was resolved has an answer",
    "missing_field": "an operator needs a value",
    "unread_field": "an operator does not read a value",
    "operator_not_allowed": "a type has no such operator",
    "mixed_types": "values are of one type",
    "reversed_range": "the lower end comes first",
    "two_windows": "window_days or window",
    "bad_window": "the span of a sequence is a length",
    "too_many_decimals": "a number of decimals is no multiple, as numbers are binary",
    "star_not_alone": "* stands alone",
    "duplicate_property": "a property is declared once",
    "conflicting_properties": "nothing lies inside what is declared as no object",
    "history_too_long": "the sum of all messages",
    "too_large": "the size of a draft",
    "too_many_leaves": "conditions in all groups together",
    "too_deep": "groups within groups",
    "payload_too_deep": "objects within objects",
    "payload_too_large": "the size of a payload",
    "conflicting_fields": "a role or scopes; what is of one kind of key only",
    "unexpected_interval": "only one mode takes every",
    "missing_interval": "one mode needs every",
    # What a text means
    "bad_interval": "how much 99,999 of a unit is",
    "invalid_secret": "what whsec_ says of the text after it",
    "url_not_allowed": "which hosts are on the public internet",
    "unknown_timezone": "the list of zones is as long as a book, and grows",
    "unknown_scope": "which kind of key has which scopes",
    "bad_regex": "whether an expression compiles",
    "bad_length": "how much 99,999 of a unit is",
    "bad_path": "%2E in a key",
    "wrong_time": "31 February",
    "time_out_of_range": "the first day of 1900, and the last of 2299, west and east of Greenwich",
    "unsupported_key": "%2E in a key of a payload",
    "invalid_text": "NUL in a text",
    "nul_character": "NUL in a text or a key",
    "lone_surrogate": "half a pair in a text or a key",
    "invalid_list": "a CSV, by its text",
    "invalid_row": "an id in a CSV",
    "empty_list": "whether a CSV names anybody",
    "static_definition": "a static segment has none",
    # What is stored or set
    "fixed": "what it is now, and what only a sync says of it",
    "masked_secret": "which secrets are stored",
    "unknown_connector": "which connectors there are",
    "invalid_since": "what time it is, and how long what is published is kept",
    "static_refresh": "whether it is static",
    "type_is_fixed": "whether it is static",
    "past_instant": "what time it is",
    "unknown_segment": "which segments there are",
    "unknown_trait": "which traits there are",
    "still_to_come": "what time it is",
    "not_computed_then": "what was computed when",
    "segment_without_definition": "which segments are drafts",
    "definition_required": "which segments are drafts",
    "segment_cycle": "which segments refer to it",
    "bad_cursor": "which cursors a page gave",
    "unknown_model": "which model runs",
}
"""Code of a finding → the rule that no schema says."""

DEPENDENT: Final = re.compile(r"/(value|value2|from|to|as_of)(/\d+)?$")
"""Where `wrong_type` and `out_of_range` depend on another field, on the length of a month, or on an offset."""


def is_beyond_a_schema(finding: Mapping[str, Any]) -> bool:
    """Whether no schema says the rule of *finding*."""
    if finding["pointer"].startswith("/config"):  # each connector has a schema of its own, which `connectors/` tells
        return True
    if finding["code"] in {"wrong_type", "out_of_range"}:
        return DEPENDENT.search(finding["pointer"]) is not None
    return finding["code"] in BEYOND_A_SCHEMA


@schemathesis.check
def valid_requests_are_taken(ctx: Any, response: Any, case: Any) -> None:
    """What fits the schema is taken, or refused for a rule that no schema says."""
    try:
        positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        if response.status_code in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY):
            return  # If-Match, cursors and keys of requests: what was right once
        findings = response.json()["errors"]
        if not findings or not all(is_beyond_a_schema(finding) for finding in findings):
            raise


@schemathesis.check
def invalid_requests_are_refused(ctx: Any, response: Any, case: Any) -> None:
    """What does not fit the schema is refused; of a batch, the events that do not."""
    try:
        negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData:
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return  # too long to be read at all, whatever else is wrong with it
        is_batch = case.operation.path == "/api/ingestion/track/batch/" and response.status_code == HTTPStatus.ACCEPTED
        if not (is_batch and response.json()["skipped"] and response.json()["errors"]):
            raise


@schemathesis.serializer("application/x-ndjson")
def lines_as_they_are(_ctx: Any, value: Any) -> bytes:
    """Text is sent as it is; anything else, which is wrong, as one line of JSON."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
