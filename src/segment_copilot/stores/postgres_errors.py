"""Gives the exceptions of PostgreSQL's driver our names, and tells of what was asked how long it took."""
# asyncpg has neither stubs nor complete annotations.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import re
from time import perf_counter
from typing import Any

import asyncpg

from segment_copilot.errors import InvalidInput, QueryTimeout, Unavailable
from segment_copilot.telemetry import tracing
from segment_copilot.telemetry.metrics import count_query

_UNAVAILABLE = (
    OSError,  # includes TimeoutError, which is asyncpg's for a server that does not answer
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_CONNECTION_ERRORS = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # the server said goodbye between two steps of one statement
)
_MISTAKES_OF_SETUP: dict[type[Exception], str] = {
    asyncpg.InvalidAuthorizationSpecificationError: (
        "PostgreSQL refuses the user or the password. Correct DATABASE_URL."
    ),
    asyncpg.InvalidCatalogNameError: "PostgreSQL has no database of this name. Create it, or correct DATABASE_URL.",
    asyncpg.UndefinedTableError: "PostgreSQL has not all tables. Run `segment-copilot migrate`.",
    asyncpg.InsufficientPrivilegeError: "The PostgreSQL user may not do this. Grant it, or correct DATABASE_URL.",
}
_UNFIT_VALUES = (  # besides those the driver finds itself
    asyncpg.CharacterNotInRepertoireError,
    asyncpg.UntranslatableCharacterError,
    asyncpg.NumericValueOutOfRangeError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.DatetimeFieldOverflowError,
)
_UNFIT = "A value cannot be stored: it is out of range or holds a character that is none."
TROUBLE = (*_UNAVAILABLE, *_CONNECTION_ERRORS, asyncpg.InterfaceError)


class _Violation(Exception):
    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class UniqueViolation(_Violation):
    """A row with these unique values exists; *constraint* names the rule."""


class ForeignKeyViolation(_Violation):
    """The row referred to does not exist, or the row to delete is referred to; *constraint* names the rule."""


class ConnectionLost(Unavailable):
    """The connection ended under a statement that may or may not have run."""


def _constraint(error: Any) -> str:
    return error.constraint_name or ""


class _OurErrors:
    """Gives the driver's exceptions our names. Only around calls of the driver: an exception of a caller's block is not ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and (ours := _ours(error)) is not None:
            raise ours from error


OUR_ERRORS = _OurErrors()  # a generator's frame in each of them costs more than the statement's encoding


class Statement:
    """Does the same around one statement, and counts it; it has a span inside of another one."""

    __slots__ = ("_span", "_sql", "_started")

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        self._span = tracing.statement(self._sql)
        self._span.__enter__()
        self._started = perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        ours = None if error is None else _ours(error)
        failed = ours or error
        name = "" if failed is None else type(failed).__name__
        count_query("postgresql", "statement", perf_counter() - self._started, name.lstrip("_"))
        self._span.__exit__(None if failed is None else type(failed), failed, None)
        if ours is not None:
            raise ours from error


def _ours(error: BaseException) -> Exception | None:
    """Return what *error* is in our words; None where it is not the driver's, or a mistake of our code."""
    match error:
        case asyncpg.UniqueViolationError():
            return UniqueViolation(_constraint(error))
        case asyncpg.ForeignKeyViolationError():
            return ForeignKeyViolation(_constraint(error))
        case asyncpg.QueryCanceledError():
            return QueryTimeout("The statement was stopped at its time limit.")
        case asyncpg.DataError():
            # The driver's own is of this very class. A wrong Python type, and 1/0, are mistakes of our code.
            by_driver = type(error) is asyncpg.DataError and not isinstance(error.__cause__, TypeError)
            is_unfit = by_driver or isinstance(error, _UNFIT_VALUES)
            return InvalidInput(_UNFIT) if is_unfit else None
        case _ if isinstance(error, tuple(_MISTAKES_OF_SETUP)):
            sentences = (_MISTAKES_OF_SETUP[kind] for kind in type(error).__mro__ if kind in _MISTAKES_OF_SETUP)
            return Unavailable(next(sentences))
        case _ if isinstance(error, _CONNECTION_ERRORS):
            return ConnectionLost("The connection to PostgreSQL was lost.")
        case _ if isinstance(error, _UNAVAILABLE):
            return Unavailable("PostgreSQL does not answer.")
        # "connection is closed", "pool is closing", "has been released back to the pool" by its end; others are ours
        case asyncpg.InterfaceError() if re.search("clos|released back", str(error)):
            return ConnectionLost("The connection to PostgreSQL was lost.")
        case _:
            return None
