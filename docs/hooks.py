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


def on_page_markdown(markdown: str, **_: object) -> str:
    """Drop the names by which tests know a block, and name files outside of docs/ where they cannot be linked."""
    return _OUTSIDE.sub(r"\1 (in the source)", _NAMED.sub(r"```\1", markdown))


def on_post_build(config: Any, **_: object) -> None:
    """Put each page's own text beside it, for agents: `language.md` beside `language.html`."""
    pages = Path(config["docs_dir"])
    for page in pages.rglob("*.md"):
        shutil.copyfile(page, Path(config["site_dir"]) / page.relative_to(pages))
