"""USE CASE: find whom a credential speaks for, and remember it for a moment: most requests then need no look-up."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic
from typing import Final

from segment_copilot.access.keys import PREFIXES, Caller, Keys
from segment_copilot.access.oidc import People
from segment_copilot.access.sessions import Sessions
from segment_copilot.stores.confinement import confine, every_tenant

REMEMBERED_SECONDS: Final = 1.0
"""So long a revoked key may still be taken, in every process: each asks again, and none has to be told."""

_REMEMBERED: Final = 10_000


class Keyring:
    """Remembers keys and tokens that were good a moment ago, by their digest, and forgets those used longest ago."""

    def __init__(
        self, keys: Keys, sessions: Sessions, people: People | None = None, *, most: int = _REMEMBERED
    ) -> None:
        self._keys = keys
        self._sessions = sessions
        self._people = people
        self._most = most
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()  # the last used last

    async def caller_of(self, credential: str) -> Caller:
        """Return the caller that *credential* speaks for: a key, a session's token, or that of a person who logged in.

        This task sees the rows of the caller's tenant from now on, and no others.

        Raises:
            Unauthenticated: there is no such key, or it was revoked; the token is none, or its time is over.

        """
        digest = sha256(credential.encode()).digest()
        until, caller = self._known.get(digest, (0.0, None))
        if caller is None or until < monotonic():
            with every_tenant():
                until, caller = await self._look_up(credential)
            self._known[digest] = (until, caller)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        confine(caller.tenant.id)
        return caller

    async def _look_up(self, credential: str) -> tuple[float, Caller]:
        asked, now = monotonic(), datetime.now(UTC)
        if credential.startswith(tuple(PREFIXES.values())):
            caller = await self._keys.identify(credential)
            ends = caller.expires_at
        elif self._people is not None and self._people.issued(credential):
            caller = await self._people.read(credential, now=now)
            ends = caller.expires_at
        else:
            session = await self._sessions.read(credential, now=now)
            caller = await self._keys.identify_session(session.key_id, scope=session.scope, user_id=session.sub)
            ends = min(filter(None, (session.expires_at, caller.expires_at)))
        left = REMEMBERED_SECONDS if ends is None else min(REMEMBERED_SECONDS, (ends - now).total_seconds())
        return asked + left, caller
