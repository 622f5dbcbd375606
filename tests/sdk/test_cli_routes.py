from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from backplane import Client
from backplane.cli.exit import ExitCode
from tests.e2e.client import fetch, request
from tests.e2e.stage import Edge

Run = Callable[..., Any]


def status(edge: Edge, host: str) -> int:
    """Return the status that the public gets."""
    return fetch(edge.public, request("/", host=host)).status


@pytest.fixture
def on_edge(run: Run, edge: Edge) -> Run:
    """Runs `backplane` with the data directory of the edge."""
    return lambda *arguments: run(*arguments, "--data-dir", edge.data_dir)


def test_first_route_needs_no_login(on_edge: Run, client: Client, edge: Edge) -> None:
    done = on_edge("route", "shop.example", "service=web")
    assert (done.code, done.out, done.err) == (0, "route shop.example is set\n", "")
    assert status(edge, "shop.example") == 200
    assert on_edge("route", "shop.example", "service=web").code == 0


def test_routes_are_a_table(on_edge: Run, client: Client) -> None:
    on_edge("route", "create", "canary", "*.example/api", "v1=9:service=web,release=v1", "v2=1:release=v2")
    on_edge("route", "create", "a", "a.example", "service=web", "--disabled")
    done = on_edge("route", "list")
    assert done.out.splitlines() == [
        "NAME    HOST       PATH  TARGETS                                      POLICIES  ENABLED",
        "a       a.example  /     service=web                                  -         no",
        "canary  *.example  /api  v1=9:service=web,release=v1 v2=1:release=v2  -         yes",
    ]


def test_what_looks_odd_is_a_warning_beside_the_result(on_edge: Run, client: Client) -> None:
    done = on_edge("route", "create", "shop", "shop.example", "service=shop")
    assert done.code == 0
    assert done.err == "warning: targets[0].selector: no instance matches service=shop now\n"


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_output_is_for_programs_too(
    on_edge: Run, client: Client, form: str, read: Callable[[str], Any]
) -> None:
    on_edge("route", "create", "shop", "shop.example", "service=web")
    shown = read(on_edge("route", "get", "shop", "--output", form).out)
    assert (shown["name"], shown["targets"][0]["selector"]) == ("shop", "service=web")
    assert [one["name"] for one in read(on_edge("route", "list", "--output", form).out)] == ["shop"]


def test_conditions_are_flags(on_edge: Run, client: Client) -> None:
    conditions = ("--method", "GET", "--header", "x-canary=yes", "--header", "!x-old", "--query", "beta")
    on_edge("route", "set", "shop", "shop.example", "service=web", *conditions, "--priority", "5")
    route = client.routes.get("shop")
    assert (route.methods, route.priority) == (["GET"], 5)
    assert [(one.name, one.exact, one.present) for one in route.headers] == [
        ("x-canary", "yes", None),
        ("x-old", None, False),
    ]
    assert [(one.name, one.present) for one in route.query] == [("beta", True)]
    assert "header x-canary is 'yes'" in on_edge("route", "get", "shop").out


def test_traffic_is_shifted_by_weights(on_edge: Run, client: Client) -> None:
    on_edge("route", "create", "shop", "shop.example", "v1:release=v1", "v2:release=v2")
    done = on_edge("route", "weights", "shop", "v1=90", "v2=10")
    assert done.out == "route shop has the weights v1=90, v2=10\n"
    assert client.routes.get("shop").targets[1].weight == 10


def test_route_comes_from_a_file(on_edge: Run, client: Client, home: Any) -> None:
    (home / "shop.yaml").write_text("host: shop.example\ntargets:\n- selector: service=web\n")
    assert on_edge("route", "set", "shop", "-f", "shop.yaml").code == 0
    assert client.routes.get("shop").host == "shop.example"


def test_route_is_disabled_enabled_and_deleted(on_edge: Run, client: Client, edge: Edge) -> None:
    on_edge("route", "create", "shop", "shop.example", "service=web")
    assert on_edge("route", "disable", "shop").out == "route shop is disabled\n"
    assert status(edge, "shop.example") == 404
    assert on_edge("route", "enable", "shop").code == 0
    assert status(edge, "shop.example") == 200
    assert on_edge("route", "delete", "shop").out == "route shop is deleted\n"
    assert on_edge("route", "delete", "shop").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["get", "nothing"], ExitCode.NOT_FOUND, "There is no route 'nothing'."),
        (["create", "x", "x.example"], ExitCode.USAGE, "a route needs a host and a target"),
        (["create", "x", "http://x.example", "a=b"], ExitCode.USAGE, "is not HOST or HOST/PATH"),
        (["create", "x", "x.example", "v1=a:b=c"], ExitCode.USAGE, "is not [NAME[=WEIGHT]:]SELECTOR"),
        (["create", "x", "x.example", "a=="], ExitCode.REFUSED, "targets[0].selector: at position"),
        (["create", "x y", "x.example", "a=b"], ExitCode.REFUSED, "name: "),
        (["weights", "x", "v1"], ExitCode.USAGE, "is not NAME=WEIGHT"),
        (["set", "x", "-f", "missing.yaml"], ExitCode.USAGE, "missing.yaml: No such file"),
        (["set", "", "x.example", "a=b"], ExitCode.USAGE, "what is to be put has no name"),
        (["get", "\udcff"], ExitCode.REFUSED, "path.name: "),
        (["list", "--host", "\udcff"], ExitCode.USAGE, "surrogates not allowed"),
        (["get", "x" * 70000], ExitCode.FAILURE, "this cannot be asked for"),
        (["lst"], ExitCode.USAGE, "No such command 'lst'"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(
    on_edge: Run, client: Client, arguments: list[str], code: ExitCode, message: str
) -> None:
    done = on_edge("route", *arguments)
    assert done.code == code, done.err
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
