"""Many agents in one process: `python -m tests.faults.crowd`, until SIGTERM.

Each is a whole agent with an id, a tunnel and a service of its own; only the process is shared.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import structlog

from agent.agent import Agent
from agent.config import AgentSettings, read_token
from h2s.errors import HandshakeError


async def serve(
    *,
    edge: str,
    token_file: Path,
    upstream: str,
    ping_interval: float,
    ping_timeout: float,
    reconnect_stable: float,
    size: int,
) -> None:
    """Run `size` agents until SIGTERM."""
    token = read_token(token_file)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    def run(number: int) -> asyncio.Task[HandshakeError | None]:
        settings = AgentSettings.model_validate(
            {
                "edges": [edge],
                "token_file": token_file,
                "services": {"crowd": upstream},
                "agent_id": f"crowd-{number}",
                "tunnels": 1,
                "ping_interval": ping_interval,
                "ping_timeout": ping_timeout,
                "reconnect_stable": reconnect_stable,
            }
        )
        return asyncio.create_task(Agent(settings, token).run(stop))

    for ended in await asyncio.gather(*map(run, range(size))):
        if ended is not None:
            raise ended


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Many agents in one process.")
    parser.add_argument("--edge", required=True, help="where they dial")
    parser.add_argument("--token-file", required=True, type=Path)
    parser.add_argument("--upstream", required=True, help="the app behind all of them")
    parser.add_argument("--ping-interval", type=float, default=25.0)
    parser.add_argument("--ping-timeout", type=float, default=10.0)
    parser.add_argument("--reconnect-stable", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=200)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    asyncio.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
