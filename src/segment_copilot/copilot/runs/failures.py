"""Says in our words what ends a run badly: one code of a closed set, one sentence, and whether to try again."""

from __future__ import annotations

from typing import Final, cast, get_args

from msgspec import UNSET, Struct

from segment_copilot.copilot.stream.run_events import ErrorCode, RunError
from segment_copilot.copilot.stream.usage import Usage
from segment_copilot.errors import InvalidInput, Unavailable

_MAX_RETRY_SECONDS: Final = 8.0
RETRY_SECONDS: Final = 0.5

_SENTENCES: Final[dict[ErrorCode, tuple[str, bool]]] = {
    "upstream_overloaded": ("The language model is overloaded. Try again in a moment.", True),
    "upstream_rate_limited": ("The language model's rate limit is reached. Try again in a moment.", True),
    "upstream_spend_limit": ("The language model's spending limit is reached. Ask an administrator.", False),
    "upstream_timeout": ("The language model did not answer in time. Try again.", True),
    "upstream_disconnected": ("The connection to the language model broke. Try again.", True),
    "upstream_bad_request": (
        "The language model refused the request. It is logged; trying again will not help.",
        False,
    ),
    "upstream_auth": ("The language model does not accept this service's key. Ask an administrator.", False),
    "model_output_invalid": ("The language model wrote something that cannot be read. Try again.", True),
    "context_too_long": ("The conversation is too long for the language model. Start a new one.", False),
    "tool_backend_unavailable": ("The data store does not answer. Try again in a moment.", True),
    "deadline_exceeded": ("The answer took longer than a run may. Ask for less at once, or try again.", True),
    "server_draining": ("This server is being restarted. Send the request again.", True),
    "internal": ("Something went wrong on our side; it is logged.", False),
}


class Failure(Struct, frozen=True):
    """A failure is told to a client."""

    code: ErrorCode
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    upstream_request_id: str | None = None

    def wait_seconds(self, attempt: int) -> float:
        """Return how long to wait after the failed *attempt* (from 1); never long, whatever the other side asks for."""
        asked = RETRY_SECONDS * 2 ** (attempt - 1) if self.retry_after_ms is None else self.retry_after_ms / 1000
        return min(asked, _MAX_RETRY_SECONDS)

    def terminal(self, usage: Usage) -> RunError:
        """Return the last event of a run that failed so."""
        return RunError(
            code=self.code,
            message=self.message,
            retryable=self.retryable,
            usage=usage,
            retry_after_ms=UNSET if self.retry_after_ms is None else self.retry_after_ms,
            upstream_request_id=self.upstream_request_id or UNSET,
        )


def failure(code: ErrorCode) -> Failure:
    """Return the failure of that code."""
    message, retryable = _SENTENCES[code]
    return Failure(code, message, retryable)


def failure_of(error: Unavailable) -> Failure:
    """Return *error* as a failure; a code that is not of the set is a store that does not answer.

    A model says more in the error's context: `retry_after_ms`, `upstream_request_id`.
    """
    known = error.code in get_args(ErrorCode)
    found = failure(cast("ErrorCode", error.code) if known else "tool_backend_unavailable")
    after = error.context.get("retry_after_ms")
    return Failure(
        found.code,
        found.message,
        found.retryable,
        retry_after_ms=after,
        upstream_request_id=error.context.get("upstream_request_id"),
    )


def error_of(error: RunError) -> Exception:
    """Return the error of a run that ended badly: our own mistakes stay unexplained, the rest may be tried again."""
    if error.code == "internal":
        return RuntimeError("The copilot's run failed; the log has it under the run's id.")
    if error.code == "context_too_long":
        return InvalidInput(error.message, code=error.code)
    context = {} if error.retry_after_ms is UNSET else {"retry_after_seconds": -(-error.retry_after_ms // 1000)}
    return Unavailable(error.message, code=error.code, context=context)
