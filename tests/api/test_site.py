"""The site of docs/: built with warnings as errors, served as it is, and read by an agent too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from segment_copilot.api.http.site import Site
from tests.support.nodes import RunNode

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder]
    ran = subprocess.run(
        command, cwd=PROJECT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture
async def reader(server, built: Path) -> AsyncGenerator[httpx2.AsyncClient]:
    """Somebody without a key, where the site is installed."""
    before = server.app.state.site
    server.app.state.site = Site(str(built))
    async with httpx2.AsyncClient(base_url=server.url) as reader:
        yield reader
    server.app.state.site = before


@pytest.fixture(scope="module")
def texts(built: Path) -> frozenset[str]:
    """The pages as text, beside the pages."""
    return frozenset(page.relative_to(built).as_posix() for page in built.rglob("*.md"))


class Links(HTMLParser):
    """Collects what a page links to and loads, and its anchors."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort one tag's attributes."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in {"href", "src"} and value and not value.startswith("data:"):
                (self.links if tag == "a" else self.loaded).add(value)


def pages_of(built: Path) -> dict[str, Links]:
    names = (page.relative_to(built).as_posix() for page in built.rglob("*.html") if page.name != "404.html")
    return {name: Links((built / name).read_text()) for name in names}


def test_no_link_of_the_site_is_broken_and_nothing_is_loaded_from_elsewhere(built: Path):
    pages = pages_of(built)
    assert len(pages) > 40
    for name, page in pages.items():
        for target in page.links | page.loaded:
            address = urlsplit(urljoin(f"/{name}", target))
            if address.netloc:
                assert target not in page.loaded, f"{name} loads {target}"
                continue
            path = address.path.removeprefix("/") or "index.html"
            assert (built / path).is_file(), f"{name} leads to {target}"
            assert not address.fragment or address.fragment in pages[path].anchors, f"{name} leads to {target}"


async def test_the_docs_lead_to_the_site_where_it_is_installed_and_to_the_api_where_not(
    server, reader, built: Path, tmp_path
):
    first = await reader.get("/docs/", follow_redirects=True)

    assert first.url.path == "/docs/index.html"
    assert "Describe an audience in words" in first.text

    server.app.state.site = Site(str(tmp_path))
    assert (await reader.get("/docs")).headers["location"] == "/docs/api"
    assert (await reader.get("/llms.txt")).status_code == 404


async def test_a_page_may_run_its_own_scripts_and_load_nothing_from_elsewhere(reader):
    answer = await reader.get("/docs/language.html")

    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' 'sha256-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "http" not in policy


@pytest.mark.parametrize(
    "path", ["/docs/nope.html", "/docs/../settings.py", "/docs/%2e%2e/settings.py", "/docs//etc/passwd"]
)
async def test_nothing_but_the_site_is_served(reader, path: str):
    assert (await reader.get(path)).status_code == 404


async def test_an_agent_reads_every_page_that_llms_txt_names(reader, texts: frozenset[str]):
    text = (await reader.get("/llms.txt")).text

    linked = re.findall(r"\]\((/docs/[^)]+)\)", text)
    for path in linked:
        page = await reader.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/markdown")
    guides = {name for name in texts if not name.startswith("decisions/")}
    assert guides - {path.removeprefix("/docs/") for path in linked} == {"index.md", "segops.md"}


def test_every_page_is_in_the_navigation_once(built: Path):
    shown = re.findall(
        r'class="md-nav__link"[^>]*href="([^"]+)"|href="([^"]+)"[^>]*class="md-nav__link"',
        (built / "index.html").read_text(),
    )
    names = {PurePosixPath(link).name for pair in shown for link in pair if link}
    assert {"quickstart.html", "comparison.html", "problems.html"} <= names


@pytest.mark.timeout(120)
async def test_the_site_is_searched_in_a_browser_and_read_by_a_screen_reader(
    server, reader, run_client: RunNode, chromium: str
):
    pages = [
        "index.html",
        "quickstart.html",
        "concepts.html",
        "language.html",
        "guides/react.html",
        "operations/doctor.html",
    ]

    told = await run_client("site.mjs", chromium, server.url, *pages)

    assert re.fullmatch(r"[1-9][0-9]* matching documents?", told["searched"])
    assert told["complaints"] == []
    assert told["violations"] == []
