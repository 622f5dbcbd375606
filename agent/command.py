"""`backplane agent`: its options. It is loaded for every `backplane` call, so it imports little."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

__all__ = ["agent", "connect"]


def agent(
    edge: Annotated[
        list[str] | None, Option("--edge", metavar="HOST:PORT", help="An edge to dial; repeatable.")
    ] = None,
    service: Annotated[
        list[str] | None,
        Option(
            "--service",
            metavar="NAME=URL[,URL]",
            help="A service and its upstreams: http:, https: or h2c://HOST:PORT, unix:/PATH; repeatable.",
        ),
    ] = None,
    check: Annotated[
        list[str] | None,
        Option(
            "--check",
            metavar="NAME=CHECK",
            help="How a service's upstreams are checked: http:/PATH[,KEY=VALUE], grpc, tcp or none; repeatable.",
            show_default="tcp",
        ),
    ] = None,
    token_file: Annotated[
        Path | None, Option("--token-file", metavar="PATH", help="The file with the edge's join token.")
    ] = None,
    label: Annotated[
        list[str] | None,
        Option("--label", metavar="KEY=VALUE", help="What selectors can pick the instances by; repeatable."),
    ] = None,
    zone: Annotated[
        str | None, Option("--zone", metavar="NAME", help="Where this agent is: its region or data centre.")
    ] = None,
    agent_id: Annotated[
        str | None,
        Option("--id", metavar="ID", help="Who this agent is.", show_default="host name and a random suffix"),
    ] = None,
    tunnels: Annotated[
        int | None, Option("--tunnels", metavar="N", help="Tunnels to each edge, 1-16.", show_default="2")
    ] = None,
    capacity: Annotated[
        int | None, Option("--capacity", metavar="N", help="Requests an instance takes at once.")
    ] = None,
    admin: Annotated[
        str | None, Option("--admin", metavar="HOST:PORT", help="Where to answer health checks.")
    ] = None,
    drain_timeout: Annotated[
        float | None,
        Option(
            "--drain-timeout",
            metavar="SECONDS",
            help="Time for requests to end at a stop.",
            show_default="30",
        ),
    ] = None,
    connect_timeout: Annotated[
        float | None,
        Option("--connect-timeout", metavar="SECONDS", help="Time to open a tunnel.", show_default="10"),
    ] = None,
    ping_interval: Annotated[
        float | None,
        Option(
            "--ping-interval",
            metavar="SECONDS",
            help="Silence after which an edge is asked for a sign of life.",
            show_default="25",
        ),
    ] = None,
    ping_timeout: Annotated[
        float | None,
        Option(
            "--ping-timeout",
            metavar="SECONDS",
            help="Time for each of two such signs to come.",
            show_default="10",
        ),
    ] = None,
    reconnect_delay: Annotated[
        float | None,
        Option(
            "--reconnect-delay",
            metavar="SECONDS",
            help="Longest wait before the first new try to open a tunnel; doubles with each.",
            show_default="0.5",
        ),
    ] = None,
    reconnect_max_delay: Annotated[
        float | None,
        Option(
            "--reconnect-max-delay",
            metavar="SECONDS",
            help="Longest wait before any new try.",
            show_default="30",
        ),
    ] = None,
    reconnect_stable: Annotated[
        float | None,
        Option(
            "--reconnect-stable",
            metavar="SECONDS",
            help="Time a tunnel must have stood for its loss to count as the first.",
            show_default="5",
        ),
    ] = None,
    upstream_connect_timeout: Annotated[
        float | None,
        Option(
            "--upstream-connect-timeout",
            metavar="SECONDS",
            help="Time to connect to an upstream.",
            show_default="5",
        ),
    ] = None,
    upstream_response_timeout: Annotated[
        float | None,
        Option(
            "--upstream-response-timeout",
            metavar="SECONDS",
            help="Time for an upstream's response to begin.",
            show_default="60",
        ),
    ] = None,
    upstream_ca: Annotated[
        Path | None,
        Option(
            "--upstream-ca",
            metavar="PATH",
            help="PEM file with what https upstreams are checked against.",
            show_default="what the system trusts",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        Option(
            "--log-level",
            metavar="LEVEL",
            help="The least level logged: debug, info, warning or error.",
            show_default="info",
        ),
    ] = None,
    log_format: Annotated[
        str | None,
        Option("--log-format", metavar="FORMAT", help="auto, human or json.", show_default="auto"),
    ] = None,
    config: Annotated[
        Path | None, Option("--config", metavar="PATH", help="A TOML file with settings.")
    ] = None,
) -> None:
    """Serve local applications at edges, over tunnels that this agent dials out.

    Each setting can also be given by a variable (BACKPLANE_EDGES, BACKPLANE_SERVICES, BACKPLANE_TOKEN_FILE ...) or in
    the config file (edges, services, token_file ...). A flag goes before a variable, a variable before the file.
    """
    flags: dict[str, object] = {
        "edges": edge,
        "services": service,
        "checks": check,
        "token_file": token_file,
        "labels": label,
        "zone": zone,
        "agent_id": agent_id,
        "tunnels": tunnels,
        "capacity": capacity,
        "admin": admin,
        "drain_timeout": drain_timeout,
        "connect_timeout": connect_timeout,
        "ping_interval": ping_interval,
        "ping_timeout": ping_timeout,
        "reconnect_delay": reconnect_delay,
        "reconnect_max_delay": reconnect_max_delay,
        "reconnect_stable": reconnect_stable,
        "upstream_connect_timeout": upstream_connect_timeout,
        "upstream_response_timeout": upstream_response_timeout,
        "upstream_ca": upstream_ca,
        "log_level": log_level,
        "log_format": log_format,
    }
    _run(flags, config)


def connect(
    instance: Annotated[
        str,
        Argument(metavar="SELECTOR", help="What it is to be, service=web,release=v2", show_default=False),
    ],
    upstream: Annotated[
        list[str],
        Argument(metavar="URL...", help="Where the app listens, http://127.0.0.1:3000", show_default=False),
    ],
    edge: Annotated[
        list[str] | None,
        Option(
            "--edge", metavar="HOST:PORT", help="An edge to dial; repeatable; else the one on this machine."
        ),
    ] = None,
    token_file: Annotated[
        Path | None, Option("--token-file", metavar="PATH", help="The file with the edge's join token.")
    ] = None,
    data_dir: Annotated[
        Path | None,
        Option(
            "--data-dir",
            metavar="PATH",
            help="The data directory of an edge on this machine.",
            show_default="edge-data",
        ),
    ] = None,
    config: Annotated[
        Path | None, Option("--config", metavar="PATH", help="A TOML file with settings of an agent.")
    ] = None,
) -> None:
    """Connect an app: `backplane agent` in short.

    SELECTOR is what routes will find it by: its service, its labels, and perhaps its zone and the agent's id. With an
    edge on this machine nothing else is needed. Other settings come from variables or a file, as for an agent.
    """
    from .connect import identity_of, local_edge

    flags = {**identity_of(instance, upstream), **local_edge(data_dir, edge, token_file, config)}
    _run(flags, config)


def _run(flags: dict[str, object], config: Path | None) -> None:
    """Run an agent with these settings until it is told to stop."""
    from backplane.cli.logs import configure_logs
    from backplane.cli.settings import load_settings
    from backplane.cli.variables import warn_of_strangers

    from .config import AgentSettings
    from .failures import Failures

    settings = load_settings(AgentSettings, flags=flags, config=config)
    failures = Failures()
    configure_logs(settings.log_level, settings.log_format, watch=failures.note)
    warn_of_strangers(AgentSettings)

    from .main import run

    raise typer.Exit(run(settings, failures))
