"""HAProxy's reverse HTTP: the agent dials (`bind rhttp@`), the edge attaches the connection to a server."""

from __future__ import annotations

import re
import shutil
import subprocess

from tests.e2e.address import free_address
from tests.e2e.programs import answers

from .system import HOST, TUNNELS, Running, Site

__all__ = ["HAProxy"]

OLDEST = (2, 9)
"""The first version with reverse HTTP."""

COMMON = """
global
    expose-experimental-directives
    tune.h2.max-concurrent-streams 1000
    {log}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
"""

EDGE = """
frontend public
    bind {public} {tls}
    option httplog
    log global
    option forwardfor
    use_backend apps
frontend tunnels
    bind {tunnel} ssl crt {pem} alpn h2
    tcp-request session attach-srv apps/agent
backend apps
    server agent rhttp@
frontend metrics
    bind {metrics}
    stats enable
"""

AGENT = """
frontend tunnels
    bind rhttp@edges/edge nbconn {tunnels}
    use_backend app
backend edges
    server edge {tunnel} ssl ca-file {ca} verify required verifyhost localhost sni str(localhost) alpn h2
backend app
    server app {app}
"""


class HAProxy:
    """Two HAProxy processes, each with its default number of threads."""

    name = "haproxy"

    def version(self) -> str:
        """Return the version of the one on the path."""
        return found_version()[0]

    def missing(self) -> str | None:
        """Look for one that is new enough."""
        if shutil.which("haproxy") is None:
            return "there is no haproxy on the path"
        text, number = found_version()
        return None if number >= OLDEST else f"haproxy {text} is too old: reverse HTTP came with 2.9"

    def start(self, site: Site) -> Running:
        """Start both with their logs on a file."""
        public, tunnel, metrics = free_address(), free_address(), free_address()
        pem = site.file("edge.pem")
        pem.write_bytes(site.certificate.chain.read_bytes() + site.certificate.key.read_bytes())
        edge = (COMMON + EDGE).format(
            log="log stdout format raw local0 info",
            public=public,
            tls=f"ssl crt {pem} alpn h2,http/1.1" if site.tls else "",
            tunnel=tunnel,
            pem=pem,
            metrics=metrics,
        )
        agent = (COMMON + AGENT).format(
            log="", tunnels=TUNNELS, tunnel=tunnel, ca=site.certificate.chain, app=site.origin.clear
        )
        programs = {}
        for side, config in (("edge", edge), ("agent", agent)):
            path = site.file(f"{side}.cfg")
            path.write_text(config)
            programs[side] = site.stage.run(f"{site.name}-{side}", ["haproxy", "-db", "-f", str(path)])
        running = Running(public=public, tls=site.tls, programs=programs)
        programs["agent"].wait_until(lambda: answers(running.url(), HOST), "haproxy serves")
        return running


def found_version() -> tuple[str, tuple[int, ...]]:
    """Return the version on the path, as text and as a number."""
    done = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True)
    match = re.search(r"version (\d+)\.(\d+)(\S*)", done.stdout)
    assert match, done.stdout
    return match[0].removeprefix("version "), (int(match[1]), int(match[2]))
