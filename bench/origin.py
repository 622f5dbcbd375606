"""The application behind every system: nginx as Debian packages it.

`/` answers with a few bytes, `/10k`, `/1m` and `/100m` are files, and `PUT /sink/NAME` stores a body, so that the size
of what arrived can be read from the file system. It listens in clear, where the systems forward to, and with TLS and
HTTP/2 as well, for clients that go to it directly.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.address import Address, free_address
from tests.e2e.certificate import Certificate
from tests.e2e.programs import Program, answers
from tests.e2e.stage import Stage

__all__ = ["FILES", "PATTERN", "Origin", "find_nginx"]

KILOBYTE = 1000
FILES = {"10k": 10 * KILOBYTE, "1m": 1000 * KILOBYTE, "100m": 100_000 * KILOBYTE}
"""Names and sizes of the bodies."""
PATTERN = bytes(range(256)) * 4096
"""What the bodies repeat."""

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {clear} backlog=1024;
        listen {secure} ssl http2 backlog=1024;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        keepalive_requests 1000000000;
        root {folder}/files;
        location = / {{ return 200 "hello\\n"; }}
        location /sink/ {{ dav_methods PUT; }}
    }}
}}
"""


class Origin:
    """nginx with its files in `folder`, which had better be in memory."""

    def __init__(self, stage: Stage, certificate: Certificate) -> None:
        nginx = find_nginx()
        assert nginx is not None
        self.clear = free_address()
        self.secure = free_address()
        folder = stage.folder / "origin"
        self.sink = folder / "files" / "sink"
        self.sink.mkdir(parents=True)
        for name, size in FILES.items():
            write(folder / "files" / name, size=size)
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, clear=self.clear, secure=self.secure, certificate=certificate)
        )
        self.program: Program = stage.run("origin", [nginx, "-c", str(config), "-p", str(folder)])
        self.program.wait_until(lambda: answers(f"http://{self.clear}"), "nginx answers")

    def file(self, name: str) -> Path:
        """Return the path of one of `FILES`."""
        return self.sink.parent / name

    def address(self, *, tls: bool) -> Address:
        """Return where it listens."""
        return self.secure if tls else self.clear


def find_nginx() -> str | None:
    """Return the path of nginx, which is rarely on the path of a person."""
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def write(path: Path, *, size: int) -> None:
    """Write a file of `size` bytes that repeats `PATTERN`."""
    with path.open("wb") as file:
        while size > 0:
            file.write(PATTERN[:size])
            size -= len(PATTERN)
