"""Connectors bring who entered and who left to one kind of destination each. They compute, store and log nothing.

A connector is a file here that keeps the contract of `contract.py`, and a row of `CONNECTORS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from segment_copilot.activations.connectors.configs import Config, Secret
from segment_copilot.activations.connectors.contract import (
    Batch,
    Connector,
    Outcome,
    Recipient,
    Refused,
    Rejected,
    TryLater,
)

__all__ = [
    "CONNECTORS",
    "Batch",
    "Config",
    "Connector",
    "Outcome",
    "Recipient",
    "Refused",
    "Rejected",
    "Secret",
    "TryLater",
]

_ALL: Final[tuple[Connector, ...]] = ()

CONNECTORS: Final[Mapping[str, Connector]] = {connector.name: connector for connector in _ALL}
"""The one table of connectors, by name."""
