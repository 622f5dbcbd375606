"""`backplane instance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from ..completion import names_of
from ..console import Console, speaks_to_an_edge
from ..output import print_data, print_details
from ..times import age, moment

if TYPE_CHECKING:
    from ...models import Drain, Instance, InstanceCount

__all__ = ["instance"]

instance = typer.Typer(help="What requests go to.", no_args_is_help=True)

Id = Annotated[
    str,
    Argument(
        metavar="ID", help="The instance's id, SERVICE.AGENT", autocompletion=names_of("instances", "id")
    ),
]


@instance.command("list")
@speaks_to_an_edge
def list_instances(
    console: Console,
    selector: Annotated[
        str | None, Argument(metavar="[SELECTOR]", help="Only those that it picks, service=web,release=v2")
    ] = None,
    health: Annotated[
        str | None,
        Option(
            "--health", metavar="HEALTH", help="Only those: healthy, unhealthy, starting or reconnecting."
        ),
    ] = None,
    drained: Annotated[
        bool, Option("--drained", help="Those that operators have drained, connected or not.")
    ] = False,
) -> None:
    """Show the instances that are connected."""
    if drained:
        found = console.client.instances.drains(page_size=1000)
        console.show_list(found, ["ID", "SINCE", "BY"], _drain_row)
        return
    instances = console.client.instances.list(selector=selector, health=health, page_size=1000)
    headings = ["ID", "HEALTH", "SINCE", "UPSTREAMS", "DRAINING", "RUNNING", "ZONE", "LABELS", "VERSION"]
    console.show_list(instances, headings, _row)


@instance.command("get")
@speaks_to_an_edge
def get_instance(console: Console, instance_id: Id) -> None:
    """Show one instance."""
    found = console.client.instances.get(instance_id)
    if console.is_table:
        print_details(_details(found))
    else:
        print_data(found.model_dump(mode="json"), console.format)


@instance.command("count")
@speaks_to_an_edge
def count_instances(
    console: Console,
    keys: Annotated[
        list[str], Argument(metavar="KEY...", help="service, zone, agent or labels", show_default=False)
    ],
    selector: Annotated[
        str | None, Option("--selector", metavar="SELECTOR", help="Only those that it picks.")
    ] = None,
) -> None:
    """Count the instances of each service, zone or value of a label, and of combinations of them."""
    found = console.client.instances.count(keys, selector=selector, page_size=1000)
    headings = [*(key.upper() for key in keys), "HEALTHY", "DRAINING", "CAPACITY"]

    def row(one: InstanceCount) -> list[str]:
        common = [one.by.get(key) or "" for key in keys]
        return [*common, f"{one.healthy}/{one.instances}", str(one.draining or ""), str(one.capacity)]

    console.show_list(found, headings, row)


@instance.command("drain")
@speaks_to_an_edge
def drain_instance(console: Console, instance_id: Id) -> None:
    """Send an instance no new requests; what runs is finished. It holds until it is resumed."""
    console.client.instances.drain(instance_id)
    _said(console, f"instance {instance_id} is drained")


@instance.command("resume")
@speaks_to_an_edge
def resume_instance(console: Console, instance_id: Id) -> None:
    """Send a drained instance requests again."""
    console.client.instances.resume(instance_id)
    _said(console, f"instance {instance_id} is resumed")


@instance.command("disconnect")
@speaks_to_an_edge
def disconnect_instance(
    console: Console,
    instance_id: Id,
    grace: Annotated[
        float,
        Option("--grace", metavar="SECONDS", help="Time for running requests to end; 0 cuts them."),
    ] = 30.0,
) -> None:
    """Close the tunnels of an instance's agent. It comes back by itself: to keep it away, drain it."""
    console.client.instances.disconnect(instance_id, grace=grace)
    _said(console, f"instance {instance_id} is disconnected")


def _said(console: Console, sentence: str) -> None:
    if console.is_table:
        typer.echo(sentence)


def _labels(one: Instance) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(one.labels.items()))


def _row(one: Instance) -> list[str]:
    return [
        one.id,
        one.health,
        age(one.since),
        f"{one.healthy}/{one.total}",
        one.draining or "",
        str(one.in_flight),
        one.zone,
        _labels(one),
        one.agent_version,
    ]


def _drain_row(one: Drain) -> list[str]:
    return [one.instance, moment(one.since), one.actor]


def _details(one: Instance) -> list[tuple[str, str]]:
    return [
        ("id", one.id),
        ("service", one.service),
        ("agent", f"{one.agent} (version {one.agent_version}, from {one.address})"),
        ("labels", _labels(one) or "none"),
        ("zone", one.zone or "none"),
        ("health", f"{one.health}, for {age(one.since)}; {one.healthy} of {one.total} upstreams"),
        ("draining", f"wanted by the {one.draining}" if one.draining else "no"),
        ("running", f"{one.in_flight} requests, of {one.capacity} at once"),
        ("tunnels", str(one.tunnels)),
        ("published", "yes" if one.published else "no"),
        ("token", one.token),
        ("connected", moment(one.connected)),
    ]
