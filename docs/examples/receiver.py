"""A server that is told who enters and leaves your segments: verifies each message, and takes each once.

pip install standardwebhooks; SECRET is what registering the webhook answered. It listens on PORT of this machine alone.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["SECRET"])
KNOWN: set[str] = set()  # of messages that came already; a real server keeps them where they survive it


class Receiver(BaseHTTPRequestHandler):
    """Answers 2xx when a message is safe, and 4xx when it is not ours."""

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            message = WEBHOOK.verify(body, {name.lower(): value for name, value in self.headers.items()})
        except WebhookVerificationError:
            self.send_response(401)
        else:
            if self.headers["webhook-id"] not in KNOWN:
                KNOWN.add(self.headers["webhook-id"])
                print(json.dumps(message), flush=True)  # here it is yours
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


with HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Receiver) as server:
    print(f"listening on http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
