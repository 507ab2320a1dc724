"""Says what ClickHouse's error codes mean to us: whose fault they are, and whether trying again may help."""

from __future__ import annotations

from segment_copilot.errors import QueryTimeout, QueryTooExpensive, TooManyRequests, Unavailable

_TIMEOUT_CODES = {159, 160}
_QUOTA_CODE = 201  # kept of each tenant by itself, where the server has one
_EXPENSIVE_CODES = {158, 168, 191, 241, 307, 396, 718}
# Too many queries, shutting down, too many parts, disk full, another node or the keeper gone; files that cannot be
# read or written; our account or its rights gone; a database, table or column that is missing: not migrated (yet).
_UNAVAILABLE_CODES = {
    *(198, 202, 209, 210, 225, 236, 242, 243, 252, 279, 319, 394, 425, 439, 745, 999),
    *(74, 75, 76, 107, 173, 499),
    *(192, 193, 194, 497, 516),
    *(16, 60, 81, 218),
}
# What ClickHouse says of data: not to be parsed, of another type, out of range, too large, against a constraint.
_ROW_CODES = {6, 25, 26, 27, 38, 41, 69, 72, 117, 128, 130, 131, 190, 306, 321, 349, 407, 467, 469}
_REFUSED, _NO_DATABASE = "ClickHouse refuses the user or the password.", "ClickHouse has no database of this name."
_WRONG_URL = {81: _NO_DATABASE, 192: _REFUSED, 193: _REFUSED, 516: _REFUSED}


class ClickHouseError(Exception):
    """The server refused a query for a reason we did not foresee: our bug. *code* is ClickHouse's own."""

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(f"ClickHouse error {code}: {message[:2000]}")
        self.code = code

    @property
    def refuses_rows(self) -> bool:
        """True when the server says that what was to be inserted is wrong; anything else is no fault of the rows."""
        return self.code in _ROW_CODES


def refusal(code: int, message: str) -> Exception:
    """Return our error for what the server refused."""
    if code in _WRONG_URL:
        return Unavailable(f"{_WRONG_URL[code]} Correct CLICKHOUSE_URL.", context={"wrong_url": True})
    if code in _TIMEOUT_CODES:
        return QueryTimeout("The query was stopped at its time limit.")
    if code == _QUOTA_CODE:
        return TooManyRequests(
            "This tenant's queries have read as much as the database lets them in a while. Ask again in a minute.",
            context={"retry_after_seconds": 60},
        )
    if code in _EXPENSIVE_CODES and "(total)" not in message:  # that is the server as a whole
        return QueryTooExpensive("The query was stopped at its limit of memory or rows.")
    if code in _UNAVAILABLE_CODES | _EXPENSIVE_CODES:
        return Unavailable("ClickHouse cannot take this query now.", context={"clickhouse_code": code})
    return ClickHouseError(message, code=code)
