from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from edge.framing import frame
from edge.port import Configure, DrainPlane, PlaneReady, PlaneStopped, PortMessage, RegistryState
from edge.seam import Port, control_port, joined_ports
from edge.snapshot import Snapshot

from .agents import PATIENCE, eventually
from .fakes import VERSION

BIG = Configure(snapshot=Snapshot(version=VERSION, edge_id="e" * 3_000_000))


def play(scene: Callable[[Port, Port], Awaitable[None]]) -> None:
    """Run a scene between the two ends of a seam."""

    async def main() -> None:
        control, plane = joined_ports()
        try:
            await asyncio.wait_for(scene(control, plane), PATIENCE)
        finally:
            control.detach()
            plane.detach()

    asyncio.run(main())


def test_messages_cross_in_order_as_equal_copies() -> None:
    async def scene(control: Port, plane: Port) -> None:
        down: list[PortMessage] = [Configure(snapshot=Snapshot(version=VERSION, edge_id="e")), BIG]
        down.append(DrainPlane(timeout=1.0))
        up: list[PortMessage] = [PlaneReady(public="[::1]:80", tunnel="127.0.0.1:1", pid=1), PlaneStopped()]
        got_down: list[PortMessage] = []
        got_up: list[PortMessage] = []
        control.receive, plane.receive = got_up.append, got_down.append
        for message in down:
            control.send(message)
        for message in up:
            plane.send(message)
        await eventually(lambda: len(got_down) == 3 and len(got_up) == 2, "all have crossed")
        assert (got_down, got_up) == (down, up)
        assert got_down[0] is not down[0]

    play(scene)


def test_a_state_is_sent_once_however_often_it_has_changed() -> None:
    async def scene(control: Port, plane: Port) -> None:
        got: list[PortMessage] = []
        control.receive = got.append
        tunnels = 0

        def state() -> RegistryState:
            return RegistryState(instances=(), tunnels=tunnels)

        for tunnels in range(1, 4):  # noqa: B007
            plane.post(state)
        await eventually(lambda: got, "the state")
        plane.send(PlaneStopped())
        await eventually(lambda: len(got) == 2, "the end")
        assert got == [RegistryState(instances=(), tunnels=3), PlaneStopped()]

    play(scene)


def test_a_process_that_does_not_read_costs_no_more_than_what_waits_for_it() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        port = control_port()
        port.attach(ours)
        made = 0

        def state() -> PortMessage:
            nonlocal made
            made += 1
            return BIG

        for _ in range(20):
            port.post(state)
            await asyncio.sleep(0)
        assert made == 1
        await port.flush(0.01)
        loop = asyncio.get_running_loop()
        theirs.setblocking(False)
        read = 0
        while read < 2 * len(frame(BIG.model_dump_json().encode())):
            read += len(await asyncio.wait_for(loop.sock_recv(theirs, 1 << 20), PATIENCE))
        assert made == 2
        port.detach()
        theirs.close()

    asyncio.run(main())


def test_the_end_of_one_side_is_known_on_the_other_and_a_new_one_can_come() -> None:
    async def scene(control: Port, plane: Port) -> None:
        said: list[str] = []
        plane.on_attach = lambda: said.append("attach")
        plane.on_detach = lambda: said.append("detach")
        control.detach()
        await eventually(lambda: not plane.attached, "the end")
        plane.send(PlaneStopped())
        plane.post(PlaneStopped)
        got: list[PortMessage] = []
        control.receive = got.append
        for port, sock in zip((control, plane), socket.socketpair(), strict=True):
            port.attach(sock)
        plane.send(PlaneReady(public="a:1", tunnel="b:2", pid=1))
        await eventually(lambda: got, "a message")
        assert said == ["detach", "attach"]
        assert got == [PlaneReady(public="a:1", tunnel="b:2", pid=1)]

    play(scene)


def test_a_newer_socket_takes_the_place_of_the_one_before() -> None:
    async def scene(control: Port, plane: Port) -> None:
        said: list[str] = []
        plane.on_attach = lambda: said.append("attach")
        plane.on_detach = lambda: said.append("detach")
        ours, theirs = socket.socketpair()
        plane.attach(theirs)
        await eventually(lambda: not control.attached, "the old end is closed")
        assert said == ["detach", "attach"]
        ours.close()
        await eventually(lambda: not plane.attached, "the new end is closed")

    play(scene)


def test_what_is_no_message_ends_the_seam_and_nothing_else() -> None:
    async def scene(control: Port, plane: Port) -> None:
        for rubbish in (frame(b'{"v":2,"kind":"drain","timeout":1}'), b"\xff\xff\xff\xff"):
            ours, theirs = socket.socketpair()
            plane.attach(theirs)
            ours.sendall(rubbish)
            await eventually(lambda: not plane.attached, "the end of the seam")
            ours.close()

    play(scene)


def test_flushing_is_over_when_all_is_written_or_nobody_is_there() -> None:
    async def scene(control: Port, plane: Port) -> None:
        got: list[PortMessage] = []
        plane.receive = got.append
        control.send(BIG)
        await control.flush(PATIENCE)
        await eventually(lambda: got == [BIG], "all of it")
        control.send(BIG)
        plane.detach()
        await control.flush(PATIENCE)
        assert not control.attached

    play(scene)
