"""Policies, tokens, configurations, events and explanations on the command line, on a real edge."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from backplane import Client, EdgeUnreachable
from backplane.cli.exit import ExitCode
from backplane.resources.events import Events
from tests.e2e.client import fetch, request
from tests.e2e.stage import Edge

Run = Callable[..., Any]


@pytest.fixture
def on_edge(run: Run, edge: Edge) -> Run:
    """Runs `backplane` with the data directory of the edge."""
    return lambda *arguments: run(*arguments, "--data-dir", edge.data_dir)


def test_policy_keeps_a_network_out(on_edge: Run, client: Client, edge: Edge) -> None:
    assert on_edge("policy", "set", "office", "--allow", "192.0.2.0/24", "--description", "Us").code == 0
    on_edge("route", "shop.example", "service=web", "--policy", "office")
    assert fetch(edge.public, request("/", host="shop.example")).status == 403
    assert on_edge("policy", "list").out.splitlines()[1].split() == ["office", "ip", "Us"]
    shown = yaml.safe_load(on_edge("policy", "get", "office").out)
    assert shown["rules"][0]["allow"] == ["192.0.2.0/24"]
    used = on_edge("policy", "delete", "office")
    assert used.code == ExitCode.REFUSED
    assert used.err == (
        "error: The policy 'office' is used by shop.example. Take it from those routes first.\n"
    )


def test_policy_sets_fields(on_edge: Run, client: Client) -> None:
    on_edge("policy", "create", "frames", "--response-header", "X-Frame-Options=DENY")
    shown = json.loads(on_edge("policy", "get", "frames", "-o", "json").out)
    assert shown["rules"][0]["response"]["set"] == {"x-frame-options": "DENY"}
    assert on_edge("policy", "defaults", "frames").out.split() == ["NAME", "frames"]
    assert on_edge("policy", "defaults", "--none").out == ""
    assert on_edge("policy", "delete", "frames").out == "policy frames is deleted\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "x"], "a policy needs rules"),
        (["set", "x", "--response-header", "x"], "is not NAME=VALUE"),
        (["set", "x", "--request-header", "X-A=1", "--request-header", "x-a=2"], "x-a is given twice"),
        (["set", "x", "--allow", "a", "-f", "x"], "a file or rules, not both"),
        (["defaults", "x", "--none"], "names or --none"),
    ],
)
def test_wrong_policy_is_not_sent(on_edge: Run, arguments: list[str], message: str) -> None:
    done = on_edge("policy", *arguments)
    assert (done.code, message in done.err) == (ExitCode.USAGE, True)


def test_secret_of_a_token_is_all_of_stdout(on_edge: Run, client: Client, edge: Edge) -> None:
    done = on_edge("token", "create", "api", "--role", "viewer", "--expires", "1h")
    assert done.code == 0
    with Client(edge.api_url, token=done.out.strip()) as viewer:
        list(viewer.routes.list())
    token_id = done.err.split()[1]
    assert token_id in on_edge("token", "list", "--kind", "api").out
    assert on_edge("token", "set", token_id, "--expires", "never").code == 0
    assert client.tokens.get(token_id).expires is None
    assert on_edge("token", "delete", token_id).out == f"token {token_id} is revoked\n"
    assert "revoked" in on_edge("token", "get", token_id).out


def test_secret_may_go_into_a_file_of_one_s_own(on_edge: Run, client: Client, home: Path) -> None:
    arguments = ("token", "create", "join", "--service", "web", "--label", "team=web", "--publish")
    done = on_edge(*arguments, "--secret-file", "join", "-o", "json")
    made = json.loads(done.out)
    assert "secret" not in made
    assert made["token"]["labels"] == {"team": "web"}
    assert stat.S_IMODE((home / "join").stat().st_mode) == 0o600
    assert len((home / "join").read_text().strip()) > 100
    again = on_edge(*arguments, "--secret-file", "join")
    assert (again.code, again.err) == (ExitCode.USAGE, "error: join: File exists\n")


def test_token_that_is_refused_leaves_no_file(on_edge: Run, home: Path) -> None:
    done = on_edge("token", "create", "api", "--role", "king", "--secret-file", "secret")
    assert done.code == ExitCode.REFUSED
    assert not (home / "secret").exists()


CONFIG = """
policies:
- name: office
  rules:
  - {type: ip, allow: [192.0.2.0/24]}
routes:
- name: shop
  host: shop.example
  targets:
  - {name: v1, selector: "service=web", weight: 9}
"""


def test_file_is_applied_and_shown(on_edge: Run, client: Client, home: Path) -> None:
    file = home / "edge.yaml"
    file.write_text(CONFIG)
    planned = on_edge("apply", "-f", file, "--dry-run", "--exit-code")
    assert planned.code == ExitCode.DIFFERENT
    assert planned.out.splitlines()[-1] == "2 would be created, 0 unchanged"
    assert list(client.routes.list()) == []
    assert on_edge("apply", "-f", file).out.splitlines()[-1] == "2 created, 0 unchanged"
    assert on_edge("apply", "-f", file).out == "nothing changes\n"
    assert on_edge("apply", "-f", file, "--dry-run", "--exit-code").code == ExitCode.OK
    file.write_text(CONFIG.replace("weight: 9", "weight: 5"))
    assert on_edge("apply", "-f", file, "--dry-run").out.splitlines() == [
        "~ route shop",
        "    targets:",
        "    - name: v1",
        "      selector: service=web",
        "  -   weight: 9",
        "  +   weight: 5",
        "    enabled: true",
        "1 would be updated, 1 unchanged",
    ]


def test_many_warnings_are_summed_up(on_edge: Run, client: Client, home: Path) -> None:
    routes = [
        {"name": f"r{number}", "host": f"r{number}.example", "targets": [{"selector": "service=none"}]}
        for number in range(12)
    ]
    (home / "edge.yaml").write_text(yaml.safe_dump({"routes": routes}))
    warnings = on_edge("apply", "-f", "edge.yaml").err.splitlines()
    assert len(warnings) == 11
    assert warnings[-1] == "warning: and 2 more, which --output json shows"


def test_export_can_be_applied_again(on_edge: Run, client: Client, home: Path) -> None:
    (home / "edge.yaml").write_text(CONFIG)
    on_edge("apply", "-f", "edge.yaml")
    for name, form in (("again.yaml", "yaml"), ("again.json", "json")):
        (home / name).write_text(on_edge("export", "-o", form).out)
        assert on_edge("apply", "-f", name).out == "nothing changes\n"


def test_file_that_cannot_work_is_refused_by_field(on_edge: Run, client: Client, home: Path) -> None:
    (home / "edge.yaml").write_text("routes:\n- {name: x, host: x.example, targets: []}\n")
    done = on_edge("apply", "-f", "edge.yaml")
    assert done.code == ExitCode.REFUSED
    assert done.err.startswith("error: routes[0].targets: a route has at least one target")
    (home / "edge.yaml").write_text("routes: [\n")
    assert "The YAML cannot be read in line 2" in on_edge("apply", "-f", "edge.yaml").err
    assert on_edge("apply", "-f", "missing.yaml").code == ExitCode.USAGE


def test_request_is_explained(on_edge: Run, client: Client) -> None:
    on_edge("route", "create", "shop", "shop.example", "v1:service=web", "--header", "x-canary")
    served = on_edge("explain", "https://shop.example/cart?x=1", "-H", "x-canary: yes")
    assert served.out.splitlines()[:3] == [
        "served by  route shop",
        "policies   none",
        "targets    100% to v1: service=web (1 healthy instance)",
    ]
    refused = on_edge("explain", "shop.example")
    assert "answer  404 no_route, from the edge itself" in refused.out
    assert "passed over, since header x-canary is not there" in refused.out
    assert on_edge("explain", "ftp://x").code == ExitCode.USAGE
    spaced = on_edge("explain", "https://shop.example/a b")
    assert spaced.code == ExitCode.USAGE
    assert "%20" in spaced.err


def test_events_are_like_a_log(on_edge: Run, client: Client) -> None:
    on_edge("route", "shop.example", "service=web")
    on_edge("route", "delete", "shop.example")
    done = on_edge("events", "--limit", "2", "--since", "1h", "--name", "shop.example")
    assert [line.split()[-3:] for line in done.out.splitlines()[1:]] == [
        ["create", "route", "shop.example"],
        ["delete", "route", "shop.example"],
    ]
    assert on_edge("events", "--since", "yesterday").code == ExitCode.USAGE


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_events_are_followed_until_ctrl_c(
    on_edge: Run, client: Client, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    on_edge("route", "shop.example", "service=web")
    made = next(client.events.list(name="shop.example", action="create"))
    real = Events.follow

    def three(self: Events, **options: Any) -> Any:
        yield next(real(self, after=made.id - 1))
        raise KeyboardInterrupt

    monkeypatch.setattr(Events, "follow", three)
    done = on_edge("events", "--follow", "-o", form)
    assert (done.code, done.err) == (0, "")
    assert "shop.example" in done.out
    if form == "json":
        assert json.loads(done.out)["data"]["name"] == "shop.example"


def test_stream_that_is_lost_is_said_to_be(
    on_edge: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Events, **options: Any) -> Any:
        raise EdgeUnreachable("http://edge: lost", sent=True)

    monkeypatch.setattr(Events, "follow", lost)
    assert on_edge("events", "--follow").code == ExitCode.UNAVAILABLE
