"""An allocation webhook: chooses the hub of a device by the model in its payload, and sends the device its line.

allocation_webhook.py [PORT]

Serves on loopback, on port 7071 by default, until it is stopped. `dps webhook try` sends it a request.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = {"press": ("hub-a.test", 1), "lathe": ("hub-b.test", 2)}

# The largest request that is read, in bytes: an enrollment and a payload.
REQUEST_MAX = 256 * 1024


def allocate(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the reply to a request; raises LookupError if no hub is for this device."""
    model = request["deviceRuntimeContext"]["payload"]["model"]
    hub, line = MODELS[model]
    if hub not in request["linkedHubs"]:
        raise LookupError(f"{hub} is not linked")
    return {
        "iotHubHostName": hub,
        "initialTwin": {"tags": {"model": model}, "properties": {"desired": {"line": line}}},
        "payload": {"line": line},
    }


class Webhook(BaseHTTPRequestHandler):
    """Replies 200 with the decision, or 400: then the registration fails."""

    timeout = 10

    def do_POST(self) -> None:
        """Handles one request."""
        try:
            length = min(int(self.headers.get("Content-Length", 0)), REQUEST_MAX)
            status, reply = 200, allocate(json.loads(self.rfile.read(length)))
        except (LookupError, TypeError, ValueError) as problem:
            status, reply = 400, {"message": f"no hub for this device: {problem!r}"}
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs no request: its URL holds the function key."""


def start(port: int = 7071) -> ThreadingHTTPServer:
    """Returns a server that is ready for serve_forever()."""
    return ThreadingHTTPServer(("127.0.0.1", port), Webhook)


if __name__ == "__main__":
    with start(int(sys.argv[1]) if len(sys.argv) > 1 else 7071) as server:
        server.serve_forever()
