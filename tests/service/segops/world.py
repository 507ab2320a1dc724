"""What the calls stand on: a running service with a small history in it, SegOps' clients, and a record of what they send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
from segops_admin import SegOpsAdmin

from segops import Event, SegOpsClient, UserContext

PATIENCE: Final = 30.0  # seconds, for work in the background

BUYERS: Final = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed"}],  # once or more
}
NOT_YET: Final = {
    "logic": "AND",
    "conditions": [{"type": "event_count", "event_type": "order_placed", "operator": "eq", "value": 0}],
}
HISTORY: Final = (
    Event(user_id="ana/ñ %2F", event_type="order_placed", payload={"total": 120.5, "coupon": "SPRING"}),
    Event(user_id="ben", event_type="order_placed", payload={"total": 20, "coupon": "SPRING"}),
    Event(user_id="cleo", event_type="page_viewed", payload={"path": "/pricing"}),
)
"""Two buyers, one of them with an id that must be quoted in a path, and somebody who only looked."""


class Wire(urllib.request.BaseHandler):
    """Notes what urllib sends, as urllib lets anybody do: the SDKs stay as they were published."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        self.sent.append(f"{request.get_method()} {urlsplit(request.full_url).path}")
        return request


class World:
    """A service and SegOps' clients of it. What a call needs beyond the history, it makes itself."""

    def __init__(self, url: str, key: str, scratch: Path) -> None:
        self.url = url
        self.key = key
        self.admin = SegOpsAdmin(key, base_url=f"{url}/api")
        self._scratch = scratch
        self._made = 0
        self._http = httpx2.Client(base_url=url, headers={"Authorization": f"ApiKey {key}"}, timeout=30)

    def remember(self) -> None:
        """Send the history, and wait until it can be queried."""
        with self.tracking() as client:
            client.identify(user_id="ana/ñ %2F", traits={"country": "ES"})
            for event in HISTORY:
                client.track(event)
        self.settle()

    @contextmanager
    def tracking(self, key: str = "", **options: Any) -> Iterator[SegOpsClient]:
        """A client of the ingestion SDK that is shut down in the end, and failed nowhere."""
        errors: list[BaseException] = []
        client = SegOpsClient(self.url, key or self.key, on_error=errors.append, **options)
        try:
            yield client
        finally:
            client.shutdown()
        assert errors == []

    def public_key(self, **settings: Any) -> dict[str, Any]:
        """A new public key, with the secret that signs user ids if it wants them signed."""
        return self.send("POST", "/api/auth/api-keys/", {"name": self.name("browser"), "kind": "public"} | settings)

    def segment(self, **fields: Any) -> dict[str, Any]:
        """A new segment of the buyers."""
        return self.admin.segments.create({"name": self.name("Buyers"), "definition": BUYERS} | fields)

    def computed(self) -> dict[str, Any]:
        """A new segment of the buyers whose members are known."""
        segment = self.segment()
        self.admin.segments.recompute(segment["id"])
        return self.until(lambda: self.admin.segments.get(segment["id"]), lambda it: it["status"] == "computed")

    def name(self, stem: str) -> str:
        """A name that nobody has."""
        self._made += 1
        return f"{stem} {self._made}"

    def file(self, content: Any) -> str:
        """A file with *content* as JSON; its path."""
        self._made += 1
        path = self._scratch / f"{self._made}.json"
        path.write_text(json.dumps(content))
        return str(path)

    def cli(self, *arguments: str) -> Any:
        """What `segops-admin` prints; it must end with 0."""
        environment = os.environ | {"SEGOPS_API_KEY": self.key, "SEGOPS_API_URL": f"{self.url}/api"}
        program = Path(sys.executable).with_name("segops-admin")
        ran = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def settle(self) -> None:
        """Wait until everything that was acknowledged can be queried."""
        self.until(lambda: self.send("GET", "/api/ingestion/status/"), lambda status: status["pending"] == 0)

    def until(self, ask: Callable[[], Any], is_right: Callable[[Any], bool]) -> Any:
        """Ask until the answer is right, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not is_right(answer := ask()):
            assert time.monotonic() < deadline, answer
        return answer

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """What the service answers to a request that no SDK has a method for."""
        return json.loads(self.fetch(method, path, body))

    def fetch(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of an answer."""
        return self._http.request(method, path, json=body).raise_for_status().content


def whoever(**fields: Any) -> Callable[[], UserContext]:
    """What a page tells the SDK of its visitor."""
    return lambda: UserContext(**fields)
