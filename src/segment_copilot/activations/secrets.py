"""USE CASE: keep the secrets of destinations: each is sealed before it is stored, and opened only to be used.

A secret is sealed with AES-256-GCM by the newest key of the settings. The key's id stands in the sealed text, so that a
key can be replaced while what the old one sealed can still be opened. Who seals names a *context*, whose the secret is:
a sealed text that is moved elsewhere does not open there.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from segment_copilot.errors import Conflict, InvalidInput

_VERSION: Final = "s1"
_BYTES: Final = 32
_NONCE: Final = 12


def new_key() -> str:
    """Return a new key, as SECRETS_KEYS takes it."""
    return base64.urlsafe_b64encode(os.urandom(_BYTES)).decode()


class Secrets:
    """Seals and opens secrets with the keys of the settings, of which the first is the newest."""

    def __init__(self, keys: Sequence[str]) -> None:
        read = [_read_key(text, number) for number, text in enumerate(keys, start=1)]
        self._keys = {sha256(key).hexdigest()[:8]: AESGCM(key) for key in read}
        self._newest = next(iter(self._keys), None)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._keys)})"

    @property
    def newest(self) -> str | None:
        """The id of the key that seals; None when there is none."""
        return self._newest

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of the keys whose sealed texts can be opened."""
        return frozenset(self._keys)

    @property
    def current(self) -> str | None:
        """Return how every text begins that is sealed with the newest key; None when there is none."""
        return f"{_VERSION}.{self._newest}." if self._newest else None

    def seal(self, value: str, *, context: bytes) -> str:
        """Return *value* as it may be stored. The same value is another text each time.

        Raises:
            Conflict: The service has no key to seal with.
        """
        if self._newest is None:
            detail = (
                "This service has no key to keep secrets with, so it takes none. "
                "Set SECRETS_KEYS (`openssl rand -base64 32` makes a key) and start it again."
            )
            raise Conflict(detail, code="no_secrets_key")
        nonce = os.urandom(_NONCE)
        sealed = self._keys[self._newest].encrypt(nonce, value.encode(), context)
        return f"{_VERSION}.{self._newest}.{base64.urlsafe_b64encode(nonce + sealed).decode().rstrip('=')}"

    def open(self, sealed: str, *, context: bytes) -> str:
        """Return the value of a *sealed* text.

        Raises:
            Conflict: Its key is not among ours any more, or it was sealed elsewhere.
        """
        version, _, rest = sealed.partition(".")
        number, _, text = rest.partition(".")
        key = self._keys.get(number)
        if version != _VERSION or key is None:
            detail = (
                f"This secret was sealed with the key {number or '?'}, which SECRETS_KEYS does not hold. "
                "Put that key back behind the newest one, or send the secret again."
            )
            raise Conflict(detail, code="secret_unreadable")
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return key.decrypt(data[:_NONCE], data[_NONCE:], context).decode()
        except (InvalidTag, ValueError) as error:  # never the text itself
            detail = "This secret was changed or moved since it was sealed. Send it again."
            raise Conflict(detail, code="secret_unreadable") from error

    def is_current(self, sealed: str) -> bool:
        """Return whether a text is sealed with the newest key; else it is to be sealed again."""
        return self.current is not None and sealed.startswith(self.current)


def _read_key(text: str, number: int) -> bytes:
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        detail = (
            f"SECRETS_KEYS is wrong: key {number} is not {_BYTES} bytes in base64. `openssl rand -base64 32` makes one."
        )
        raise InvalidInput(detail, code="invalid_settings")
    return key
