"""An answer that is lost on its way costs SegOps' SDK a second request, and the tenant no second segment."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from segops_admin import SegOpsAdmin

from tests.service.segops.world import BUYERS

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the SDK leaves sockets of errors open
]
PASSED_ON = ("authorization", "content-type", "idempotency-key")


@pytest.fixture
def gateway(url: str) -> Generator[tuple[str, list[int]]]:
    """A gateway that loses the first answer, which is a 502 then, and the statuses that the service answered."""
    answered: list[int] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = httpx2.post(url + self.path, content=body, headers=sent, timeout=30)
            answered.append(answer.status_code)
            is_lost = len(answered) == 1
            self.send_response(502 if is_lost else answer.status_code)
            self.end_headers()
            self.wfile.write(b"" if is_lost else answer.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the standard library names it
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", answered
        server.shutdown()
        serving.join()


async def test_a_lost_answer_that_is_retried_makes_one_segment(client, key, gateway):
    address, answered = gateway
    admin = SegOpsAdmin(key, base_url=f"{address}/api")

    made = await asyncio.to_thread(admin.segments.create, {"name": "Made once", "definition": BUYERS})
    gc.collect()
    found = (await client.get("/api/segments/", params={"search": "Made once"})).json()

    assert answered == [201, 201]
    assert [each["id"] for each in found["results"]] == [made["id"]]
