"""Pages for people: the front page, and a page for each problem."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
CODES = re.findall(r"^### (\w+)$", DOCUMENTED, flags=re.MULTILINE)


async def assert_page(client: httpx2.AsyncClient, path: str) -> str:
    """A page whose every link leads somewhere; its text."""
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for target in set(re.findall(r'(?:href|src)="(/[^"]*)"', answer.text)):
        assert (await client.get(target, follow_redirects=True)).status_code == 200
    assert not re.search(r'(?:href|src)="(?!/|data:)', answer.text)
    return answer.text


async def test_the_front_page_says_what_this_is_and_every_link_leads_somewhere(server):
    async with httpx2.AsyncClient(base_url=server.url) as nobody:
        text = await assert_page(nobody, "/")
        assert {"/docs", "/docs/api", "/schema", "/problems", "/health/ready"} == set(
            re.findall(r'href="(/[^"]*)"', text)
        )


async def test_the_type_of_a_problem_opens_its_page(server):
    async with httpx2.AsyncClient(base_url=server.url) as nobody:
        problem = (await nobody.get("/api/segments/")).json()
        text = await assert_page(nobody, problem["type"])
        assert problem["title"] in text
        assert "<code>Authorization: ApiKey sk_…</code>" in text


async def test_every_documented_code_has_a_page_and_no_other(client):
    assert len(CODES) == len(set(CODES)) > 40
    listed = await assert_page(client, "/problems")
    assert re.findall(r'href="/problems/(\w+)"', listed) == CODES
    for code in CODES:
        text = await assert_page(client, f"/problems/{code}")
        assert not re.search(r"[`\[\]#]|<p></p>", text.partition("<main>")[2])
    for path in ("/problems/nope", "/problems/%3Cb%3E", "/problems/a/b"):
        assert (await client.get(path)).status_code == 404
