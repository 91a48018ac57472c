"""The client of a service, against a server that closes idle connections."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from streams.recordings.client import Away, Door


class ClosesConnections(BaseHTTPRequestHandler):
    """Promises keep-alive and closes the connection after the answer, like a server with an idle connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"now": "2026-01-01T00:00:00Z", "speed": 2.0}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), ClosesConnections) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_a_connection_closed_for_idleness_is_opened_anew_without_a_word(server):
    with Door(f"127.0.0.1:{server.server_port}") as door:
        for _ in range(5):
            assert door.clock() == (1_767_225_600_000_000, 2.0)


def test_a_service_that_is_gone_is_away(server):
    with Door(f"127.0.0.1:{server.server_port}") as door:
        door.clock()
        server.shutdown()
        server.server_close()
        with pytest.raises(Away):
            door.clock()
