"""Chooses the model that a service runs: a setting, decided once at its start."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from segment_copilot.copilot.models import Model
from segment_copilot.errors import InvalidInput
from segment_copilot.settings import Settings


@asynccontextmanager
async def open_model(settings: Settings) -> AsyncGenerator[Model]:
    """Open the model that the settings name; `auto` is Claude when there is a key, else the offline model.

    Raises:
        InvalidInput: COPILOT_MODEL is claude and there is no key.
    """
    if settings.copilot_model == "claude" and not settings.anthropic_api_key:
        raise InvalidInput("COPILOT_MODEL is claude: set ANTHROPIC_API_KEY as well.", code="invalid_settings")
    if settings.copilot_model == "offline" or not settings.anthropic_api_key:
        from segment_copilot.copilot.models.offline import OfflineModel  # noqa: PLC0415  # only what is used is loaded

        yield OfflineModel()
        return
    from segment_copilot.copilot.models.claude.model import open_claude  # noqa: PLC0415  # the SDK takes seconds to import

    async with open_claude(settings) as claude:
        yield claude
