"""Many agents in one process: `python -m bench.crowd`, until it is ended.

Each has an id and a tunnel of its own; process, TLS settings and what is below are shared, and there is no app. On
stdout it says `complete` each time all tunnels have come to stand.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from importlib.metadata import version
from pathlib import Path

import structlog

from agent.backoff import ReconnectTimes
from agent.config import AgentSettings, read_token
from agent.link import Link
from agent.tunnel import AgentTunnel
from backplane.cli.process import run_until_stopped
from h2s.liveness import LivenessTimes
from h2s.messages import Credentials, Hello, InstanceReport, Report, ServiceOffer
from h2s.tunnel import agent_ssl_context

__all__ = ["COMPLETE"]

COMPLETE = "complete"
SERVICE = "idle"


class Crowd:
    """The agents."""

    def __init__(self, settings: AgentSettings, size: int) -> None:
        token = read_token(settings.token_file)
        self._context = agent_ssl_context(token.ca_pem)
        self._secret = token.secret.hex()
        self._settings = settings
        self._report = Report(instances=[InstanceReport(service=SERVICE, healthy=1, total=1, in_flight=0)])
        self.links = [self._make_link(number) for number in range(size)]

    async def run(self, stop: asyncio.Event) -> None:
        """Keep all tunnels until `stop`; an agent that is refused for good ends all."""
        running = asyncio.gather(*(link.run() for link in self.links))
        stopped = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        if running in done:
            running.result()
        running.cancel()

    def _make_link(self, number: int) -> Link:
        settings = self._settings
        hello = Hello(
            agent_id=f"idle-{number}",
            generation=time.time_ns(),
            version=version("backplane-server"),
            services=[ServiceOffer(name=SERVICE, labels={})],
            credentials=Credentials(join_secret=self._secret),
        )
        return Link(
            settings.edges[0],
            context=self._context,
            hello=hello,
            make_tunnel=lambda welcome: AgentTunnel(
                welcome, services={}, report=lambda: self._report, on_drain=lambda drain: None
            ),
            on_change=self._on_change,
            connect_timeout=settings.connect_timeout,
            liveness=LivenessTimes(idle=settings.ping_interval, timeout=settings.ping_timeout),
            reconnect=ReconnectTimes(
                delay=settings.reconnect_delay,
                max_delay=settings.reconnect_max_delay,
                stable=settings.reconnect_stable,
            ),
        )

    def _on_change(self) -> None:
        if all(link.tunnel is not None for link in self.links):
            print(COMPLETE, flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Many agents in one process.")
    parser.add_argument("--edge", required=True, help="where they dial")
    parser.add_argument("--token-file", required=True, type=Path)
    parser.add_argument("--size", type=int, required=True)
    arguments = parser.parse_args()
    settings = AgentSettings.model_validate(
        {
            "edges": [arguments.edge],
            "token_file": arguments.token_file,
            "services": {SERVICE: "http://127.0.0.1:9"},
        }
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    run_until_stopped(lambda stop: Crowd(settings, arguments.size).run(stop))


if __name__ == "__main__":
    main()
