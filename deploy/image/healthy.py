"""Exits 0 when the process of this container answers its probe, 1 otherwise: the image's HEALTHCHECK, for API and worker.

Nothing of the service is imported, because that takes a second and this runs every ten.
"""

from __future__ import annotations

import http.client
import os
import sys

SECONDS = 2.0
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # where a process that listens there is asked


def answers(host: str, port: int) -> bool:
    """Return whether the process that listens there says that it lives."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/health/live")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    named = os.environ.get("HOST", "")
    ports = dict.fromkeys(int(os.environ.get(name) or 8000) for name in ("PORT", "WORKER_PORT"))
    sys.exit(0 if any(answers(EVERYWHERE.get(named, named), port) for port in ports) else 1)
