"""Finds claims that something was written. The copilot saves nothing, so such a sentence is always wrong."""

from __future__ import annotations

import re
from typing import Final

_DONE: Final = r"(?:created|saved|stored|updated|deleted|removed|renamed|published|activated|deactivated|scheduled|exported|synced)"
_SENTENCE: Final = re.compile(r"[^.!?\n]+")
_CLAIMS: Final = re.compile(
    rf"""
    \bI(?:'ve|’ve|\s+have)?\s+(?:just\s+|now\s+|already\s+|also\s+|successfully\s+)*{_DONE}\b
    | \b(?:has|have|'s|’s)\s+been\s+(?:successfully\s+|now\s+)*{_DONE}\b
    | \b(?:is|are)\s+now\s+(?:{_DONE}|live)\b
    | \bsuccessfully\s+{_DONE}\b
    | ^\W*(?:done|all\s+set)\b.*\b{_DONE}\b
    | \b(?:he|hemos)\s+(?:creado|guardado|actualizado|borrado|eliminado|publicado)\b
    | \b(?:se\s+ha|ha\s+sido)\s+(?:creado|guardado|actualizado|borrado|eliminado|publicado)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NO_CLAIM: Final = re.compile(
    r"\b(?:not|no|nothing|never|once|until|after|when|if|before|unless|yet|nada|cuando|si)\b|n['’]t\b"
    r"|\b(?:draft|drafts|chart|card|table|preview|button|borrador)\b",
    re.IGNORECASE,
)


def claims_write(text: str) -> bool:
    """Return whether a sentence of *text* says that something was created, saved or changed; a draft is no such thing."""
    sentences = (found[0] for found in _SENTENCE.finditer(text))
    return any(_CLAIMS.search(sentence.strip()) and not _NO_CLAIM.search(sentence) for sentence in sentences)
