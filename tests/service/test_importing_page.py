"""docs/importing.md says what happens: its files are written, its commands run, their output compared."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from segment_copilot.__main__ import main
from segment_copilot.importing import presets
from segment_copilot.importing.times import NAMED_FORMATS

pytestmark = pytest.mark.engines

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLE = [(kind, name, text) for kind, name, text in BLOCKS if kind in {"sh", "text"} or name]


async def test_the_page_is_true(
    url: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in {"SEGMENT_COPILOT_URL": url, "SEGMENT_COPILOT_KEY": key, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    told = ""
    for kind, name, text in EXAMPLE:
        if name:
            (tmp_path / name).write_text(text)
        elif kind == "sh":
            program, *arguments = shlex.split(text)
            assert program == "segment-copilot"
            with pytest.raises(SystemExit) as ended:
                await asyncio.to_thread(main, arguments)
            lines = capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines(keepends=True)
            told = "".join(line for line in lines if not line.startswith("20"))  # the service's log
            assert ended.value.code == int("skipped 0" not in told)
        else:
            assert told == text

    assert [kind for kind, _, _ in EXAMPLE if kind in {"sh", "text"}] == ["sh", "text"] * 3


def test_the_page_names_every_preset_and_format():
    table = PAGE.partition("## Presets")[2]

    assert set(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)) == {
        f"`{name}`" if name not in {"segment", "rudderstack"} else "`segment`, `rudderstack`" for name in presets()
    }
    assert [name for name in NAMED_FORMATS if f"`{name}`" not in PAGE] == []
