"""USE CASE: find whom a credential speaks for, and remember it for a moment: most requests then need no look-up."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Final

from segment_copilot.access.keys import Caller, Keys
from segment_copilot.access.sessions import Sessions

REMEMBERED_SECONDS: Final = 5.0  # so long a revoked key may still be taken
_REMEMBERED: Final = 10_000


class Keyring:
    """Remembers keys and tokens that were good a moment ago, by their digest, and forgets those used longest ago."""

    def __init__(self, keys: Keys, sessions: Sessions, *, most: int = _REMEMBERED) -> None:
        self._keys = keys
        self._sessions = sessions
        self._most = most
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()  # the last used last

    async def caller_of(self, credential: str) -> Caller:
        """Return the caller that *credential*, a secret key or a session's token, speaks for.

        Raises:
            Unauthenticated: there is no such key, or it was revoked; the token is none, or its time is over.

        """
        digest = sha256(credential.encode()).digest()
        until, caller = self._known.get(digest, (0.0, None))
        if caller is None or until < monotonic():
            until, caller = await self._look_up(credential)
            self._known[digest] = (until, caller)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        return caller

    async def _look_up(self, credential: str) -> tuple[float, Caller]:
        until = monotonic() + REMEMBERED_SECONDS
        if credential.startswith("sk_"):
            return until, await self._keys.identify(credential)
        now = datetime.now(UTC)
        session = await self._sessions.read(credential, now=now)
        caller = await self._keys.identify_session(session.key_id, user_id=session.sub)
        return min(until, monotonic() + (session.expires_at - now).total_seconds()), caller
