"""USE CASE: write cursors that nobody else can make, and read back only those written for the same list."""

from __future__ import annotations

import base64
import hmac
from typing import Final, TypeVar

import msgspec

from segment_copilot.access.signing import Secrets
from segment_copilot.access.tenants import Tenant
from segment_copilot.errors import Finding, InvalidInput

T = TypeVar("T")

_SIGNATURE_BYTES: Final = 16


class Cursors:
    """Signs cursors for a tenant and a list of its own, so that no other cursor passes for one."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._secret: bytes | None = None

    async def write(self, tenant: Tenant, place: str, cursor: msgspec.Struct) -> str:
        """Return *cursor* as text; *place* names the list that it goes on with."""
        text = msgspec.json.encode(cursor)
        return base64.urlsafe_b64encode(await self._signature(tenant, place, text) + text).decode().rstrip("=")

    async def read(self, tenant: Tenant, place: str, written: str, type_: type[T]) -> T:
        """Return the cursor that was written for *place*.

        Raises:
            InvalidInput: It was not.

        """
        try:
            signed = base64.b64decode(written + "=" * (-len(written) % 4), altchars=b"-_", validate=True)
        except ValueError:  # binascii.Error is one, and so is text beyond ASCII
            raise _bad_cursor() from None
        signature, text = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, await self._signature(tenant, place, text)):
            raise _bad_cursor()
        return msgspec.json.decode(text, type=type_)

    async def _signature(self, tenant: Tenant, place: str, text: bytes) -> bytes:
        if self._secret is None:
            self._secret = await self._secrets.get_or_create("cursors")
        return hmac.digest(self._secret, f"{tenant.id}/{place}/".encode() + text, "sha256")[:_SIGNATURE_BYTES]


def _bad_cursor() -> InvalidInput:
    finding = Finding("/cursor", "bad_cursor", "This cursor was not made here; start again without one.")
    return InvalidInput(finding.detail, code=finding.code, findings=[finding])
