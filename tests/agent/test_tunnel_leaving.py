"""How a tunnel is left: no answer lost, no wait for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from h2s.errors import ErrorCode
from h2s.messages import (
    DrainAck,
    EdgeMessage,
)

from ..h2s.loops import in_loop
from ..h2s.memory import settle
from .edge_end import EdgeEnd, SlowForward, by_hand

__all__ = ["by_hand"]


BIG = 500 * 1024


def start_drain(edge: EdgeEnd) -> asyncio.Task[None]:
    return asyncio.create_task(edge.agent.drain("stopping"))


@in_loop
async def test_a_drain_waits_for_the_edges_word() -> None:
    edge = await EdgeEnd().start()
    task = start_drain(edge)
    await settle()
    assert [message.draining is not None for message in edge.messages] == [True]
    assert not edge.pair.server.closed
    await edge.request(b"web")
    assert edge.agent.in_flight == 1, "what the edge opens before its word is still taken"
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    assert not task.done()
    SlowForward.running[0].answer(1)
    await task
    assert edge.owner.goaways[0].code == ErrorCode.NO_ERROR


@in_loop
async def test_a_drain_loses_no_answer_that_waits_for_a_window() -> None:
    edge = await EdgeEnd().start()
    answer = await edge.request(b"web")
    stream_id = SlowForward.running[0].stream_id
    task = start_drain(edge)
    await settle()
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    SlowForward.running[0].answer(BIG)
    await settle()
    assert edge.agent.in_flight == 0
    assert not task.done(), "half of the answer waits for the edge's window"
    taken = edge.read(answer, stream_id)
    await settle()
    await task
    assert taken + edge.read(answer, stream_id) == BIG


@in_loop
async def test_a_drain_before_sync_closes_at_once() -> None:
    edge = await EdgeEnd().start(sync=False)
    await start_drain(edge)
    assert edge.pair.server.closed


@pytest.mark.parametrize("acked", [False, True])
def test_a_tunnel_that_is_lost_while_it_drains_ends_the_drain(acked: bool) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        await edge.request(b"web")
        task = start_drain(edge)
        await settle()
        if acked:
            await edge.say(EdgeMessage(drain_ack=DrainAck()))
        edge.pair.client.abort()
        await task

    test()


@in_loop
async def test_a_sync_that_ends_while_the_edges_word_is_due_ends_the_drain() -> None:
    edge = await EdgeEnd().start()
    task = start_drain(edge)
    await settle()
    edge.sync.finish()
    await task


@pytest.mark.parametrize("acked", [False, True])
def test_cancelling_a_drain_closes_the_tunnel(acked: bool) -> None:
    @in_loop
    async def test() -> None:
        edge = await EdgeEnd().start()
        ours = await edge.request(b"web")
        task = start_drain(edge)
        await settle()
        if acked:
            await edge.say(EdgeMessage(drain_ack=DrainAck()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settle()
        assert ours.names == ["reset"]
        assert edge.agent.closed.done()

    test()


@in_loop
async def test_an_edge_that_says_goaway_still_gets_the_answers() -> None:
    edge = await EdgeEnd().start()
    answer = await edge.request(b"web")
    edge.pair.client.session.goaway(ErrorCode.NO_ERROR)
    edge.pair.client.flush_soon()
    await settle()
    assert not edge.agent.closed.done()
    SlowForward.running[0].answer(5)
    await settle()
    assert [event for event in answer.events if event[0] == "data"] == [("data", b"xxxxx", 5, True)]
    assert edge.agent.closed.done()


@in_loop
async def test_an_idle_tunnel_closes_on_goaway() -> None:
    edge = await EdgeEnd().start()
    edge.pair.client.session.goaway(ErrorCode.NO_ERROR)
    edge.pair.client.flush_soon()
    await settle()
    assert edge.agent.closed.done()


@in_loop
async def test_an_unacknowledged_drain_is_not_taken_for_one() -> None:
    edge = await EdgeEnd().start()
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    task: asyncio.Task[Any] = start_drain(edge)
    await settle()
    assert not task.done(), "an acknowledgement from before does not count"
    await edge.say(EdgeMessage(drain_ack=DrainAck()))
    await task
