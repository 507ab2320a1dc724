"""Makes a conversation smaller: results of older calls give way, and with them all that was thought.

What was thought is bound to everything before it, so a conversation that is changed anywhere keeps none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import structs

from segment_copilot.copilot.models import AssistantMessage, Message, ToolResults

_LEFT_OUT: Final = '{"note":"Left out to make room. Call the tool again if this is needed."}'
_THOUGHT: Final = ("thinking", "redacted_thinking")


def drop_older_results(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return *messages* without the results of calls but the last turn's; unchanged when there are none to leave out."""
    turns = [index for index, message in enumerate(messages) if isinstance(message, ToolResults)]
    return _without(messages, turns[:-1])


def drop_all_results(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return *messages* without the results of any call."""
    return _without(messages, [index for index, message in enumerate(messages) if isinstance(message, ToolResults)])


def _without(messages: Sequence[Message], turns: Iterable[int]) -> tuple[Message, ...]:
    smaller = list(messages)
    for index in turns:
        message = messages[index]
        if isinstance(message, ToolResults):
            results = tuple(structs.replace(result, content=_LEFT_OUT) for result in message.results)
            smaller[index] = structs.replace(message, results=results)
    if smaller == list(messages):
        return tuple(messages)
    return tuple(_drop_thoughts(message) for message in smaller)


def _drop_thoughts(message: Message) -> Message:
    if not isinstance(message, AssistantMessage) or message.raw is None:
        return message
    blocks: list[Any] = [block for block in message.raw if block["type"] not in _THOUGHT]
    return structs.replace(message, raw=blocks)
