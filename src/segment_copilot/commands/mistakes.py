"""Turns whatever can go wrong around a command into one of our errors: a sentence that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final, cast

import httpx2

from segment_copilot.errors import Finding, SegmentCopilotError
from segment_copilot.stores.clickhouse import ClickHouseError

_OF_A_PATH: Final = {
    errno.ENOENT: "{path} does not exist. Check the path.",
    errno.EACCES: "You may not read or write {path}. Change its permissions, or name another path.",
    errno.EPERM: "You may not read or write {path}. Change its permissions, or name another path.",
    errno.EISDIR: "{path} is a directory. Name a file.",
    errno.ENOTDIR: "A part of {path} is a file, where a directory is needed. Name another path.",
    errno.EEXIST: "{path} is a file, where a directory is needed. Name another path.",
    errno.EROFS: "{path} is on a file system that is read-only. Name another path.",
    errno.ENAMETOOLONG: "{path} is too long for a path.",
}
_OF_THE_MACHINE: Final = {
    errno.ENOSPC: "The disk is full. Free some space.",
    errno.EDQUOT: "Your quota of the disk is used up. Free some space.",
    errno.EIO: "The disk cannot be read or written. Check the machine.",
    errno.EMFILE: "Too many files are open. Raise the limit (ulimit -n).",
    errno.ENFILE: "Too many files are open on this machine. Close some programs.",
    errno.ENOMEM: "The machine has no memory left. Close some programs.",
    errno.EADDRINUSE: "The port is taken by another process. Choose another one.",
}


def explain_failure(failure: BaseException) -> SegmentCopilotError | None:
    """Return the error that tells a person about *failure*; None when it is a mistake of our code.

    Of several failures at once the first is told, if every one of them was foreseen.
    """
    told = [_explain(leaf) for leaf in _leaves(failure)]
    return None if None in told else told[0]


def tell(error: SegmentCopilotError) -> list[str]:
    """Return what to print of an error: its sentence, and below it each thing that is wrong, with what may have been meant."""
    if [one.detail for one in error.findings] == [error.detail] and error.findings[0].pointer == "":
        return [f"{error.detail}{_meant(error.findings[0])}"]
    return [error.detail, *(f"  {one.pointer or '/'}: {one.detail}{_meant(one)}" for one in error.findings)]


def _meant(finding: Finding) -> str:
    return f" Did you mean {' or '.join(map(repr, finding.suggestions))}?" if finding.suggestions else ""


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    """Yield the failures in a group, of tasks that ran side by side; by itself, a failure is its only one."""
    if isinstance(failure, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", failure)
        for inner in group.exceptions:
            yield from _leaves(inner)
    else:
        yield failure


def _explain(failure: BaseException) -> SegmentCopilotError | None:
    match failure:
        case SegmentCopilotError():
            return failure
        case ClickHouseError():
            return SegmentCopilotError(f"ClickHouse refuses this. {failure}", code="clickhouse_refused")
        case httpx2.HTTPError() | httpx2.InvalidURL():
            return SegmentCopilotError(f"The service cannot be used ({failure}). Check --url.", code="no_answer")
        case UnicodeEncodeError() if failure.encoding.lower().replace("-", "") != "utf8":
            return SegmentCopilotError(
                f"The output takes only {failure.encoding}. Set PYTHONUTF8=1 and try again.", code="unfit_output"
            )
        case UnicodeError():
            return SegmentCopilotError("A text in what was given is not UTF-8.", code="not_utf8")
        case OSError():
            sentence = _of_the_system(failure)
            return None if sentence is None else SegmentCopilotError(sentence, code="system")
        case _:
            return None


def _of_the_system(failure: OSError) -> str | None:
    """Return what the operating system's refusal means to a person."""
    number = failure.errno or 0
    if sentence := _OF_THE_MACHINE.get(number):
        return sentence
    if failure.filename is None:
        return None  # a socket's or a pipe's: who used it should have said more
    path = failure.filename.decode(errors="replace") if isinstance(failure.filename, bytes) else str(failure.filename)
    sentence = _OF_A_PATH.get(number, f"{{path}} cannot be used ({failure.strerror}).")
    return sentence.format(path=path)
