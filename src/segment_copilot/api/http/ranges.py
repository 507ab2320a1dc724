"""Answers with a file, or the part of it that a Range header asks for (RFC 9110), so that a fetch can be taken up again."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Annotated, Any, Final

from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter
from litestar.response import Stream
from msgspec import Struct

from segment_copilot.api.http.etags import names
from segment_copilot.errors import OutOfRange

Range = Annotated[
    str | None,
    HeaderParameter(name="Range", max_length=1000, description="Only these bytes, such as `bytes=1048576-`"),
]
IfRange = Annotated[
    str | None,
    HeaderParameter(name="If-Range", max_length=1000, description="An ETag: all bytes if it is another by now"),
]
FILE_HEADERS: Final = tuple(
    ResponseHeader(name=name, description=description, documentation_only=True)
    for name, description in {
        "ETag": "For If-Range and If-None-Match; the file never changes",
        "Accept-Ranges": "`bytes`",
        "Content-Disposition": "The name to save it under",
        "Repr-Digest": "SHA-256 of the whole file (RFC 9530)",
    }.items()
)
"""`response_headers` of a handler that answers with a file."""

_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*")


class FileAnswer(Struct, frozen=True):
    """A file to answer with. *read* yields its bytes from a place up to, not including, another."""

    size: int
    etag: str
    media_type: str
    headers: dict[str, str]
    read: Callable[[int, int], AsyncGenerator[bytes]]


def answer_file(
    request: Request[Any, Any, Any],
    file: FileAnswer,
    *,
    wanted: str | None,
    if_range: str | None,
    if_none_match: str | None,
) -> Response[Any]:
    """Return the file, or the part of it that is *wanted*; of several ranges, and of what is no range, the whole file.

    Raises:
        OutOfRange: The file ends before the range begins.

    """
    headers = file.headers | {"ETag": file.etag, "Accept-Ranges": "bytes"}
    if if_none_match is not None and names(if_none_match, file.etag):
        return Response(b"", status_code=304, headers=headers)
    part = _part(wanted, file.size) if wanted and if_range in {None, file.etag} else None
    start, stop = part or (0, file.size)
    headers["Content-Length"] = str(stop - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    content = _nothing() if request.scope["state"].get("without_body") else file.read(start, stop)
    return Stream(content, status_code=206 if part else 200, headers=headers, media_type=file.media_type)


def _part(header: str, size: int) -> tuple[int, int] | None:
    """Return where the one range of *header* begins and where it stops; None when it is none, or several."""
    found = _ONE_RANGE.fullmatch(header)
    first, last = found.groups() if found else ("", "")
    if not (first or last) or (first and last and int(last) < int(first)):
        return None
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise OutOfRange(f"The file has {size:,} bytes; this range begins after its end.", context={"size": size})
    return start, stop


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
