"""What the site's builder changes in a page: what reads well in a repository and not in a site."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

_NAMED = re.compile(r"^```(\w+) \w+$", re.MULTILINE)
_OUTSIDE = re.compile(
    r"\[([^\]]+)\]\(\.\./(?:\.\./)?((?:CHANGELOG|CONTRIBUTING|ARCHITECTURE|README|benchmarks|evals)[^)]*)\)"
)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: object) -> str:
    """Drop the names by which tests know a block, name files outside of docs/ where they cannot be linked, list decisions."""
    if page.file.src_uri == "decisions/index.md":
        decisions = sorted(Path(config["docs_dir"], "decisions").glob("0*.md"))
        titles = [each.read_text().partition("\n")[0].removeprefix("# ") for each in decisions]
        markdown += "\n" + "".join(f"- [{title}]({each.name})\n" for title, each in zip(titles, decisions, strict=True))
    return _OUTSIDE.sub(r"\1 (in the source)", _NAMED.sub(r"```\1", markdown))


def on_post_build(config: Any, **_: object) -> None:
    """Put each page's own text beside it, for agents: `language.md` beside `language.html`."""
    pages, site = Path(config["docs_dir"]), Path(config["site_dir"])
    for built in site.rglob("*.html"):
        page = (pages / built.relative_to(site)).with_suffix(".md")
        if page.exists():
            shutil.copyfile(page, built.with_suffix(".md"))
