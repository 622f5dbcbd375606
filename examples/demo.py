"""Backplane on one machine: an edge, an application and an agent, each a real process.

    python -m examples.demo           runs until Ctrl-C and shows each request
    python -m examples.demo --once    sends one request through all three, shows the answer and stops

Everything is kept in a temporary directory that goes away at the end. Where a usual port is taken, a free one is used.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from .children import Child, Children, DemoError

START_TIMEOUT = 30.0
"""Seconds that each program has to become ready."""
POLL_INTERVAL = 0.1
REQUEST_TIMEOUT = 5.0
PROBE = "/?ready"
"""What is asked for until the application answers; not shown among the requests."""
BACKPLANE = str(Path(sys.executable).with_name("backplane"))


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the parts of the demo listen, all on 127.0.0.1, and where they keep their files."""

    folder: Path
    public: int
    tunnel: int
    api: int
    app: int
    second_app: int

    @classmethod
    def make(cls, folder: Path) -> Plan:
        """Choose ports: the usual ones where they are free."""
        public, tunnel, api, app, second_app = choose_ports(8080, 7443, 7000, 3000, 3001)
        return cls(folder, public, tunnel, api, app, second_app)

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.public}"

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.api}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "edge-data"

    def edge_command(self) -> list[str]:
        """Return the edge's command line."""
        listen = [("--public", self.public), ("--tunnel", self.tunnel), ("--api", self.api)]
        addresses = [word for flag, port in listen for word in (flag, f"127.0.0.1:{port}")]
        return [BACKPLANE, "edge", "--data-dir", str(self.data_dir), *addresses]

    def app_command(self, port: int, name: str) -> list[str]:
        """Return the command line of an application."""
        return [sys.executable, "-m", "examples.hello", "--port", str(port), "--name", name]

    def agent_command(self, port: int) -> list[str]:
        """Return the command line of the agent beside an application."""
        edge = ["--edge", f"127.0.0.1:{self.tunnel}", "--token-file", str(self.data_dir / "join-token")]
        return [BACKPLANE, "agent", *edge, "--service", f"web=http://127.0.0.1:{port}"]

    def operator_command(self, *arguments: str) -> list[str]:
        """Return the command line of an operator's verb."""
        return [BACKPLANE, *arguments, "--data-dir", str(self.data_dir)]


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(prog="demo", description="An edge, an app and an agent on this machine.")
    parser.add_argument("--once", action="store_true", help="send one request, show the answer and stop")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="backplane-demo-") as folder:
            run(Plan.make(Path(folder)), once=arguments.once)
    except DemoError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if not arguments.once else 130
    return 0


def run(plan: Plan, *, once: bool) -> None:
    """Start the three programs, use them, and stop them. Raises DemoError."""
    with Children(plan.folder) as children:
        edge = children.start("edge", plan.edge_command(), pipe_output=True)
        children.start("app", plan.app_command(plan.app, "hello-1"))
        with httpx.Client(trust_env=False, timeout=REQUEST_TIMEOUT) as client:
            wait_for(edge, children, lambda: answers(client, f"{plan.api_url}/readyz"))
            agent = children.start("agent", plan.agent_command(plan.app))
            wait_for(agent, children, lambda: answers(client, plan.public_url + PROBE))
            if once:
                send_one(client, agent, f"{plan.public_url}/hello?from=demo")
                return
        print(introduction(plan), flush=True)
        try:
            show_requests(edge, children)
        finally:
            print("\nStopping ...", flush=True)


def choose_ports(*usual: int) -> list[int]:
    """Return as many different ports: each the usual one, or a free one if that is taken."""
    sockets: list[socket.socket] = []
    try:
        for port in usual:
            sockets.append(_bind(port))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _bind(port: int) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.bind(("127.0.0.1", 0))
    return one


def answers(client: httpx.Client, url: str) -> bool:
    """Return whether a GET is answered with a success."""
    try:
        return client.get(url).is_success
    except httpx.TransportError:
        return False


def wait_for(child: Child, children: Children, is_ready: Callable[[], bool]) -> None:
    """Wait until `is_ready`. Raises DemoError if that takes too long or a program ends."""
    deadline = time.monotonic() + START_TIMEOUT
    while not is_ready():
        children.check()
        if time.monotonic() > deadline:
            raise child.failure(f"{child.name} was not ready within {START_TIMEOUT:.0f} s")
        time.sleep(POLL_INTERVAL)


def send_one(client: httpx.Client, agent: Child, url: str) -> None:
    """Send a request through the edge and show the answer. Raises DemoError if it is not the app's."""
    try:
        response = client.get(url)
    except httpx.HTTPError as error:
        raise agent.failure(f"GET {url}: {error}") from None
    print(
        f"GET {url}\n{response.status_code} {response.reason_phrase}\n\n{response.text}", end="", flush=True
    )
    if response.status_code != 200 or not response.text.startswith("Hello from hello-1"):
        raise agent.failure(f"GET {url}: the answer is not the application's")


def introduction(plan: Plan) -> str:
    """Return what to tell the person who started the demo."""
    return f"""
Backplane is up.

  public   {plan.public_url}/  and  http://web.localhost:{plan.public}/
  API      {plan.api_url}/docs
  files    {plan.folder}

Try:

  curl {plan.public_url}/hello
  curl -H 'X-Colour: blue' -d 'some=data' http://web.localhost:{plan.public}/form

A route of your own, and how the edge is (more in docs/guide.md):

  {shlex.join(plan.operator_command("route", "shop.localhost", "service=web"))}
  curl http://shop.localhost:{plan.public}/
  {shlex.join(plan.operator_command("status"))}

A second instance, each line in a terminal of its own; requests then go to both:

  {shlex.join(plan.app_command(plan.second_app, "hello-2"))}
  {shlex.join(plan.agent_command(plan.second_app))}

Requests are shown below. Ctrl-C stops everything.
"""


def show_requests(edge: Child, children: Children) -> None:
    """Show a line for each request in the edge's access log, until interrupted. Raises DemoError."""
    for line in lines_of(edge, children):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("event") == "request" and record.get("path") != PROBE:
            print(request_line(record), flush=True)


def lines_of(edge: Child, children: Children) -> Iterator[bytes]:
    """Yield the lines that the edge writes, as they come. Raises DemoError when a program ends."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(edge.output, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=0.5):
                piece = os.read(edge.output.fileno(), 65536)
                if not piece:
                    raise edge.failure("edge has ended")
                *lines, pending = (pending + piece).split(b"\n")
                yield from lines
            children.check()


def request_line(record: dict[str, object]) -> str:
    """Return one request as a line for people."""
    clock = str(record.get("time", ""))[11:19]
    target = f"{record.get('host', '')}{record.get('path', '')}"
    took = f"{record.get('duration_ms', '?')} ms"
    instance = f"{record.get('service') or '-'}@{record.get('instance') or '-'}"
    return f"{clock}  {record.get('status')}  {record.get('method'):<7} {target}  {took}  {instance}"


if __name__ == "__main__":
    sys.exit(main())
