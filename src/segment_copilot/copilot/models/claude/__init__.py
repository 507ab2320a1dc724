"""Claude, through the anthropic SDK, is one of the models. Nothing outside of this room imports the SDK."""

from segment_copilot.copilot.models.claude.model import open_claude

__all__ = ["open_claude"]
