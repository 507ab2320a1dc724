"""Lines of one kind, from us and from libraries, without keys and passwords."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

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
log.info("ours.signed", token="Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwcml2YXRlIn0.private", secret="whsec_private+/abcdefgh==")
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
    assert events[:3] == ["ours.said", "Started sk_***", "ours.signed"]
    assert "DeprecationWarning: old" in events[3]
    assert events[4:] == ["ours.failed"]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in written)
    assert written[0]["timestamp"].endswith("Z")


def test_keys_and_passwords_are_never_written():
    for form in ("json", "console"):
        text = "\n".join(lines(form=form))
        assert "hunter2" not in text
        assert "abcdefgh" not in text
        assert "private" not in text
        assert "postgresql://app:***@db:5432/x" in text
        assert "Bearer eyJ***" in text
        assert "whsec_***" in text


def test_the_level_of_the_settings_decides():
    assert '"ours.quiet"' in "\n".join(lines(level="debug"))
    assert [json.loads(line)["event"] for line in lines(level="error")] == ["ours.failed"]


COLOURFUL = """
import logging, sys, threading, warnings
import structlog
from segment_copilot.telemetry.logs import configure_logging, log_uncaught
configure_logging(form={form!r})
log_uncaught()
red = "\\x1b[1;31mred\\x1b[0m"
structlog.get_logger().info("ours.said", text=red)
logging.getLogger("uvicorn.error").info("Started", extra={{"color_message": red}})
logging.getLogger("asyncpg").warning(red)
warnings.warn(red)
try:
    raise ValueError(red)
except ValueError:
    logging.getLogger("library").exception(red)
thread = threading.Thread(target=lambda: 1 / 0, name="helper")
thread.start()
thread.join()
class Odd:
    def __del__(self):
        raise KeyError(red)
odd = Odd()
del odd
raise RuntimeError(red)
"""


def colourful(form: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    command = [sys.executable, "-W", "always", "-c", COLOURFUL.format(form=form)]
    return subprocess.run(command, env=kept | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}], ids=["plain", "FORCE_COLOR"])
def test_json_lines_have_no_colours_whoever_writes_them_and_hold_what_nobody_caught(environment: dict[str, str]):
    done = colourful("json", **environment)

    written = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert "u001b" not in done.stderr
    assert [line["event"] for line in written][:3] == ["ours.said", "Started", "red"]
    uncaught = [line for line in written if line["event"] == "process.uncaught"]
    assert [line["exception"][0]["exc_type"] for line in uncaught] == ["ZeroDivisionError", "KeyError", "RuntimeError"]
    assert [line["where"] for line in uncaught][::2] == ["helper", "process"]


def test_lines_for_people_are_coloured_on_a_terminal_only():
    assert "\x1b[0m" in colourful("console", FORCE_COLOR="1").stderr
    assert "\x1b[2m" not in colourful("console").stderr
    assert "\x1b[2m" not in colourful("console", FORCE_COLOR="1", NO_COLOR="1").stderr
