"""The system prompt is prompt.md: the same bytes for every tenant and every day, so that it can be cached."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

PROMPT: Final = files("segment_copilot.copilot.conversation").joinpath("prompt.md").read_text(encoding="utf-8")
PROMPT_VERSION: Final = hashlib.sha256(PROMPT.encode()).hexdigest()[:12]
