"""`backplane status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ..console import Console, speaks_to_an_edge
from ..output import paint, print_data, print_table, warn
from ..times import age

if TYPE_CHECKING:
    from ...models import Edge, Service

__all__ = ["status"]


@speaks_to_an_edge
def status(console: Console) -> None:
    """Show how the edge is at a glance: its services, their instances and health, and requests a second."""
    edges = list(console.client.edges.list())
    services = list(console.client.services.list(page_size=1000))
    if not console.is_table:
        shown = {
            "edges": [one.model_dump(mode="json") for one in edges],
            "services": [one.model_dump(mode="json") for one in services],
        }
        print_data(shown, console.format)
        return
    print_table(
        ["EDGE", "STATUS", "UP", "PUBLIC", "AGENTS", "INSTANCES", "RUNNING", "REQ/S"], map(_edge, edges)
    )
    typer.echo()
    if services:
        headings = ["SERVICE", "HEALTHY", "DRAINING", "ZONES", "RUNNING", "REQ/S", "HOST"]
        print_table(headings, map(_service, services))
    else:
        typer.echo(
            "No agent is connected. Start one: " + paint("backplane connect service=NAME URL", bold=True)
        )
    for one in edges:
        if one.database:
            warn(f"the database of {one.id} is not available: {one.database}; traffic is served meanwhile")
    for service in services:
        if not service.healthy:
            warn(f"service {service.name} has no healthy instance")


def _edge(one: Edge) -> list[str]:
    return [
        one.id,
        one.status,
        age(one.started),
        one.public or "",
        str(one.agents),
        f"{one.healthy}/{one.instances}",
        str(one.in_flight),
        f"{one.requests_per_second:.1f}",
    ]


def _service(one: Service) -> list[str]:
    zones = " ".join(f"{zone}:{found.healthy}/{found.instances}" for zone, found in one.zones.items() if zone)
    return [
        one.name,
        f"{one.healthy}/{one.instances}",
        str(one.draining or ""),
        zones,
        str(one.in_flight),
        f"{one.requests_per_second:.1f}",
        one.host or "",
    ]
