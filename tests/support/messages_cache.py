"""The prompt cache of the Messages API, as far as it can be seen from outside: what a request reads and writes.

A prefix is cached up to each mark; it is found again only when its bytes are the same, no further than twenty blocks
before a mark. How tools may be used and how the model thinks belongs to the prefix of the messages.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

Body = dict[str, Any]

LEAST_TOKENS = 512
LOOK_BACK = 20
BYTES_PER_TOKEN = 4


class PromptCache:
    """What was cached so far."""

    def __init__(self) -> None:
        self._written: set[str] = set()

    def usage(self, body: Body) -> dict[str, int]:
        """The counts that `message_start` tells for *body*; then its marked prefixes are cached."""
        blocks = _blocks(body)
        digests, tokens = _prefixes(body, blocks)
        marks = [number for number, (block, _) in enumerate(blocks) if "cache_control" in block]
        marks += [len(blocks) - 1] if "cache_control" in body else []
        found = [
            number
            for mark in marks
            for number in range(mark, max(mark - LOOK_BACK, -1), -1)
            if digests[number] in self._written
        ]
        self._written |= {digests[mark] for mark in marks if tokens[mark] >= LEAST_TOKENS}
        read = tokens[max(found)] if found else 0
        written = max([tokens[mark] for mark in marks if tokens[mark] >= LEAST_TOKENS], default=read)
        return {
            "input_tokens": tokens[-1] - written,
            "cache_creation_input_tokens": written - read,
            "cache_read_input_tokens": read,
        }


def _blocks(body: Body) -> list[tuple[Body, str]]:
    """In the order of the prefix, each with who says it."""
    found = [(tool, "tools") for tool in body.get("tools", [])]
    found += [(block, "system") for block in body.get("system", [])]
    for message in body["messages"]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        found += [(block, message["role"]) for block in parts]
    return found


def _prefixes(body: Body, blocks: list[tuple[Body, str]]) -> tuple[list[str], list[int]]:
    """For each block, of all up to it: a digest, and how many tokens."""
    digest, size = hashlib.sha256(), 0
    digests: list[str] = []
    tokens: list[int] = []
    in_messages = False
    for block, said_by in blocks:
        if said_by in {"user", "assistant"} and not in_messages:
            in_messages = True
            digest.update(json.dumps([body.get("tool_choice"), body.get("thinking")]).encode())
        plain = {key: value for key, value in block.items() if key != "cache_control"}
        written = json.dumps([said_by, plain]).encode()  # the order of keys counts
        digest.update(written)
        size += len(written)
        digests.append(digest.hexdigest())
        tokens.append(size // BYTES_PER_TOKEN)
    return digests, tokens
