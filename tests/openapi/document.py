"""The OpenAPI document of this code, for the tests that are made from it."""

from __future__ import annotations

import functools
from typing import Any

from segment_copilot.app import openapi_document


@functools.cache
def document() -> dict[str, Any]:
    """Return the document, to be read only: all test modules have the same, since writing it takes half a second."""
    return openapi_document()
