"""The programs that are measured, and the two ways to the application: `direct` and `tunnel`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.address import Address, free_address
from tests.e2e.programs import Origin, Program, answers
from tests.e2e.stage import Agent, Edge, Stage

from .bulk import Transfer, download, upload
from .cost import Cost, metered
from .load import Run, run_wrk

__all__ = ["Scene", "Small", "Streamed"]

WAYS = ("direct", "tunnel")
WARM_UP = 1
"""Seconds of load before each measurement."""

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {address} backlog=1024;
        keepalive_requests 1000000000;
        location / {{ return 200 "hello\\n"; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Small:
    """One run of small requests, and what the programs used for it."""

    run: Run
    cost: Mapping[str, Cost]


@dataclass(frozen=True, slots=True)
class Streamed:
    """One large body, and what the programs used for it."""

    transfer: Transfer
    cost: Mapping[str, Cost]


class Scene:
    """An application that answers small requests, one that moves large bodies, and a tunnel to both."""

    def __init__(
        self, *, app: Program, app_address: Address, origin: Origin, edge: Edge, agent: Agent
    ) -> None:
        self.programs = {"edge": edge, "agent": agent, "app": app, "origin": origin}
        self.edge = edge
        self.app_address = app_address
        self.origin = origin

    @classmethod
    @contextmanager
    def at(cls, folder: Path) -> Iterator[Scene]:
        """Start everything, and stop it afterwards."""
        if shutil.which("wrk") is None:
            raise SystemExit("bench needs wrk")
        with Stage.at(folder) as stage:
            origin = stage.origin("origin")
            app, address = start_nginx(stage) or (origin, origin.address)
            edge = stage.edge("edge", "--access-log", folder / "access.log")
            services = {"web": f"http://{address}", "bulk": origin.url}
            agent = stage.agent("agent", edges=[edge], services=services)
            yield cls(app=app, app_address=address, origin=origin, edge=edge, agent=agent)

    def small(self, connections: int, *, seconds: int) -> Mapping[str, Small]:
        """Measure small requests both ways, one after the other."""
        urls = {"direct": f"http://{self.app_address}/", "tunnel": f"{self.edge.url}/"}
        results = {}
        for way in WAYS:
            run_wrk(urls[way], host="web.localhost", connections=connections, seconds=WARM_UP)
            with metered(self.programs.values()) as cost:
                run = run_wrk(urls[way], host="web.localhost", connections=connections, seconds=seconds)
            results[way] = Small(run, cost)
        return results

    def bulk(self, size: int) -> Mapping[str, Mapping[str, Streamed]]:
        """Measure a large body each way of both ways: by direction, then by way."""
        directions: Mapping[str, Callable[..., Transfer]] = {"down": download, "up": upload}
        addresses = {"direct": self.origin.address, "tunnel": self.edge.public}
        return {
            direction: {way: self._stream(move, addresses[way], size) for way in WAYS}
            for direction, move in directions.items()
        }

    def _stream(self, move: Callable[..., Transfer], address: Address, size: int) -> Streamed:
        with metered(self.programs.values()) as cost:
            transfer = move(address, size, host="bulk.localhost")
        return Streamed(transfer, cost)


def start_nginx(stage: Stage) -> tuple[Program, Address] | None:
    """Start nginx as the application, if it is there."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        return None
    address = free_address()
    config = stage.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=stage.folder, address=address))
    app = stage.run("app", [nginx, "-c", str(config), "-p", str(stage.folder)])
    app.wait_until(lambda: answers(f"http://{address}"), "nginx answers")
    return app, address
