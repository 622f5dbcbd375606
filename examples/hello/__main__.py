"""The hello application: `python -m examples.hello --port 3000 --name hello-1`, standard library only."""

from __future__ import annotations

import argparse
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HelloHandler(BaseHTTPRequestHandler):
    """Answers every request with what it saw of it, as plain text."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    instance = "hello"

    def do_GET(self) -> None:
        """Show the request."""
        self._read_body()
        lines = [
            f"Hello from {self.instance}!",
            "",
            f"{self.command} {self.path}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        page = ("\n".join(lines) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class names them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Stay quiet: the edge has the access log."""

    def _read_body(self) -> None:
        """Take the body off the connection, so that the next request starts where it should."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass
        else:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))


def main() -> None:
    """Serve on 127.0.0.1 until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="hello", description="Shows the requests that reach it.")
    parser.add_argument("--port", type=int, default=3000, help="port on 127.0.0.1 (default: 3000)")
    parser.add_argument("--name", default="hello", help="what this instance calls itself")
    arguments = parser.parse_args()
    HelloHandler.instance = arguments.name
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ThreadingHTTPServer(("127.0.0.1", arguments.port), HelloHandler) as server:
        server.daemon_threads = True
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
