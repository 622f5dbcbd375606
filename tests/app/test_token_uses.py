from __future__ import annotations

import asyncio

from app.management.context import Work
from app.management.credentials import Principal, Role
from app.token_uses import TokenUses
from edge.port import AgentCounted, NewAgent, PortMessage

from .console import Console

JOIN = {"kind": "join", "services": ["web"], "max_agents": 3}


def uses(console: Console, sent: list[PortMessage]) -> TokenUses:
    return TokenUses(Work(console.management, Principal("edge-1", Role.ADMIN), ""), sent.append)


async def settle(sent: list[PortMessage], number: int) -> list[AgentCounted]:
    deadline = asyncio.get_running_loop().time() + 10
    while len(sent) < number:
        assert asyncio.get_running_loop().time() < deadline, "not in time"
        await asyncio.sleep(0.005)
    return [one for one in sent if isinstance(one, AgentCounted)]


def test_those_who_come_together_are_counted_together(any_console: Console) -> None:
    token_id = any_console.post("/v1/tokens", JOIN).json()["token"]["id"]
    before = len(any_console.feed.versions)

    async def main() -> None:
        sent: list[PortMessage] = []
        counting = uses(any_console, sent)
        for number in range(5):
            counting.on_notice(NewAgent(token_id=token_id, agent_id=f"agent-{number}"))
        told = await settle(sent, 5)
        assert [one.refused for one in told] == ["", "", "", "token_used_up", "token_used_up"]
        await counting.close()

    any_console.run(main())
    assert len(any_console.feed.versions) == before + 1


def test_nobody_is_counted_without_a_database_and_everybody_is_told(console: Console) -> None:
    token_id = console.post("/v1/tokens", JOIN).json()["token"]["id"]

    async def main() -> None:
        sent: list[PortMessage] = []
        counting = uses(console, sent)
        assert console.database.url.path is not None
        console.database.url.path.unlink()
        counting.on_notice(NewAgent(token_id=token_id, agent_id="a"))
        [told] = await settle(sent, 1)
        assert (told.agent_id, told.refused) == ("a", "database_unavailable")
        await counting.close()

    console.run(main())
