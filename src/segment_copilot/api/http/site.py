"""Serves the built site of docs/ at `/docs/`, where it is installed; without it `/docs/` leads to the API's own page."""

from __future__ import annotations

import mimetypes
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from segment_copilot.api.http.routes import Route

_INSTALLED: Final = Path(str(files("segment_copilot.api.http").joinpath("site")))
_CACHED: Final = {"Cache-Control": "public, max-age=3600"}
_INLINE: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class File(Struct, frozen=True):
    """One file of the site as it is sent."""

    content: bytes
    media_type: str
    headers: Mapping[str, str]


class Site:
    """Reads the files of a built site; one that was never built has none."""

    def __init__(self, directory: str = "") -> None:
        self._directory = Path(directory) if directory else _INSTALLED
        found = (each for each in self._directory.rglob("*") if each.is_file())
        self._names = frozenset(each.relative_to(self._directory).as_posix() for each in found)
        self._read: dict[str, File] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether there is such a file: nothing else is opened, whatever a path says."""
        return name in self._names

    def file(self, name: str) -> File:
        """Return a file that there is."""
        if name not in self._read:
            self._read[name] = _file((self._directory / name).read_bytes(), name)
        return self._read[name]


@get("/docs", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def front(site: NamedDependency[Site]) -> Redirect:
    """Lead to the first page under its own name, beside which its links are right."""
    return Redirect("/docs/index.html" if "index.html" in site else "/docs/api", status_code=307)


@get("/docs/{path:path}", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def page(path: FromPath[Path], site: NamedDependency[Site]) -> Response[bytes]:
    """Return a file of the site."""
    return _answer(site, path.as_posix().lstrip("/"))


@get("/llms.txt", opt=Route(public=True).opt, include_in_schema=False, sync_to_thread=False)
def llms(site: NamedDependency[Site]) -> Response[bytes]:
    """Return what an agent reads first, with links into the site."""
    return _answer(site, "llms.txt")


def _answer(site: Site, name: str) -> Response[bytes]:
    if name not in site:
        raise NotFoundException
    file = site.file(name)
    return Response(file.content, media_type=file.media_type, headers=dict(file.headers))


def _file(content: bytes, name: str) -> File:
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if media_type != "text/html":
        return File(content, media_type, _CACHED)
    return File(content, media_type, {"Content-Security-Policy": _policy(content)})


def _policy(content: bytes) -> str:
    """Return a policy by which a page runs its own scripts, those in it by their digest, and loads nothing from elsewhere."""
    digests = (b64encode(sha256(script).digest()).decode() for script in _INLINE.findall(content))
    scripts = " ".join(f"'sha256-{digest}'" for digest in dict.fromkeys(digests))
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (front, page, llms)
