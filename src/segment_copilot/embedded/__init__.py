"""PostgreSQL and ClickHouse from two wheels, for `dev` and for tests: real servers, on loopback, with passwords.

`start_engines` runs both in one data directory. Each engine lives under a small host process that holds a pipe
from the process that started it: however that process ends, the pipe closes and the engine stops. All calls
block for up to a minute or so; from asynchronous code use `asyncio.to_thread`.

The hosts import this package too, twice per start: nothing heavy belongs here (not even structlog).
"""

from segment_copilot.embedded.engine import Engine, start_clickhouse, start_postgres
from segment_copilot.embedded.engines import Engines, default_data_dir, is_in_use, start_engines

__all__ = ["Engine", "Engines", "default_data_dir", "is_in_use", "start_clickhouse", "start_engines", "start_postgres"]
