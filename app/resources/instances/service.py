"""The rules of instances: how they are counted, and what an operator does to one.

A drain belongs to the instance's id and not to its connection: it holds over reconnects and restarts of agent and
edge, at every edge on this database, until it is resumed. (An agent without an id of its own gets another one at each
start, and with it begins anew.) A disconnect is for once: the agent comes back by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from app.database.models import DrainRow
from app.management.context import Work
from app.management.problem import Conflict, NotFound
from app.management.warning import facts_of
from edge.port import InstanceState

from .repository import DrainRepository
from .schemas import InstanceCount, draining_of, is_healthy

__all__ = ["InstanceService", "counted"]

MAX_DRAINS = 1000
"""They are in the configuration of every edge."""


def counted(instances: Iterable[InstanceState], keys: Sequence[str]) -> list[InstanceCount]:
    """Count instances by labels, `service`, `zone` or `agent`."""
    groups: dict[tuple[str | None, ...], list[InstanceState]] = defaultdict(list)
    for one in instances:
        facts = facts_of(one)
        groups[tuple(facts.get(key) for key in keys)].append(one)
    return [
        InstanceCount(
            by=dict(zip(keys, values, strict=True)),
            instances=len(group),
            healthy=sum(1 for one in group if is_healthy(one)),
            reconnecting=sum(1 for one in group if one.reconnecting),
            draining=sum(1 for one in group if draining_of(one) is not None),
            capacity=sum(one.capacity for one in group),
        )
        for values, group in groups.items()
    ]


class InstanceService:
    """What is done to instances."""

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    def get(self, instance_id: str) -> InstanceState:
        """Return an instance that is connected to this edge. Raises NotFound."""
        agent = self.work.management.state.agent(instance_id.partition(".")[2])
        for one in agent.instances if agent is not None else ():
            if one.instance_id == instance_id:
                return one
        raise _absent(instance_id)

    async def drain(self, instance_id: str) -> None:
        """Let an instance get no new requests; what runs is finished. Raises NotFound."""
        self.get(instance_id)
        async with self.work.change() as change:
            drains = DrainRepository(change.session)
            if await drains.get(instance_id) is not None:
                return
            if await drains.count() >= MAX_DRAINS:
                raise Conflict(
                    f"{MAX_DRAINS} instances are drained, which is the most there can be.",
                    code="too_many_drains",
                    hint="Resume some: /v1/drains lists them, also those that are long gone.",
                )
            await drains.add(DrainRow(instance=instance_id, actor=self.work.principal.id, since=change.now))
            change.record("drain", "instance", instance_id)

    async def resume(self, instance_id: str) -> None:
        """Let an instance get requests again, be it connected or not. Raises NotFound."""
        async with self.work.change() as change:
            drains = DrainRepository(change.session)
            row = await drains.get(instance_id)
            if row is None:
                self.get(instance_id)
                return
            await drains.remove(row)
            change.record("resume", "instance", instance_id)

    async def disconnect(self, instance_id: str, grace: float) -> None:
        """Close the tunnels of an instance's agent; what runs has `grace` seconds. Raises NotFound."""
        self.get(instance_id)
        async with self.work.change() as change:
            change.record("disconnect", "instance", instance_id, after={"grace": grace})


def _absent(instance_id: str) -> NotFound:
    return NotFound(
        f"No instance {instance_id!r} is connected to this edge.",
        code="instance_not_found",
        hint="GET /v1/instances lists those that are.",
    )
