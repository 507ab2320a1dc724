"""Uploads over HTTP: a client gives a static segment its members, as a file of users."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

from litestar import Controller, Request, post
from litestar.datastructures import State, UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.routes import COUNTING_SECONDS, Route
from segment_copilot.audiences.uploads import Mode, Uploads
from segment_copilot.audiences.user_lists import read_csv, read_ndjson
from segment_copilot.errors import Conflict, Finding, InvalidInput

MAX_UPLOAD_BYTES: Final = 32 * 1024 * 1024

_CSV, _NDJSON, _FORM = "text/csv", "application/x-ndjson", "multipart/form-data"
_FILE: Final = {
    "type": "object",
    "properties": {"file": {"type": "string", "contentMediaType": _CSV, "examples": ["user_id\nana\nben\n"]}},
    "required": ["file"],
}
BODIES: Final = {
    _CSV: {"schema": {"type": "string", "minLength": 1}, "example": "user_id\nana\nben\n"},
    _NDJSON: {"schema": {"type": "string", "minLength": 1}, "example": '{"user_id": "ana"}\n{"user_id": "ben"}\n'},
    _FORM: {"schema": _FILE},
}
_READERS: Final[dict[str, Callable[[bytes], list[str]]]] = {_CSV: read_csv, _NDJSON: read_ndjson}


class Uploaded(Struct, frozen=True):
    """An upload that was taken; *unknown* of the *accepted* users have never been seen in an event.

    The computation *computation_id* makes members of them.
    """

    accepted: int
    unknown: int
    status: str
    computation_id: int


class UploadController(Controller):
    """Receives the members of static segments."""

    path = "/api/segments"
    tags = ("segments",)
    request_max_body_size = MAX_UPLOAD_BYTES

    @post(
        "/{segment_id:int}/upload",
        status_code=202,
        opt=Route(problems=(Conflict,), bodies=BODIES, seconds=COUNTING_SECONDS).opt,
        response_description="Taken; a computation applies it.",
    )
    async def upload_members(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        uploads: NamedDependency[Uploads],
        tenant: NamedDependency[Tenant],
        mode: Annotated[
            Mode, QueryParameter(description="What becomes of the members: these instead, these too, or all but these")
        ] = "replace",
        allow_empty: Annotated[
            bool, QueryParameter(description="A list without any user may replace the members: nobody is in it then")
        ] = False,
    ) -> Uploaded:
        """Upload the members of a static segment.

        A CSV whose first line names a column `user_id`, or a line of JSON for each user: `{"user_id": "ana"}` or
        `"ana"`; other columns and keys are left aside. Or a form with either as its part `file`. All of it is taken, or
        nothing and the answer names the lines. At most 1,000,000 users and 32 MB. Users whom nobody has seen are kept
        and counted as unknown: they are members, and rules that refer to the segment find them from their first event
        on. Uploads of one segment are applied one after the other. A list without any user empties no segment unless
        `allow_empty` says so.
        """
        kind, content = await _content(request)
        user_ids = await asyncio.to_thread(_READERS[kind], content)  # a large one takes a second
        found = await uploads.receive(tenant, segment_id, user_ids, mode=mode, allow_empty=allow_empty)
        return Uploaded(found.accepted, found.unknown, "queued", found.computation_id)


async def _content(request: Request[Any, Any, State]) -> tuple[str, bytes]:
    """Return the list that was sent, and whether it is CSV or lines of JSON."""
    kind, _ = request.content_type
    if kind != _FORM:
        content = await request.body()
        if not content:
            raise InvalidInput("This route needs a body.", code="missing_body")
        return kind, content
    form = await request.form()
    sent = form.get("file")
    if isinstance(sent, UploadFile):
        name = (sent.filename or "").lower()
        is_lines = sent.content_type in {_NDJSON, "application/ndjson"} or name.endswith((".ndjson", ".jsonl"))
        return _NDJSON if is_lines else _CSV, await sent.read()
    if isinstance(sent, str):
        return _CSV, sent.encode()
    detail = "The form has no part named file; send the list as that."
    raise InvalidInput(detail, code="missing_field", findings=[Finding("/file", "missing_field", detail)])
