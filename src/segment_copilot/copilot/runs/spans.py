"""Describes a run's requests to the model as spans, by the conventions of GenAI; what was said only where a setting says so."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec

from segment_copilot.copilot.models import AssistantMessage, Message, ModelRequest, ToolResults, TurnEnded, UserMessage
from segment_copilot.telemetry import tracing

AGENT: Final = "segment-copilot"
_OFFLINE: Final = "offline"


def provider_of(model: str) -> str:
    """Return who answers as *model*: whoever speaks the Messages API, or this process."""
    return "segment_copilot" if model == _OFFLINE else "anthropic"


def run_span(model: str, *, thread_id: str, tenant_id: int) -> AbstractContextManager[tracing.Span]:
    """Return the span of a run."""
    return tracing.gen_ai(
        "invoke_agent",
        AGENT,
        kind="INTERNAL",
        gen_ai__agent__name=AGENT,
        gen_ai__provider__name=provider_of(model),
        gen_ai__request__model=model,
        gen_ai__conversation__id=thread_id,
        segment_copilot__tenant__id=tenant_id,
    )


def chat_span(model: str, request: ModelRequest) -> AbstractContextManager[tracing.Span]:
    """Return the span of one request to the model."""
    content = tracing.keeps_content()
    return tracing.gen_ai(
        "chat",
        model,
        kind="INTERNAL" if model == _OFFLINE else "CLIENT",
        gen_ai__provider__name=provider_of(model),
        gen_ai__request__model=model,
        gen_ai__request__max_tokens=request.max_tokens,
        gen_ai__request__stream=True,
        gen_ai__input__messages=_text([_message(one) for one in request.messages]) if content else None,
        gen_ai__system_instructions=_text([{"type": "text", "content": request.system}]) if content else None,
    )


def tell_answer(span: tracing.Span, ended: TurnEnded, *, first_seconds: float | None) -> None:
    """Tell *span* how the model's answer ended and what it used."""
    if not tracing.is_on():
        return
    usage = ended.usage
    span.set_attribute("gen_ai.response.finish_reasons", [ended.stop_reason])
    span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
    span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens)
    span.set_attribute("gen_ai.usage.cache_write.input_tokens", usage.cache_write_tokens)
    span.set_attribute("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens)
    if first_seconds is not None:
        span.set_attribute("gen_ai.response.time_to_first_chunk", first_seconds)
    if ended.upstream_request_id:
        span.set_attribute("segment_copilot.upstream.request_id", ended.upstream_request_id)
    if tracing.keeps_content():
        answer = _message(ended.message) | {"finish_reason": ended.stop_reason}
        span.set_attribute("gen_ai.output.messages", _text([answer]))


def _message(message: Message) -> dict[str, Any]:
    match message:
        case UserMessage():
            return {
                "role": "user",
                "parts": [_part(one) for one in (message.workspace, message.text, *message.notes) if one],
            }
        case AssistantMessage():
            calls = [
                {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}
                for call in message.tool_calls
            ]
            return {"role": "assistant", "parts": [*([_part(message.text)] if message.text else []), *calls]}
        case ToolResults():
            results = [
                {"type": "tool_call_response", "id": one.tool_call_id, "response": one.content}
                for one in message.results
            ]
            return {"role": "tool", "parts": [*results, *map(_part, message.notes)]}


def _part(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _text(document: object) -> str:
    return msgspec.json.encode(document).decode()
