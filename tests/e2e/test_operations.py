"""What an operator sees: files and their modes, health, metrics, logs, and the command line itself."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .address import free_address
from .client import fetch, request
from .client2 import Client2
from .conftest import Secure, Tunnelled
from .programs import Program, answers, backplane, eventually
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

UNAVAILABLE = 5


def mode(path: Path) -> int:
    """Return a file's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def get(url: str) -> httpx.Response:
    """Request a URL of an operator's."""
    return httpx.get(url, trust_env=False, timeout=5)


# -- the data directory --------------------------------------------------------------------------------------------


def test_the_first_start_makes_a_private_data_directory(stage: Stage) -> None:
    edge = stage.edge()
    assert mode(edge.data_dir) == 0o700
    secret = [*edge.data_dir.glob("*-token"), *edge.data_dir.glob("*.key")]
    assert {"join-token", "admin-token"} <= {path.name for path in secret}
    assert {mode(path) for path in secret} == {0o600}


def test_the_first_start_prints_the_agents_command(stage: Stage) -> None:
    edge = stage.edge()
    edge.wait_until(lambda: "backplane agent" in edge.stdout + edge.stderr, "the command is printed")
    [line] = [line for line in (edge.stdout + edge.stderr).splitlines() if "backplane agent" in line]
    words = shlex.split(line[line.index("backplane agent") :].rstrip('"},'))
    assert words[words.index("--edge") + 1] == str(edge.tunnel)
    assert Path(words[words.index("--token-file") + 1]).samefile(edge.token_file)
    assert "--service" in words


def test_no_secret_is_printed_or_logged(stage: Stage) -> None:
    edge = stage.edge()
    agent = stage.agent("one", edges=[edge], services={"web": stage.origin().url})
    said = edge.stdout + edge.stderr + agent.stdout + agent.stderr
    for name in ("join-token", "admin-token"):
        secret = (edge.data_dir / name).read_text().strip().rpartition(".")[2]
        assert len(secret) > 20
        assert secret not in said


def test_a_second_start_uses_the_same_identity(stage: Stage) -> None:
    edge = stage.edge()
    before = contents(edge.data_dir)
    edge.stop()
    stage.edge("again", data_dir=edge.data_dir)
    assert contents(edge.data_dir) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Return what is in each file, but for locks, addresses, the database and the last config."""
    files = (
        path
        for path in folder.iterdir()
        if path.is_file() and not re.search("lock|sqlite|last-config|local.json", path.name)
    )
    return {path.name: path.read_bytes() for path in files}


def test_a_data_directory_serves_one_edge_at_a_time(stage: Stage) -> None:
    edge = stage.edge()
    listeners = ("--public", free_address(), "--tunnel", free_address(), "--api", free_address())
    second = stage.run("second", backplane("edge", "--data-dir", edge.data_dir, *listeners))
    assert second.exit_code() == UNAVAILABLE
    line = second.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert str(edge.data_dir) in line


def test_a_data_directory_that_others_can_read_is_refused(stage: Stage) -> None:
    edge = stage.edge()
    edge.stop()
    edge.data_dir.chmod(0o755)
    again = stage.run("again", backplane("edge", "--data-dir", edge.data_dir))
    assert again.exit_code() != 0
    line = again.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert str(edge.data_dir) in line


# -- health and metrics --------------------------------------------------------------------------------------------


def test_an_edge_is_healthy_ready_and_described(tunnelled: Tunnelled) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert get(tunnelled.plain.api_url + path).status_code == 200


def test_an_edges_metrics_count_its_requests(tunnelled: Tunnelled) -> None:
    before = request_counts(tunnelled.plain)
    for _ in range(10):
        fetch(tunnelled.plain.public, request("/"))
    eventually(
        lambda: any(
            value - before.get(name, 0) >= 10 for name, value in request_counts(tunnelled.plain).items()
        ),
        within=10,
        what="ten requests more",
    )


def request_counts(edge: Edge) -> dict[str, float]:
    """Return the samples of counters with `requests` in their name (the Prometheus text format)."""
    response = get(f"{edge.api_url}/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE" in response.text
    samples = re.findall(r"^(\w*requests\w*(?:\{.*\})?) (\S+)$", response.text, re.MULTILINE)
    return {name: float(value) for name, value in samples}


def test_an_agent_is_ready_while_it_has_a_tunnel_and_healthy_without(stage: Stage) -> None:
    edge = stage.edge()
    agent = stage.agent("one", edges=[edge], services={"web": stage.origin().url})
    assert get(f"{agent.admin_url}/healthz").status_code == 200
    assert get(f"{agent.admin_url}/readyz").status_code == 200
    edge.stop()
    eventually(
        lambda: get(f"{agent.admin_url}/readyz").status_code == 503, within=5, what="the agent is not ready"
    )
    assert get(f"{agent.admin_url}/healthz").status_code == 200


# -- logs ----------------------------------------------------------------------------------------------------------


def logged(edge: Edge, path: str) -> dict[str, Any]:
    """Wait for the one line of the access log about a path."""
    found = eventually(
        lambda: [line for line in edge.requests_logged() if line["path"] == path],
        within=5,
        what=f"a line about {path}",
    )
    assert len(found) == 1
    return found[0]


def test_a_request_is_one_line_of_the_access_log(tunnelled: Tunnelled) -> None:
    seen = fetch(tunnelled.plain.public, request("/echo/logged", method="POST", body=b"x" * 1234))
    line = logged(tunnelled.plain, "/echo/logged")
    assert line["method"] == "POST"
    assert line["host"] == "web.localhost"
    assert line["status"] == 200
    assert line["bytes_in"] == 1234
    assert line["bytes_out"] == len(seen.body)
    assert 0 <= line["upstream_ms"] <= line["duration_ms"] < 5000
    assert line["service"] == "web"
    assert line["instance"]
    assert line["time"]
    told = {name.lower(): value for name, value in seen.json()["fields"]}
    assert line["request_id"] == told["x-request-id"]


def test_a_request_without_a_service_is_logged_too(tunnelled: Tunnelled) -> None:
    fetch(tunnelled.plain.public, request("/logged/nowhere", host="nowhere.localhost"))
    line = logged(tunnelled.plain, "/logged/nowhere")
    assert line["status"] in (200, 404)
    assert line["host"] == "nowhere.localhost"


def test_a_refused_request_is_logged_under_the_id_it_was_answered_with(tunnelled: Tunnelled) -> None:
    seen = fetch(tunnelled.plain.public, request("/refused#fragment"))
    line = logged(tunnelled.plain, "/refused#fragment")
    assert (seen.status, line["status"], line["method"]) == (400, 400, "GET")
    assert line["service"] is None
    assert line["request_id"] == seen.json()["request_id"]


def test_an_http2_request_is_logged_alike(secure: Secure, tunnelled: Tunnelled) -> None:
    with Client2(secure.address, secure.certificate) as client:
        client.response(client.request("/echo/logged-h2"))
        line = logged(tunnelled.secure, "/echo/logged-h2")
        assert (line["method"], line["status"], line["service"]) == ("GET", 200, "web")
        assert line["host"] == client.authority.decode()


def test_a_log_line_cannot_be_forged_by_a_request(tunnelled: Tunnelled) -> None:
    path = '/echo/"forged"\\'
    fetch(tunnelled.plain.public, request(path))
    assert logged(tunnelled.plain, path)["status"] == 200


def test_every_line_is_json_where_nobody_watches(tunnelled: Tunnelled) -> None:
    for program in (tunnelled.plain, tunnelled.agent):
        for line in program.stderr.splitlines():
            assert {"time", "level", "event"} <= json.loads(line).keys()


def test_the_log_is_for_people_on_a_terminal(stage: Stage) -> None:
    public, api = free_address(), free_address()
    listeners = ("--public", public, "--tunnel", free_address(), "--api", api)
    with on_terminal(backplane("edge", "--data-dir", stage.folder / "data", *listeners)) as read_until:
        eventually(lambda: answers(f"http://{api}/readyz"), within=20, what="the edge is ready")
        fetch(public, request("/watched"))
        line = next(line for line in read_until(b"/watched").splitlines() if b"/watched" in line)
        assert not line.startswith(b"{")
        assert b"404" in line


@contextmanager
def on_terminal(argv: list[str]) -> Iterator[Any]:
    """Run a program on a terminal of its own; gives a function that reads up to some octets."""
    master, slave = pty.openpty()
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)

    def read_until(octets: bytes) -> bytes:
        seen = b""
        while octets not in seen or not seen.endswith(b"\n"):
            assert select.select([master], [], [], 5)[0], f"{octets!r} is not in {seen!r}"
            seen += os.read(master, 65536)
        return seen

    try:
        yield read_until
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


# -- the command line ----------------------------------------------------------------------------------------------


def run(stage: Stage, *arguments: str) -> Program:
    """Run `backplane` to its end."""
    program = stage.run("backplane", backplane(*arguments))
    assert program.exit_code() == 0, program.stderr
    return program


def test_version_says_what_is_installed(stage: Stage) -> None:
    said = run(stage, "version").stdout
    assert re.search(r"backplane\s+\d+\.\d+", said)
    assert "python" in said.lower()


def test_help_names_the_verbs_and_each_verb_its_options(stage: Stage) -> None:
    verbs = run(stage, "--help").stdout
    assert all(verb in verbs for verb in ("edge", "agent", "version"))
    edge = run(stage, "edge", "--help").stdout
    promised = (
        "data-dir public tunnel api domain zone advertise identity-dir default-service public-cert public-key"
    )
    assert all(f"--{option}" in edge for option in promised.split())
    agent = run(stage, "agent", "--help").stdout
    promised = "edge token-file service label zone tunnels config admin"
    assert all(f"--{option}" in agent for option in promised.split())
