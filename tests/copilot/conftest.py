"""The fixtures of the copilot's tests; what they share is in copilot_runs.py."""

from __future__ import annotations

from tests.support.copilot_runs import ask, shop

__all__ = ["ask", "shop"]
