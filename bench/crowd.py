"""Many agents in one process: `python -m bench.crowd`, until it is ended.

Each has an id and a tunnel of its own, and waits after a loss as an agent does; what they share is the process. So that
no handshake has to wait for another agent's processor time, which it would not in a process of its own, only some dial
at the same moment. On stdout the crowd says `complete` each time all tunnels have come to stand.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import structlog

from agent.backoff import Backoff, ReconnectTimes
from agent.config import AgentSettings, read_token
from agent.tunnel import AgentTunnel
from backplane.cli.process import run_until_stopped
from h2s.errors import H2SError, HandshakeError
from h2s.liveness import AGENT_JITTER, Liveness, LivenessTimes
from h2s.messages import Credentials, Hello, Inspection, InstanceReport, Report, ServiceOffer, Welcome
from h2s.tunnel import agent_ssl_context, dial

__all__ = ["COMPLETE"]

COMPLETE = "complete"
SERVICES = 100
"""What the agents serve, one each."""
DIALLING = 64
"""Agents that dial at the same moment at the most."""


class Crowd:
    """The agents."""

    def __init__(self, settings: AgentSettings, size: int) -> None:
        token = read_token(settings.token_file)
        self._context: ssl.SSLContext = agent_ssl_context(token.ca_pem)
        self._secret = token.secret.hex()
        self._settings = settings
        self._size = size
        self._standing = 0
        self._gate = asyncio.Semaphore(DIALLING)
        self._reconnect = ReconnectTimes(
            delay=settings.reconnect_delay,
            max_delay=settings.reconnect_max_delay,
            stable=settings.reconnect_stable,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Keep all tunnels until `stop`."""
        async with asyncio.TaskGroup() as group:
            agents = [group.create_task(self._keep(number)) for number in range(self._size)]
            await stop.wait()
            for agent in agents:
                agent.cancel()

    async def _keep(self, number: int) -> None:
        """Be one agent."""
        service = f"idle-{number % SERVICES}"
        hello = Hello(
            agent_id=f"idle-{number}",
            generation=time.time_ns(),
            version=version("backplane-server"),
            services=[ServiceOffer(name=service, labels={})],
            credentials=Credentials(join_secret=self._secret),
        )
        report = Report(instances=[InstanceReport(service=service, healthy=1, total=1, in_flight=0)])
        backoff = Backoff(self._reconnect, random=random.random)
        while True:
            try:
                async with self._gate:
                    tunnel = await self._dial(hello, report)
            except (H2SError, OSError) as error:
                asked = error.retry_after if isinstance(error, HandshakeError) else None
                await asyncio.sleep(backoff.next(at_least=asked or 0.0))
                continue
            self._standing += 1
            if self._standing == self._size:
                print(COMPLETE, flush=True)
            await tunnel.closed
            self._standing -= 1
            backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _dial(self, hello: Hello, report: Report) -> AgentTunnel:
        settings = self._settings
        times = LivenessTimes(idle=settings.ping_interval, timeout=settings.ping_timeout)
        now = asyncio.get_running_loop().time()
        tunnels: list[AgentTunnel] = []

        def make_owner(welcome: Callable[[], Welcome]) -> AgentTunnel:
            tunnels.append(
                AgentTunnel(
                    welcome,
                    services={},
                    report=lambda: report,
                    inspect=lambda: _inspection(hello),
                    on_drain=lambda drain: None,
                )
            )
            return tunnels[-1]

        connection, _ = await dial(
            settings.edges[0].host,
            settings.edges[0].port,
            context=self._context,
            hello=hello,
            make_owner=make_owner,
            liveness=Liveness(times, now=now, jitter=random.uniform(*AGENT_JITTER)),
            timeout=settings.connect_timeout,
        )
        tunnels[-1].start(connection)
        return tunnels[-1]


def _inspection(hello: Hello) -> Inspection:
    return Inspection(
        agent_id=hello.agent_id, generation=hello.generation, version=hello.version, uptime=0, in_flight=0
    )


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
            "services": {"idle": "http://127.0.0.1:9"},
        }
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    run_until_stopped(lambda stop: Crowd(settings, arguments.size).run(stop))


if __name__ == "__main__":
    main()
