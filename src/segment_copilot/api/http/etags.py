"""ETag and If-Match: a caller writes only over what it has read."""

from __future__ import annotations

from typing import Annotated, Final

from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", max_length=1000, description="Write only if the ETag is still this one"),
]
"""The parameter of a handler that writes."""

ETAG: Final = (ResponseHeader(name="ETag", description="For If-Match", documentation_only=True),)
"""`response_headers` of a handler that answers with one."""


def etag_of(revision: str) -> str:
    """Returns the strong ETag of a record at *revision*."""
    return f'"{revision}"'


def revisions_of(if_match: str | None) -> frozenset[str] | None:
    """Returns the revisions that an If-Match header allows; None when it allows any. Weak tags never match."""
    tags = {tag.strip() for tag in (if_match or "*").split(",")}
    return None if "*" in tags else frozenset(tag[1:-1] for tag in tags if tag.startswith('"'))
