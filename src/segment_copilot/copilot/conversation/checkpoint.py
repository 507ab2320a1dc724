"""A checkpoint is a thread as an opaque token that the client keeps: signed, so that what comes back is what was sent.

It holds the messages exactly as the model saw and wrote them. A history that a client tells is only text.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
import structlog
from msgspec import Struct, field

from segment_copilot.access.signing import Secrets
from segment_copilot.copilot.conversation.compaction import drop_all_results, drop_older_results
from segment_copilot.copilot.models import Message, ToolResult
from segment_copilot.copilot.stream.components import Draft

log = structlog.get_logger()

LIFETIME: Final = timedelta(hours=24)
MAX_BYTES: Final = 256 * 1024
_FORMAT: Final = "c1."  # changes whenever a token of before cannot be read any more
_TAG_BYTES: Final = 32
_MAX_DRAFTS: Final = 5

Fault = Literal["checkpoint_invalid", "checkpoint_expired", "checkpoint_outdated"]


class Utterance(Struct, frozen=True, array_like=True):
    """An utterance is a message as digests of its text without white space, by which a client's history is recognised.

    An answer is told in several ways (*alternatives*): what a failed turn said is kept by some clients. *optional*: it
    came by `resume`, which not every client writes into its history.
    """

    role: Literal["user", "assistant"]
    alternatives: tuple[tuple[int, str], ...]  # length and digest
    optional: bool = False


class OpenQuestion(Struct, frozen=True):
    """An open question waits for the person's answer.

    *results* are those of the turn's other calls, *position* is its own among them; *answers* when nothing else is one.
    """

    id: str
    tool_call_id: str
    position: int
    results: tuple[ToolResult, ...]
    answers: tuple[str, ...] = ()


class Checkpoint(Struct, frozen=True):
    """A checkpoint holds all that the next run of a thread needs."""

    tenant_id: int
    thread_id: str
    setting: str  # of prompt, tools and model: what was thought is bound to them
    expires_at: datetime
    as_of: datetime
    timezone: str
    messages: tuple[Message, ...]
    utterances: tuple[Utterance, ...] = field(name="said")
    catalog: str  # digest of what the last workspace told
    drafts: tuple[Draft, ...] = ()
    question: OpenQuestion | None = None
    user: str | None = None  # whom a session was opened for
    unfinished: bool = False  # the run goes on with the results at the end


class CheckpointRefused(Exception):
    """The token cannot be taken; *fault* says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


class Signer:
    """Seals and opens checkpoints with the deployment's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, checkpoint: Checkpoint) -> str | None:
        """Return the token, of at most 256 KiB: results of older calls give way. None when even that is too much."""
        for smaller in (
            checkpoint.messages,
            drop_older_results(checkpoint.messages),
            drop_all_results(checkpoint.messages),
        ):
            kept = msgspec.structs.replace(checkpoint, messages=smaller, drafts=checkpoint.drafts[-_MAX_DRAFTS:])
            token = self._encode(kept)
            if len(token) <= MAX_BYTES:
                return token
        log.warning("copilot.checkpoint_too_large", messages=len(checkpoint.messages))
        return None

    def open(self, token: str, *, tenant_id: int, setting: str, now: datetime, user: str | None = None) -> Checkpoint:
        """Return what *token* holds. A session of one *user* takes only that user's; without one, the tenant's backend asks.

        Raises:
            CheckpointRefused: It was not made here for this tenant, or its time is over.
        """
        body = self._authentic(token)
        try:
            checkpoint = msgspec.json.decode(zlib.decompress(body), type=Checkpoint)
        except (zlib.error, msgspec.MsgspecError, RecursionError):  # signed by us, but by another version of us
            raise CheckpointRefused("checkpoint_outdated") from None
        if checkpoint.tenant_id != tenant_id or user not in (None, checkpoint.user):
            raise CheckpointRefused("checkpoint_invalid")
        if checkpoint.expires_at <= now:
            raise CheckpointRefused("checkpoint_expired")
        if checkpoint.setting != setting:
            raise CheckpointRefused("checkpoint_outdated")
        return checkpoint

    def _encode(self, checkpoint: Checkpoint) -> str:
        body = zlib.compress(msgspec.json.encode(checkpoint))
        return _FORMAT + urlsafe_b64encode(self._tag(body) + body).decode()

    def _authentic(self, token: str) -> bytes:
        if not token.startswith(_FORMAT) and token[:1] == _FORMAT[:1] and token[2:3] == _FORMAT[2:3]:
            raise CheckpointRefused("checkpoint_outdated")
        text = token.removeprefix(_FORMAT)
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except ValueError:
            raise CheckpointRefused("checkpoint_invalid") from None
        # The decoder passes over what is no base64: only the one spelling counts.
        if urlsafe_b64encode(raw).decode() != text or not hmac.compare_digest(
            raw[:_TAG_BYTES], self._tag(raw[_TAG_BYTES:])
        ):
            raise CheckpointRefused("checkpoint_invalid")
        return raw[_TAG_BYTES:]

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, _FORMAT.encode() + body, "sha256")


class Secret:
    """Reads the deployment's secret, once per process."""

    def __init__(self, secrets: Secrets, *, setting: str = "") -> None:
        self._secrets = secrets
        self._setting = setting
        self._signer: Signer | None = None

    async def signer(self) -> Signer:
        """Return a signer with the secret of the *setting*, else with that of the stores, where all processes find the same."""
        if self._signer is None:
            secret = hashlib.sha256(self._setting.encode()).digest() if self._setting else None
            self._signer = Signer(secret or await self._secrets.get_or_create("checkpoints"))
        return self._signer
