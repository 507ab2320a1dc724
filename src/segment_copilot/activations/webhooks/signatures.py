"""Signs what is sent to webhooks: as Standard Webhooks say, by HMAC or ed25519, and as SegOps does beside it. Pure.

`standardwebhooks` signs by HMAC; what it lacks, ed25519, is `cryptography`'s.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from standardwebhooks import Webhook

from segment_copilot.errors import Finding, InvalidInput

Signature = Literal["hmac", "ed25519"]

SHARED: Final = "whsec_"
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"
MIN_SECRET: Final = 8
MAX_SECRET: Final = 200

_SEED: Final = 32  # bytes of an ed25519 key
_SHARED_BYTES: Final = 32


class Secret(Struct, frozen=True):
    """Holds what deliveries are signed with, as text; *public_key* verifies those of ed25519."""

    text: str
    signature: Signature
    public_key: str | None = None


def new_secret(signature: Signature) -> Secret:
    """Make a secret."""
    if signature == "hmac":
        return Secret(SHARED + base64.b64encode(os.urandom(_SHARED_BYTES)).decode(), "hmac")
    return read_secret(PRIVATE + base64.b64encode(os.urandom(_SEED)).decode())


def read_secret(text: str) -> Secret:
    """Read a secret that somebody chose: `whsk_…` is an ed25519 key, all others are shared.

    Raises:
        InvalidInput: It is no secret to sign with.
    """
    if not MIN_SECRET <= len(text) <= MAX_SECRET or not text.isascii() or not text.isprintable():
        raise _wrong(f"A secret is {MIN_SECRET} to {MAX_SECRET} visible ASCII characters.")
    if not text.startswith(PRIVATE):
        return Secret(text, "hmac")
    public = base64.b64encode(_private(text).public_key().public_bytes_raw()).decode()
    return Secret(text, "ed25519", PUBLIC + public)


def signed(body: bytes, secrets: Sequence[str], *, message_id: str, now: datetime) -> Mapping[str, str]:
    """Return the headers that sign *body* with each of *secrets*, the newest first; SegOps' header knows only one."""
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(_sign(body, secret, message_id=message_id, now=now) for secret in secrets),
    }
    if not secrets[0].startswith(PRIVATE):
        digest = hmac.new(secrets[0].encode(), body, sha256).hexdigest()
        headers["X-SegOps-Signature"] = f"sha256={digest}"
    return headers


def _sign(body: bytes, secret: str, *, message_id: str, now: datetime) -> str:
    if not secret.startswith(PRIVATE):
        return Webhook(_shared(secret)).sign(message_id, now, body.decode())
    content = f"{message_id}.{int(now.timestamp())}.".encode() + body
    return f"v1a,{base64.b64encode(_private(secret).sign(content)).decode()}"


def _shared(secret: str) -> bytes:
    """Return the bytes of a shared secret: what `whsec_` is followed by, in base64; of any other its own."""
    if secret.startswith(SHARED):
        plain = secret.removeprefix(SHARED)
        try:
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True) or secret.encode()
        except binascii.Error:
            pass
    return secret.encode()


def _private(secret: str) -> Ed25519PrivateKey:
    """Return an ed25519 key; libsodium's form, the seed with the public key behind it, is read too."""
    plain = secret.removeprefix(PRIVATE)
    try:
        seed = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        seed = b""
    if len(seed) not in {_SEED, 2 * _SEED}:
        raise _wrong(f"A secret that begins with {PRIVATE} goes on with an ed25519 key of {_SEED} bytes in base64.")
    return Ed25519PrivateKey.from_private_bytes(seed[:_SEED])


def _wrong(detail: str) -> InvalidInput:
    return InvalidInput(detail, code="invalid_secret", findings=[Finding("/secret", "invalid_secret", detail)])
