"""Connectors bring who entered and who left to one kind of destination each. They compute, store and log nothing.

A connector is a file here that keeps the contract of `contract.py`, and a row of `connectors()`.
"""

from __future__ import annotations

from collections.abc import Mapping

from segment_copilot.activations.connectors.braze import Braze
from segment_copilot.activations.connectors.configs import Config, Secret, Url
from segment_copilot.activations.connectors.contract import (
    Batch,
    Connector,
    Outcome,
    Recipient,
    Refused,
    Rejected,
    TryLater,
)
from segment_copilot.activations.connectors.files import Files
from segment_copilot.activations.connectors.klaviyo import Klaviyo
from segment_copilot.activations.connectors.webhook import Webhook

__all__ = [
    "Batch",
    "Config",
    "Connector",
    "Outcome",
    "Recipient",
    "Refused",
    "Rejected",
    "Secret",
    "TryLater",
    "Url",
    "connectors",
]


def connectors(*, files_directory: str = "") -> Mapping[str, Connector]:
    """Return the one table of connectors, by name: a row each. Files are written below *files_directory*, if there is one."""
    table: tuple[Connector, ...] = (
        Webhook(),
        Files("csv", files_directory),
        Files("parquet", files_directory),
        Klaviyo(),
        Braze(),
    )
    return {connector.name: connector for connector in table}
