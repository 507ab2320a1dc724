"""Lines of one kind, from us and from libraries, without keys and passwords."""

from __future__ import annotations

import json
import subprocess
import sys

# Configured in a process of its own: logging is global, and loggers are remembered.
PROGRAM = """
import logging, sys, warnings
import structlog
from segment_copilot.telemetry.logs import configure_logging
configure_logging(level={level!r}, form={form!r})
log = structlog.get_logger()
log.debug("ours.quiet")
log.info("ours.said", address="postgresql://app:hunter2@db:5432/x", header="ApiKey sk_live_abcdefgh123456")
logging.getLogger("uvicorn.error").info("Started %s", "sk_abcdefghij")
logging.getLogger("uvicorn.access").info("GET /secret")
logging.getLogger("asynch").info("INSERT secret")
warnings.warn("old", DeprecationWarning)
try:
    local_value = "private"
    raise ValueError("wrong key pk_live_abcdefgh")
except ValueError:
    log.exception("ours.failed")
"""


def lines(*, level: str = "info", form: str = "json") -> list[str]:
    program = PROGRAM.format(level=level, form=form)
    done = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_one_json_object_said_once():
    written = [json.loads(line) for line in lines()]

    events = [line["event"] for line in written]
    assert events[:2] == ["ours.said", "Started sk_***"]
    assert "DeprecationWarning: old" in events[2]
    assert events[3:] == ["ours.failed"]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in written)
    assert written[0]["timestamp"].endswith("Z")


def test_keys_and_passwords_are_never_written():
    for form in ("json", "console"):
        text = "\n".join(lines(form=form))
        assert "hunter2" not in text
        assert "abcdefgh" not in text
        assert "private" not in text
        assert "postgresql://app:***@db:5432/x" in text


def test_the_level_of_the_settings_decides():
    assert '"ours.quiet"' in "\n".join(lines(level="debug"))
    assert [json.loads(line)["event"] for line in lines(level="error")] == ["ours.failed"]
