"""A proxy that sends each request to the next of several servers, as a load balancer does."""

import itertools
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 60
# What is said of one connection, and not of the answer.
HOP = {"connection", "keep-alive", "transfer-encoding"}


class RoundRobin:
    """Listening before the servers at `addresses`; leaving the context ends it."""

    def __init__(self, *addresses: str):
        turns, lock = itertools.cycle(addresses), threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length) if length else None
                with lock:
                    address = next(turns)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
                connection = HTTPConnection(address, timeout=PATIENCE)
                try:
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except OSError:
                    self.send_error(502)
                    return
                finally:
                    connection.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP | {"content-length"}:
                        self.send_header(name, value)
                if answer.status != 304:
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
