"""An edge is three processes: what each one's end means to clients and operators, and that none is ever left over."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import psutil
import pytest

from .address import Address, free_address
from .client import Client, fetch, request
from .load import Load
from .programs import Program, backplane, eventually, is_gone
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

CONTROL, PLANE = "app.control", "edge.main"
AT_ONCE = 3.0
BACK = 40.0
"""How patient a test is: two processes that start at once on a busy machine take a quarter of a minute."""
UNAVAILABLE, USAGE, TRUST = 5, 2, 3


@pytest.fixture
def edge(stage: Stage) -> Iterator[Edge]:
    """An edge with an agent; whatever a test does to it, none of its first processes is left in the end."""
    edge = stage.edge()
    stage.agent(edges=[edge], services={"web": stage.origin("a").url})
    tree = edge.tree()
    yield edge
    if edge.running:
        tree += edge.tree()
        edge.stop()
    assert all_gone(tree)


def all_gone(tree: list[psutil.Process]) -> bool:
    """Wait until processes have ended."""
    return eventually(lambda: all(map(is_gone, tree)), within=AT_ONCE, what=f"these have ended: {tree}")


def ready(edge: Edge) -> bool:
    """Return whether the edge counts its agent and both its tunnels."""
    try:
        said = httpx.get(f"{edge.api_url}/readyz", trust_env=False)
    except httpx.TransportError:
        return False
    return said.status_code == 200 and (said.json()["instances"], said.json()["tunnels"]) == (1, 2)


def status(url: str) -> int:
    """Return the status of the answer to a GET; 0 if there is none."""
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.TransportError:
        return 0


def requests_counted(edge: Edge) -> float:
    """Return how many requests to the service its metrics count."""
    text = httpx.get(f"{edge.api_url}/metrics", trust_env=False).text
    found = re.search(r'^backplane_requests_total\{service="web",status="2xx"\} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


# -- the control process -------------------------------------------------------------------------------------------


def test_without_its_control_process_an_edge_serves_on_and_gets_a_new_one(edge: Edge) -> None:
    eventually(lambda: ready(edge), within=BACK, what="the agent is counted")
    with Load(edge.public) as load:
        load.flows()
        for _ in range(2):
            before = edge.part(CONTROL)
            plane = edge.part(PLANE)
            before.kill()
            load.flows()
            eventually(lambda: ready(edge), within=BACK, what="the API is back and knows the agent")
            load.flows()
            assert edge.part(CONTROL).pid != before.pid
            assert edge.part(PLANE) == plane
    assert load.failures == [], load
    served = load.served.total()
    eventually(lambda: requests_counted(edge) >= served, within=BACK, what="no request is forgotten")
    assert edge.stderr.count('"edge is up"') == 1
    assert "killed by SIGKILL" in edge.stderr


def test_a_control_process_that_hangs_holds_up_no_request(edge: Edge) -> None:
    control = edge.part(CONTROL)
    with Load(edge.public) as load:
        load.flows()
        control.suspend()
        try:
            load.flows(2000)
        finally:
            control.resume()
    assert load.failures == [], load
    eventually(lambda: ready(edge), within=BACK, what="the API answers")


def test_an_edge_drains_without_a_control_process(edge: Edge, stage: Stage) -> None:
    with Client(edge.public) as client:
        client.send(request("/events/held"))
        pieces = client.pieces(client.read_head())
        assert next(pieces)
        edge.part(CONTROL).kill()
        edge.terminate()
        eventually(lambda: "draining" in edge.stderr, within=5, what="the edge is draining")
        assert edge.running
    assert edge.exit_code() in (0, 1)


# -- the data plane ------------------------------------------------------------------------------------------------


def test_a_data_plane_that_crashes_is_started_again_and_the_log_says_why(edge: Edge) -> None:
    control = edge.part(CONTROL)
    eventually(lambda: ready(edge), within=BACK, what="the agent is counted")
    edge.part(PLANE).kill()
    eventually(lambda: "a new data plane listens" in edge.stderr, within=BACK, what="another one is there")
    eventually(lambda: ready(edge), within=BACK, what="the agent is back")
    assert fetch(edge.public, request("/")).status == 200
    assert edge.part(CONTROL) == control
    [line] = [line for line in edge.stderr.splitlines() if "data plane ended" in line]
    assert "killed by SIGKILL" in line
    eventually(lambda: requests_counted(edge) > 0, within=BACK, what="it counts")


def test_both_may_crash_at_once(edge: Edge) -> None:
    for module in (CONTROL, PLANE):
        edge.part(module).kill()
    eventually(lambda: ready(edge), within=BACK, what="the edge is back")
    assert fetch(edge.public, request("/")).status == 200


def test_an_edge_with_free_ports_keeps_them_when_its_processes_come_back(stage: Stage) -> None:
    anywhere = Address("127.0.0.1", 0)
    options = ("--public", anywhere, "--tunnel", anywhere, "--api", anywhere)
    program = stage.run("edge", backplane("edge", "--data-dir", stage.folder / "data", *options))
    eventually(lambda: "edge is up" in program.stderr, within=20, what="the edge is up")
    api, public = (re.search(rf'"{name}": "(http://[^"]*)"', program.stderr) for name in ("api", "public"))
    assert api
    assert public
    for module in (CONTROL, PLANE):
        [victim] = [one for one in program.tree() if module in one.cmdline()]
        victim.kill()
        eventually(lambda: is_gone(victim), within=5, what="it is gone")  # noqa: B023
        eventually(lambda: status(public[1]) == 404, within=BACK, what="the public is served")
        eventually(lambda: status(f"{api[1]}/readyz") == 200, within=BACK, what="the API answers")
    program.stop()


def test_a_data_plane_loads_no_web_framework_no_database_and_no_command_line() -> None:
    heavy = "fastapi starlette uvicorn sqlalchemy typer rich cryptography prometheus_client httpx"
    script = (
        "import socket, sys; from edge import main\n"
        "ours, theirs = socket.socketpair(); ours.close()\n"
        "sys.argv = ['', str(theirs.detach())]\n"
        "try: main.main()\n"
        "except SystemExit: pass\n"
        f"print([one for one in {heavy.split()} if sys.modules.get(one)], 'edge.plane' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[] True\n"


# -- the first process ---------------------------------------------------------------------------------------------


def test_a_killed_first_process_takes_the_others_with_it(edge: Edge, stage: Stage) -> None:
    tree = edge.tree()
    tree[0].kill()
    edge.exit_code()
    assert all_gone(tree)
    stage.edge("again", data_dir=edge.data_dir, addresses=edge.addresses)


def test_a_ctrl_c_that_reaches_every_process_is_one_signal(edge: Edge) -> None:
    tree = edge.tree()
    with Client(edge.public) as client:
        client.send(request("/events/held"))
        pieces = client.pieces(client.read_head())
        assert next(pieces)
        for one in reversed(tree):
            one.send_signal(signal.SIGINT)
        eventually(lambda: "draining" in edge.stderr, within=5, what="the edge is draining")
        assert edge.running
    assert edge.exit_code() == 0
    assert "Traceback" not in edge.stderr


def test_a_second_signal_ends_every_process_at_once(edge: Edge) -> None:
    tree = edge.tree()
    with Client(edge.public) as client:
        client.send(request("/events/held"))
        pieces = client.pieces(client.read_head())
        assert next(pieces)
        edge.terminate()
        eventually(lambda: "draining" in edge.stderr, within=5, what="the edge is draining")
        edge.terminate()
        assert edge.exit_code(AT_ONCE) == 1
    assert all_gone(tree)
    assert "error: stopped at once by a second signal" in edge.stderr.splitlines()


def test_an_edge_that_is_told_to_stop_while_it_starts_stops(stage: Stage) -> None:
    listeners = ("--public", free_address(), "--tunnel", free_address(), "--api", free_address())
    program = stage.run("edge", backplane("edge", "--data-dir", stage.folder / "data", *listeners))
    eventually(lambda: len(program.tree()) == 3, within=20, what="its processes are started")
    tree = program.tree()
    program.stop()
    assert all_gone(tree)


def errors(program: Program) -> list[str]:
    """Return what a program wrote to stderr but for news in its log."""
    return [line for line in program.stderr.splitlines() if '"level": "info"' not in line]


@pytest.mark.parametrize("listener", ["public", "tunnel", "api"])
def test_an_address_in_use_is_named_in_one_line_and_nothing_is_left(listener: str, stage: Stage) -> None:
    addresses = {name: free_address() for name in ("public", "tunnel", "api")}
    with socket.create_server(addresses[listener]):
        options = [part for name, address in addresses.items() for part in (f"--{name}", address)]
        program = stage.run("edge", backplane("edge", "--data-dir", stage.folder / "data", *options))
        assert program.exit_code() == UNAVAILABLE
    address = addresses.pop(listener)
    assert errors(program) == [f"error: cannot listen on --{listener} {address}: Address already in use"]
    for other in addresses.values():
        socket.create_server(other).close()


def test_an_access_log_that_cannot_be_written_is_named(stage: Stage) -> None:
    listeners = ("--public", free_address(), "--tunnel", free_address(), "--api", free_address())
    log = stage.folder / "no" / "log"
    data = stage.folder / "data"
    program = stage.run("edge", backplane("edge", "--data-dir", data, "--access-log", log, *listeners))
    assert program.exit_code() == USAGE
    assert errors(program) == [f"error: access log {log}: No such file or directory"]


def test_a_damaged_identity_is_named(stage: Stage) -> None:
    edge = stage.edge()
    edge.stop()
    (edge.data_dir / "ca.crt").write_text("rubbish")
    again = stage.run("again", backplane("edge", "--data-dir", edge.data_dir, "--public", edge.public))
    assert again.exit_code() == TRUST
    [line] = errors(again)
    assert line.startswith(f"error: {edge.data_dir / 'ca.crt'} is damaged")
