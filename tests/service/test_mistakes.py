"""Every mistake that a person, a machine or a store can make around a command is one sentence and a non-zero exit."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import structlog
from msgspec import Struct

from segment_copilot.__main__ import main
from segment_copilot.commands.mistakes import explain_failure, tell
from segment_copilot.embedded.directory import locked
from segment_copilot.errors import Finding, InvalidInput, NotFound
from segment_copilot.resources import open_resources
from segment_copilot.settings import Settings
from segment_copilot.stores.clickhouse import ClickHouseError
from tests.support.databases import with_database

NOBODY = "http://127.0.0.1:1"  # where nothing listens
COLUMNS = ("--user", "user", "--event", "event", "--time", "time")
BUYERS = {"logic": "AND", "conditions": [{"type": "event_count", "event_type": "order_placed"}]}


class Told(Struct, frozen=True):
    """What a command said, and how it ended."""

    code: int | str | None
    out: str
    error: str

    def assert_sentence(self, expected: str) -> None:
        """One sentence on standard error with *expected* in it; what it points at is indented below it."""
        first, *others = self.error.splitlines()
        assert self.code == 1, self
        assert first.startswith("segment-copilot: ")
        assert expected in first
        assert first.endswith((".", "…"))
        assert len(first) < 500
        assert all(line.startswith("  ") for line in others), self.error
        assert "Traceback" not in self.out


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's folder: files of every kind, and no setting from outside."""
    for name in ("DATABASE_URL", "CLICKHOUSE_URL", "DATA_DIR", "SEGMENT_COPILOT_URL", "SEGMENT_COPILOT_KEY", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    contents = {
        "buyers.json": json.dumps(BUYERS).encode(),
        "broken.json": b'{"logic": "AND", ',
        "words.json": b"who bought?",
        "saved.json": json.dumps({"name": "Buyers", "definition": BUYERS}).encode(),
        "latin.json": '{"logic": "é"}'.encode("latin-1"),
        "deep.json": b"[" * 100_000,
        "empty": b"",
        "binary": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0",
        "good.csv": b"user,event,time\nana,buy,2026-06-20T13:14:00Z\n",
        "header.csv": b"user,event,time\n",
        "names.csv": b"user_id,event,time\nana,buy,2026-06-20T13:14:00Z\n",
        "twice.csv": b"user,event,time,note,note\nana,buy,2026-06-20T13:14:00Z,a,b\n",
        "stripe.csv": b"id,Customer Email,Amount,Status\n",
        "unsure.csv": b"user,event,time\nana,buy,05/06/2026\n",
        "both.csv": b"user,event,time\nana,buy,20/06/2026\nben,buy,06/20/2026\n",
        "broken.array": b'[{"user": "ana", ',
        "half.utf16": "user,event,time\nana,buy,2026-06-20\n".encode("utf-16")[:-1],
        "typo.toml": b'usr = "Email"\n',
        "broken.toml": b"user = \n",
        "latin.toml": 'user = "Käufer"\n'.encode("latin-1"),
        "cut.csv.gz": gzip.compress(b"user,event,time\n" + b"ana,buy,2026-06-20T13:14:00Z\n" * 100)[:-20],
        "book.csv": b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """What a command logs goes to where its standard error was; no logger keeps that for what comes after it."""
    before, configure = structlog.get_config(), structlog.configure

    def uncached(**how: Any) -> None:
        how["cache_logger_on_first_use"] = False
        configure(**how)

    monkeypatch.setattr(structlog, "configure", uncached)
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """A command in this process, through the same door as from a shell."""

    def run(*arguments: str) -> Told:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Told(ended.value.code, captured.out, captured.err)

    return run


IMPORT_FILES = [
    ("nowhere.csv", "nowhere.csv cannot be read: No such file or directory"),
    ("folder", "folder cannot be read: Is a directory"),
    ("good.csv/more", "Not a directory"),
    ("empty", "empty is empty"),
    ("binary", "is no text"),
    ("book.csv", "Excel"),
    ("names.csv", "no column 'user'; there is 'user_id'"),
    ("twice.csv", "a column twice: note"),
    ("cut.csv.gz", "not a whole gzip file"),
    ("unsure.csv", "'05/06/2026' may be read with the day or with the month first"),
    ("both.csv", "Say which is meant: --time-format day-first, or month-first"),
    ("broken.array", "begins as a JSON array and is none"),
    ("half.utf16", "is not UTF-16 (truncated data). Name its encoding with --encoding"),
]
TRAITS = ("--user", "user", "--traits-only")
IMPORT_OPTIONS = [
    (["--user", "user", "--time", "time"], "--event-name NAME"),
    ([*COLUMNS, "--event-name", "buy"], "one of the two"),
    ([*COLUMNS, "--traits-only"], "leave out --event and --event-name"),
    ([*COLUMNS, "--timezone", "Mars/Olympus"], "no IANA time zone"),
    ([*COLUMNS, "--time-format", "day first"], "or choose one of day-first, month-first"),
    ([*COLUMNS, "--time-format", "%H:%M"], "gives no day"),
    ([*COLUMNS, "--encoding", "utf-99"], "'utf-99' is no encoding"),
    ([*COLUMNS, "--separator", "::"], "'::' is no separator"),
    ([*COLUMNS, "--separator", "\n"], "is no separator"),
    ([*COLUMNS, "--separator", "|"], "no column 'user'; there is 'user,event,time'"),
    ([*COLUMNS, "--boolean", "optin"], "no column 'optin'"),
    ([*COLUMNS, "--trait", "plan"], "no column 'plan'"),
    ([*COLUMNS, "--id", "key"], "no column 'key'"),
    ([*TRAITS, "--time", "since"], "no column 'since'"),
    (["--preset", "shopfy"], "no preset 'shopfy'; there is shopify"),
    (["--preset", "stripe"], "no column 'Customer Email'"),
    (["--preset", ""], "--event-name NAME"),
    (["--map", "nowhere.toml"], "nowhere.toml cannot be read: No such file or directory"),
    (["--map", "folder"], "folder cannot be read: Is a directory"),
    (["--map", "typo.toml"], "typo.toml names 'usr', which no map has; there is user"),
    (["--map", "broken.toml"], "broken.toml is not TOML"),
    (["--map", "latin.toml"], "latin.toml is not UTF-8"),
]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compile", "empty"], "not JSON"),
        (["compile", "broken.json"], "not JSON"),
        (["compile", "words.json"], "not JSON"),
        (["compile", "latin.json"], "not JSON"),
        (["compile", "binary"], "not JSON"),
        (["compile", "deep.json"], "not JSON"),
        (["compile", "good.csv"], "not JSON"),
        (["compile", "buyers.json", "--timezone", "Mars/Olympus"], "'Mars/Olympus' is no IANA time zone"),
        (["compile", "buyers.json", "--timezone", "../../etc/passwd"], "is no IANA time zone"),
        (["compile", "buyers.json", "--timezone", ""], "is no IANA time zone"),
        (["compile", "buyers.json", "--as-of", "yesterday"], "--as-of is an RFC 3339 instant"),
        (["compile", "buyers.json", "--as-of", "9999-12-31T23:59:59-01:00"], "--as-of is"),
        (["compile", "buyers.json", "--as-of", "0001-01-01T00:00:00Z"], "--as-of is"),
        (["explain", "broken.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["explain", "latin.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["explain", "deep.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["import", "nowhere.csv", "--user", "user"], "nowhere.csv cannot be read: No such file or directory"),
        (["import", "folder", "--user", "user", "--event", "event"], "folder cannot be read: Is a directory"),
        *((["import", file, *COLUMNS, "--url", NOBODY, "--key", "sk_x"], said) for file, said in IMPORT_FILES),
        *((["import", file, *COLUMNS, "--dry-run"], said) for file, said in IMPORT_FILES),
        *(
            (["import", "good.csv", *options, "--url", NOBODY, "--key", "sk_x"], said)
            for options, said in IMPORT_OPTIONS
        ),
        *((["import", "good.csv", *options, "--dry-run"], said) for options, said in IMPORT_OPTIONS),
        (["ask", "  ", "--url", NOBODY, "--key", "sk_x"], "The question is empty"),
        (["ask", "--url", NOBODY, "--key", "sk_x"], "Or give --chat"),
        (["segments", "create", "broken.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["segments", "create", "latin.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["segments", "create", "deep.json", "--url", NOBODY, "--key", "sk_x"], "not JSON"),
        (["segments", "create", "buyers.json", "--url", NOBODY, "--key", "sk_x"], "Give --name"),
        (["dev", "--reset", "--no-demo", "--once"], "--reset makes the demo shop anew"),
        (["tenants", "list"], "Set DATABASE_URL"),
        (["events", "failed"], "Set DATABASE_URL"),
        (["keys", "list", "--tenant", "shop"], "Set DATABASE_URL"),
        (["migrate"], "Set DATABASE_URL and CLICKHOUSE_URL"),
    ],
)
def test_a_mistake_in_what_was_given_is_one_sentence(run, arguments: list[str], sentence: str):
    run(*arguments).assert_sentence(sentence)


OF_THE_SERVICE = [
    ["ask", "How are sales?"],
    ["explain", "buyers.json"],
    ["compute", "1"],
    ["import", "good.csv", *COLUMNS],
    ["ask", "--chat"],
    ["segments", "list"],
    ["segments", "show", "1"],
    ["segments", "create", "saved.json"],
    ["segments", "delete", "1", "--yes"],
    ["segments", "members", "1"],
    ["segments", "export", "1"],
    ["segments", "export", "1", "--out", "members.csv"],
]


def named(command: list[str]) -> str:
    """The command without what it is given."""
    return " ".join(word for word in command[:2] if word.isalpha())


@pytest.mark.parametrize("command", OF_THE_SERVICE, ids=named)
@pytest.mark.parametrize(
    ("service", "sentence"),
    [
        ([], "No service runs on"),
        (["--data-dir", "good.csv"], "is a file"),
        (["--url", NOBODY, "--key", "sk_x"], NOBODY),
        (["--url", "127.0.0.1:8000", "--key", "sk_x"], "Write it as http://host:port"),
        (["--url", "localhost", "--key", "sk_x"], "Write it as http://host:port"),
        (["--url", "http://", "--key", "sk_x"], "Write it as http://host:port"),
        (["--url", "http://h:99999", "--key", "sk_x"], "Write it as http://host:port"),
        (["--url", "ftp://h", "--key", "sk_x"], "Write it as http://host:port"),
        (["--url", "http://nobody.invalid", "--key", "sk_x"], "http://nobody.invalid"),
        (["--url", NOBODY, "--key", "sk_ü"], "Copy it again"),
        (["--url", NOBODY, "--key", "sk_x\n"], "Copy it again"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_service_that_cannot_be_reached_is_one_sentence(run, command: list[str], service: list[str], sentence: str):
    run(*command, *service).assert_sentence(sentence)


@pytest.mark.parametrize("command", OF_THE_SERVICE, ids=named)
def test_a_service_that_is_starting_is_one_sentence(run, files: Path, command: list[str]):
    (files / "data").mkdir()
    with locked(files / "data" / "lock"):
        run(*command).assert_sentence("is starting or stopping. Ask again once `dev` says that it listens")
    run(*command).assert_sentence("No service runs on")


@pytest.mark.parametrize("command", OF_THE_SERVICE, ids=named)
@pytest.mark.parametrize("content", [b"{", b"\xff\x00", b'{"url": 1}'], ids=["cut", "binary", "others"])
def test_a_damaged_runtime_file_is_one_sentence(run, files: Path, command: list[str], content: bytes):
    (files / "data").mkdir()
    (files / "data" / "runtime.json").write_bytes(content)

    run(*command).assert_sentence("runtime.json is damaged")


@pytest.fixture(
    params=[
        (200, "text/html", b"<h1>Welcome to nginx!</h1>"),
        (200, "application/json", b"{}"),
        (404, "application/json", b'{"errors": [{}]}'),
    ]
)
def impostor(request: pytest.FixtureRequest) -> Generator[tuple[str, str]]:
    """A web server that is not ours: it answers everything alike."""
    status, media_type, body = request.param
    import http.server  # noqa: PLC0415  # only here
    import threading  # noqa: PLC0415

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield (
            f"http://127.0.0.1:{server.server_port}",
            "The service answered 404" if status == 404 else "is not segment-copilot",
        )
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", OF_THE_SERVICE, ids=named)
def test_another_server_at_the_address_is_one_sentence(run, impostor: tuple[str, str], command: list[str]):
    url, sentence = impostor
    run(*command, "--url", url, "--key", "sk_x").assert_sentence(sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compile", "nowhere.json"], "No such file or directory"),
        (["compile", "folder"], "Is a directory"),
        (["explain", "folder"], "Is a directory"),
        (["compile"], "Missing argument"),
        (["compute", "one"], "valid integer"),
        (["dev", "--port", "99999"], "--port"),
        (["dev", "--port", "-1"], "--port"),
        (["dev", "--port", "http"], "--port"),
        (["keys", "list"], "Missing option '--tenant'"),
        (["import", "good.csv", "--user", "user", "--event", "event"], "Missing option '--time'"),
        (["import", "good.csv", "--time", "time", "--event", "event"], "Missing option '--user'"),
        (["import", "nowhere.csv"], "Missing option '--user'"),
        (["import", "stripe.csv"], "By its columns it is one for --preset stripe."),
        (["complie"], "No such command"),
        (["keys", "revoke", "one", "--tenant", "shop"], "valid integer"),
        (["segments", "show"], "Missing argument"),
        (["segments", "show", "0"], "greater than or equal to 1"),
        (["segments", "show", "High LTV"], "valid integer"),
        (["segments", "export", "1", "--format", "xlsx"], "for '--format': 'xlsx' is not one of 'csv',"),
        (["keys", "create", "--kind", "secrt"], "for '--kind': 'secrt' is not one of 'secret',"),
        (["segments", "members", "1", "--limit", "0"], "greater than or equal to 1"),
        (["segments", "lst"], "No such command"),
    ],
)
def test_a_mistake_in_the_typing_is_told_with_the_usage(run, arguments: list[str], sentence: str):
    told = run(*arguments)

    assert told.code == 2
    assert told.error.startswith("Usage: ")
    last = told.error.splitlines()[-1]
    assert sentence in last
    assert "Value error" not in last
    assert "Invalid value: Missing" not in last


def test_what_may_have_been_meant_is_told_with_what_is_wrong():
    near = Finding("/scopes/1", "unknown_scope", "There is no scope 'a:b'.", ("a:c", "a:d"))
    told = tell(InvalidInput("There is no scope 'a:b'.", findings=[near]))
    alone = tell(InvalidInput("No such.", findings=[Finding("", "none", "No such.", ("one",))]))

    assert told == [
        "There is no scope 'a:b'.",
        "  /scopes/1: There is no scope 'a:b'. Did you mean 'a:c' or 'a:d'?",
    ]
    assert alone == ["No such. Did you mean 'one'?"]
    assert tell(NotFound("It is not there.")) == ["It is not there."]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "99999", "PORT"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
        ("DATABASE_URL", "localhost/shop", "postgresql://user:password@host:port/database"),
        ("DATABASE_URL", "postgresql://h:port/shop", "postgresql://user:password@host:port/database"),
        ("DATABASE_URL", "postgresql://a:b@127.0.0.1:1/shop", "PostgreSQL does not answer"),
        ("DATABASE_URL", "postgresql://a:b@nobody.invalid/shop", "PostgreSQL does not answer"),
    ],
)
def test_a_wrong_setting_is_one_sentence(run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str):
    monkeypatch.setenv("CLICKHOUSE_URL", "clickhouse://127.0.0.1:1/shop")
    monkeypatch.setenv(name, value)
    arguments = [["migrate"]] if name != "DATABASE_URL" else [["migrate"], ["keys", "list", "--tenant", "shop"]]

    for command in arguments:
        run(*command).assert_sentence(sentence)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x/lock"), "You may not read or write /x/lock."),
        (FileExistsError(errno.EEXIST, "File exists", b"/x"), "/x is a file, where a directory is needed."),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full."),
        (OSError(errno.ELOOP, "Too many levels of symbolic links", "/x"), "/x cannot be used (Too many levels"),
        (httpx2.ReadTimeout("timed out"), "The service cannot be used (timed out)."),
        (ClickHouseError("No such thing", code=60), "ClickHouse refuses this. ClickHouse error 60: No such thing"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), "Set PYTHONUTF8=1"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), "is not UTF-8"),
        (ExceptionGroup("", [ExceptionGroup("", [NotFound("It is gone.")]), NotFound("Twice.")]), "It is gone."),
    ],
)
def test_what_the_machine_refuses_is_a_sentence(failure: Exception, sentence: str):
    error = explain_failure(failure)

    assert error is not None
    assert error.detail.startswith(sentence) or sentence in error.detail


@pytest.mark.parametrize(
    "failure", [KeyError("x"), OSError("x"), ExceptionGroup("", [NotFound("It is gone."), KeyError("x")])]
)
def test_a_mistake_of_our_own_keeps_its_traceback(failure: Exception):
    assert explain_failure(failure) is None


def test_a_text_that_is_not_utf8_is_one_sentence(run):
    run("ask", "\udcff", "--url", NOBODY, "--key", "sk_x").assert_sentence("not UTF-8")


# Processes


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "CLICKHOUSE_URL"}}
    command = [sys.executable, "-m", "segment_copilot", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=kept | environment, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe
    )


def ended(process: subprocess.Popen[str]) -> Told:
    out, error = process.communicate(timeout=30)
    lines = [line for line in error.splitlines() if not line.startswith(("{", "20"))]  # the log's
    return Told(process.returncode, out, "\n".join(lines))


@pytest.mark.engines
def test_a_data_directory_that_is_a_file_is_one_sentence(files: Path):
    processes = [
        start("dev", "--once", "--data-dir", str(files / "good.csv")),
        start("dev", "--once", "--data-dir", str(files / "good.csv" / "data")),
    ]

    for process in processes:
        ended(process).assert_sentence("where a directory is needed")


def spoiled(url: str) -> str:
    """*url* with a user and a password that nobody has."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"nobody:wrong@{parts.hostname}:{parts.port}").geturl()


STORE_MISTAKES = {
    "PostgreSQL refuses the user or the password": ("database_url", spoiled),
    "PostgreSQL has no database of this name": ("database_url", lambda url: with_database(url, "nowhere")),
    "ClickHouse refuses the user or the password": ("clickhouse_url", spoiled),
    "ClickHouse has no database of this name": ("clickhouse_url", lambda url: with_database(url, "nowhere")),
    "ClickHouse does not answer": ("clickhouse_url", lambda url: url.replace(str(urlsplit(url).port), "1")),
}


@pytest.fixture
def stores(empty_database_url: str, empty_clickhouse_url: str) -> dict[str, str]:
    return {"database_url": empty_database_url, "clickhouse_url": empty_clickhouse_url}


@pytest.mark.engines
@pytest.mark.parametrize("sentence", STORE_MISTAKES)
def test_a_wrong_address_of_a_store_is_one_sentence(
    run, monkeypatch: pytest.MonkeyPatch, stores: dict[str, str], sentence: str
):
    name, spoil = STORE_MISTAKES[sentence]
    monkeypatch.setenv("LOG_LEVEL", "error")  # what was applied in the other store is told before
    for key, url in (stores | {name: spoil(stores[name])}).items():
        monkeypatch.setenv(key.upper(), url)

    run("migrate").assert_sentence(sentence)
    if name == "database_url":
        for command in (["keys", "list", "--tenant", "shop"], ["tenants", "create", "shop"]):
            run(*command).assert_sentence(sentence)


SERVERS = [  # processes take seconds, so a choice; `migrate` is asked for all
    ("worker", "PostgreSQL refuses the user or the password"),
    ("worker", "ClickHouse refuses the user or the password"),
    ("serve", "ClickHouse has no database of this name"),
    ("serve", "Run `segment-copilot migrate`"),
]


@pytest.mark.engines
@pytest.mark.parametrize(("command", "sentence"), SERVERS)
def test_a_server_or_worker_that_cannot_use_its_stores_ends_with_one_sentence(
    stores: dict[str, str], command: str, sentence: str
):
    name, spoil = STORE_MISTAKES.get(sentence, ("database_url", str))
    addresses = {key.upper(): url for key, url in (stores | {name: spoil(stores[name])}).items()}

    ended(start(command, **addresses, PORT="0", WORKER_PORT="0")).assert_sentence(sentence)


@pytest.mark.engines
@pytest.mark.parametrize(
    "command",
    [["keys", "list", "--tenant", "shop"], ["keys", "create", "--tenant", "shop"], ["tenants", "create", "shop"]],
    ids=" ".join,
)
def test_a_store_without_tables_is_one_sentence(
    run, monkeypatch: pytest.MonkeyPatch, empty_database_url: str, command: list[str]
):
    monkeypatch.setenv("DATABASE_URL", empty_database_url)

    run(*command).assert_sentence("Run `segment-copilot migrate`")


@pytest.mark.engines
@pytest.mark.parametrize("command", OF_THE_SERVICE, ids=named)
async def test_a_revoked_key_is_one_sentence(run, url: str, revoked_key: str, command: list[str]):
    told = await asyncio.to_thread(run, *command, "--url", url, "--key", revoked_key)

    told.assert_sentence("This key does not exist, was revoked or has expired.")


@pytest.mark.engines
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compute", "9"], "no segment 9"),
        (["segments", "show", "9"], "no segment 9"),
        (["segments", "show", "9", "--json"], "no segment 9"),
        (["segments", "delete", "9", "--yes"], "no segment 9"),
        (["segments", "delete", "9"], "no segment 9"),
        (["segments", "members", "9"], "no segment 9"),
        (["segments", "export", "9"], "no segment 9"),
        (["segments", "export", "9", "--out", "members.csv"], "no segment 9"),
        (["segments", "export", "9", "--out", "folder/nowhere/members.csv"], "folder/nowhere does not exist"),
        (["segments", "list", "--search", "x" * 300], "search must be a string of at most 200 characters"),
        (["segments", "create", "saved.json", "--name", " "], "A name has 1 to 200 characters"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
async def test_what_the_service_refuses_is_one_sentence(
    run, files: Path, url: str, key: str, arguments: list[str], sentence: str
):
    told = await asyncio.to_thread(run, *arguments, "--url", url, "--key", key)

    told.assert_sentence(sentence)
    assert not (files / "members.csv").exists()


@pytest.mark.engines
async def test_a_segment_is_not_deleted_unasked(run, url: str, key: str):
    service = ("--url", url, "--key", key)
    saved = await asyncio.to_thread(run, "segments", "create", "saved.json", *service)
    number = saved.error.split()[2].removesuffix(":")

    told = await asyncio.to_thread(run, "segments", "delete", number, *service)
    kept = await asyncio.to_thread(run, "segments", "show", number, *service)

    told.assert_sentence(f"Delete segment {number} (Buyers), its versions and its members? Give --yes")
    assert kept.code == 0


@pytest.fixture(scope="module")
async def revoked_key(service_settings: Settings, key: str) -> str:
    async with open_resources(service_settings) as resources:
        shop = await resources.tenants.get("shop")
        made, text = await resources.keys.create(shop)
        await resources.keys.revoke(shop, made.id)
        return text


@pytest.mark.engines
@pytest.mark.parametrize("port", ["taken", "1"], ids=["taken", "no address of ours"])
def test_an_address_that_cannot_be_listened_on_is_one_sentence(
    module_database_url: str, module_clickhouse_url: str, port: str
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = {"PORT": str(taken.getsockname()[1])} if port == "taken" else {"HOST": "192.0.2.1", "PORT": "1"}
        stores = {"DATABASE_URL": module_database_url, "CLICKHOUSE_URL": module_clickhouse_url}
        told = ended(start("serve", **stores, **address))

    told.assert_sentence("choose another with --port, or HOST and PORT")


def test_a_taken_port_is_told_before_anything_is_started(run, files: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run("dev", "--port", str(taken.getsockname()[1])).assert_sentence("choose another with --port")
    assert not (files / "data").exists()
