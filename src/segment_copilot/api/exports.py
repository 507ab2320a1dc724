"""Exports over HTTP: a client asks for a file of members, waits for it, and fetches it, also in pieces."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, Literal

from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import ResponseHeader, State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta, Struct, structs

from segment_copilot.access.signed_links import SignedLinks
from segment_copilot.access.tenants import Tenant
from segment_copilot.api.http.auth import provide_caller
from segment_copilot.api.http.etags import UNLESS_KNOWN, IfNoneMatch, unless_known
from segment_copilot.api.http.pages import LISTING, CursorPage, listing_of
from segment_copilot.api.http.ranges import FILE_HEADERS, FileAnswer, IfRange, Range, answer_file
from segment_copilot.api.http.routes import MAX_ID, Route
from segment_copilot.audiences.exports import MAX_TRAITS, Export, Exports, Source
from segment_copilot.audiences.failures import Failure
from segment_copilot.audiences.member_files import MEDIA_TYPES, Format
from segment_copilot.errors import Conflict, Gone, OutOfRange, TooManyRequests

TOKEN: Final = "token"  # noqa: S105  # the name of a parameter


class ExportRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The export that is wanted."""

    format: Annotated[Format, Meta(description="csv and ndjson are UTF-8; parquet is compressed with Snappy")] = "csv"
    include: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1000)], ...],
        Meta(
            max_length=MAX_TRAITS,
            examples=[["traits.email"]],
            description="Traits to put beside each member, as `traits.` and the trait's path",
        ),
    ] = ()


class ExportRecord(Struct, frozen=True):
    """An export of the members of a segment or a snapshot. *export_id* repeats *id*.

    *download_url* is there once the status is complete, and opens without a key until *expires_at*: whoever has the address
    has the members. *computed_at* is the instant of the members.
    """

    id: Annotated[int, Meta(examples=[12])]
    export_id: Annotated[int, Meta(examples=[12])]
    segment_id: Annotated[int | None, Meta(examples=[3])]
    snapshot_id: Annotated[int | None, Meta(examples=[None])]
    status: Literal["pending", "complete", "failed"]
    format: Format
    include: Annotated[tuple[str, ...], Meta(examples=[["traits.email"]])]
    computed_at: datetime
    rows: Annotated[int | None, Meta(examples=[50_321])]
    bytes: Annotated[int | None, Meta(examples=[2_465_729])]
    sha256: str | None
    download_url: Annotated[
        str | None,
        Meta(
            examples=[
                "https://segments.example.com/api/segments/exports/12/download/?token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
            ]
        ),
    ]
    expires_at: datetime | None
    error: Failure | None
    created_at: datetime
    finished_at: datetime | None


class ExportList(CursorPage[ExportRecord], frozen=True):
    """A page of exports, newest first."""


_ASKED: Final = Route(problems=(Conflict, TooManyRequests)).opt
_LOCATION: Final = (ResponseHeader(name="Location", description="Where its status is read", documentation_only=True),)
_WHICH: Final = QueryParameter(ge=1, le=MAX_ID, description="Which export, as the answer to the request for it said")


class ExportController(Controller):
    """Writes members to files, and hands the files out."""

    path = "/api/segments"
    tags = ("exports",)

    @post(
        "/{segment_id:int}/export",
        status_code=202,
        opt=_ASKED,
        response_headers=_LOCATION,
        response_description="Queued.",
    )
    async def export_segment(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
        data: JSONBody[ExportRequest | None] = None,
    ) -> Response[ExportRecord]:
        """Ask for a file of a segment's members.

        It is written in the background, of the members that are published now, whatever is computed meanwhile. Ask for its
        status every few seconds.
        """
        return await _request(request, Source("segment", segment_id), data, exports, signed_links, tenant)

    @get("/{segment_id:int}/export", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The export.")
    async def get_segment_export(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
        export_id: Annotated[int, _WHICH],
    ) -> Response[ExportRecord]:
        """Read the status of an export.

        Once it is complete, *download_url* is there.
        """
        export = await exports.get(tenant, export_id, source=Source("segment", segment_id))
        return unless_known(await _record(request, export, signed_links, tenant))

    @get("/{segment_id:int}/exports", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_segment_exports(
        self,
        request: Request[Any, Any, State],
        segment_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
    ) -> Response[ExportList]:
        """List the exports of a segment, newest first.

        One whose file is gone is listed for another 30 days.
        """
        return await _list(request, Source("segment", segment_id), exports, signed_links, tenant)

    @get(
        "/exports/{export_id:int}/download",
        opt=Route(link=TOKEN, file=tuple(MEDIA_TYPES.values()), problems=(Conflict, Gone, OutOfRange)).opt,
        response_headers=FILE_HEADERS,
        response_description="The file.",
    )
    async def download_export(
        self,
        request: Request[Any, Any, State],
        export_id: FromPath[int],
        file_exports: NamedDependency[Exports],
        file_links: NamedDependency[SignedLinks],
        token: Annotated[
            str | None, QueryParameter(min_length=1, max_length=2000, description="Of a `download_url`; then no key")
        ] = None,
        wanted: Range = None,
        if_range: IfRange = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[Any]:
        """Fetch the file of an export.

        With a key, or by its *download_url* without one. HEAD tells its size; a Range takes up a fetch that broke off. After
        *expires_at* the answer is 410.
        """
        now = datetime.now(UTC)
        if token is None:
            tenant_id = provide_caller(request).tenant.id
        else:
            tenant_id = await file_links.read(token, _subject(export_id), now=now)
        export, file = await file_exports.file(tenant_id, export_id, now=now)
        answer = FileAnswer(
            size=file.size,
            etag=f'"{(export.sha256 or "")[:32]}"',
            media_type=MEDIA_TYPES[export.format],
            headers={
                "Content-Disposition": f'attachment; filename="{_file_name(export)}"',
                "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(export.sha256 or '')).decode()}:",
            },
            read=partial(file_exports.read, file),
        )
        return answer_file(request, answer, wanted=wanted, if_range=if_range, if_none_match=if_none_match)


class ExportedController(Controller):
    """Manages exports by their ids alone."""

    path = "/api/exports"
    tags = ("exports",)

    @get("/{export_id:int}", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The export.")
    async def get_export(
        self,
        request: Request[Any, Any, State],
        export_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
    ) -> Response[ExportRecord]:
        """Read an export by its id alone.

        It may be of a segment or of a snapshot.
        """
        return unless_known(await _record(request, await exports.get(tenant, export_id), signed_links, tenant))

    @delete("/{export_id:int}", response_description="It is gone.")
    async def delete_export(
        self, export_id: FromPath[int], exports: NamedDependency[Exports], tenant: NamedDependency[Tenant]
    ) -> None:
        """Delete an export and its file.

        Its links open nothing any more. One that is being written is not written on.
        """
        await exports.delete(tenant, export_id)


class SnapshotExportController(Controller):
    """Writes the members of snapshots to files."""

    path = "/api/snapshots"
    tags = ("exports",)

    @post(
        "/{snapshot_id:int}/export",
        status_code=202,
        opt=_ASKED,
        response_headers=_LOCATION,
        response_description="Queued.",
    )
    async def export_snapshot(
        self,
        request: Request[Any, Any, State],
        snapshot_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
        data: JSONBody[ExportRequest | None] = None,
    ) -> Response[ExportRecord]:
        """Ask for a file of a snapshot's members.

        As of a segment's; it is fetched from the same place. Traits are those of now, not of the snapshot's instant.
        """
        return await _request(request, Source("snapshot", snapshot_id), data, exports, signed_links, tenant)

    @get("/{snapshot_id:int}/export", opt=Route(parameters=UNLESS_KNOWN).opt, response_description="The export.")
    async def get_snapshot_export(
        self,
        request: Request[Any, Any, State],
        snapshot_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
        export_id: Annotated[int, _WHICH],
    ) -> Response[ExportRecord]:
        """Read the status of an export of a snapshot.

        Once it is complete, *download_url* is there.
        """
        export = await exports.get(tenant, export_id, source=Source("snapshot", snapshot_id))
        return unless_known(await _record(request, export, signed_links, tenant))

    @get("/{snapshot_id:int}/exports", opt=Route(parameters=LISTING).opt, response_description="A page of them.")
    async def list_snapshot_exports(
        self,
        request: Request[Any, Any, State],
        snapshot_id: FromPath[int],
        exports: NamedDependency[Exports],
        signed_links: NamedDependency[SignedLinks],
        tenant: NamedDependency[Tenant],
    ) -> Response[ExportList]:
        """List the exports of a snapshot, newest first.

        One whose file is gone is listed for another 30 days.
        """
        return await _list(request, Source("snapshot", snapshot_id), exports, signed_links, tenant)


async def _list(
    request: Request[Any, Any, State], source: Source, exports: Exports, signed_links: SignedLinks, tenant: Tenant
) -> Response[ExportList]:
    listing = listing_of(request)
    found = await exports.list(tenant, source, listing.window)
    records = tuple([await _record(request, one, signed_links, tenant) for one in found.results])
    return listing.answer(structs.replace(found, results=records))


async def _request(
    request: Request[Any, Any, State],
    source: Source,
    data: ExportRequest | None,
    exports: Exports,
    signed_links: SignedLinks,
    tenant: Tenant,
) -> Response[ExportRecord]:
    asked = data or ExportRequest()
    export = await exports.request(tenant, source, asked.format, asked.include)
    record = await _record(request, export, signed_links, tenant)
    location = f"/api/{source.kind}s/{source.id}/export/?export_id={export.id}"
    return Response(record, status_code=202, headers={"Location": location})


async def _record(
    request: Request[Any, Any, State], export: Export, signed_links: SignedLinks, tenant: Tenant
) -> ExportRecord:
    url = None
    if export.status == "complete" and export.expires_at is not None and export.expires_at > datetime.now(UTC):
        token = await signed_links.sign(tenant, _subject(export.id), until=export.expires_at)
        base = str(request.base_url).rstrip("/")
        url = f"{base}/api/segments/exports/{export.id}/download/?{TOKEN}={token}"
    source = export.source
    return ExportRecord(
        id=export.id,
        export_id=export.id,
        segment_id=source.id if source.kind == "segment" else None,
        snapshot_id=source.id if source.kind == "snapshot" else None,
        status=export.status,
        format=export.format,
        include=export.include,
        computed_at=export.computed_at,
        rows=export.rows,
        bytes=export.bytes,
        sha256=export.sha256,
        download_url=url,
        expires_at=export.expires_at,
        error=export.error,
        created_at=export.created_at,
        finished_at=export.finished_at,
    )


def _subject(export_id: int) -> str:
    return f"exports/{export_id}"


def _file_name(export: Export) -> str:
    return f"{export.source.kind}-{export.source.id}-{export.computed_at:%Y%m%dT%H%M%SZ}.{export.format}"
