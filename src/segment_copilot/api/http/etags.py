"""ETags let a caller write only over what it has read, and read again only what has changed.

The tag of a record has two parts, `"<revision>.<digest>"`: the revision changes with every write by a caller, the digest
with everything that is told of the record. If-Match compares revisions alone, so that a computation in the background
spoils no write; If-None-Match compares whole tags. A list has a weak tag: the digest of its page.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

import msgspec
from litestar import MediaType, Response
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter
from litestar.types import Receive, Scope, Send

from segment_copilot.api.http.parameters import optional_parameter

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", max_length=1000, description="Write only if the ETag is still this one"),
]
"""The parameter of a handler that writes."""

IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match", max_length=1000, description="Answer 304, without a body, if the ETag is still this one"
    ),
]
UNLESS_KNOWN: Final = (optional_parameter("if_none_match", IfNoneMatch),)
"""`Route.parameters` of a handler that answers with `unless_known`; the document then lists its 304."""

ETAG: Final = (ResponseHeader(name="ETag", description="For If-Match and If-None-Match", documentation_only=True),)
"""`response_headers` of a handler that answers with one."""


def etag_of(revision: str, record: object) -> str:
    """Return the strong ETag of *record* at *revision*."""
    return f'"{revision}.{_digest(msgspec.json.encode(record))}"'


def revisions_of(if_match: str | None) -> frozenset[str] | None:
    """Return the revisions that an If-Match header allows; None when it allows any. Weak tags never match."""
    tags = {tag.strip() for tag in (if_match or "*").split(",")}
    return None if "*" in tags else frozenset(tag[1:-1].partition(".")[0] for tag in tags if tag.startswith('"'))


def unless_known(answer: object, *, revision: str | None = None) -> Response[Any]:
    """Answer with *answer* and its ETag, or with 304 when the caller has it: a record at *revision*, a list without one.

    What the caller has is read as the answer is sent: an argument of the handler would cost a small request a tenth of its time.
    """
    body = msgspec.json.encode(answer)
    digest = _digest(body)
    return _Read(body, f'W/"{digest}"' if revision is None else f'"{revision}.{digest}"')


class _Read(Response[bytes]):
    """What was read, as JSON with its ETag: the headers are known, and need no mapping that they could be looked up in."""

    def __init__(self, body: bytes, etag: str) -> None:
        super().__init__(body, media_type=MediaType.JSON)
        self._etag = etag

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """Return what sends it."""
        return self._send

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # an ASGI app
        known = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
        etag = (b"etag", self._etag.encode())
        if known and names(known.decode("latin-1"), self._etag):
            await send({"type": "http.response.start", "status": 304, "headers": [etag]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        length = (b"content-length", b"%d" % len(self.content))
        headers = [etag, (b"content-type", b"application/json"), length]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def names(if_none_match: str, etag: str) -> bool:
    """Return whether an If-None-Match header names *etag*: weak tags too (RFC 9110, 13.1.2), if their text is the same."""
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=9).hexdigest()
