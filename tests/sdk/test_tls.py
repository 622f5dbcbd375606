"""The API of an edge that listens beyond loopback: TLS, with a certificate of the edge's own CA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backplane import Client, EdgeUntrusted
from backplane.cli.exit import ExitCode
from tests.e2e.address import Address, free_address
from tests.e2e.stage import Edge, Stage

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge whose API listens on every address."""
    with Stage.at(tmp_path_factory.mktemp("secure")) as stage:
        api = Address("0.0.0.0", free_address().port)
        edge = Edge(
            "edge",
            "--api-name",
            "localhost",
            folder=stage.folder,
            data_dir=stage.folder / "edge-data",
            addresses=(free_address(), free_address(), api),
            certificate=None,
        )
        edge.api_url = f"https://127.0.0.1:{api.port}"
        yield stage.keep(edge)


def token(edge: Edge) -> str:
    return (edge.data_dir / "admin-token").read_text().strip()


def test_client_on_the_same_machine_trusts_its_edge(secure: Edge) -> None:
    with Client.local(secure.data_dir) as client:
        assert client.endpoint.url == secure.api_url
        assert list(client.routes.list()) == []


def test_client_from_elsewhere_trusts_no_edge_that_it_does_not_know(secure: Edge) -> None:
    with Client(secure.api_url, token=token(secure)) as client, pytest.raises(EdgeUntrusted):
        list(client.routes.list())
    ca_file = secure.data_dir / "ca.crt"
    url = secure.api_url.replace("127.0.0.1", "localhost")
    with Client(url, token=token(secure), ca_file=ca_file) as client:
        assert list(client.routes.list()) == []
    with Client(secure.api_url, token=token(secure), verify=False) as client:
        assert list(client.routes.list()) == []


def test_login_keeps_the_ca_beside_the_token(secure: Edge, run: Run) -> None:
    file = secure.data_dir / "admin-token"
    unknown = run("login", secure.api_url, "--token-file", file)
    assert unknown.code == ExitCode.TRUST
    assert "is not to be trusted" in unknown.err
    assert "name its CA with --ca-file" in unknown.err
    known = run("login", secure.api_url, "--token-file", file, "--ca-file", secure.data_dir / "ca.crt")
    assert known.code == 0
    assert run("route", "list").code == 0
    assert run("route", "list", "--data-dir", secure.data_dir).code == 0
