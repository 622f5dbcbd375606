"""Flags, variables and TOML files; and what is said about a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pytest

from .address import free_address
from .client import fetch, request
from .programs import Program, answers, backplane
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

USAGE = 2

AGENT = ("--edge", "127.0.0.1:7443", "--token-file", "nowhere", "--service", "web=http://127.0.0.1:3000")


def error_of(program: Program) -> str:
    """Wait for the program's end and return its one line of error."""
    assert program.exit_code() == USAGE, program.stderr
    [line] = program.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("verb", "options", "words"),
    [
        ("agent", (*AGENT, "--tunnels", "99"), ("--tunnels", "from 1 to 16")),
        ("agent", (*AGENT, "--tunnels", "many"), ("--tunnels", "integer")),
        ("agent", (*AGENT, "--edge", "127.0.0.1"), ("--edge", "port")),
        ("agent", (*AGENT, "--service", "api"), ("--service", "api")),
        ("agent", (*AGENT, "--service", "We_b=http://127.0.0.1:1"), ("--service", "We_b")),
        ("agent", (*AGENT, "--service", "api=ftp://127.0.0.1:1"), ("--service", "ftp")),
        ("agent", (*AGENT, "--label", "zone=a"), ("--label", "zone")),
        ("agent", (*AGENT, "--colour", "red"), ("--colour",)),
        ("agent", AGENT[:4], ("--service",)),
        ("agent", AGENT[2:], ("--edge",)),
        ("agent", AGENT, ("nowhere",)),
        ("edge", ("--public", "here"), ("--public", "here")),
        ("edge", ("--default-service", "No Such"), ("--default-service",)),
        ("edge", ("--public-cert", "cert.pem"), ("public",)),
        ("edge", ("--config", "nowhere.toml"), ("nowhere.toml",)),
    ],
)
def test_a_wrong_option_is_named_with_its_reason(
    stage: Stage, verb: str, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    message = error_of(stage.run(verb, backplane(verb, *options)))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BACKPLANE_TUNNELS", "many"), ("BACKPLANE_LABELS", "agent=x"), ("BACKPLANE_ADMIN", "nowhere")],
)
def test_a_wrong_variable_is_named(stage: Stage, variable: str, value: str) -> None:
    assert variable in error_of(stage.run("agent", backplane("agent", *AGENT), {variable: value}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tunnels = 0", ("tunnels",)),
        ("tunels = 2", ("tunels", "tunnels")),
        ("tunnels = ", ("Invalid value",)),
        ("[services]\nweb = 3000", ("services", "web")),
    ],
)
def test_a_wrong_key_in_a_file_is_named_with_the_file(
    stage: Stage, text: str, words: tuple[str, ...]
) -> None:
    file = stage.folder / "agent.toml"
    file.write_text(text)
    message = error_of(stage.run("agent", backplane("agent", "--config", file, *AGENT[:4])))
    assert all(word in message for word in ("agent.toml", *words)), message


def test_edge_and_agent_can_be_set_by_files_alone(stage: Stage) -> None:
    public, tunnel, api = free_address(), free_address(), free_address()
    edge_file = stage.folder / "edge.toml"
    edge_file.write_text(
        f'data_dir = "{stage.folder}/data"\npublic = "{public}"\ntunnel = "{tunnel}"\napi = "{api}"\n'
        'domain = "example.test"\ndefault_service = "none"\nzone = "a"\n'
    )
    edge = stage.run("edge", backplane("edge", "--config", edge_file))
    edge.wait_until(lambda: answers(f"http://{api}/readyz"), "the edge is ready")
    agent_file = stage.folder / "agent.toml"
    agent_file.write_text(
        f'edges = ["{tunnel}"]\ntoken_file = "{stage.folder}/data/join-token"\ntunnels = 1\nzone = "a"\n'
        f'[services]\nweb = "{stage.origin("a").url}"\n[labels]\nrelease = "v1"\n'
    )
    agent = stage.run("agent", backplane("agent", "--config", agent_file))
    agent.wait_until(lambda: answers(f"http://{public}", "web.example.test"), "the service is served")
    agent.stop()
    edge.stop()


def test_edge_and_agent_can_be_set_by_variables_alone(stage: Stage) -> None:
    public, tunnel, api = free_address(), free_address(), free_address()
    edge = stage.run(
        "edge",
        backplane("edge"),
        {
            "BACKPLANE_DATA_DIR": str(stage.folder / "data"),
            "BACKPLANE_PUBLIC": str(public),
            "BACKPLANE_TUNNEL": str(tunnel),
            "BACKPLANE_API": str(api),
        },
    )
    edge.wait_until(lambda: answers(f"http://{api}/readyz"), "the edge is ready")
    agent = stage.run(
        "agent",
        backplane("agent"),
        {
            "BACKPLANE_EDGES": str(tunnel),
            "BACKPLANE_TOKEN_FILE": str(stage.folder / "data" / "join-token"),
            "BACKPLANE_SERVICES": f"web={stage.origin('a').url};api={stage.origin('b').url}",
            "BACKPLANE_LABELS": "release=v1,tier=front",
        },
    )
    for service in ("web", "api"):
        host = f"{service}.localhost"
        agent.wait_until(partial(answers, f"http://{public}", host), f"{host} is served")
    agent.stop()
    edge.stop()


def test_a_variable_that_does_not_exist_is_a_warning_and_that_of_another_program_is_none(
    stage: Stage,
) -> None:
    listeners = ("--public", free_address(), "--tunnel", free_address(), "--api", free_address())
    environment = {
        "BACKPLANE_PUBLIC_IDLE_TIMOUT": "5",
        "BACKPLANE_EDGES": "127.0.0.1:7443",
        "BACKPLANE_RECONNECT_DELAY": "1",
        "BACKPLANE_H2_ENGINE": "portable",
    }
    data_dir = stage.folder / "data"
    edge = stage.run("edge", backplane("edge", "--data-dir", data_dir, *listeners), environment)
    edge.wait_until(lambda: "edge is up" in edge.stderr, "the edge is up")
    [warning] = [line for line in edge.stderr.splitlines() if '"warning"' in line]
    assert '"variable": "BACKPLANE_PUBLIC_IDLE_TIMOUT"' in warning
    assert '"did_you_mean": "BACKPLANE_PUBLIC_IDLE_TIMEOUT"' in warning
    edge.stop()


def test_an_edge_without_stdout_serves_and_logs_to_stderr(stage: Stage) -> None:
    public, tunnel, api = free_address(), free_address(), free_address()
    listeners = ("--public", public, "--tunnel", tunnel, "--api", api)
    command = backplane("edge", "--data-dir", stage.folder / "data", *listeners)
    edge = stage.run("edge", ["sh", "-c", 'exec "$@" >&-', "sh", *command])
    edge.wait_until(lambda: answers(f"http://{api}/readyz"), "the edge is ready")
    assert fetch(public, request("/")).head.status == 404
    edge.stop()
    assert edge.stdout == ""
    assert '"edge is up"' in edge.stderr


def test_a_flag_goes_before_a_variable_and_a_variable_before_the_file(stage: Stage) -> None:
    edge = stage.edge()
    urls = {name: stage.origin(name).url for name in ("flag", "variable", "file")}
    file = stage.folder / "agent.toml"
    file.write_text(
        f'edges = ["{edge.tunnel}"]\ntoken_file = "{edge.token_file}"\nservices = {{ web = "{urls["file"]}" }}\n'
    )

    def served_by(environment: Mapping[str, str], *options: str) -> bytes | None:
        agent = stage.run("agent", backplane("agent", "--config", file, *options), environment)
        agent.wait_until(lambda: answers(edge.url, "web.localhost"), "the service is served")
        name = origin_of(edge)
        agent.stop()
        return name

    variable = {"BACKPLANE_SERVICES": f"web={urls['variable']}"}
    assert served_by({}) == b"file"
    assert served_by(variable) == b"variable"
    assert served_by(variable, "--service", f"web={urls['flag']}") == b"flag"


def origin_of(edge: Edge) -> bytes | None:
    """Return the name of the origin that answers."""
    return fetch(edge.public, request("/")).head.value(b"x-origin")
